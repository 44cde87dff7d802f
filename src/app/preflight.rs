//! What is checked before anything starts: the ports.

use crate::backend::{BackendId, Kind};
use crate::config::Config;
use crate::error::Report;
use crate::process::ports;
use crate::proxy::{self, BindError, Bound};

/// Binds the balancer's port, and makes sure that nobody listens on the backends' ports. Everything that is taken is
/// reported at once.
pub(super) fn ports(config: &Config) -> Result<Bound, Vec<Report>> {
    let backends = config.services.iter().flat_map(|service| &service.backends);
    let wanted: Vec<u16> =
        backends.filter(|backend| backend.kind == Kind::Managed).filter_map(|backend| backend.id.port()).collect();
    let mut taken: Vec<u16> = wanted.iter().copied().filter(|&port| ports::probe(port).is_err()).collect();
    let bound = proxy::bind(&config.balancer.listen, config.balancer.workers);
    if let Err(BindError::InUse { address }) = &bound {
        taken.push(address.port());
    }
    if !taken.is_empty() {
        return Err(ports::taken_reports(&taken, &wanted, config.balancer.listen.port));
    }
    bound.map_err(|error| vec![error.into()])
}

/// Other ports that the program of this process listens on, if it does not listen on `port`.
pub(super) fn other_ports(pid: u32, port: u16) -> Vec<u16> {
    let listening = ports::listening(pid);
    if listening.contains(&port) { Vec::new() } else { listening }
}

/// What to say of a backend whose program listens, but not on its port.
pub(super) fn listens_elsewhere(id: &BackendId, pid: u32, port: u16) -> Option<Report> {
    let others = other_ports(pid, port);
    (!others.is_empty()).then(|| elsewhere(&id.to_string(), port, &others))
}

pub(super) fn elsewhere(id: &str, port: u16, others: &[u16]) -> Report {
    let others: Vec<String> = others.iter().map(u16::to_string).collect();
    Report::failed("LB012", format!("backend `{id}` listens on port {} instead of {port}", others.join(" and ")))
        .hint("put `{port}` into the command, or let the program read the variable PORT")
}
