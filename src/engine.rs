//! `--engine`: a balancer of somebody else's in place of lbdev's own. It is one more process that the supervisor starts,
//! watches and starts again; what it reads is written by [`export`], with its files in a folder of this project.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::{
    BackendId, HealthPolicy, Kind, Ready, RestartMode, RestartPolicy, Signal, Slot, StopPolicy,
};
use crate::config::{BackendSpec, Command, Config, Engine, Need, Service};
use crate::error::Report;
use crate::export::{self, Run, Target};

/// Often enough that a death nobody reported shows within a breath; the process's own end is told at once.
const LOOK: Duration = Duration::from_secs(1);
/// It has nothing to tidy up but connections.
const END: Duration = Duration::from_secs(3);
/// Started again at once, then less and less often: nothing is answered meanwhile.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
const RESTARTS: u32 = 20;
/// Where systems keep programs that are not on everybody's PATH.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/bin"];
/// Where Apache's modules are: Debian, Fedora, Arch, Homebrew, macOS.
const MODULES: &[&str] = &[
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/etc/httpd/modules",
    "/opt/homebrew/lib/httpd/modules",
    "/usr/local/lib/httpd/modules",
    "/usr/libexec/apache2",
];

/// The balancer as a service without a route, and what is to be said of it.
#[derive(Debug)]
pub struct Engaged {
    /// What is supervised.
    pub service: Service,
    /// For the person.
    pub notes: Vec<String>,
}

/// The program's names, the more usual one first.
pub fn programs(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Builtin => &[],
        Engine::Nginx => &["nginx"],
        Engine::Haproxy => &["haproxy"],
        Engine::Apache => &["apache2", "httpd"],
    }
}

/// Where the program of an engine is.
///
/// # Errors
/// LB055: it is not installed, with how to install it here.
pub fn find(engine: Engine) -> Result<PathBuf, Report> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let further = SBIN.iter().map(PathBuf::from);
    let all: Vec<PathBuf> = std::env::split_paths(&path).chain(further).collect();
    let everywhere = std::env::join_paths(all).unwrap_or(path);
    let found = |name: &&str| which::which_in(name, Some(&everywhere), "/").ok();
    programs(engine).iter().find_map(found).ok_or_else(|| {
        let name = programs(engine).first().unwrap_or(&"");
        Report::failed("LB055", format!("`{name}` is not installed here")).hint(install(engine))
    })
}

/// How to install it, by the package manager that is here.
fn install(engine: Engine) -> String {
    let name = engine.name();
    let has = |program: &str| which::which(program).is_ok();
    let httpd = if engine == Engine::Apache {
        "httpd"
    } else {
        name
    };
    if cfg!(windows) {
        return match engine {
            Engine::Nginx => "run `winget install nginxinc.nginx`, or take lbdev's own balancer: leave `--engine` out".to_owned(),
            _ => format!("{name} is run on Linux: use WSL, or leave `--engine` out"),
        };
    }
    let debian = match engine {
        Engine::Nginx => "nginx-light",
        Engine::Apache => "apache2",
        Engine::Haproxy | Engine::Builtin => name,
    };
    let command = if has("apt-get") {
        format!("sudo apt-get install {debian}")
    } else if has("dnf") {
        format!("sudo dnf install {httpd}")
    } else if has("brew") {
        format!("brew install {httpd}")
    } else if has("pacman") {
        format!(
            "sudo pacman -S {}",
            if engine == Engine::Apache {
                "apache"
            } else {
                name
            }
        )
    } else if has("apk") {
        format!("sudo apk add {debian}")
    } else {
        return format!("install {name} with your system's packages");
    };
    format!("run `{command}`; lbdev starts it by itself, the system need not")
}

fn target(engine: Engine) -> Target {
    match engine {
        Engine::Builtin | Engine::Nginx => Target::Nginx,
        Engine::Haproxy => Target::Haproxy,
        Engine::Apache => Target::Apache,
    }
}

fn file(engine: Engine, folder: &Path) -> PathBuf {
    folder.join(match engine {
        Engine::Haproxy => "haproxy.cfg",
        Engine::Apache => "httpd.conf",
        Engine::Nginx | Engine::Builtin => "nginx.conf",
    })
}

/// That it will balance, for the person; before anything is started.
///
/// # Errors
/// LB055 where it is not installed.
pub fn announce(engine: Engine, folder: &Path) -> Result<String, Report> {
    find(engine)?;
    Ok(format!(
        "{} balances in place of lbdev, by `{}`",
        target(engine).called(),
        crate::instance::tilde(&file(engine, folder))
    ))
}

/// Writes the engine's configuration into `folder`, and makes the service that runs it on `addresses`.
///
/// # Errors
/// LB055 where it is not installed, LB052 where it cannot do what is configured, LB007 where nothing can be written.
pub fn engage(config: &Config, folder: &Path, addresses: &[SocketAddr]) -> Result<Engaged, Report> {
    let engine = config.balancer.engine;
    let target = target(engine);
    let program = find(engine)?;
    let name = engine.name();
    if config.services.iter().any(|service| service.name == name) {
        let message = format!(
            "a service of this project is called `{name}` already, as the balancer would be"
        );
        return Err(Report::usage("LB021", message).hint("give the service another name"));
    }
    let run = Run {
        folder: folder.to_owned(),
        listen: addresses.to_vec(),
        admin: match engine {
            Engine::Haproxy | Engine::Apache => Some(free_port()?),
            Engine::Nginx | Engine::Builtin => None,
        },
        modules: MODULES.iter().map(PathBuf::from).find(|path| path.is_dir()),
        as_root: is_root(),
    };
    let made = export::for_run(config, target, &run)?;
    let file = file(engine, folder);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&file, &made.text))
        .map_err(|error| {
            let message = format!("cannot write `{}`: {error}", file.display());
            Report::failed("LB007", message).hint("make room, or set XDG_STATE_HOME elsewhere")
        })?;
    let page = match (engine, run.admin) {
        (Engine::Haproxy, Some(port)) => Some(format!("http://127.0.0.1:{port}/")),
        (Engine::Apache, Some(port)) => Some(format!("http://127.0.0.1:{port}/balancer-manager")),
        _ => None,
    };
    let page = page.map(|page| format!("{}'s own page is {page}", target.called()));
    let mut notes: Vec<String> = page.into_iter().collect();
    notes.extend(
        made.lost
            .iter()
            .map(|lost| format!("with {}, not carried over: {lost}", target.called())),
    );
    let needs = config.services.iter().filter(|service| {
        let first = service.backends.first();
        !service.routes.is_empty() && first.is_some_and(|one| one.kind == Kind::Managed)
    });
    Ok(Engaged {
        service: Service {
            name: name.to_owned(),
            routes: Vec::new(),
            backends: vec![spec(
                engine,
                command(engine, &program, &file, folder),
                addresses,
            )],
            more: None,
            watch: None,
            before: Vec::new(),
            after: Vec::new(),
            needs: needs
                .map(|service| Need::Service(service.name.clone()))
                .collect(),
        },
        notes,
    })
}

fn command(engine: Engine, program: &Path, file: &Path, folder: &Path) -> Command {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut argv = vec![text(program)];
    match engine {
        Engine::Builtin | Engine::Nginx => {
            argv.extend(["-e", "stderr", "-p", &text(folder), "-c", &text(file)].map(str::to_owned))
        }
        Engine::Haproxy => argv.extend(["-db", "-f", &text(file)].map(str::to_owned)),
        Engine::Apache => argv.extend(["-D", "FOREGROUND", "-f", &text(file)].map(str::to_owned)),
    }
    Command {
        argv,
        env: Vec::new(),
        cwd: folder.to_owned(),
        pty: false,
        awaits: None,
    }
}

fn spec(engine: Engine, command: Command, addresses: &[SocketAddr]) -> BackendSpec {
    BackendSpec {
        id: BackendId::new(engine.name(), Slot::Engine),
        index: 1,
        kind: Kind::Managed,
        addresses: addresses.to_vec(),
        command: Some(command),
        weight: 1,
        backup: false,
        max_connections: 0,
        slow_start: Duration::ZERO,
        ready: Ready::Tcp,
        health: HealthPolicy {
            path: None,
            interval: LOOK,
            timeout: LOOK,
            rise: 1,
            fall: 2,
            status: None,
            body: None,
        },
        restart: RestartPolicy {
            mode: RestartMode::Always,
            backoff_min: BACKOFF.0,
            backoff_max: BACKOFF.1,
            max: RESTARTS,
        },
        stop: StopPolicy {
            // Each of them finishes what it has at this signal; Windows has none of them.
            signal: match engine {
                _ if cfg!(windows) => Signal::Term,
                Engine::Builtin | Engine::Nginx => Signal::Quit,
                Engine::Haproxy => Signal::Usr1,
                Engine::Apache => Signal::Winch,
            },
            timeout: END,
        },
    }
}

/// A port on loopback that nobody has now.
fn free_port() -> Result<u16, Report> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .map(|address| address.port())
        .map_err(|error| {
            Report::failed("LB008", format!("the machine gives no port: {error}"))
                .hint("run it again")
        })
}

fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(windows)]
    return false;
}

/// What is refused while somebody else balances, and why.
pub fn not_with(what: &str, engine: Engine) -> Report {
    Report::failed(
        "LB056",
        format!(
            "{what} is what lbdev's own balancer does, and {} balances here",
            engine.name()
        ),
    )
    .hint("run `lbdev down`, then `lbdev up` without `--engine`")
}
