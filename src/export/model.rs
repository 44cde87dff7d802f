//! The set-up as templates see it: texts and numbers, nothing left to work out.

use serde::Serialize;

use super::loss::Losses;
use super::{Run, Target};
use crate::balance::{Algorithm, HashKey, Sticky};
use crate::config::{BackendSpec, Config, ListenHost, Route, Service};

#[derive(Debug, Clone, Serialize)]
pub(super) struct Model {
    /// The project's name, for comments.
    pub project: String,
    /// Its name where only letters, digits and `_` may stand.
    pub ident: String,
    /// Its name where a DNS label is wanted (RFC 1123 §2.1).
    pub label: String,
    /// Where the set-up was taken from.
    pub origin: String,
    /// `127.0.0.1:8080`, `[::1]:8080`.
    pub listen: Vec<String>,
    /// The hosts of these alone.
    pub hosts: Vec<String>,
    pub port: u16,
    pub algorithm: &'static str,
    /// `path`, `header`, `cookie`.
    pub hash: &'static str,
    pub hash_name: String,
    pub sticky: bool,
    pub cookie: String,
    pub retries: u32,
    pub non_idempotent: bool,
    pub statuses: Vec<u16>,
    pub deadline: u64,
    pub failures: u32,
    pub window: u64,
    pub detect: &'static str,
    pub queue_timeout: u64,
    /// All times in milliseconds. Where there is no limit, a day.
    pub connect: u64,
    pub client_head: u64,
    pub backend_head: u64,
    pub body: u64,
    pub idle: u64,
    pub drain: u64,
    pub trust_forwarded: bool,
    pub workers: usize,
    /// The page of the balancer's own, on loopback.
    pub admin: u16,
    /// Services that get requests.
    pub services: Vec<Balanced>,
    /// Hosts of all routes, each with its service.
    pub by_host: Vec<Way>,
    /// Paths of all routes, the longest first.
    pub by_path: Vec<Way>,
    /// Somebody answers what no other route is for.
    pub has_rest: bool,
    /// lbdev runs it by itself, with its files in this folder.
    pub folder: Option<String>,
    pub modules: Option<String>,
    pub as_root: bool,
    /// Filled in at the end: see [`Losses`].
    pub lost: Vec<String>,
    pub differs: Vec<String>,
}

/// One route.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Way {
    /// A host, or a path that does not end in `/`; empty for all paths.
    pub to: String,
    pub service: String,
    pub ident: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Balanced {
    pub name: String,
    pub ident: String,
    pub external: bool,
    pub routes: Vec<String>,
    pub servers: Vec<Server>,
    /// An HTTP check.
    pub path: Option<String>,
    pub interval: u64,
    pub timeout: u64,
    pub rise: u32,
    pub fall: u32,
    pub status_first: u16,
    pub status_last: u16,
    pub body: Option<String>,
    pub slow_start: u64,
    /// The name of its cookie, where clients stick.
    pub cookie: String,
    pub max_connections: u32,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Server {
    /// `web:8000`, for comments.
    pub id: String,
    /// The same, where only letters, digits, `_`, `-` and `:` are.
    pub ident: String,
    /// nginx's expression for what it says it tried last.
    pub pattern: String,
    /// `127.0.0.1:8000`.
    pub address: String,
    pub weight: u32,
    pub backup: bool,
    pub max_connections: u32,
}

impl Model {
    pub(super) fn new(
        config: &Config,
        target: Target,
        run: Option<&Run>,
        losses: &mut Losses<'_>,
    ) -> Self {
        let balancer = &config.balancer;
        let (live, timeouts) = (&balancer.live, &balancer.timeouts);
        let mut addresses = match run {
            Some(run) => run.listen.clone(),
            None => balancer.listen.addresses(),
        };
        if target == Target::Caddy {
            // One site for all: the address says only the port.
            addresses.dedup_by_key(|address| address.ip());
        }
        let (hash, hash_name) = match &live.hash_key {
            HashKey::Path => ("path", String::new()),
            HashKey::Header(name) => ("header", name.clone()),
            HashKey::Cookie(name) => ("cookie", name.clone()),
        };
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        let services: Vec<&Service> = (config.services.iter())
            .filter(|service| !service.routes.is_empty() && !service.backends.is_empty())
            .collect();
        let ident = ident(&config.project);
        let mut model = Self {
            project: config.project.clone(),
            label: label(&config.project),
            origin: config.origin.clone(),
            listen: addresses.iter().map(ToString::to_string).collect(),
            hosts: (addresses.iter())
                .map(|address| match address {
                    std::net::SocketAddr::V4(v4) => v4.ip().to_string(),
                    std::net::SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
                })
                .collect(),
            port: balancer.listen.port,
            algorithm: match live.algorithm {
                // What stands for it where the key cannot be said.
                Algorithm::Hash if !losses.can_hash(&live.hash_key) => Algorithm::LeastConn.name(),
                algorithm => algorithm.name(),
            },
            hash,
            hash_name,
            sticky: live.sticky == Sticky::Cookie,
            cookie: format!("lbdev_{ident}"),
            ident,
            retries: live.retries,
            non_idempotent: balancer.retry.non_idempotent,
            statuses: balancer.retry.statuses.clone(),
            deadline: ms(balancer.retry.deadline),
            failures: balancer.passive.failures,
            window: ms(balancer.passive.window),
            detect: live.detect.name(),
            queue_timeout: ms(balancer.queue_timeout),
            connect: ms(timeouts.connect),
            client_head: ms(timeouts.client_head.unwrap_or(day)),
            backend_head: ms(timeouts.backend_head.unwrap_or(day)),
            body: ms(timeouts.body.unwrap_or(day)),
            idle: ms(timeouts.idle),
            drain: ms(timeouts.drain),
            trust_forwarded: balancer.trust_forwarded,
            workers: balancer.workers,
            admin: run.and_then(|run| run.admin).unwrap_or(admin_port(config)),
            services: services.iter().map(|service| balanced(service)).collect(),
            by_host: Vec::new(),
            by_path: Vec::new(),
            has_rest: false,
            folder: run.map(|run| run.folder.to_string_lossy().into_owned()),
            modules: run
                .and_then(|run| run.modules.as_ref())
                .map(|modules| modules.to_string_lossy().into_owned()),
            as_root: run.is_some_and(|run| run.as_root),
            lost: Vec::new(),
            differs: Vec::new(),
        };
        model.name();
        for service in &mut model.services {
            for (key, text) in [("path", &mut service.path), ("body", &mut service.body)] {
                if text.take_if(|text| !losses.can_quote(text)).is_some() {
                    let name = &service.name;
                    losses.lost(format!(
                        "health.{key} of `{name}`: it cannot be written there"
                    ));
                }
            }
        }
        let (mut by_host, mut by_path) = (Vec::new(), Vec::new());
        for (service, known) in services.iter().zip(&model.services) {
            for route in &service.routes {
                let way = |to: &str| Way {
                    to: to.to_owned(),
                    service: service.name.clone(),
                    ident: known.ident.clone(),
                };
                match route {
                    Route::Host(host) => by_host.push(way(host)),
                    Route::Prefix(path) if losses.can_write(path) => {
                        let way = way(path.trim_end_matches('/'));
                        // `/api` and `/api/` are one path to others: the first has it.
                        match by_path.iter().find(|known: &&Way| known.to == way.to) {
                            None => by_path.push(way),
                            Some(known) if known.service == way.service => {}
                            Some(_) => losses.route(&service.name, route),
                        }
                    }
                    Route::Prefix(_) => losses.route(&service.name, route),
                }
            }
        }
        // A longer path may lie below a shorter one; whoever reads from above takes the first.
        by_path.sort_by_key(|way| std::cmp::Reverse(way.to.len()));
        model.has_rest = by_path.iter().any(|way| way.to.is_empty());
        (model.by_host, model.by_path) = (by_host, by_path);
        model
    }

    /// Gives services names that differ in more than upper and lower case, which nginx does not tell apart.
    fn name(&mut self) {
        let alone = self.services.len() == 1;
        let mut taken = Vec::new();
        for service in &mut self.services {
            let plain = service.name.clone();
            let further = (2..).map(|n| format!("{plain}_{n}"));
            let mut names = std::iter::once(plain.clone()).chain(further);
            let free = names.find(|name| !taken.contains(&name.to_ascii_lowercase()));
            service.ident = free.unwrap_or(plain);
            // As lbdev does it: a service that is alone has the project's.
            service.cookie = match alone {
                true => self.cookie.clone(),
                false => format!("{}_{}", self.cookie, ident(&service.ident)),
            };
            taken.push(service.ident.to_ascii_lowercase());
        }
    }

    /// With what the head of the file says.
    pub(super) fn with(&self, losses: &Losses<'_>) -> Self {
        Self {
            lost: losses.lost.clone(),
            differs: losses.differs.clone(),
            ..self.clone()
        }
    }
}

/// 8404 is what HAProxy's manual has for its page; a backend may be there.
fn admin_port(config: &Config) -> u16 {
    let backends = config.services.iter().flat_map(|service| &service.backends);
    let taken: Vec<u16> = backends
        .filter_map(|backend| backend.id.port())
        .chain([config.balancer.listen.port])
        .collect();
    (8404..).find(|port| !taken.contains(port)).unwrap_or(8404)
}

fn balanced(service: &Service) -> Balanced {
    let first = &service.backends[0];
    let health = &first.health;
    let (status_first, status_last) = health.status.unwrap_or((200, 399));
    Balanced {
        name: service.name.clone(),
        ident: service.name.clone(),
        external: first.kind == crate::backend::Kind::External,
        routes: (service.routes.iter())
            .map(|route| match route {
                Route::Prefix(text) | Route::Host(text) => text.clone(),
            })
            .collect(),
        servers: service.backends.iter().map(server).collect(),
        path: health.path.clone(),
        interval: ms(health.interval),
        timeout: ms(health.timeout),
        rise: health.rise,
        fall: health.fall,
        status_first,
        status_last,
        body: health.body.clone(),
        slow_start: ms(first.slow_start),
        cookie: String::new(),
        max_connections: first.max_connections,
    }
}

fn server(backend: &BackendSpec) -> Server {
    Server {
        id: backend.id.to_string(),
        ident: backend.id.to_string(),
        pattern: backend
            .addresses
            .first()
            .map_or_else(String::new, |address| {
                format!("~(^|[, ]){}$", regex::escape(&address.to_string()))
            }),
        address: (backend.addresses.first()).map_or_else(String::new, ToString::to_string),
        weight: backend.weight,
        backup: backend.backup,
        max_connections: backend.max_connections,
    }
}

/// The hosts that the set-up listens on.
pub(super) fn is_loopback(config: &Config) -> bool {
    match config.balancer.listen.host {
        ListenHost::Localhost => true,
        ListenHost::Address(ip) => ip.is_loopback(),
    }
}

fn ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A name of letters, digits and `_`.
pub(super) fn ident(text: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c,
        false => '_',
    };
    text.chars().map(plain).collect()
}

/// A name that a DNS label can be: lower-case letters, digits and `-`, at most 40 of them, a letter first.
pub(super) fn label(text: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '-',
    };
    let text: String = text.chars().map(plain).collect();
    let text = text.trim_matches('-');
    let text = match text.starts_with(|c: char| c.is_ascii_lowercase()) {
        true => text.to_owned(),
        false => format!("p-{text}"),
    };
    let cut: String = text.chars().take(40).collect();
    cut.trim_matches('-').to_owned()
}
