//! The command line in clap's words.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::values::{
    connections, duration, errors, method, port, rate, replicas, signal, since, some_time, student,
    threads, users,
};
use crate::backend::Signal;
use crate::config::Engine;
use crate::export;
use crate::load::ErrorLimit;

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
    pub(super) dir: Option<PathBuf>,
    /// Use the running project of this name
    #[arg(
        long,
        value_name = "NAME",
        env = "LBDEV_PROJECT",
        hide_env_values = true,
        global = true,
        help_heading = "Global options"
    )]
    pub(super) project: Option<String>,
    /// When to use colours
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        help_heading = "Global options"
    )]
    pub(super) color: Color,
    /// Data and errors as JSON, of verbs that have data
    #[arg(long, global = true, help_heading = "Global options")]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) verb: Typed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Typed {
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
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        balancer: Balancer,
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
    Status,
    /// List every running project of this user
    Ls,
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
        #[arg(value_name = "[TARGET] KEY=VALUE", required = true, add = ArgValueCompleter::new(complete::settings))]
        words: Vec<String>,
    },
    /// Put a fault into what goes to backends: the balancer does it, their processes know nothing
    #[command(
        override_usage = "lbdev fault [OPTIONS] <TARGET> <WHAT>...\n       lbdev fault [OPTIONS] <TARGET> off",
        after_help = "What can happen to a request:\n  latency=250ms   it waits so long before it is sent\n  jitter=50ms     and up to so much longer or shorter, each differently\n  status=503      an answer with this status, which the backend never gave\n  reset           its connection is reset\n  hang            nothing comes, for as long as the fault lasts\n  bandwidth=64kb  the answer comes with so much a second at most\n  cut=1kb         the connection ends after so much of the answer\n  slow_close=2s   the answer's end comes so much later\nTo which requests:\n  rate=20%        so many of them (of a hundred), by chance\n  path=/api       those for this path or below it\n  header=X-User:alice  those that say this; without a value: those with this field\n\nExamples:\n  lbdev fault 8000 latency=250ms jitter=50ms\n  lbdev fault web status=503 rate=20%\n  lbdev fault all off\n\nFaults end with `off`, and with lbdev. `lbdev freeze` has the process itself hang."
    )]
    Fault {
        #[command(flatten)]
        target: Target,
        /// What happens to its requests, or `off`
        #[arg(value_name = "WHAT", required = true, add = ArgValueCompleter::new(complete::faults))]
        what: Vec<String>,
    },
    /// Send requests at set times; see who answers, how late, and what a failover costs
    #[command(
        override_usage = "lbdev load [OPTIONS] [URL]...",
        after_help = "Latency counts from the moment a request was due, so that a stall is not hidden by what was not sent meanwhile.\nA status from 400 on is a failure; so is a verb of --at that fails.\n\nExamples:\n  lbdev load\n  lbdev load --rps 200 --for 30s --at 10s 'kill 8000' --at 20s 'start 8000'\n  lbdev load /api --connections 8           each sends the next when the one before was answered\n  lbdev load http://localhost:8081/ --html report.html\n  lbdev load --max-errors 0.1% --max-p99 50ms    exit code 1 where that does not hold\n  lbdev load /orders -X POST -d 'order={n}' --users 20"
    )]
    Load {
        /// Where to: paths of the running project, or an address; several take turns
        #[arg(value_name = "URL")]
        urls: Vec<String>,
        /// Requests a second, whatever becomes of them (100, unless --connections is all that is said)
        #[arg(long, value_name = "N", value_parser = rate)]
        rps: Option<f64>,
        /// Connections: at most, with --rps; else each sends the next request when the one before was answered
        #[arg(long, value_name = "N", value_parser = connections)]
        connections: Option<usize>,
        /// How long
        #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = some_time)]
        lasts: Duration,
        /// Run a verb of lbdev so long after the beginning; as often as is wanted
        #[arg(long, num_args = 2, value_names = ["TIME", "VERB"])]
        at: Vec<String>,
        /// The method
        #[arg(short = 'X', long, value_name = "METHOD", value_parser = method)]
        method: Option<String>,
        /// A field of the requests' heads; {n} is the number of the request
        #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
        headers: Vec<String>,
        /// Their body, which makes them POST requests; @FILE reads it from a file
        #[arg(short = 'd', long = "data", value_name = "BODY")]
        data: Option<String>,
        /// Virtual users who take turns, each with cookies of their own
        #[arg(long, value_name = "N", default_value = "0", value_parser = users, hide_default_value = true)]
        users: usize,
        /// A request that takes longer has failed
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = some_time)]
        timeout: Duration,
        /// Fail where more requests failed: 0.1%, or a number
        #[arg(long, value_name = "SHARE", value_parser = errors)]
        max_errors: Option<ErrorLimit>,
        /// Fail where one of a hundred took longer
        #[arg(long, value_name = "TIME", value_parser = some_time)]
        max_p99: Option<Duration>,
        /// Also write a page with plots
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Do a lesson that checks itself: predict, watch, and see what was measured
    #[command(
        override_usage = "lbdev lab [OPTIONS] <NAME>...\n       lbdev lab list\n       lbdev lab hint [NAME]\n       lbdev lab show <NAME>\n       lbdev lab grade [OPTIONS] <FILE>...",
        after_help = "A lab runs an lbdev of its own on ports of its own: what runs already is left alone. The folder\n`labs` of a project may hold more of them; `lbdev lab show fair` prints one to begin with.\n\nExamples:\n  lbdev lab list\n  lbdev lab failover\n  lbdev lab failover --app .               with this project's server\n  lbdev lab failover --student s123        numbers of one's own, and a result file\n  lbdev lab fair failover --auto           no questions, for scripts\n  lbdev lab grade 'results/*.json' --roster class.csv --csv > grades.csv\n\nExit codes: 0 all checks held (or what a lab needs is not installed), 1 some did not"
    )]
    Lab {
        /// Which labs; or `list`, `hint`, `show`, `grade`
        #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(complete::labs))]
        words: Vec<String>,
        /// Ask nothing
        #[arg(long)]
        auto: bool,
        /// With the server of the project in DIR, where the lab can
        #[arg(long, value_name = "DIR")]
        app: Option<PathBuf>,
        /// Numbers that belong to this name, and a result file
        #[arg(long, value_name = "ID", value_parser = student)]
        student: Option<String>,
        /// Break the lesson on purpose, to see that its checks find it
        #[arg(long, conflicts_with = "student")]
        broken: bool,
        /// With this balancer in place of lbdev's own: nginx, haproxy, apache
        #[arg(
            long,
            value_name = "NAME",
            default_value = "builtin",
            hide_default_value = true,
            conflicts_with = "student"
        )]
        engine: EngineName,
        /// Of `grade`: who should have results, a CSV file with a column `student`
        #[arg(long, value_name = "FILE")]
        roster: Option<PathBuf>,
        /// Of `grade`: CSV instead of a table
        #[arg(long)]
        csv: bool,
    },
    /// Show what happened: changes of state, requests that another backend answered, and why
    #[command(
        after_help = "Examples:\n  lbdev events\n  lbdev events -f\n  lbdev events --json | jq .text"
    )]
    Events {
        /// Go on with what comes
        #[arg(short, long)]
        follow: bool,
        /// Only the last N
        #[arg(short = 'n', long = "lines", value_name = "N")]
        last: Option<usize>,
    },
    /// Watch the traffic move, live; kill, freeze, drain and slow backends by key
    Top,
    /// Show what the backends wrote, also after `down`
    #[command(
        after_help = "Examples:\n  lbdev logs\n  lbdev logs 8002 -n 20\n  lbdev logs web -f\n  lbdev logs --since 5m --grep 'ERROR|Traceback'"
    )]
    Logs {
        /// Only these: a port, a service, an id like web:8000, a comma list, or `all`
        #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::targets))]
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
        /// The JSON schema of lbdev.toml, for editors
        #[arg(long)]
        schema: bool,
    },
    /// Write the same set-up for what comes next: nginx, HAProxy, Compose, Kubernetes, …
    #[command(
        after_help = "What the file cannot say is named in its head, and here. Nothing of it needs lbdev.\n\nExamples:\n  lbdev export nginx\n  lbdev export haproxy -o haproxy.cfg\n  lbdev export compose -o compose.yaml && lbdev export dockerfile -o Dockerfile\n  lbdev export kubernetes --strict > kubernetes.yaml\n\nExit codes: 0 written, 1 with --strict where something is lost: nothing is written then"
    )]
    Export {
        /// For what
        #[arg(value_name = "TARGET")]
        target: ExportTarget,
        /// Into this file; one that lbdev did not write stays as it is
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Fail where something was set that cannot be said there
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        source: Source,
    },
    /// Write lbdev.toml from an nginx.conf, or from a Procfile
    #[command(
        after_help = "The servers of an upstream become an external service, unless --run says what starts them. What was not\nunderstood is listed with its line.\n\nExamples:\n  lbdev import nginx.conf\n  lbdev import nginx.conf --run '{python} manage.py runserver --noreload {port}'\n  lbdev import Procfile -o -               print it"
    )]
    Import {
        /// An nginx.conf or a Procfile
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Into this file instead of lbdev.toml; - prints it
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The command that starts one server of an upstream; {port} is its port
        #[arg(long, value_name = "[SERVICE=]CMD")]
        run: Vec<String>,
    },
    /// Do one drill with lbdev's own balancer, nginx, HAProxy and Apache, and show what each lost
    #[command(
        after_help = "A server is killed and comes back, all are restarted at once, one hangs: with the same set-up, the same servers\nand the same load for each. It takes about half a minute an engine, on ports of its own.\n\nExamples:\n  lbdev compare\n  lbdev compare --engines builtin,nginx\n  lbdev compare --json > compare.json"
    )]
    Compare {
        /// Which, in this order; those that are installed
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        engines: Vec<EngineName>,
        /// A third of the time: whether it works, and coarser numbers
        #[arg(long)]
        quick: bool,
    },
    /// Look for what will go wrong: ports, limits, settings that break behind a balancer
    #[command(
        after_help = "Examples:\n  lbdev doctor\n  lbdev doctor 8000    who has this port\n\nExit codes: 0 nothing was found that keeps it from running, 1 something was"
    )]
    Doctor {
        /// Only this port: who has it, and how to get it free
        #[arg(value_name = "PORT", value_parser = port)]
        port: Option<u16>,
    },
    /// Say what a code means: what happened, why, what to do
    #[command(
        after_help = "Examples:\n  lbdev explain LB001\n  lbdev explain        all of them, a line each"
    )]
    Explain {
        /// A code as an error or a note has it: LB001
        #[arg(value_name = "CODE", add = ArgValueCompleter::new(complete::codes))]
        code: Option<String>,
    },
    /// Open the dashboard in a browser
    #[command(
        after_help = "The address that it prints lets in whoever has it: it ends with a key. Anyone who may read it can kill and\nstart this project's servers. --new-token makes another key, and the one before opens nothing any more."
    )]
    Open {
        /// Only print its address, with the key that it asks for
        #[arg(long)]
        print: bool,
        /// The application instead
        #[arg(long, conflicts_with = "new_token")]
        app: bool,
        /// Another key first; pages with the one before are let go
        #[arg(long)]
        new_token: bool,
    },
    /// Print what makes a shell complete lbdev's verbs, options and running backends
    #[command(
        after_help = "  bash        echo 'source <(lbdev completions bash)' >> ~/.bashrc\n  zsh         echo 'source <(lbdev completions zsh)' >> ~/.zshrc\n  fish        lbdev completions fish > ~/.config/fish/completions/lbdev.fish\n  powershell  lbdev completions powershell >> $PROFILE"
    )]
    Completions {
        /// For which shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page
    #[command(
        after_help = "Examples:\n  lbdev man            read it, where there is `man`\n  lbdev man > lbdev.1"
    )]
    Man,
}

/// The shells that can be completed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

impl Shell {
    /// As clap's completion engine calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
            Shell::Powershell => "powershell",
        }
    }
}

/// Who balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineName {
    Builtin,
    Nginx,
    Haproxy,
    Apache,
}

impl EngineName {
    pub(super) fn meant(self) -> Engine {
        match self {
            Self::Builtin => Engine::Builtin,
            Self::Nginx => Engine::Nginx,
            Self::Haproxy => Engine::Haproxy,
            Self::Apache => Engine::Apache,
        }
    }
}

/// What can be written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ExportTarget {
    Nginx,
    Haproxy,
    Apache,
    Caddy,
    Compose,
    Swarm,
    #[value(alias = "k8s")]
    Kubernetes,
    Procfile,
    Dockerfile,
}

impl ExportTarget {
    pub(super) fn meant(self) -> export::Target {
        match self {
            Self::Nginx => export::Target::Nginx,
            Self::Haproxy => export::Target::Haproxy,
            Self::Apache => export::Target::Apache,
            Self::Caddy => export::Target::Caddy,
            Self::Compose => export::Target::Compose,
            Self::Swarm => export::Target::Swarm,
            Self::Kubernetes => export::Target::Kubernetes,
            Self::Procfile => export::Target::Procfile,
            Self::Dockerfile => export::Target::Dockerfile,
        }
    }
}

/// How the set-up looks.
#[derive(Debug, ClapArgs)]
pub(super) struct Shape {
    /// How many copies of the server
    #[arg(short = 'n', long, value_name = "N", value_parser = replicas)]
    pub(super) replicas: Option<u32>,
    /// Their ports: 8000-8003, 8000, or auto
    #[arg(long, value_name = "RANGE|auto")]
    pub(super) ports: Option<String>,
    /// Where the balancer listens: 8080, localhost:8080, 0.0.0.0:8080
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<String>,
    /// How the next backend is chosen: round_robin, least_conn, random_two, peak_ewma, ip_hash, hash
    #[arg(long, value_name = "NAME")]
    pub(super) algorithm: Option<String>,
    /// Whether a client stays with its backend: off, cookie
    #[arg(long, value_name = "MODE")]
    pub(super) sticky: Option<String>,
    /// How a death is noticed: instant, passive, active
    #[arg(long, value_name = "MODE")]
    pub(super) detect: Option<String>,
    /// Threads of the balancer
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(super) workers: Option<usize>,
}

/// What is started.
#[derive(Debug, ClapArgs)]
pub(super) struct Source {
    /// This file instead of lbdev.toml
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["command", "from", "external"])]
    pub(super) file: Option<PathBuf>,
    /// The command of one server; {port} is its port
    #[arg(short, long, value_name = "CMD", conflicts_with_all = ["from", "external"])]
    pub(super) command: Option<String>,
    /// What to take the command from, where several are possible: lbdev.toml, django, static, …
    #[arg(long, value_name = "FROM", conflicts_with = "external")]
    pub(super) from: Option<String>,
    /// Balance servers that run already: 8000-8003, or HOST:PORT,…
    #[arg(long, value_name = "PORTS")]
    pub(super) external: Option<String>,
}

/// How it runs.
#[derive(Debug, ClapArgs)]
pub(super) struct Running {
    /// In the background
    #[arg(short, long)]
    pub(super) detach: bool,
    /// Implies -d: return when all servers are ready
    #[arg(long)]
    pub(super) wait: bool,
    /// Saved files restart nothing
    #[arg(long)]
    pub(super) no_watch: bool,
    #[command(flatten)]
    pub(super) balancer: Balancer,
    /// Also show the lines in which a framework tells of requests
    #[arg(long)]
    pub(super) raw_logs: bool,
    #[command(flatten)]
    pub(super) page: Page,
    /// How long --wait waits: 60s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) wait_timeout: Duration,
}

/// Who balances.
#[derive(Debug, ClapArgs)]
pub(super) struct Balancer {
    /// Run this balancer in place of lbdev's own, with the same set-up: nginx, haproxy, apache
    #[arg(long, value_name = "NAME")]
    pub(super) engine: Option<String>,
}

/// The dashboard.
#[derive(Debug, ClapArgs)]
pub(super) struct Page {
    /// No page that shows the traffic
    #[arg(long)]
    pub(super) no_dashboard: bool,
    /// Where that page listens: 8090, or with care 0.0.0.0:8090
    #[arg(long, value_name = "ADDRESS", conflicts_with = "no_dashboard")]
    pub(super) dashboard_listen: Option<String>,
    /// A further name under which browsers may ask for it, such as the one of a forwarded port
    #[arg(long, value_name = "NAME[:PORT]", conflicts_with = "no_dashboard")]
    pub(super) dashboard_host: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Target {
    /// A port, a service, an id like web:8000, a comma list, or `all`
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::targets))]
    pub(super) target: String,
}
