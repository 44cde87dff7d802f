use std::ffi::OsString;
use std::fs;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
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
        self.file(".venv/bin/python", "")
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
fn django_that_is_not_installed() {
    let mut bench = Bench::new().file("manage.py", "").venv();
    bench.django = false;
    assert_snapshot!(bench.errors(same), @"");
    let bench = bench
        .file("requirements.txt", "")
        .file(".venv/lib/python3.13/site-packages/django/__init__.py", "");
    assert_eq!(bench.config(same).services.len(), 1);
}

#[test]
fn no_python() {
    let bench = Bench::new().file("manage.py", "").var("PATH", "/nowhere");
    assert_snapshot!(bench.errors(same), @"");
}

#[test]
fn no_project() {
    assert_snapshot!(Bench::new().errors(same), @"");
    let bench = Bench::new().file("site/manage.py", "");
    assert_snapshot!(bench.errors(same), @"");
    assert_snapshot!(bench.errors(|r| r.dir.push("none")), @"");
    assert_snapshot!(bench.errors(|r| r.file = Some("x.toml".into())), @"");
}

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
    assert_snapshot!(bench.errors(|r| r.from = Some("jango".into())), @"");
}

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
        r.algorithm = Some("least_conn".into());
        r.workers = Some(1000);
        r.services = vec!["wbe".into()];
    }), @"");
    assert_snapshot!(bench.errors(|r| r.external = Some("x,10.0.0.300:1".into())), @"");
    assert_snapshot!(bench.errors(|r| {
        r.external = Some("8000".into());
        r.command = Some("x".into());
        r.replicas = Some(2);
    }), @"");
    assert_snapshot!(bench.errors(|r| {
        r.demo = true;
        r.replicas = Some(100);
    }), @"");
}

#[test]
fn a_flag_for_several_services() {
    let bench = Bench::with(
        "[services.web]\ncommand='a {port}'\nports='8000-8001'\n\
         [services.api]\ncommand='a {port}'\nports=9000\nroutes=['/api']\n\
         [services.worker]\ncommand='w'\n",
    );
    assert_snapshot!(bench.errors(|r| r.replicas = Some(3)), @"");
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
algorithm = "round-robin"
sequence = "requests"
retries = 1
retry = { deadline = "3s" }
queue = { max = 10, timeout = "1s" }
timeouts = { connect = "200ms", backend_head = "off", idle = "1m", drain = "0s" }
workers = 2

[services.web]
command = ["srv", "--name", "a b", "{port}"]
ports = "8000,8005"
replicas = 3
env = { N = 1, URL = "http://x:{port}", "B" = true }
env_file = ".env"
cwd = "sub{index}"
routes = ["/", "web.localhost"]
health = { path = "/up/{index}", interval = "2s", timeout = "500ms", rise = 3, fall = 4 }
restart = { policy = "always", backoff = "1s..2s", max = 3 }
stop = { signal = "SIGINT", timeout = "1s" }
backends.8005 = { weight = 3 }

[services.worker]
command = "cat x | sort {index}"
replicas = 2

[services.old]
external = ["127.0.0.1:7000", "[::1]:7001", "7002"]
routes = ["/old"]
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
    assert_eq!(command(&config, 4).argv, ["sh", "-c", "cat x | sort 2"]);
    assert_eq!(env(&config, 4, "PORT"), None);
    let web = &config.services[0];
    assert_eq!(web.routes.len(), 2);
    let weights: Vec<u32> = web.backends.iter().map(|b| b.weight).collect();
    assert_eq!(weights, [1, 3, 1]);
    assert_eq!(web.backends[2].health.path.as_deref(), Some("/up/3"));
    assert_eq!(config.balancer.timeouts.backend_head, None);
    assert_eq!(config.balancer.listen.port, 9080);
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
    let program = bench.dir.path().join("sub/run");
    assert_eq!(
        command(&bench.config(same), 0).argv[0],
        program.to_str().unwrap()
    );
}

#[test]
fn only_a_balancer_in_the_file() {
    let bench = Bench::with("[balancer]\nretries = 1\n");
    assert_snapshot!(bench.errors(same), @"");
    let config = bench.file("index.html", "").config(same);
    assert_eq!(config.origin, "static files (index.html), lbdev.toml");
    assert_eq!(config.balancer.retries, 1);
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
algorithm = "peak_ewma"
sequence = "page"
sticky = "cookie"
retries = "3"
listen = "nowhere"
retry = { deadline = 5, budget = "20%" }
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
watch = ["*.py"]
backends.8003 = { wieght = 3, backup = true }
"#,
    );
    assert_snapshot!(bench.errors(same), @"");
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
    assert_snapshot!(bench.errors(same), @"");
}

#[test]
fn syntax_errors() {
    let bench = Bench::with("[balancer]\nlisten = \nworkers = = 2\n[services.web\n");
    assert_snapshot!(bench.errors(same), @"");
    let bench = Bench::with("[balancer]\nretries = 1\nretries = 2\n");
    assert_snapshot!(bench.errors(same), @"");
}

#[test]
fn errors_in_an_env_file() {
    let bench = Bench::with("[services.w]\ncommand = 'x'\nenv_file = '.env'\n")
        .file(".env", "A=1\nnonsense\nB='x\n");
    assert_snapshot!(bench.errors(same), @"");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let bench = Bench::with("[balancer]\n\"a\\u001b[31m\" = 1\n\tworkrs = 2 # \u{e9}\n");
    assert_snapshot!(bench.errors(same), @"");
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
