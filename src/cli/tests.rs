use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::backend::Signal;
use crate::config::request::Request;

fn parse(line: &str) -> Result<Invocation, Stop> {
    let words = shlex::split(line).unwrap();
    parse_from(words, || Ok(PathBuf::from("/home/ada/site")))
}

fn verb(line: &str) -> Verb {
    parse(line).unwrap().verb
}

fn task(line: &str) -> Task {
    match verb(line) {
        Verb::Task(task) => task,
        other => panic!("{line}: {other:?}"),
    }
}

fn usage(line: &str) -> String {
    match parse(line) {
        Err(Stop::Usage(report)) => report.to_string(),
        other => panic!("{line}: {other:?}"),
    }
}

fn text(line: &str) -> String {
    match parse(line) {
        Err(Stop::Text { plain, .. }) => plain,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn clap_finds_no_contradiction() {
    use clap::CommandFactory;
    args::Args::command().debug_assert();
}

#[test]
fn up_becomes_a_request() {
    let base = || Request {
        dir: "/home/ada/site".into(),
        ..Request::default()
    };
    let up = |request| {
        Box::new(UpOptions {
            request,
            detach: false,
            wait: false,
            wait_timeout: Duration::from_secs(60),
            raw_logs: false,
            then: None,
        })
    };
    assert_eq!(verb("lbdev up"), Verb::Up(up(base())));
    assert_eq!(
        verb(
            "lbdev up -d --wait --wait-timeout 500ms -n 6 --ports auto --listen :80 --workers 2 --sticky cookie --detect active web api"
        ),
        Verb::Up(Box::new(UpOptions {
            detach: true,
            wait: true,
            wait_timeout: Duration::from_millis(500),
            ..*up(Request {
                replicas: Some(6),
                ports: Some("auto".into()),
                listen: Some(":80".into()),
                workers: Some(2),
                sticky: Some("cookie".into()),
                detect: Some("active".into()),
                services: vec!["web".into(), "api".into()],
                ..base()
            })
        }))
    );
    let Verb::Up(waits) = verb("lbdev up --wait") else {
        panic!()
    };
    assert!(waits.detach);
    assert_eq!(
        verb("lbdev up -C sub -f dev.toml"),
        Verb::Up(up(Request {
            dir: "/home/ada/site/sub".into(),
            file: Some("/home/ada/site/sub/dev.toml".into()),
            ..base()
        }))
    );
    assert_eq!(
        verb("lbdev up -c 'node app.js {port}'"),
        Verb::Up(up(Request {
            command: Some("node app.js {port}".into()),
            ..base()
        }))
    );
    assert_eq!(
        verb("lbdev demo -n 2"),
        Verb::Up(up(Request {
            demo: true,
            replicas: Some(2),
            ..base()
        }))
    );
}

#[test]
fn the_other_verbs() {
    assert_eq!(task("lbdev ps --json"), Task::Status);
    assert!(parse("lbdev ps --json").unwrap().json);
    assert_eq!(
        task("lbdev kill 8000"),
        Task::Kill {
            target: "8000".into(),
            signal: Signal::Kill,
            restart: false
        }
    );
    let restart = |target: &str, rolling| Task::Restart {
        target: target.into(),
        rolling,
    };
    assert_eq!(task("lbdev restart 8000"), restart("8000", false));
    assert_eq!(task("lbdev restart all --rolling"), restart("all", true));
    let drain = |off, everyone| Task::Drain {
        target: "8000".into(),
        off,
        everyone,
    };
    assert_eq!(task("lbdev drain 8000"), drain(false, false));
    assert_eq!(task("lbdev drain --everyone 8000"), drain(false, true));
    assert_eq!(task("lbdev drain --off 8000"), drain(true, false));
    assert_eq!(task("lbdev undrain 8000"), drain(true, false));
    let scale = |wanted: &str| Task::Scale {
        wanted: wanted.into(),
    };
    assert_eq!(task("lbdev scale web=6"), scale("web=6"));
    let set = |words: &[&str]| Task::Set {
        words: words.iter().map(|&word| word.into()).collect(),
    };
    assert_eq!(task("lbdev set 8000 weight=3"), set(&["8000", "weight=3"]));
    assert_eq!(
        task("lbdev set algorithm=hash --json hash_key=cookie:id"),
        set(&["algorithm=hash", "hash_key=cookie:id"])
    );
    assert_eq!(
        task("lbdev logs 8000 -f -n 5"),
        Task::Logs(LogsOptions {
            target: Some("8000".into()),
            follow: true,
            last: Some(5),
            since: None,
            grep: None,
        })
    );
    let there = parse("lbdev -C /x status --project shop --color never").unwrap();
    assert_eq!(there.place.said_dir(), Some(Path::new("/x")));
    assert_eq!(there.place.project.as_deref(), Some("shop"));
    assert_eq!(there.color, ColorChoice::Never);
    assert_eq!(parse("lbdev status").unwrap().place.said_dir(), None);
}

#[test]
fn signals_and_times() {
    for (typed, expected) in [
        ("KILL", Some(Signal::Kill)),
        ("sigterm", Some(Signal::Term)),
        ("2", Some(Signal::Int)),
        ("-9", None),
        ("", None),
        ("SIG", None),
    ] {
        assert_eq!(values::signal(typed).ok(), expected, "{typed:?}");
    }
    for (typed, expected) in [
        ("60s", Some(60_000)),
        ("1.5m", Some(90_000)),
        ("250 ms", Some(250)),
        ("10", Some(10_000)),
        ("", None),
        ("s", None),
        ("5 parsecs", None),
        ("1e9", None),
        ("..", None),
        ("99999999999999999999999h", None),
    ] {
        let millis = values::duration(typed).ok().map(|d| d.as_millis());
        assert_eq!(millis, expected, "{typed:?}");
    }
}

#[test]
fn wrong_usage_says_what_was_meant() {
    let lines = [
        "lbdev upp",
        "lbdev frobnicate",
        "lbdev unfreeze 8000",
        "lbdev kill",
        "lbdev kill 8000 8001",
        "lbdev kill 8000 -s BANG",
        "lbdev kill 8000 --sginal TERM",
        "lbdev kill 8000 --xyz",
        "lbdev up -n 0",
        "lbdev up -n many",
        "lbdev up -n",
        "lbdev up --workers 0",
        "lbdev up --external 1 -c x",
        "lbdev up --listen 1 --listen 2",
        "lbdev up --wait-timeout soon",
        "lbdev demo --from django",
        "lbdev status --color pink",
        "lbdev set",
        "lbdev scale",
        "lbdev fault 8000",
        "lbdev logs --since yesterday",
        "lbdev completions tcsh",
        "lbdev doctor 99999",
        "lbdev drain --off --everyone 8000",
        "lbdev top --json",
        "lbdev up --json",
    ];
    let said: String = lines
        .iter()
        .map(|line| format!("$ {line}\n{}\n", usage(line)))
        .collect();
    insta::assert_snapshot!(said, @"
    $ lbdev upp
    error[LB021]: there is no verb `upp`
      hint: did you mean `lbdev up`?
    $ lbdev frobnicate
    error[LB021]: there is no verb `frobnicate`
      hint: run `lbdev --help` to see all verbs
    $ lbdev unfreeze 8000
    error[LB021]: there is no verb `unfreeze`
      hint: did you mean `lbdev thaw`?
    $ lbdev kill
    error[LB021]: `lbdev kill` needs `<TARGET>`
      hint: run `lbdev kill --help` to see what it takes
    $ lbdev kill 8000 8001
    error[LB021]: `8001` is one word too many for `lbdev kill`
      hint: run `lbdev kill --help` to see what it takes
    $ lbdev kill 8000 -s BANG
    error[LB021]: `BANG` is not possible for `--signal <SIG>`: want one of TERM, INT, QUIT, HUP, USR1, USR2, KILL, STOP, CONT, ABRT, ALRM, BUS, CHLD, FPE, ILL, IO, PIPE, PROF, PWR, SEGV, SYS, TRAP, TSTP, TTIN, TTOU, URG, VTALRM, WINCH, XCPU, XFSZ, or its number
      hint: run `lbdev kill --help` to see what it takes
    $ lbdev kill 8000 --sginal TERM
    error[LB021]: `lbdev kill` has no option `--sginal`
      hint: did you mean `--signal`?
    $ lbdev kill 8000 --xyz
    error[LB021]: `lbdev kill` has no option `--xyz`
      hint: run `lbdev kill --help` to see what it takes
    $ lbdev up -n 0
    error[LB021]: `0` is not possible for `--replicas <N>`: want a number from 1 to 256
      hint: run `lbdev up --help` to see what it takes
    $ lbdev up -n many
    error[LB021]: `many` is not possible for `--replicas <N>`: want a number from 1 to 256
      hint: run `lbdev up --help` to see what it takes
    $ lbdev up -n
    error[LB021]: `--replicas <N>` needs a value
      hint: run `lbdev up --help` to see what it takes
    $ lbdev up --workers 0
    error[LB021]: `0` is not possible for `--workers <N>`: at least 1
      hint: run `lbdev up --help` to see what it takes
    $ lbdev up --external 1 -c x
    error[LB021]: `--external <PORTS>` and `--command <CMD>` exclude each other
      hint: leave one of them out
    $ lbdev up --listen 1 --listen 2
    error[LB021]: `--listen <ADDRESS>` is there twice
      hint: leave one of them out
    $ lbdev up --wait-timeout soon
    error[LB021]: `soon` is not possible for `--wait-timeout <TIME>`: want a time like `60s`, `500ms` or `2m`
      hint: run `lbdev up --help` to see what it takes
    $ lbdev demo --from django
    error[LB021]: `lbdev demo` has no option `--from`
      hint: run `lbdev demo --help` to see what it takes
    $ lbdev status --color pink
    error[LB021]: `pink` is not possible for `--color <WHEN>`; known: `auto`, `always` or `never`
      hint: run `lbdev status --help` to see what it takes
    $ lbdev set
    error[LB021]: `lbdev set` needs `<[TARGET] KEY=VALUE>...`
      hint: run `lbdev set --help` to see what it takes
    $ lbdev scale
    error[LB021]: `lbdev scale` needs `<[SERVICE=]N>`
      hint: run `lbdev scale --help` to see what it takes
    $ lbdev fault 8000
    error[LB021]: `lbdev fault` needs `<WHAT>...`
      hint: run `lbdev fault --help` to see what it takes
    $ lbdev logs --since yesterday
    error[LB021]: `yesterday` is not possible for `--since <TIME>`: want a time like `5m`, `2h30m`, `18:00` or `2026-11-22T14:00`
      hint: run `lbdev logs --help` to see what it takes
    $ lbdev completions tcsh
    error[LB021]: `tcsh` is not possible for `<SHELL>`; known: `bash`, `zsh`, `fish` or `powershell`
      hint: did you mean `zsh`?
    $ lbdev doctor 99999
    error[LB021]: `99999` is not possible for `[PORT]`: want a port, from 1 to 65535
      hint: run `lbdev doctor --help` to see what it takes
    $ lbdev drain --off --everyone 8000
    error[LB021]: `--off` and `--everyone` exclude each other
      hint: leave one of them out
    $ lbdev top --json
    error[LB021]: `lbdev top` has no JSON form
      hint: run `lbdev status --json`
    $ lbdev up --json
    error[LB021]: `lbdev up in the foreground` has no JSON form
      hint: run `lbdev up -d --wait --json`, then `lbdev events -f --json`
    ");
    assert_eq!(parse("lbdev upp").unwrap_err().exit_code(), 2);
}

#[test]
fn a_missing_current_folder_is_an_error() {
    let stop = parse_from(["lbdev", "status"], || {
        Err(std::io::ErrorKind::NotFound.into())
    });
    assert_eq!(stop.unwrap_err().exit_code(), 1);
}

#[test]
fn help_is_short_and_begins_with_the_first_minute() {
    assert_eq!(text("lbdev"), text("lbdev --help"));
    assert_eq!(parse("lbdev").unwrap_err().exit_code(), 0);
    // Not as wide as the terminal that the test runs in.
    use clap::CommandFactory;
    let help = args::Args::command().term_width(100).render_help();
    insta::assert_snapshot!(help, @r"
    N copies of your project's server behind a load balancer, on your own machine: kill one, and the
    page goes on

    Usage: lbdev [OPTIONS] <COMMAND>

    Commands:
      up           Start the project's servers and the balancer in front of them
      demo         `up` with built-in demo servers: needs no project
      run          Run a command while everything runs: start, wait until all is ready, run it, stop
      reload       Take over what lbdev.toml says by now, without losing a request
      down         Stop everything that was started for this folder
      status       Show one row a backend [alias: ps]
      ls           List every running project of this user
      kill         End backends at once, as a crash would; they stay down until `start`
      start        Start backends that are down, and wait until they answer
      stop         Let backends finish their requests, then stop them
      restart      Stop backends, start them again, and wait until they answer
      drain        Send backends no new requests; those in flight finish, the process goes on
      undrain      Send drained backends requests again
      freeze       Have backends hang: their ports accept, and nobody answers [alias: pause]
      thaw         Let frozen backends go on [alias: unpause]
      attach       Have this terminal be a backend's, which needs `pty = true`; Ctrl-P Ctrl-Q lets go
      debug        Restart a backend with this terminal and send it every request, for a breakpoint()
      scale        Run more backends of a service, or fewer; those that go finish their requests
      set          Change a setting while requests are answered; `lbdev.toml` stays as it is
      fault        Put a fault into what goes to backends: the balancer does it, their processes know
                   nothing
      load         Send requests at set times; see who answers, how late, and what a failover costs
      lab          Do a lesson that checks itself: predict, watch, and see what was measured
      events       Show what happened: changes of state, requests that another backend answered, and why
      top          Watch the traffic move, live; kill, freeze, drain and slow backends by key
      logs         Show what the backends wrote, also after `down`
      init         Write lbdev.toml for this folder
      config       Show the set-up with every default filled in
      export       Write the same set-up for what comes next: nginx, HAProxy, Compose, Kubernetes, …
      import       Write lbdev.toml from an nginx.conf, or from a Procfile
      compare      Do one drill with lbdev's own balancer, nginx, HAProxy and Apache, and show what each
                   lost
      doctor       Look for what will go wrong: ports, limits, settings that break behind a balancer
      explain      Say what a code means: what happened, why, what to do
      open         Open the dashboard in a browser
      completions  Print what makes a shell complete lbdev's verbs, options and running backends
      man          Print the manual page
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Global options:
      -C <DIR>              Use the project in DIR instead of the current folder
          --project <NAME>  Use the running project of this name [env: LBDEV_PROJECT]
          --color <WHEN>    When to use colours [default: auto] [possible values: auto, always, never]
          --json            Data and errors as JSON, of verbs that have data

    The first minute:
      lbdev up            in your project's folder: 4 copies of its server behind http://localhost:8080
      lbdev kill 8000     end one of them: the page goes on
      lbdev start 8000    and bring it back

    No project at hand? Try `lbdev demo`.
    ");
    let mut all = String::new();
    for verb in args::Args::command().get_subcommands() {
        let name = verb.get_name();
        let mut command = args::Args::command().term_width(100);
        command.build();
        let verb = command.find_subcommand_mut(name).unwrap();
        let help = verb.render_help().to_string();
        assert!(help.lines().count() < 56, "{name}: {help}");
        all.push_str(&format!("$ lbdev {name} --help\n{help}\n"));
    }
    // Blank lines have no spaces, and the file ends with one newline.
    let all: Vec<&str> = all.lines().map(str::trim_end).collect();
    let all = all.join("\n").trim_end().to_owned() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/help.txt");
    if std::env::var_os("LBDEV_TEST_BLESS").is_some() {
        std::fs::write(path, &all).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    for (line, (said, expected)) in all.lines().zip(expected.lines()).enumerate() {
        assert_eq!(said, expected, "line {} of src/cli/help.txt", line + 1);
    }
    assert_eq!(all.lines().count(), expected.lines().count());
}
