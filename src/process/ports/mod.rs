//! Ports: whether one is free, who holds it, and what to say about it.

mod report;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use listeners::{Protocol, SocketState};

use super::{find, os};
pub use report::{Wanted, report};

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
                _ if os::is_no_address_family(&error) => continue,
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

/// Whether nobody listens on `port` of either loopback address, as far as a bind can tell: some microseconds.
pub(super) fn can_be_bound(port: u16) -> bool {
    loopback(port).iter().all(|address| {
        let bound = TcpListener::bind(address);
        bound.map_or_else(|error| error.kind() != io::ErrorKind::AddrInUse, |_| true)
    })
}

/// Every process that listens on `port` and can be seen.
pub(super) fn pids_listening_on(port: u16) -> BTreeSet<u32> {
    listening_now()
        .filter(|(_, taken)| *taken == port)
        .map(|(process, _)| process.pid)
        .collect()
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
        lbdev: backend || process.name.trim_end_matches(".exe") == "lbdev",
        name: process.name,
    })
}

/// The ports that the processes of each run listen on, in order, given its first process: its session and what descends
/// from it. It looks once at every socket of the machine, which takes seconds where there are very many: not for a thread
/// that anybody waits for.
pub fn listening_of_runs(leaders: &[u32]) -> Vec<Vec<u16>> {
    let table = find::Table::without_marks(os::snapshot());
    let all: Vec<(u32, u16)> = listening_now()
        .map(|(process, port)| (process.pid, port))
        .collect();
    let of_run = |&leader: &u32| {
        let scope = find::Scope::Run {
            leader,
            instance: String::new(),
            run: String::new(),
        };
        let members = find::members(&scope, &table);
        let is_member = |pid: u32| members.iter().any(|proc| proc.pid == pid);
        let ports: BTreeSet<u16> = (all.iter())
            .filter(|(pid, _)| is_member(*pid))
            .map(|&(_, port)| port)
            .collect();
        ports.into_iter().collect()
    };
    leaders.iter().map(of_run).collect()
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

#[cfg(test)]
mod tests {
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
            let own = |(process, taken): (listeners::Process, u16)| {
                process.pid == std::process::id() && taken == port
            };
            assert!(listening_now().any(own));
        }
    }

    #[test]
    fn an_address_of_another_machine_is_refused_not_taken() {
        let address = "192.0.2.1:8000".parse().unwrap();
        assert!(matches!(probe(&[address]), Err(PortError::Refused { .. })));
    }
}
