//! Sockets that clients connect to, bound before anything else starts, so that a taken port costs nothing.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::config::{Listen, ListenHost};
use crate::error::Report;

/// Connections the kernel completes before they are accepted. Linux caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Whether a connection has the options of the socket that accepted it, which saves a system call for each (Linux copies
/// the whole of the listening socket).
pub(super) const NODELAY_INHERITED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Whether the kernel spreads connections over sockets that share a port. Elsewhere the workers share one socket.
const KERNEL_SPREADS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Why the balancer cannot listen.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("port {} is in use", address.port())]
    InUse {
        /// The address that is taken.
        address: SocketAddr,
    },
    /// The port needs a privilege.
    #[error("no permission to listen on {address}")]
    Denied {
        /// The address.
        address: SocketAddr,
    },
    /// The machine does not have the address.
    #[error("{address} is not an address of this machine")]
    NoSuchAddress {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the machine said.
        #[source]
        source: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            io::ErrorKind::PermissionDenied => BindError::Denied { address },
            io::ErrorKind::AddrNotAvailable => BindError::NoSuchAddress { address },
            // A machine without IPv6 does not know the address family at all.
            io::ErrorKind::Unsupported => BindError::NoSuchAddress { address },
            _ if is_no_family(&source) => BindError::NoSuchAddress { address },
            _ => BindError::Other { address, source },
        }
    }

    /// The address it is about.
    pub fn address(&self) -> SocketAddr {
        match self {
            BindError::InUse { address }
            | BindError::Denied { address }
            | BindError::NoSuchAddress { address }
            | BindError::Other { address, .. } => *address,
        }
    }
}

#[cfg(unix)]
fn is_no_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(not(unix))]
fn is_no_family(_: &io::Error) -> bool {
    false
}

impl From<BindError> for Report {
    fn from(error: BindError) -> Self {
        let message = error.to_string();
        match error {
            BindError::InUse { address } => Report::failed("LB001", message).hint(format!(
                "run `lbdev up --listen {}`",
                address.port().checked_add(1).unwrap_or(8080)
            )),
            BindError::Denied { .. } => Report::failed("LB008", message)
                .hint("run `lbdev up --listen 8080`: ports below 1024 need a privilege"),
            BindError::NoSuchAddress { .. } => {
                Report::failed("LB008", message).hint("run `lbdev up --listen localhost:8080`")
            }
            BindError::Other { source, .. } => {
                Report::failed("LB008", message).detail(source.to_string())
            }
        }
    }
}

/// Sockets that listen, one set for each worker. Connections that come before [`super::start`] wait in the kernel.
#[derive(Debug)]
pub struct Bound {
    pub(super) workers: Vec<Vec<TcpListener>>,
    addresses: Vec<SocketAddr>,
    notes: Vec<String>,
}

impl Bound {
    /// Where clients connect. With port 0 in the configuration, these have the port that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses alone: somebody else is to listen there, from now on.
    pub fn let_go(&mut self) {
        self.workers.clear();
    }

    /// For the person: an address that the machine does not have.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Binds every address of `listen`, `workers` times each.
///
/// # Errors
/// When an address is taken or refused. Of the two addresses of `localhost`, one may be missing from the machine.
pub fn bind(listen: &Listen, workers: usize) -> Result<Bound, BindError> {
    let workers = workers.max(1);
    let mut bound = Bound {
        workers: (0..workers).map(|_| Vec::new()).collect(),
        addresses: Vec::new(),
        notes: Vec::new(),
    };
    let mut missing = None;
    for mut address in listen.addresses() {
        if address.port() == 0
            && let Some(first) = bound.addresses.first()
        {
            address.set_port(first.port());
        }
        match bind_one(address, workers) {
            Ok((address, sockets)) => {
                bound.addresses.push(address);
                for (set, socket) in bound.workers.iter_mut().zip(sockets) {
                    set.push(socket);
                }
            }
            Err(error @ BindError::NoSuchAddress { .. })
                if listen.host == ListenHost::Localhost =>
            {
                bound
                    .notes
                    .push(format!("not listening on {address}: {error}"));
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if bound.addresses.is_empty() => Err(error),
        Some(_) | None => Ok(bound),
    }
}

fn bind_one(
    address: SocketAddr,
    workers: usize,
) -> Result<(SocketAddr, Vec<TcpListener>), BindError> {
    let fail = |source| BindError::new(address, source);
    // Bound alone first: a socket that shares its port would join a stranger's that shares it too.
    let alone = socket(address, false).map_err(fail)?;
    let address = alone.local_addr().map_err(fail)?;
    if workers == 1 {
        return Ok((address, vec![alone]));
    }
    let fail = |source| BindError::new(address, source);
    if !KERNEL_SPREADS {
        let mut sockets = vec![alone];
        for _ in 1..workers {
            let copy = sockets[0].try_clone().map_err(fail)?;
            sockets.push(copy);
        }
        return Ok((address, sockets));
    }
    drop(alone);
    let sockets = (0..workers)
        .map(|_| socket(address, true).map_err(fail))
        .collect::<Result<_, _>>()?;
    Ok((address, sockets))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // `::1` and `::` are these and nothing else: IPv4 has an own socket.
        socket.set_only_v6(true)?;
    }
    reuse(&socket, shared)?;
    if NODELAY_INHERITED {
        socket.set_tcp_nodelay(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// On Unix a port whose last connections linger is free, and a shared one is shared.
#[cfg(unix)]
fn reuse(socket: &Socket, shared: bool) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    Ok(())
}

/// On Windows `SO_REUSEADDR` would take the port from whoever has it.
#[cfg(not(unix))]
fn reuse(_: &Socket, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, TcpStream};

    use super::*;

    fn listen(host: ListenHost, port: u16) -> Listen {
        Listen { host, port }
    }

    #[test]
    fn localhost_has_one_port_on_every_address_and_every_worker() {
        for workers in [1, 3] {
            let bound = bind(&listen(ListenHost::Localhost, 0), workers).unwrap();
            let port = bound.addresses()[0].port();
            assert_ne!(port, 0);
            assert_eq!(bound.workers.len(), workers);
            assert_eq!(bound.addresses().len() + bound.notes().len(), 2);
            for &address in bound.addresses() {
                assert_eq!(address.port(), port);
                TcpStream::connect(address).unwrap();
            }
        }
    }

    #[test]
    fn a_taken_port_is_named_whoever_shares_it() {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let first = bind(&listen(ListenHost::Address(address), 0), 2).unwrap();
        let port = first.addresses()[0].port();
        for workers in [1, 2] {
            for host in [ListenHost::Address(address), ListenHost::Localhost] {
                let error = bind(&listen(host, port), workers).unwrap_err();
                assert!(matches!(error, BindError::InUse { .. }), "{error:?}");
                assert_eq!(error.address(), first.addresses()[0]);
                let report = Report::from(error);
                assert_eq!(report.code, "LB001");
            }
        }
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        let elsewhere = ListenHost::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(matches!(
            bind(&listen(elsewhere, 0), 1).unwrap_err(),
            BindError::NoSuchAddress { .. }
        ));
    }
}
