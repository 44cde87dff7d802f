//! What is checked before anything starts: the ports.

use crate::backend::Kind;
use crate::config::Config;
use crate::dashboard::{self, Unbound};
use crate::error::Report;
use crate::instance;
use crate::process::ports::{self, PortError, Wanted};
use crate::proxy::{self, BindError, Bound};
use crate::ui::units::ranges;

/// Binds the balancer's port, and makes sure that nobody listens on the backends' ports. Everything that is taken is
/// reported at once.
pub(super) fn ports(config: &Config, command: String) -> Result<Bound, Vec<Report>> {
    let wanted = Wanted {
        command,
        backends: managed_ports(config),
        listen: Some(config.balancer.listen.port),
    };
    let home = instance::home();
    let mut taken = Vec::new();
    let mut refused = Vec::new();
    for &port in &wanted.backends {
        match ports::probe(&ports::loopback(port)) {
            Ok(()) => {}
            Err(PortError::Taken { port }) => taken.push(port),
            Err(error @ PortError::Refused { .. }) => {
                refused.push(error.report(&wanted, home.as_deref()));
            }
        }
    }
    let bound = proxy::bind(&config.balancer.listen, config.balancer.workers);
    if let Err(BindError::InUse { address }) = &bound {
        taken.push(address.port());
    }
    if !taken.is_empty() {
        return Err(vec![ports::report(&taken, &wanted, home.as_deref())]);
    }
    match (bound, refused.is_empty()) {
        (Ok(bound), true) => Ok(bound),
        (Ok(_), false) => Err(refused),
        (Err(error), _) => {
            refused.push(error.into());
            Err(refused)
        }
    }
}

/// Binds the dashboard's port, where there is to be one. Without one it goes on, unless somebody said which.
pub(super) fn page(config: &Config, typed: &str) -> Result<Page, Report> {
    let wanted = &config.dashboard;
    if !wanted.enabled {
        return Ok(Page::default());
    }
    let mut ours = managed_ports(config);
    ours.push(config.balancer.listen.port);
    let error = match dashboard::bind(wanted, &ours) {
        Ok(bound) => {
            return Ok(Page {
                bound: Some(bound),
                note: None,
            });
        }
        Err(error) => error,
    };
    let code = match &error {
        Unbound::InUse { .. } | Unbound::NoneFree { .. } => "LB001",
        Unbound::Other { .. } => "LB008",
    };
    let why = match &error {
        Unbound::InUse { port } if ours.contains(port) => {
            format!("port {port} is wanted by the dashboard and by the balancer or a backend")
        }
        Unbound::Other { source, .. } => format!("the dashboard {error}: {source}"),
        error => format!("the dashboard cannot be there: {error}"),
    };
    match wanted.named {
        true => Err(Report::failed(code, why).hint(format!(
            "run `{typed} --no-dashboard`, or name another port with `--dashboard-listen`"
        ))),
        false => Ok(Page {
            bound: None,
            note: Some(format!("there is no dashboard this time: {why}")),
        }),
    }
}

/// The dashboard's sockets, or why there are none.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) bound: Option<dashboard::Bound>,
    pub(super) note: Option<String>,
}

/// Makes sure that nobody listens on these ports.
pub(super) fn free(wanted: &[u16]) -> Result<(), Report> {
    let asked = Wanted {
        command: "lbdev reload".to_owned(),
        backends: wanted.to_vec(),
        listen: None,
    };
    let home = instance::home();
    let mut taken = Vec::new();
    for &port in wanted {
        match ports::probe(&ports::loopback(port)) {
            Ok(()) => {}
            Err(PortError::Taken { port }) => taken.push(port),
            Err(error @ PortError::Refused { .. }) => {
                return Err(error.report(&asked, home.as_deref()));
            }
        }
    }
    match taken.is_empty() {
        true => Ok(()),
        false => Err(ports::report(&taken, &asked, home.as_deref())),
    }
}

pub(super) fn managed_ports(config: &Config) -> Vec<u16> {
    let backends = config.services.iter().flat_map(|service| &service.backends);
    backends
        .filter(|backend| backend.kind == Kind::Managed)
        .filter_map(|backend| backend.id.port())
        .collect()
}

/// What was found to be in order, in one line: `ports 8000-8003, 8080 are free`.
pub(super) fn said(config: &Config) -> String {
    let mut all = managed_ports(config);
    all.push(config.balancer.listen.port);
    let (plural, are) = if all.len() == 1 {
        ("", "is")
    } else {
        ("s", "are")
    };
    format!("port{plural} {} {are} free", ranges(&all))
}

/// Of each backend, given the first process and its port: the ports that its program listens on instead of that one. Found
/// out on a thread of its own, since it can take long.
pub(super) async fn other_ports(backends: Vec<(u32, u16)>) -> Vec<Vec<u16>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let count = backends.len();
    std::thread::spawn(move || {
        let leaders: Vec<u32> = backends.iter().map(|(pid, _)| *pid).collect();
        let mut found = ports::listening_of_runs(&leaders);
        for (listening, (_, port)) in found.iter_mut().zip(&backends) {
            if listening.contains(port) {
                listening.clear();
            }
        }
        // Nobody may want to know any more.
        let _ = tell.send(found);
    });
    told.await.unwrap_or_else(|_| vec![Vec::new(); count])
}

pub(super) fn elsewhere(id: &str, port: u16, others: &[u16]) -> Report {
    let others: Vec<String> = others.iter().map(u16::to_string).collect();
    Report::failed(
        "LB012",
        format!(
            "backend `{id}` listens on port {} instead of {port}",
            others.join(" and ")
        ),
    )
    .hint("put `{port}` into the command, or let the program read the variable PORT")
}
