//! Which ports the backends of a set-up get, and whether they get in each other's way.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use super::problem::{At, Fault, Problem, Where};
use super::{BackendSpec, Listen, ListenHost, Service};

/// The first `count` of a list; where it is shorter, on from its last.
pub(super) fn first(list: &[u16], count: usize) -> Result<Vec<u16>, Problem> {
    let mut ports: Vec<u16> = list.iter().copied().take(count).collect();
    let end = || Problem::PortsEnd {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        first: list.first().copied().unwrap_or_default(),
    };
    let mut next = list.iter().copied().max();
    while ports.len() < count {
        let port = next.and_then(|port| port.checked_add(1)).ok_or_else(end)?;
        ports.push(port);
        next = Some(port);
    }
    Ok(ports)
}

/// Ports that nobody listens on, on either loopback address, and that are not in `avoid`.
pub(super) fn free(count: usize, avoid: &[u16]) -> Option<Vec<u16>> {
    // All are held until the last is found: the system would give the same one again.
    let mut held = Vec::new();
    let mut ports = Vec::new();
    // Twice over: some are taken on the other address, some are to be avoided.
    for _ in 0..(count + avoid.len()) * 2 + 16 {
        if ports.len() == count {
            break;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let port = listener.local_addr().ok()?.port();
        // A machine without IPv6 refuses with another error, and that is fine.
        let other = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        let taken = matches!(&other, Err(error) if error.kind() == std::io::ErrorKind::AddrInUse);
        if !taken && !avoid.contains(&port) {
            ports.push(port);
        }
        held.push((listener, other));
    }
    // Rising, so that 1, 2, 3 on screen go with the ports.
    ports.sort_unstable();
    (ports.len() == count).then_some(ports)
}

/// Every port that two of us would want on this machine.
pub(super) fn clashes(listen: &At<Listen>, services: &[(Service, Where)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut seen: Vec<(u16, &BackendSpec)> = Vec::new();
    let every = services
        .iter()
        .flat_map(|(service, at)| service.backends.iter().map(move |backend| (backend, at)));
    for (backend, at) in every {
        let Some(port) = backend.id.port() else {
            continue;
        };
        if !is_here(backend) {
            continue;
        }
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == port) {
            let problem = Problem::SamePort {
                port,
                first: first.id.to_string(),
                second: backend.id.to_string(),
            };
            faults.push(Fault {
                at: at.clone(),
                problem,
            });
        }
        if port == listen.value.port && listens_here(&listen.value) {
            let problem = Problem::ListenPort {
                port,
                backend: backend.id.to_string(),
                free: unused(services),
            };
            faults.push(Fault {
                at: match listen.at {
                    Where::Nowhere => at.clone(),
                    _ => listen.at.clone(),
                },
                problem,
            });
        }
        seen.push((port, backend));
    }
    faults
}

fn is_here(backend: &BackendSpec) -> bool {
    backend.addresses.iter().any(|a| a.ip().is_loopback())
}

fn listens_here(listen: &Listen) -> bool {
    match listen.host {
        ListenHost::Localhost => true,
        ListenHost::Address(ip) => ip.is_loopback() || ip.is_unspecified(),
    }
}

/// A port for the hint, above all of ours.
fn unused(services: &[(Service, Where)]) -> Option<u16> {
    let used = services
        .iter()
        .flat_map(|(service, _)| service.backends.iter().filter_map(|b| b.id.port()));
    let used: Vec<u16> = used.collect();
    (8080..=u16::MAX).find(|port| !used.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_where_it_starts() {
        #[track_caller]
        fn check(list: &[u16], count: usize, wanted: Option<&[u16]>) {
            assert_eq!(first(list, count).ok().as_deref(), wanted);
        }
        let range = [8000, 8001, 8002, 8003];
        check(&range, 2, Some(&[8000, 8001]));
        check(&range, 6, Some(&[8000, 8001, 8002, 8003, 8004, 8005]));
        check(&[8000, 8005], 3, Some(&[8000, 8005, 8006]));
        check(&[65535], 2, None);
    }

    #[test]
    fn free_ports_are_distinct_and_rising() {
        let ports = free(5, &[]).unwrap();
        assert_eq!(ports.len(), 5);
        assert!(ports.is_sorted_by(|a, b| a < b));
    }
}
