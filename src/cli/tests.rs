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
        Verb::Up(_) => panic!("{line}"),
    }
}

fn usage(line: &str) -> String {
    match parse(line) {
        Err(Stop::Usage { plain, .. }) => plain,
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
    assert_eq!(task("lbdev ps --json"), Task::Status { json: true });
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
    let set = |words: &[&str], json| Task::Set {
        words: words.iter().map(|&word| word.into()).collect(),
        json,
    };
    assert_eq!(
        task("lbdev set 8000 weight=3"),
        set(&["8000", "weight=3"], false)
    );
    assert_eq!(
        task("lbdev set algorithm=hash --json hash_key=cookie:id"),
        set(&["algorithm=hash", "hash_key=cookie:id"], true)
    );
    assert_eq!(
        task("lbdev logs 8000 -f -n 5"),
        Task::Logs(LogsOptions {
            target: Some("8000".into()),
            follow: true,
            last: Some(5),
            since: None,
            grep: None,
            json: false
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
    for (line, says) in [
        ("lbdev upp", "'up'"),
        ("lbdev kill", "<TARGET>"),
        ("lbdev kill 8000 -s BANG", "want one of TERM, INT"),
        ("lbdev up -n 0", "0 is not in"),
        ("lbdev up -n many", "many"),
        ("lbdev up --workers 0", "at least 1"),
        ("lbdev up --external 1 -c x", "cannot be used with"),
        ("lbdev demo --from django", "--from"),
        ("lbdev status --color pink", "pink"),
        ("lbdev set", "KEY=VALUE"),
        ("lbdev scale", "[SERVICE=]N"),
        ("lbdev drain --off --everyone 8000", "cannot be used with"),
    ] {
        let said = usage(line);
        assert!(said.contains(says), "{line}: {said}");
    }
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
    insta::assert_snapshot!(help, @"
    N copies of your project's server behind a load balancer, on your own machine: kill one, and the
    page goes on

    Usage: lbdev [OPTIONS] <COMMAND>

    Commands:
      up       Start the project's servers and the balancer in front of them
      demo     `up` with built-in demo servers: needs no project
      run      Run a command while everything runs: start, wait until all is ready, run it, stop
      reload   Take over what lbdev.toml says by now, without losing a request
      down     Stop everything that was started for this folder
      status   Show one row a backend [alias: ps]
      ls       List every running project of this user
      kill     End backends at once, as a crash would; they stay down until `start`
      start    Start backends that are down, and wait until they answer
      stop     Let backends finish their requests, then stop them
      restart  Stop backends, start them again, and wait until they answer
      drain    Send backends no new requests; those in flight finish, the process goes on
      undrain  Send drained backends requests again
      freeze   Have backends hang: their ports accept, and nobody answers [alias: pause]
      thaw     Let frozen backends go on [alias: unpause]
      attach   Have this terminal be a backend's, which needs `pty = true`; Ctrl-P Ctrl-Q lets go
      debug    Restart a backend with this terminal and send it every request, for a breakpoint()
      scale    Run more backends of a service, or fewer; those that go finish their requests
      set      Change a setting while requests are answered; `lbdev.toml` stays as it is
      logs     Show what the backends wrote, also after `down`
      init     Write lbdev.toml for this folder
      config   Show the set-up with every default filled in
      help     Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Global options:
      -C <DIR>              Use the project in DIR instead of the current folder
          --project <NAME>  Use the running project of this name [env: LBDEV_PROJECT]
          --color <WHEN>    When to use colours [default: auto] [possible values: auto, always, never]

    The first minute:
      lbdev up            in your project's folder: 4 copies of its server behind http://localhost:8080
      lbdev kill 8000     end one of them: the page goes on
      lbdev start 8000    and bring it back

    No project at hand? Try `lbdev demo`.
    ");
    for verb in [
        "up", "demo", "down", "status", "ls", "kill", "start", "stop", "restart", "drain",
        "undrain", "scale", "set", "logs", "init", "config",
    ] {
        let help = text(&format!("lbdev {verb} --help"));
        assert!(help.lines().count() < 48, "{verb}: {help}");
    }
}
