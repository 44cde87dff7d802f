//! The command line in clap's words.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::invocation::{Invocation, LogsOptions, Place, Task, UpOptions, Verb};
use super::values::{duration, signal, since, threads};
use crate::backend::Signal;
use crate::config::request::Request;
use crate::ui::ColorChoice;

const FIRST_MINUTE: &str = "\
The first minute:
  lbdev up            in your project's folder: 4 copies of its server behind http://localhost:8080
  lbdev kill 8000     end one of them: the page goes on
  lbdev start 8000    and bring it back

No project at hand? Try `lbdev demo`.";

/// N copies of your project's server behind a load balancer, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "lbdev", version, about, after_help = FIRST_MINUTE, arg_required_else_help = true)]
#[command(max_term_width = 100)]
pub(super) struct Args {
    /// Use the project in DIR instead of the current folder
    #[arg(
        short = 'C',
        value_name = "DIR",
        global = true,
        help_heading = "Global options"
    )]
    dir: Option<PathBuf>,
    /// Use the running project of this name
    #[arg(
        long,
        value_name = "NAME",
        env = "LBDEV_PROJECT",
        hide_env_values = true,
        global = true,
        help_heading = "Global options"
    )]
    project: Option<String>,
    /// When to use colours
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        help_heading = "Global options"
    )]
    color: Color,
    #[command(subcommand)]
    verb: Typed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Typed {
    /// Start the project's servers and the balancer in front of them
    #[command(
        after_help = "Examples:\n  lbdev up\n  lbdev up -d --wait\n  lbdev up -n 6 --listen 9080\n  lbdev up -c 'node app.js --port {port}'\n  lbdev up --external 8000-8003"
    )]
    Up {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        running: Running,
        /// Only these services
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
    },
    /// `up` with built-in demo servers: needs no project
    #[command(after_help = "Examples:\n  lbdev demo\n  lbdev demo -n 2 -d")]
    Demo {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        running: Running,
    },
    /// Run a command while everything runs: start, wait until all is ready, run it, stop
    #[command(
        override_usage = "lbdev run [OPTIONS] [SERVICE]... -- CMD...",
        after_help = "CMD has the address in LBDEV_URL; lbdev ends with its exit code.\n\nExamples:\n  lbdev run -- pytest\n  lbdev run -n 2 -- npx playwright test"
    )]
    Run {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        source: Source,
        /// How long the servers may take to be ready: 60s, 500ms, 2m
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
        wait_timeout: Duration,
        /// Only these services
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
        /// The command with its arguments
        #[arg(value_name = "CMD", last = true, required = true)]
        then: Vec<OsString>,
    },
    /// Take over what lbdev.toml says by now, without losing a request
    #[command(
        after_help = "New services start, gone ones finish their requests, changed ones are restarted one backend after the\nother. A file with an error changes nothing."
    )]
    Reload,
    /// Stop everything that was started for this folder
    Down {
        /// Every running project of this user
        #[arg(long)]
        all: bool,
    },
    /// Show one row a backend
    #[command(
        visible_alias = "ps",
        after_help = "Exit codes: 0 all serve, 3 some do, 4 none does or nothing runs"
    )]
    Status {
        #[command(flatten)]
        json: Json,
    },
    /// List every running project of this user
    Ls {
        #[command(flatten)]
        json: Json,
    },
    /// End backends at once, as a crash would; they stay down until `start`
    #[command(
        after_help = "Examples:\n  lbdev kill 8000\n  lbdev kill web:8001,8002\n  lbdev kill all --restart\n  lbdev kill 8000 -s TERM"
    )]
    Kill {
        #[command(flatten)]
        target: Target,
        /// The signal, by name or number: KILL, TERM, INT, QUIT, HUP, USR1, USR2, WINCH, …
        #[arg(short, long, value_name = "SIG", default_value = "KILL", value_parser = signal)]
        signal: Signal,
        /// Let the restart policy bring them back
        #[arg(long)]
        restart: bool,
    },
    /// Start backends that are down, and wait until they answer
    Start {
        #[command(flatten)]
        target: Target,
    },
    /// Let backends finish their requests, then stop them
    Stop {
        #[command(flatten)]
        target: Target,
    },
    /// Stop backends, start them again, and wait until they answer
    #[command(
        after_help = "Examples:\n  lbdev restart 8000\n  lbdev restart all --rolling\n  lbdev restart web --rolling\n\nCtrl-C during --rolling: the present one is finished all the same, the others are not touched."
    )]
    Restart {
        #[command(flatten)]
        target: Target,
        /// One at a time, so that the others serve; stops at the first that does not come up
        #[arg(long)]
        rolling: bool,
    },
    /// Send backends no new requests; those in flight finish, the process goes on
    #[command(
        after_help = "Examples:\n  lbdev drain 8000\n  lbdev drain web:8001,8002\n  lbdev undrain 8000\n  lbdev drain --off 8000    the same as undrain\n\nWith `sticky = \"cookie\"` clients that it has already stay, unless --everyone."
    )]
    Drain {
        #[command(flatten)]
        target: Target,
        /// Undo it: the same as `lbdev undrain`
        #[arg(long, conflicts_with = "everyone")]
        off: bool,
        /// Clients that stick to it go elsewhere too
        #[arg(long)]
        everyone: bool,
    },
    /// Send drained backends requests again
    #[command(after_help = "Examples:\n  lbdev undrain 8000\n  lbdev undrain all")]
    Undrain {
        #[command(flatten)]
        target: Target,
    },
    /// Have backends hang: their ports accept, and nobody answers
    #[command(
        visible_alias = "pause",
        after_help = "Examples:\n  lbdev freeze 8000\n  lbdev thaw 8000\n\nNobody is told: requests, or checks with `health.path`, have to find out, as with a server that hangs."
    )]
    Freeze {
        #[command(flatten)]
        target: Target,
    },
    /// Let frozen backends go on
    #[command(visible_alias = "unpause")]
    Thaw {
        #[command(flatten)]
        target: Target,
    },
    /// Have this terminal be a backend's, which needs `pty = true`; Ctrl-P Ctrl-Q lets go
    Attach {
        #[command(flatten)]
        target: Target,
    },
    /// Restart a backend with this terminal and send it every request, for a breakpoint()
    #[command(
        after_help = "While it lasts no request is tried twice, and an answer may take as long as it takes. Ctrl-P Ctrl-Q ends it:\nthe backend is restarted without the terminal, and requests go round again."
    )]
    Debug {
        #[command(flatten)]
        target: Target,
    },
    /// Run more backends of a service, or fewer; those that go finish their requests
    #[command(after_help = "Examples:\n  lbdev scale 6\n  lbdev scale web=2")]
    Scale {
        /// How many, and of which service if several have ports
        #[arg(value_name = "[SERVICE=]N")]
        wanted: String,
    },
    /// Change a setting while requests are answered; `lbdev.toml` stays as it is
    #[command(
        override_usage = "lbdev set [OPTIONS] [TARGET] KEY=VALUE…",
        after_help = "Settings of the balancer:\n  algorithm  round_robin, least_conn, random_two, peak_ewma, ip_hash, hash\n  hash_key   path, header:NAME, cookie:NAME\n  sequence   pages, requests\n  sticky     off, cookie\n  detect     instant, passive, active\n  retries    0 to 100\n  allow_hosts  app.test,*.app.test (besides localhost and IP addresses)\nSettings of a backend (with TARGET):\n  weight     0 to 256\n\nExamples:\n  lbdev set algorithm=least_conn\n  lbdev set detect=passive retries=0\n  lbdev set 8000 weight=3"
    )]
    Set {
        /// Which backends, and the settings: all of them are changed, or none
        #[arg(value_name = "[TARGET] KEY=VALUE", required = true)]
        words: Vec<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Show what the backends wrote, also after `down`
    #[command(
        after_help = "Examples:\n  lbdev logs\n  lbdev logs 8002 -n 20\n  lbdev logs web -f\n  lbdev logs --since 5m --grep 'ERROR|Traceback'"
    )]
    Logs {
        /// Only these: a port, a service, an id like web:8000, a comma list, or `all`
        #[arg(value_name = "TARGET")]
        target: Option<String>,
        /// Go on with what comes
        #[arg(short, long)]
        follow: bool,
        /// Only the last N lines
        #[arg(short = 'n', long = "lines", value_name = "N")]
        last: Option<usize>,
        /// Only what came since then: 5m, 2h30m, 18:00, 2026-11-22T14:00
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Option<jiff::Timestamp>,
        /// Only lines with a match of this regular expression
        #[arg(long, value_name = "RE")]
        grep: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Write lbdev.toml for this folder
    #[command(after_help = "Examples:\n  lbdev init\n  lbdev init django")]
    Init {
        /// Which framework, instead of the one that is recognised
        framework: Option<String>,
    },
    /// Show the set-up with every default filled in
    Config {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        json: Json,
        /// The JSON schema of lbdev.toml, for editors
        #[arg(long, conflicts_with = "json")]
        schema: bool,
    },
}

/// How the set-up looks.
#[derive(Debug, ClapArgs)]
struct Shape {
    /// How many copies of the server
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    replicas: Option<u32>,
    /// Their ports: 8000-8003, 8000, or auto
    #[arg(long, value_name = "RANGE|auto")]
    ports: Option<String>,
    /// Where the balancer listens: 8080, localhost:8080, 0.0.0.0:8080
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How the next backend is chosen: round_robin, least_conn, random_two, peak_ewma, ip_hash, hash
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// Whether a client stays with its backend: off, cookie
    #[arg(long, value_name = "MODE")]
    sticky: Option<String>,
    /// How a death is noticed: instant, passive, active
    #[arg(long, value_name = "MODE")]
    detect: Option<String>,
    /// Threads of the balancer
    #[arg(long, value_name = "N", value_parser = threads)]
    workers: Option<usize>,
}

/// What is started.
#[derive(Debug, ClapArgs)]
struct Source {
    /// This file instead of lbdev.toml
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["command", "from", "external"])]
    file: Option<PathBuf>,
    /// The command of one server; {port} is its port
    #[arg(short, long, value_name = "CMD", conflicts_with_all = ["from", "external"])]
    command: Option<String>,
    /// What to take the command from, where several are possible: lbdev.toml, django, static, …
    #[arg(long, value_name = "FROM", conflicts_with = "external")]
    from: Option<String>,
    /// Balance servers that run already: 8000-8003, or HOST:PORT,…
    #[arg(long, value_name = "PORTS")]
    external: Option<String>,
}

/// How it runs.
#[derive(Debug, ClapArgs)]
struct Running {
    /// In the background
    #[arg(short, long)]
    detach: bool,
    /// Implies -d: return when all servers are ready
    #[arg(long)]
    wait: bool,
    /// Saved files restart nothing
    #[arg(long)]
    no_watch: bool,
    /// Also show the lines in which a framework tells of requests
    #[arg(long)]
    raw_logs: bool,
    /// How long --wait waits: 60s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    wait_timeout: Duration,
}

#[derive(Debug, ClapArgs)]
struct Json {
    /// As JSON
    #[arg(long, action = ArgAction::SetTrue)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Target {
    /// A port, a service, an id like web:8000, a comma list, or `all`
    #[arg(value_name = "TARGET")]
    target: String,
}

impl Args {
    pub(super) fn into_invocation(self, cwd: &Path) -> Invocation {
        let place = Place {
            dir: super::absolute(cwd, self.dir.as_deref()),
            said: self.dir.is_some(),
            // An empty LBDEV_PROJECT is the same as none.
            project: self.project.filter(|name| !name.is_empty()),
        };
        let color = match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let dir = &place.dir;
        let verb = match self.verb {
            Typed::Up {
                shape,
                source,
                running,
                services,
            } => Verb::Up(running.options(Request {
                services,
                ..source.apply(shape.request(dir))
            })),
            Typed::Demo { shape, running } => Verb::Up(running.options(Request {
                demo: true,
                ..shape.request(dir)
            })),
            Typed::Run {
                shape,
                source,
                wait_timeout,
                services,
                then,
            } => Verb::Up(Box::new(UpOptions {
                request: Request {
                    services,
                    no_watch: true,
                    ..source.apply(shape.request(dir))
                },
                detach: false,
                wait: true,
                wait_timeout,
                raw_logs: false,
                then: Some(then),
            })),
            Typed::Reload => Verb::Task(Task::Reload),
            Typed::Down { all } => Verb::Task(Task::Down { all }),
            Typed::Status { json } => Verb::Task(Task::Status { json: json.json }),
            Typed::Ls { json } => Verb::Task(Task::Ls { json: json.json }),
            Typed::Kill {
                target,
                signal,
                restart,
            } => Verb::Task(Task::Kill {
                target: target.target,
                signal,
                restart,
            }),
            Typed::Start { target } => Verb::Task(Task::Start {
                target: target.target,
            }),
            Typed::Stop { target } => Verb::Task(Task::Stop {
                target: target.target,
            }),
            Typed::Restart { target, rolling } => Verb::Task(Task::Restart {
                target: target.target,
                rolling,
            }),
            Typed::Drain {
                target,
                off,
                everyone,
            } => Verb::Task(Task::Drain {
                target: target.target,
                off,
                everyone,
            }),
            Typed::Undrain { target } => Verb::Task(Task::Drain {
                target: target.target,
                off: true,
                everyone: false,
            }),
            Typed::Freeze { target } => Verb::Task(Task::Freeze {
                target: target.target,
            }),
            Typed::Thaw { target } => Verb::Task(Task::Thaw {
                target: target.target,
            }),
            Typed::Attach { target } => Verb::Task(Task::Attach {
                target: target.target,
                debug: false,
            }),
            Typed::Debug { target } => Verb::Task(Task::Attach {
                target: target.target,
                debug: true,
            }),
            Typed::Scale { wanted } => Verb::Task(Task::Scale { wanted }),
            Typed::Set { words, json } => Verb::Task(Task::Set {
                words,
                json: json.json,
            }),
            Typed::Logs {
                target,
                follow,
                last,
                since,
                grep,
                json,
            } => Verb::Task(Task::Logs(LogsOptions {
                target,
                follow,
                last,
                since,
                grep,
                json: json.json,
            })),
            Typed::Init { framework } => Verb::Task(Task::Init { framework }),
            Typed::Config {
                shape,
                source,
                json,
                schema,
            } => Verb::Task(Task::Config {
                request: Box::new(source.apply(shape.request(dir))),
                json: json.json,
                schema,
            }),
        };
        Invocation { place, color, verb }
    }
}

impl Shape {
    fn request(self, dir: &Path) -> Request {
        Request {
            dir: dir.to_owned(),
            replicas: self.replicas,
            ports: self.ports,
            listen: self.listen,
            algorithm: self.algorithm,
            sticky: self.sticky,
            detect: self.detect,
            workers: self.workers,
            ..Request::default()
        }
    }
}

impl Source {
    fn apply(self, request: Request) -> Request {
        Request {
            // As if `-C` had changed the folder first, like `git -C` and `make -C`.
            file: self.file.map(|file| request.dir.join(file)),
            command: self.command,
            from: self.from,
            external: self.external,
            ..request
        }
    }
}

impl Running {
    fn options(self, request: Request) -> Box<UpOptions> {
        Box::new(UpOptions {
            request: Request {
                no_watch: self.no_watch,
                ..request
            },
            // As in `docker compose up --wait`.
            detach: self.detach || self.wait,
            wait: self.wait,
            wait_timeout: self.wait_timeout,
            raw_logs: self.raw_logs,
            then: None,
        })
    }
}
