//! Ports: whether one is free, who holds it, and what to say about it.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use listeners::{Protocol, SocketState};

use super::os;
use crate::error::Report;

/// A loopback connection is taken or refused at once; only a firewall makes it hang.
const CONNECT: Duration = Duration::from_millis(200);

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody listens on it.
    #[error("port {port} is in use")]
    Taken {
        /// Which.
        port: u16,
    },
    /// The system refuses it, whoever listens.
    #[error("{address} cannot be listened on")]
    Refused {
        /// What was to be bound.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Both loopback addresses with this port.
pub fn loopback(port: u16) -> [SocketAddr; 2] {
    [
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ]
}

/// Whether all of `addresses` are free: each can be bound, and nobody answers there (where a bind succeeds although
/// somebody listens on the wildcard address, as on macOS). An address family that this machine lacks is passed over.
///
/// # Errors
/// [`PortError::Taken`] for the first that is in use, [`PortError::Refused`] for one that the system does not give.
pub fn probe(addresses: &[SocketAddr]) -> Result<(), PortError> {
    for &address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => drop(listener),
            Err(error) => match error.kind() {
                io::ErrorKind::AddrInUse => {
                    return Err(PortError::Taken {
                        port: address.port(),
                    });
                }
                io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
                    if address.ip().is_loopback() =>
                {
                    continue;
                }
                _ if error.raw_os_error()
                    == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) =>
                {
                    continue;
                }
                _ => {
                    return Err(PortError::Refused {
                        address,
                        source: error,
                    });
                }
            },
        }
        if answers(address) {
            return Err(PortError::Taken {
                port: address.port(),
            });
        }
    }
    Ok(())
}

fn answers(address: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(&address, CONNECT) else {
        return false;
    };
    // A connection to a free port of the ephemeral range may get that very port at its own end, and meet itself.
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local != peer,
        _ => true,
    }
}

/// Whether `port` is free on both loopback addresses.
pub fn is_free(port: u16) -> bool {
    probe(&loopback(port)).is_ok()
}

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// The program's name.
    pub name: String,
    /// When it started, where that can be known.
    pub started: Option<SystemTime>,
    /// Its working directory, where that can be known.
    pub cwd: Option<PathBuf>,
    /// It is an lbdev, or a backend of one.
    pub lbdev: bool,
}

/// Who listens on `port`; `None` when nobody does or it is a process of another user, which is not shown.
pub fn holder(port: u16) -> Option<Holder> {
    // Several processes may share one socket (a server and its workers): the first of them is the one to name.
    let process = listening_now()
        .filter(|(_, taken)| *taken == port)
        .map(|(process, _)| process)
        .min_by_key(|process| process.pid)?;
    let backend = os::environ(process.pid).is_some_and(|environ| {
        environ
            .split(|byte| *byte == 0)
            .any(|variable| variable.starts_with(b"LBDEV_INSTANCE="))
    });
    Some(Holder {
        pid: process.pid,
        started: os::started_at(process.pid),
        cwd: os::working_directory(process.pid),
        lbdev: backend || process.name == "lbdev",
        name: process.name,
    })
}

/// The ports that any of these processes listen on, in order.
pub fn listening(pids: &[u32]) -> Vec<u16> {
    let ports: BTreeSet<u16> = listening_now()
        .filter(|(process, _)| pids.contains(&process.pid))
        .map(|(_, port)| port)
        .collect();
    ports.into_iter().collect()
}

/// The ports that the processes of a run listen on, given its first process: its session and what descends from it.
pub fn listening_of_run(leader: u32) -> Vec<u16> {
    let table = os::snapshot();
    let scope = super::find::Scope::Run {
        leader,
        instance: String::new(),
        run: String::new(),
    };
    let members = super::find::members(&scope, &table, &|_| None);
    let pids: Vec<u32> = members.iter().map(|proc| proc.pid).collect();
    listening(&pids)
}

fn listening_now() -> impl Iterator<Item = (listeners::Process, u16)> {
    // A system that does not show its sockets makes messages poorer, nothing else.
    listeners::get_all()
        .unwrap_or_default()
        .into_iter()
        .filter(|listener| {
            listener.protocol == Protocol::TCP && listener.state == SocketState::Listen
        })
        .map(|listener| (listener.process, listener.socket.port()))
}

/// What `up` wanted to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The ports of the backends.
    pub backends: Vec<u16>,
    /// The balancer's port.
    pub listen: Option<u16>,
}

/// The message for ports that are taken (LB001): who holds the first, and a command that works. `taken` is in the order
/// to be told. `home` shortens folders to `~`.
pub fn report(taken: &[u16], wanted: &Wanted, home: Option<&std::path::Path>) -> Report {
    report_with(taken, wanted, home, holder, is_free, SystemTime::now())
}

fn report_with(
    taken: &[u16],
    wanted: &Wanted,
    home: Option<&std::path::Path>,
    holder: impl Fn(u16) -> Option<Holder>,
    is_free: impl Fn(u16) -> bool,
    now: SystemTime,
) -> Report {
    let holders: Vec<(u16, Option<Holder>)> =
        taken.iter().map(|port| (*port, holder(*port))).collect();
    let mut lines = holders
        .iter()
        .map(|(port, holder)| format!("port {port} is in use{}", by(holder.as_ref(), home, now)));
    let mut report = Report::failed("LB001", lines.next().unwrap_or_default());
    for line in lines {
        report = report.detail(line);
    }
    let other = other_ports(taken, wanted, &is_free);
    let stop = holders
        .iter()
        .find_map(|(_, holder)| holder.as_ref())
        .map(|holder| match (&holder.cwd, holder.lbdev) {
            (Some(cwd), true) => format!("lbdev down -C {}", shell_path(cwd, home)),
            (None, true) => "lbdev down --all".to_owned(),
            (_, false) => format!("kill {}", holder.pid),
        });
    match (other, stop) {
        (Some(other), Some(stop)) => report.hint(format!("run `{other}`, or stop it: `{stop}`")),
        (Some(other), None) => report.hint(format!("run `{other}`")),
        (None, Some(stop)) => report.hint(format!("stop it: `{stop}`")),
        (None, None) => report,
    }
}

fn by(holder: Option<&Holder>, home: Option<&std::path::Path>, now: SystemTime) -> String {
    let Some(holder) = holder else {
        return " by a process of another user".to_owned();
    };
    let mut facts = vec![format!("pid {}", holder.pid)];
    let age = holder.started.and_then(|at| now.duration_since(at).ok());
    match (age, &holder.cwd) {
        (Some(age), Some(cwd)) => facts.push(format!(
            "started {} ago in {}",
            short_duration(age),
            tilde(cwd, home)
        )),
        (Some(age), None) => facts.push(format!("started {} ago", short_duration(age))),
        (None, Some(cwd)) => facts.push(format!("in {}", tilde(cwd, home))),
        (None, None) => {}
    }
    format!(" by `{}` ({})", holder.name, facts.join(", "))
}

/// One unit is enough to remember which server it was.
fn short_duration(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

fn tilde(path: &std::path::Path, home: Option<&std::path::Path>) -> String {
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

/// A path to be pasted into a shell: `~` is expanded only where nothing has to be quoted.
fn shell_path(path: &std::path::Path, home: Option<&std::path::Path>) -> String {
    let plain = |text: &str| {
        text.chars()
            .all(|char| char.is_alphanumeric() || "/._-~+@%".contains(char))
    };
    let short = tilde(path, home);
    if plain(&short) {
        return short;
    }
    let full = path.display().to_string();
    shlex::try_quote(&full).map_or_else(|_| full.clone(), |quoted| quoted.into_owned())
}

/// A command with other ports for what is taken, each found free just now.
fn other_ports(taken: &[u16], wanted: &Wanted, is_free: &impl Fn(u16) -> bool) -> Option<String> {
    let mut command = "lbdev up".to_owned();
    if wanted.backends.iter().any(|port| taken.contains(port)) {
        let range = free_range(wanted.backends.len(), &wanted.listen, is_free)?;
        command += &match (range.start(), range.end()) {
            (first, last) if first == last => format!(" --ports {first}"),
            (first, last) => format!(" --ports {first}-{last}"),
        };
    }
    if let Some(listen) = wanted.listen
        && taken.contains(&listen)
    {
        let port = (1..=50)
            .map_while(|step| listen.max(1024).checked_add(step * 1000))
            .chain(listen.saturating_add(1)..=listen.saturating_add(100))
            .find(|port| !wanted.backends.contains(port) && is_free(*port))?;
        command += &format!(" --listen {port}");
    }
    (command != "lbdev up").then_some(command)
}

/// `count` free ports in a row, from a round number.
fn free_range(
    count: usize,
    listen: &Option<u16>,
    is_free: &impl Fn(u16) -> bool,
) -> Option<RangeInclusive<u16>> {
    let more = u16::try_from(count).ok()?.checked_sub(1)?;
    (9000..60_000u16).step_by(100).find_map(|first| {
        let range = first..=first.checked_add(more)?;
        range
            .clone()
            .all(|port| Some(port) != *listen && is_free(port))
            .then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_port_is_free_or_its_holder_is_known() {
        for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            // A machine without IPv6 has nothing to say about it.
            let Ok(listener) = TcpListener::bind(bind) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            assert!(
                matches!(probe(&loopback(port)), Err(PortError::Taken { port: taken }) if taken == port),
                "{bind}"
            );
            let holder = holder(port).expect(bind);
            assert_eq!(holder.pid, std::process::id());
            assert_eq!(holder.cwd, std::env::current_dir().ok());
            assert!(holder.started.is_some());
            assert!(listening(&[std::process::id()]).contains(&port));
        }
    }

    #[test]
    fn an_address_of_another_machine_is_refused_not_taken() {
        let address = "192.0.2.1:8000".parse().unwrap();
        assert!(matches!(probe(&[address]), Err(PortError::Refused { .. })));
    }

    #[test]
    fn the_message_names_the_holder_and_a_way_out() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let held = |lbdev, cwd: &str| Holder {
            pid: 4242,
            name: "python3".into(),
            started: Some(now - Duration::from_secs(7300)),
            cwd: Some(cwd.into()),
            lbdev,
        };
        let check = |taken: &[u16], by: Option<Holder>, expected: &str| {
            let wanted = Wanted {
                backends: vec![8000, 8001, 8002, 8003],
                listen: Some(8080),
            };
            let home = Some(Path::new("/home/ada"));
            let free = |port| !taken.contains(&port) && port != 9002;
            let report = report_with(taken, &wanted, home, |_| by.clone(), free, now);
            assert_eq!(report.to_string(), expected);
        };
        check(
            &[8000, 8080],
            Some(held(true, "/home/ada/old-site")),
            "error[LB001]: port 8000 is in use by `python3` (pid 4242, started 2 h ago in ~/old-site)\n  \
             port 8080 is in use by `python3` (pid 4242, started 2 h ago in ~/old-site)\n  \
             hint: run `lbdev up --ports 9100-9103 --listen 9080`, or stop it: `lbdev down -C ~/old-site`",
        );
        check(
            &[8000],
            Some(held(true, "/home/ada/old site")),
            "error[LB001]: port 8000 is in use by `python3` (pid 4242, started 2 h ago in ~/old site)\n  \
             hint: run `lbdev up --ports 9100-9103`, or stop it: `lbdev down -C '/home/ada/old site'`",
        );
        check(
            &[8080],
            Some(held(false, "/srv")),
            "error[LB001]: port 8080 is in use by `python3` (pid 4242, started 2 h ago in /srv)\n  \
             hint: run `lbdev up --listen 9080`, or stop it: `kill 4242`",
        );
        check(
            &[8001],
            None,
            "error[LB001]: port 8001 is in use by a process of another user\n  \
             hint: run `lbdev up --ports 9100-9103`",
        );
    }
}
