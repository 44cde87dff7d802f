mod settings;

use std::ffi::OsString;
use std::fs;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::balance::Algorithm;
use crate::config::platform::{PYTHON_BIN, PYTHON_IN_BIN, SHELL};
use crate::config::{Listen, ListenHost, fingerprint, json, render};

/// A folder, and a machine on which nothing is installed but what a test says.
struct Bench {
    dir: tempfile::TempDir,
    vars: Vec<(&'static str, OsString)>,
    django: bool,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::Builder::new()
                .prefix("My Site")
                .tempdir()
                .unwrap(),
            vars: Vec::new(),
            django: true,
        }
    }

    fn with(toml: &str) -> Self {
        Self::new().file("lbdev.toml", toml)
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// An environment with an interpreter that is only looked at.
    fn venv(self) -> Self {
        self.file(&format!(".venv/{PYTHON_BIN}/{PYTHON_IN_BIN}"), "")
    }

    fn var(mut self, name: &'static str, value: &str) -> Self {
        self.vars.push((name, value.into()));
        self
    }

    fn request(&self) -> Request {
        Request {
            dir: self.dir.path().to_owned(),
            ..Request::default()
        }
    }

    fn resolve(&self, request: &Request) -> Result<Config, Vec<Report>> {
        let around = Surroundings {
            var: &|name| {
                let found = self.vars.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.clone())
            },
            lbdev: "/bin/lbdev".into(),
            poetry: &|_| None,
            imports: &|_, _, _| self.django,
            lookup: &|_, _| Vec::new(),
        };
        resolve_in(request, &around)
    }

    #[track_caller]
    fn config(&self, change: impl FnOnce(&mut Request)) -> Config {
        let mut request = self.request();
        change(&mut request);
        self.resolve(&request)
            .unwrap_or_else(|e| panic!("{}", text_of(&e)))
    }

    /// Every error, with the folder's own name taken out.
    #[track_caller]
    fn errors(&self, change: impl FnOnce(&mut Request)) -> String {
        let mut request = self.request();
        change(&mut request);
        let errors = self.resolve(&request).expect_err("errors");
        text_of(&errors).replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

fn text_of(errors: &[Report]) -> String {
    let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
    all.join("\n")
}

fn same(_: &mut Request) {}

fn ids(config: &Config) -> Vec<String> {
    let all = config.services.iter().flat_map(|s| &s.backends);
    all.map(|backend| backend.id.to_string()).collect()
}

fn command(config: &Config, number: usize) -> &crate::config::Command {
    let mut all = config.services.iter().flat_map(|s| &s.backends);
    all.nth(number).unwrap().command.as_ref().unwrap()
}

fn env<'a>(config: &'a Config, number: usize, name: &str) -> Option<&'a str> {
    let env = &command(config, number).env;
    let found = env.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// Its page's sources, on a port of its own that nobody balances.
#[cfg(unix)]
#[test]
fn vite_beside_django() {
    let bench = Bench::new()
        .file("manage.py", "")
        .file("package.json", "{\"devDependencies\": {\"vite\": \"^6\"}}")
        .venv();
    // Not installed, it is only named.
    assert_eq!(bench.config(same).services.len(), 1);
    let bench = bench.file("node_modules/.bin/vite", "");
    let config = bench.config(same);
    let ids = ids(&config);
    assert_eq!(ids.last().map(String::as_str), Some("vite.1"));
    assert_eq!(config.services[1].routes, []);
    // It runs, so it is no alternative.
    assert_eq!(config.notes, Vec::<String>::new());
    let watch = config.services[0].watch.as_ref().unwrap();
    assert!(watch.patterns.iter().any(|pattern| pattern == "**/*.py"));
    assert_eq!(config.services[1].watch, None);
}

#[cfg(unix)]
#[test]
fn django_without_a_file() {
    let bench = Bench::new()
        .file("manage.py", "")
        .venv()
        .var("PATH", "/usr/bin");
    let config = bench.config(same);
    assert_eq!(config.origin, "Django (manage.py)");
    assert!(config.project.starts_with("my-site"), "{}", config.project);
    assert_eq!(
        ids(&config),
        ["web:8000", "web:8001", "web:8002", "web:8003"]
    );
    let venv = bench.dir.path().join(".venv/bin");
    let argv = command(&config, 1).argv.clone();
    assert_eq!(argv[0], venv.join("python").to_str().unwrap());
    assert_eq!(
        argv[1..],
        ["manage.py", "runserver", "--noreload", "127.0.0.1:8001"]
    );
    let path = format!("{}:/usr/bin", venv.display());
    for (name, value) in [
        ("PATH", path.as_str()),
        ("PORT", "8001"),
        ("LBDEV_PORT", "8001"),
        ("LBDEV_INDEX", "2"),
        ("LBDEV_SERVICE", "web"),
        ("LBDEV_BACKEND", "web:8001"),
        ("PYTHONUNBUFFERED", "1"),
    ] {
        assert_eq!(env(&config, 1, name), Some(value), "{name}");
    }
    let backend = &config.services[0].backends[0];
    let addresses: Vec<String> = backend.addresses.iter().map(|a| a.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:8000", "[::1]:8000"]);
    assert_eq!(config.balancer.listen, LISTEN);
    assert!(config.notes.is_empty(), "{:?}", config.notes);
}

#[test]
fn a_step_up_is_the_folder_it_leads_to() {
    let bench = Bench::new();
    std::fs::create_dir(bench.dir.path().join("below")).unwrap();
    let config = bench.config(|r| {
        r.demo = false;
        r.command = Some("serve {port}".to_owned());
        r.dir = bench.dir.path().join("below/..");
    });
    assert_eq!(config.dir, dunce::canonicalize(bench.dir.path()).unwrap());
    assert!(config.project.starts_with("my-site"), "{}", config.project);
}

#[cfg(unix)]
#[test]
fn django_that_is_not_installed() {
    let mut bench = Bench::new().file("manage.py", "").venv();
    bench.django = false;
    assert_snapshot!(bench.errors(same), @r#"
error[LB022]: `manage.py` is here, but Django is not installed for `DIR/.venv/bin/python`
  hint: run `'DIR/.venv/bin/python' -m pip install django`
"#);
    let bench = bench
        .file("requirements.txt", "")
        .file(".venv/lib/python3.13/site-packages/django/__init__.py", "");
    assert_eq!(bench.config(same).services.len(), 1);
}

#[test]
fn no_python() {
    let bench = Bench::new().file("manage.py", "").var("PATH", "/nowhere");
    assert_snapshot!(bench.errors(same), @r#"
error[LB013]: no Python was found for `{python}` in `web`; looked at `$VIRTUAL_ENV`, `.venv`, `venv`, `env`, `$CONDA_PREFIX`, poetry, `python3` and `python`
  hint: install Python 3, or run `python3 -m venv .venv` where it is
"#);
}

#[cfg(unix)]
#[test]
fn no_project() {
    assert_snapshot!(Bench::new().errors(same), @r#"
error[LB002]: no project was found in `DIR`
  looked for `lbdev.toml`, `Procfile.dev`, `Procfile`, `manage.py` (Django), `requirements.txt` or `pyproject.toml` (FastAPI, Starlette, Flask), `bin/rails` (Rails), `artisan` (Laravel), `pom.xml` or `build.gradle` or `build.gradle.kts` (Spring Boot), `WEB-INF` or `*.war` (Tomcat), `package.json` (Next.js, Vite, Node.js), `go.mod` (Go), `Cargo.toml` (Rust), `index.html` (static files)
  hint: run `lbdev init`, `lbdev up -c 'CMD {port}'` or `lbdev demo`
"#);
    let bench = Bench::new().file("site/manage.py", "");
    assert_snapshot!(bench.errors(same), @r#"
error[LB002]: no project was found in `DIR`
  looked for `lbdev.toml`, `Procfile.dev`, `Procfile`, `manage.py` (Django), `requirements.txt` or `pyproject.toml` (FastAPI, Starlette, Flask), `bin/rails` (Rails), `artisan` (Laravel), `pom.xml` or `build.gradle` or `build.gradle.kts` (Spring Boot), `WEB-INF` or `*.war` (Tomcat), `package.json` (Next.js, Vite, Node.js), `go.mod` (Go), `Cargo.toml` (Rust), `index.html` (static files)
  hint: run `lbdev up -C 'DIR/site'`
"#);
    assert_snapshot!(bench.errors(|r| r.dir.push("none")), @r#"
error[LB007]: `DIR/none` does not exist
"#);
    assert_snapshot!(bench.errors(|r| r.file = Some("x.toml".into())), @r#"
error[LB007]: `x.toml` does not exist
"#);
}

#[cfg(unix)]
#[test]
fn the_choice_and_its_alternative() {
    let bench = Bench::new()
        .file("manage.py", "")
        .file("index.html", "")
        .venv();
    let config = bench.config(same);
    assert_eq!(config.origin, "Django (manage.py)");
    assert_eq!(
        config.notes,
        ["static files (index.html) is here too: `lbdev up --from static` takes that"]
    );
    let config = bench.config(|r| r.from = Some("static".into()));
    assert_eq!(config.origin, "static files (index.html)");
    assert_eq!(
        command(&config, 0).argv,
        ["/bin/lbdev", "__static", "--port", "8000", "--dir", "."]
    );
    assert_snapshot!(bench.errors(|r| r.from = Some("jango".into())), @r#"
error[LB021]: `--from`: the framework `jango` is not known; known: `django`, `fastapi`, `starlette`, `flask`, `rails`, `laravel`, `spring-boot`, `tomcat`, `next`, `vite`, `node`, `go`, `rust`, `static`, `procfile` or `procfile.dev`
  hint: did you mean `django`?
"#);
}

#[cfg(unix)]
#[test]
fn from_the_command_line() {
    let bench = Bench::new();
    let config = bench.config(|r| {
        r.command = Some("A=1 srv --port {port} $PORT".into());
        r.replicas = Some(2);
    });
    assert_eq!(ids(&config), ["web:8000", "web:8001"]);
    assert_eq!(command(&config, 1).argv, ["srv", "--port", "8001", "8001"]);
    assert_eq!(env(&config, 1, "A"), Some("1"));
    assert_eq!(config.origin, "the command line");

    let config = bench.config(|r| r.demo = true);
    assert_eq!(config.project, "demo");
    assert_eq!(
        command(&config, 0).argv,
        ["/bin/lbdev", "__demo", "--port", "8000"]
    );

    let config = bench.config(|r| r.external = Some("8000-8001,[::1]:7001".into()));
    assert_eq!(ids(&config), ["web:8000", "web:8001", "web:7001"]);
    let last = &config.services[0].backends[2];
    assert_eq!(
        (last.kind, last.health.rise),
        (crate::backend::Kind::External, 2)
    );
    assert_eq!(last.command, None);
}

#[test]
fn how_many_and_which_ports() {
    let bench = Bench::new();
    let demo = |change: fn(&mut Request)| {
        let config = bench.config(|r| {
            r.demo = true;
            change(r);
        });
        let backends = config.services[0].backends.iter();
        backends.filter_map(|b| b.id.port()).collect::<Vec<_>>()
    };
    assert_eq!(
        demo(|r| r.replicas = Some(6)),
        [8000, 8001, 8002, 8003, 8004, 8005]
    );
    assert_eq!(demo(|r| r.ports = Some("9000-9001".into())), [9000, 9001]);
    assert_eq!(
        demo(|r| {
            r.ports = Some("9000".into());
            r.replicas = Some(2);
        }),
        [9000, 9001]
    );
    assert_eq!(demo(|r| r.ports = Some("auto".into())).len(), 4);
    let listen = bench.config(|r| {
        r.demo = true;
        r.listen = Some("0.0.0.0:9999".into());
    });
    let any = ListenHost::Address([0, 0, 0, 0].into());
    assert_eq!(
        listen.balancer.listen,
        Listen {
            host: any,
            port: 9999
        }
    );
}

#[test]
fn flags_that_cannot_be() {
    let bench = Bench::new();
    assert_snapshot!(bench.errors(|r| {
        r.demo = true;
        r.replicas = Some(0);
        r.ports = Some("8003-8000".into());
        r.listen = Some("nonsense".into());
        r.algorithm = Some("peak_ewm".into());
        r.sticky = Some("cookies".into());
        r.detect = Some("magic".into());
        r.workers = Some(1000);
        r.services = vec!["wbe".into()];
    }), @r#"
error[LB021]: `--listen`: `nonsense` is not an address to listen on; write for example `localhost:8080`, `8080`, `0.0.0.0:8080` or `[::1]:8080`
error[LB021]: `--algorithm`: `peak_ewm` is not one of `round_robin`, `least_conn`, `random_two`, `peak_ewma`, `ip_hash` or `hash`
  hint: did you mean `peak_ewma`?
error[LB021]: `--sticky`: `cookies` is not one of `off` or `cookie`
  hint: did you mean `cookie`?
error[LB021]: `--detect`: `magic` is not one of `instant`, `passive` or `active`
error[LB021]: `--workers` must be from 1 to 64, not 1000
error[LB021]: `--ports`: the range `8003-8000` runs backwards
error[LB021]: `-n` must be from 1 to 256, not 0
error[LB021]: no service `wbe`; known: `web`
  hint: did you mean `web`?
"#);
    assert_snapshot!(bench.errors(|r| r.external = Some("x,10.0.0.300:1".into())), @r#"
error[LB021]: `--external`: `x` is not a server's address; write for example `8000`, `8000-8003`, `127.0.0.1:7000` or `[::1]:7001`
error[LB021]: `--external`: `10.0.0.300:1` is not a server's address; write for example `8000`, `8000-8003`, `127.0.0.1:7000` or `[::1]:7001`
"#);
    assert_snapshot!(bench.errors(|r| {
        r.external = Some("8000".into());
        r.command = Some("x".into());
        r.replicas = Some(2);
    }), @r#"
error[LB021]: `-c` and `--external` cannot be combined
error[LB021]: `--external` and `-n` cannot be combined
"#);
    assert_snapshot!(bench.errors(|r| {
        r.demo = true;
        r.replicas = Some(100);
    }), @r#"
error[LB021]: `-n`: port 8080 is both where lbdev listens and `web:8080`
  hint: run `lbdev up --listen 8100`
"#);
}

#[test]
fn a_flag_for_several_services() {
    let bench = Bench::with(
        "[services.web]\ncommand='a {port}'\nports='8000-8001'\n\
         [services.api]\ncommand='a {port}'\nports=9000\nroutes=['/api']\n\
         [services.worker]\ncommand='w'\n",
    );
    assert_snapshot!(bench.errors(|r| r.replicas = Some(3)), @r#"
error[LB021]: `-n` does not say which service it is for: `web` and `api` have ports
  hint: name one after the options, as in `lbdev up -n 2 web`, or say it in lbdev.toml
"#);
    let config = bench.config(|r| {
        r.replicas = Some(3);
        r.services = vec!["api".into(), "worker".into()];
    });
    assert_eq!(
        ids(&config),
        ["api:9000", "api:9001", "api:9002", "worker.1"]
    );
}

const WHOLE: &str = r#"
[balancer]
listen = 9080
algorithm = "least-conn"
hash_key = "header:X-User"
sequence = "requests"
retries = 1
sticky = "cookie"
detect = "Passive"
retry = { body = "512kb", budget = "off", deadline = "3s", non_idempotent = true, statuses = [504, 502, 502] }
hold = 1000
passive = { failures = 0, window = "1m30s" }
queue = { max = 10, timeout = "1s" }
timeouts = { connect = "200ms", client_head = "3s", backend_head = "off", body = "Off", idle = "1m", drain = "0s" }
allow_hosts = ["App.Test.", "*.b.test", ".c.test", "10.0.0.1", "app.test"]
trust_forwarded = true
workers = 2

[services.web]
command = ["srv", "--name", "a b", "{port}"]
ports = "8000,8005"
replicas = 3
env = { N = 1, URL = "http://x:{port}", "B" = true }
env_file = ".env"
cwd = "sub{index}"
routes = ["/", "web.localhost"]
health = { path = "/up/{index}", interval = "2s", timeout = "500ms", rise = 3, fall = 4, status = "200-299", body = "\"ok\"" }
slow_start = "30s"
max_connections = 16
restart = { policy = "always", backoff = "1s..2s", max = 3 }
stop = { signal = "SIGINT", timeout = "1s" }
backends.8005 = { weight = 3, backup = true }
backends.8006 = { backup = true, max_connections = 2 }

[services.worker]
command = "cat x1 | sort {index}"
replicas = 2

[services.old]
external = ["127.0.0.1:7000", "[::1]:7001", "7002"]
routes = ["/old"]
max_connections = 0
"#;

fn whole() -> Bench {
    Bench::with(WHOLE)
        .file(".env", "A=b\nPORT=1\n")
        .file("sub1/x", "")
        .file("sub2/x", "")
        .file("sub3/x", "")
}

#[test]
fn a_whole_file() {
    let bench = whole();
    let config = bench.config(same);
    assert_eq!(
        ids(&config),
        [
            "web:8000", "web:8005", "web:8006", "worker.1", "worker.2", "old:7000", "old:7001",
            "old:7002"
        ]
    );
    assert_eq!(command(&config, 1).argv, ["srv", "--name", "a b", "8005"]);
    assert_eq!(command(&config, 1).cwd, bench.dir.path().join("sub2"));
    for (name, value) in [("A", "b"), ("N", "1"), ("B", "true"), ("PORT", "8005")] {
        assert_eq!(env(&config, 1, name), Some(value), "{name}");
    }
    assert_eq!(env(&config, 1, "URL"), Some("http://x:8005"));
    assert_eq!(
        command(&config, 4).argv,
        [SHELL[0], SHELL[1], "cat x1 | sort 2"]
    );
    assert_eq!(env(&config, 4, "PORT"), None);
    let web = &config.services[0];
    assert_eq!(web.routes.len(), 2);
    let weights: Vec<u32> = web.backends.iter().map(|b| b.weight).collect();
    assert_eq!(weights, [1, 3, 1]);
    let backups: Vec<bool> = web.backends.iter().map(|b| b.backup).collect();
    assert_eq!(backups, [false, true, true]);
    assert_eq!(web.backends[2].health.path.as_deref(), Some("/up/3"));
    assert_eq!(config.balancer.timeouts.backend_head, None);
    assert_eq!(config.balancer.listen.port, 9080);
    assert_eq!(config.balancer.live.algorithm, Algorithm::LeastConn);
    assert_eq!(
        config.notes,
        ["`PORT` in `.env` is left out: lbdev sets it for each backend"]
    );
}

#[test]
fn what_is_rendered_resolves_to_the_same() {
    for bench in [whole(), Bench::new().file("manage.py", "").venv()] {
        let config = bench.config(same);
        let text = render(&config);
        let again = bench.file("lbdev.toml", &text);
        let again = again.config(same);
        assert_eq!(again.balancer, config.balancer);
        assert_eq!(again.services, config.services, "{text}");
        assert_eq!(fingerprint(&again), fingerprint(&config));
        assert_eq!(json(&again)["services"], json(&config)["services"]);
    }
}

#[test]
fn a_fingerprint_tells_set_ups_apart() {
    let bench = Bench::new();
    let print = |n| fingerprint(&bench.config(|r| (r.demo, r.replicas) = (true, Some(n))));
    assert_eq!(print(2), print(2));
    assert_ne!(print(2), print(3));
}

#[test]
fn a_relative_program_is_meant_from_its_folder() {
    let bench = Bench::with("[services.w]\ncommand='./run x'\ncwd='sub'\n").file("sub/x", "");
    let program = bench.dir.path().join("sub").join("run");
    assert_eq!(
        command(&bench.config(same), 0).argv[0],
        program.to_str().unwrap()
    );
}

#[test]
fn only_a_balancer_in_the_file() {
    let bench = Bench::with("[balancer]\nretries = 1\n");
    assert_snapshot!(bench.errors(same), @r#"
error[LB020]: lbdev.toml:1:1: there is no service, and nothing in the folder is recognised
  1 | [balancer]
    | ^
  hint: add `[services.web]` with a `command`
"#);
    let config = bench.file("index.html", "").config(same);
    assert_eq!(config.origin, "static files (index.html), lbdev.toml");
    assert_eq!(config.balancer.live.retries, 1);
}

#[test]
fn notes_about_commands() {
    let bench = Bench::with("[services.web]\ncommand='srv $NOT_SET'\nports=8000\n");
    assert_eq!(
        bench.config(same).notes,
        [
            "`{port}` is not in the command of `web`: it has to read its port from `PORT`",
            "`$NOT_SET` in the command of `web` is not set, and taken as empty",
        ]
    );
}

#[test]
fn every_error_at_once() {
    let bench = Bench::with(
        r#"
speed = "fast"
[balancer]
algoritm = "x"
algorithm = "peak_ewms"
sequence = "page"
allow_hosts = ["x.test", "x.test:80", "a.*.test"]
retries = "3"
listen = "nowhere"
retry = { deadline = 5, budget = "20" }
queue = { max = -1 }
timeouts = { connect = "0s", backend_head = "1ms" }
workers = 99999999999999999999

[dashboard]
listen = 8090

[services.all]
command = "x"

[services.web]
command = "srv 'x {prot}"
ports = "8003-8000"
env = { LBDEV_INSTANCE = "x", "A B" = "y", C = [] }
env_file = "none.env"
cwd = "none"
routes = ["x y"]
health = { path = "up", rise = 0 }
restart = { policy = "sometimes", backoff = "1s" }
stop = { signal = "STOP" }
watch = ["a{b"]
backends.8003 = { wieght = 3, backup = "yes" }
"#,
    );
    assert_snapshot!(bench.errors(same), @r#"
error[LB020]: lbdev.toml:2:1: unknown key `speed` in the file
  2 | speed = "fast"
    | ^^^^^
error[LB020]: lbdev.toml:4:1: unknown key `algoritm` in [balancer]
  4 | algoritm = "x"
    | ^^^^^^^^
  hint: did you mean `algorithm`?
error[LB020]: lbdev.toml:5:13: `algorithm`: `peak_ewms` is not one of `round_robin`, `least_conn`, `random_two`, `peak_ewma`, `ip_hash` or `hash`
  5 | algorithm = "peak_ewms"
    |             ^^^^^^^^^^^
  hint: did you mean `peak_ewma`?
error[LB020]: lbdev.toml:6:12: `sequence`: `page` is not one of `pages` or `requests`
  6 | sequence = "page"
    |            ^^^^^^
  hint: did you mean `pages`?
error[LB020]: lbdev.toml:7:26: `allow_hosts`: `x.test:80` has a port; a host is allowed whatever its port: write `x.test`
  7 | allow_hosts = ["x.test", "x.test:80", "a.*.test"]
    |                          ^^^^^^^^^^^
error[LB020]: lbdev.toml:7:39: `allow_hosts`: `a.*.test` has a `*` in the wrong place; it can only be the first part, as in `*.app.test`, or stand alone for every host
  7 | allow_hosts = ["x.test", "x.test:80", "a.*.test"]
    |                                       ^^^^^^^^^^
error[LB020]: lbdev.toml:8:11: `retries` must be a whole number, not a string
  8 | retries = "3"
    |           ^^^
error[LB020]: lbdev.toml:9:10: `listen`: `nowhere` is not an address to listen on; write for example `localhost:8080`, `8080`, `0.0.0.0:8080` or `[::1]:8080`
  9 | listen = "nowhere"
    |          ^^^^^^^^^
error[LB020]: lbdev.toml:10:22: `deadline` must be a duration such as "5s", not a whole number
  10 | retry = { deadline = 5, budget = "20" }
     |                      ^
error[LB020]: lbdev.toml:10:34: `budget`: `20` is not a share of the requests; write for example `20%` (up to `100%`), or `off` for no limit
  10 | retry = { deadline = 5, budget = "20" }
     |                                  ^^^^
error[LB020]: lbdev.toml:11:17: `max` must be from 0 to 100000, not -1
  11 | queue = { max = -1 }
     |                 ^^
error[LB020]: lbdev.toml:12:24: `connect` must be at least 10ms
  12 | timeouts = { connect = "0s", backend_head = "1ms" }
     |                        ^^^^
error[LB020]: lbdev.toml:12:45: `backend_head` must be at least 10ms
  12 | timeouts = { connect = "0s", backend_head = "1ms" }
     |                                             ^^^^^
error[LB020]: lbdev.toml:13:11: `workers` must be from 1 to 64, not 99999999999999999999
  13 | workers = 99999999999999999999
     |           ^^^^^^^^^^^^^^^^^^^^
error[LB020]: lbdev.toml:18:11: a service cannot be called `all`: a name is letters, digits, `-` and `_`, begins with a letter, is not `all`, and has at most 40 letters
  18 | [services.all]
     |           ^^^
error[LB020]: lbdev.toml:22:11: the command of `web`: a quote (') is not closed
  22 | command = "srv 'x {prot}"
     |           ^^^^^^^^^^^^^^^
error[LB020]: lbdev.toml:23:9: `ports`: the range `8003-8000` runs backwards
  23 | ports = "8003-8000"
     |         ^^^^^^^^^^^
error[LB020]: lbdev.toml:24:9: `LBDEV_INSTANCE` is set by lbdev: it finds its processes by it
  24 | env = { LBDEV_INSTANCE = "x", "A B" = "y", C = [] }
     |         ^^^^^^^^^^^^^^
  hint: take it out
error[LB020]: lbdev.toml:24:31: a variable of the environment cannot be called `A B`
  24 | env = { LBDEV_INSTANCE = "x", "A B" = "y", C = [] }
     |                               ^^^^^
error[LB020]: lbdev.toml:24:48: `C` must be a string, not a list
  24 | env = { LBDEV_INSTANCE = "x", "A B" = "y", C = [] }
     |                                                ^^
error[LB020]: lbdev.toml:25:12: `env_file` of `web`: `none.env` does not exist
  25 | env_file = "none.env"
     |            ^^^^^^^^^^
error[LB020]: lbdev.toml:27:11: `routes`: `x y` is neither a path that begins with `/` nor a host name
  27 | routes = ["x y"]
     |           ^^^^^
error[LB020]: lbdev.toml:28:19: `path`: `up` is not a path that begins with `/`
  28 | health = { path = "up", rise = 0 }
     |                   ^^^^
error[LB020]: lbdev.toml:28:32: `rise` must be from 1 to 100, not 0
  28 | health = { path = "up", rise = 0 }
     |                                ^
error[LB020]: lbdev.toml:29:22: `policy`: `sometimes` is not one of `on_failure`, `always` or `never`
  29 | restart = { policy = "sometimes", backoff = "1s" }
     |                      ^^^^^^^^^^^
error[LB020]: lbdev.toml:29:45: `backoff`: `1s` is not two durations such as `200ms..10s`
  29 | restart = { policy = "sometimes", backoff = "1s" }
     |                                             ^^^^
error[LB020]: lbdev.toml:30:19: `signal`: `STOP` is not one of `TERM`, `INT`, `QUIT`, `HUP`, `USR1`, `USR2` or `KILL`
  30 | stop = { signal = "STOP" }
     |                   ^^^^^^
error[LB020]: lbdev.toml:31:10: `watch`: `a{b` is not a pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
  31 | watch = ["a{b"]
     |          ^^^^^
error[LB020]: lbdev.toml:32:19: unknown key `wieght` in [services.web.backends.8003]
  32 | backends.8003 = { wieght = 3, backup = "yes" }
     |                   ^^^^^^
  hint: did you mean `weight`?
error[LB020]: lbdev.toml:32:40: `backup` must be true or false, not a string
  32 | backends.8003 = { wieght = 3, backup = "yes" }
     |                                        ^^^^^
"#);
}

#[test]
fn errors_between_keys() {
    let bench = Bench::with(
        r#"
[services.web]
command = "srv {prot} {port}"
ports = "8079-8080"
env = { X = "{y}" }
backends.8079 = { weight = 0 }
backends.8080 = { weight = 0 }
backends.1 = { weight = 1 }

[services.api]
command = ""
ports = 8079

[services.worker]
command = "w {port}"
routes = ["/w"]
health = {}
cwd = "lbdev.toml"

[services.none]

[services.old]
external = [7000, "x:y"]

[services.older]
external = ["127.0.0.1:7000", "[::1]:7000"]
command = "x"
stop = {}
"#,
    );
    assert_snapshot!(bench.errors(same), @r#"
error[LB020]: lbdev.toml:3:11: `command` of `web`: unknown placeholder `{prot}`; known: `{port}`, `{index}`, `{python}`, `{lbdev}`
  3 | command = "srv {prot} {port}"
    |           ^^^^^^^^^^^^^^^^^^^
  hint: did you mean `{port}`?
error[LB020]: lbdev.toml:4:9: port 8080 is both where lbdev listens and `web:8080`
  4 | ports = "8079-8080"
    |         ^^^^^^^^^^^
  hint: run `lbdev up --listen 8081`
error[LB020]: lbdev.toml:5:13: `env.X` of `web`: unknown placeholder `{y}`; known: `{port}`, `{index}`, `{python}`, `{lbdev}`
  5 | env = { X = "{y}" }
    |             ^^^^^
  hint: write `{{y}}` for the text `{y}` itself
error[LB020]: lbdev.toml:6:10: every backend of `web` has weight 0: none would ever be picked
  6 | backends.8079 = { weight = 0 }
    |          ^^^^
error[LB020]: lbdev.toml:8:10: `web` has no backend 1
  8 | backends.1 = { weight = 1 }
    |          ^
  hint: it has `8079-8080`
error[LB020]: lbdev.toml:10:11: services `web` and `api` both answer `/`
  10 | [services.api]
     |           ^^^
  hint: give `api` routes of its own: `routes = ["/api"]`
error[LB020]: lbdev.toml:11:11: the command of `api` is empty
  11 | command = ""
     |           ^^
error[LB020]: lbdev.toml:12:9: port 8079 is used by both `web:8079` and `api:8079`
  12 | ports = 8079
     |         ^^^^
error[LB020]: lbdev.toml:15:11: `command` of `worker`: it uses `{port}`, but the service has no `ports`
  15 | command = "w {port}"
     |           ^^^^^^^^^^
  hint: add `ports = "8000-8003"`
error[LB020]: lbdev.toml:16:10: `routes` of `worker` is only for a service with `ports`
  16 | routes = ["/w"]
     |          ^^^^^^
error[LB020]: lbdev.toml:17:10: `health` of `worker` is only for a service with `ports`
  17 | health = {}
     |          ^^
error[LB020]: lbdev.toml:18:7: the working directory `lbdev.toml` of `worker` is not a folder
  18 | cwd = "lbdev.toml"
     |       ^^^^^^^^^^^^
error[LB020]: lbdev.toml:20:11: service `none` has nothing to run
  20 | [services.none]
     |           ^^^^
  hint: give it a `command`, or `external` with the servers that run already
error[LB020]: lbdev.toml:22:11: services `web` and `old` both answer `/`
  22 | [services.old]
     |           ^^^
  hint: give `old` routes of its own: `routes = ["/old"]`
error[LB020]: lbdev.toml:23:13: `external` must be a string, not a whole number
  23 | external = [7000, "x:y"]
     |             ^^^^
error[LB020]: lbdev.toml:23:19: `external`: `y` is not a port: ports are numbers from 1 to 65535
  23 | external = [7000, "x:y"]
     |                   ^^^^^
error[LB020]: lbdev.toml:25:11: services `web` and `older` both answer `/`
  25 | [services.older]
     |           ^^^^^
  hint: give `older` routes of its own: `routes = ["/older"]`
error[LB020]: lbdev.toml:26:31: `older` has two servers with port 7000, but a backend is named by its port
  26 | external = ["127.0.0.1:7000", "[::1]:7000"]
     |                               ^^^^^^^^^^^^
error[LB020]: lbdev.toml:27:11: `command` of `older` is only for servers that lbdev starts, and `older` is `external`
  27 | command = "x"
     |           ^^^
error[LB020]: lbdev.toml:28:8: `stop` of `older` is only for servers that lbdev starts, and `older` is `external`
  28 | stop = {}
     |        ^^
"#);
}

#[test]
fn syntax_errors() {
    let bench = Bench::with("[balancer]\nlisten = \nworkers = = 2\n[services.web\n");
    assert_snapshot!(bench.errors(same), @r#"
error[LB020]: lbdev.toml:2:10: there is no value after the `=`
  2 | listen = 
    |          ^
error[LB020]: lbdev.toml:3:11: extra `=`
  3 | workers = = 2
    |           ^
error[LB020]: lbdev.toml:3:13: unexpected key or value, expected newline, `#`
  3 | workers = = 2
    |             ^
error[LB020]: lbdev.toml:4:14: unclosed table, expected `]`
  4 | [services.web
    |              ^
"#);
    let bench = Bench::with("[balancer]\nretries = 1\nretries = 2\n");
    assert_snapshot!(bench.errors(same), @r#"
error[LB020]: lbdev.toml:3:1: `retries` is there twice
  3 | retries = 2
    | ^^^^^^^
"#);
}

#[test]
fn errors_in_an_env_file() {
    let bench = Bench::with("[services.w]\ncommand = 'x'\nenv_file = '.env'\n")
        .file(".env", "A=1\nnonsense\nB='x\n");
    assert_snapshot!(bench.errors(same), @r#"
error[LB020]: lbdev.toml:3:12: `env_file` of `w`: `.env`, line 2: it is not `NAME=value`
  3 | env_file = '.env'
    |            ^^^^^^
error[LB020]: lbdev.toml:3:12: `env_file` of `w`: `.env`, line 3: a quote (') is not closed on its line
  3 | env_file = '.env'
    |            ^^^^^^
"#);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let bench = Bench::with("[balancer]\n\"a\\u001b[31m\" = 1\n\tworkrs = 2 # \u{e9}\n");
    assert_snapshot!(bench.errors(same), @r#"
error[LB020]: lbdev.toml:2:1: unknown key `a�[31m` in [balancer]
  2 | "a\u001b[31m" = 1
    | ^^^^^^^^^^^^^
error[LB020]: lbdev.toml:3:2: unknown key `workrs` in [balancer]
  3 |  workrs = 2 # é
    |  ^^^^^^
  hint: did you mean `workers`?
"#);
}

#[test]
fn project_names() {
    let check = |path: &str, wanted| assert_eq!(project_name(Path::new(path)), wanted);
    check("/x/My Site", "my-site");
    check("/x/shop_2", "shop-2");
    check("/x/...", "project");
    check("/x/é", "project");
    check("/", "project");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whole lines of a valid file, shuffled and cut, reach further in than noise does.
    #[test]
    fn no_file_panics(
        noise in ".{0,80}",
        lines in proptest::collection::vec(
            proptest::sample::select(WHOLE.lines().collect::<Vec<_>>()), 0..20
        ),
        cut in 0usize..200,
    ) {
        let mut text = lines.join("\n");
        let mut at = cut.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, &noise);
        for text in [text, noise] {
            let bench = Bench::with(&text);
            if let Err(errors) = bench.resolve(&bench.request()) {
                prop_assert!(!errors.is_empty());
            }
        }
    }
}
