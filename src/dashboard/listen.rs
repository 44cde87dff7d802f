//! The dashboard's sockets, bound before anything starts, so that the address that is told is the true one.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::{Dashboard, Listen, ListenHost};

/// So many ports are tried, from the usual one on, where nobody named one.
const TRIES: u16 = 100;

/// Sockets that listen, all on one port.
#[derive(Debug)]
pub struct Bound {
    pub(super) listeners: Vec<TcpListener>,
    /// Where it listens, with the port that was free.
    pub listen: Listen,
}

impl Bound {
    /// What a browser on this machine types. It names an address and not `localhost`: a cookie that an application sets for
    /// that name never comes here.
    pub fn url(&self) -> String {
        let listen = match self.listen.host {
            ListenHost::Localhost => Listen {
                host: ListenHost::Address(self.listeners_address()),
                ..self.listen
            },
            ListenHost::Address(_) => self.listen,
        };
        format!("{}/", listen.url())
    }

    fn listeners_address(&self) -> std::net::IpAddr {
        let first = self.listeners.first().and_then(|one| one.local_addr().ok());
        first.map_or(std::net::Ipv4Addr::LOCALHOST.into(), |address| address.ip())
    }
}

/// Why it cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Unbound {
    /// The port that somebody named is in use, or one of ours.
    #[error("port {port} is in use")]
    InUse {
        /// Which.
        port: u16,
    },
    /// None of the ports that would do is free.
    #[error("no port from {first} to {last} is free")]
    NoneFree {
        /// The first that was tried.
        first: u16,
        /// And the last.
        last: u16,
    },
    /// The machine refuses.
    #[error("cannot listen on {address}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Binds the port that is named, else the next free one. None of `ours` is taken: the balancer and backends are to have them.
///
/// # Errors
/// When the named port is taken, no other is free, or the machine refuses.
pub fn bind(wanted: &Dashboard, ours: &[u16]) -> Result<Bound, Unbound> {
    let first = wanted.listen.port;
    let last = match wanted.named {
        true => first,
        false => first.saturating_add(TRIES - 1),
    };
    for port in first..=last {
        if ours.contains(&port) {
            continue;
        }
        let listen = Listen {
            port,
            ..wanted.listen
        };
        match all(&listen) {
            Ok(listeners) => return Ok(Bound { listeners, listen }),
            Err((_, error)) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err((address, source)) => return Err(Unbound::Other { address, source }),
        }
    }
    Err(match wanted.named {
        true => Unbound::InUse { port: first },
        false => Unbound::NoneFree { first, last },
    })
}

/// Every address, or none. Of the two addresses of `localhost`, one may be missing from the machine.
fn all(listen: &Listen) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for address in listen.addresses() {
        match TcpListener::bind(address).and_then(|one| one.set_nonblocking(true).map(|()| one)) {
            Ok(listener) => listeners.push(listener),
            Err(error)
                if listen.host == ListenHost::Localhost
                    && error.kind() != io::ErrorKind::AddrInUse
                    && error.kind() != io::ErrorKind::PermissionDenied =>
            {
                missing = Some((address, error));
            }
            Err(error) => return Err((address, error)),
        }
    }
    match (listeners.is_empty(), missing) {
        (true, Some(missing)) => Err(missing),
        _ => Ok(listeners),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn wanted(port: u16, named: bool) -> Dashboard {
        let host = ListenHost::Localhost;
        Dashboard {
            listen: Listen { host, port },
            named,
            ..Dashboard::default()
        }
    }

    #[test]
    fn the_next_free_port_is_taken_unless_one_was_named() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        assert!(matches!(
            bind(&wanted(port, true), &[]),
            Err(Unbound::InUse { .. })
        ));
        let bound = bind(&wanted(port, false), &[port + 1]).unwrap();
        assert!(bound.listen.port > port + 1, "{:?}", bound.listen);
        assert_eq!(
            bound.url(),
            format!("http://127.0.0.1:{}/", bound.listen.port)
        );
        // One of ours is not to be had, free as it is.
        let mine = bound.listen.port;
        drop(bound);
        assert!(matches!(
            bind(&wanted(mine, true), &[mine]),
            Err(Unbound::InUse { .. })
        ));
    }
}
