//! From what was read to what is written.

use super::{Commands, Imported, Reader, Report, Service, Site, Upstream, Way, address_of};
use crate::import::draft::{Server, quoted};

impl Reader<'_> {
    pub(super) fn make(mut self, file: &str, commands: &Commands) -> Result<Imported, Report> {
        self.draft();
        if self.draft.services.is_empty() {
            let report = Report::usage(
                "LB054",
                format!("nothing in `{file}` passes requests on to servers"),
            );
            let report = self
                .missed
                .iter()
                .take(5)
                .fold(report, |report, missed| report.detail(missed.to_string()));
            return Err(report
                .hint("give it a file with `upstream NAME { … }` and `proxy_pass http://NAME;`"));
        }
        self.missed
            .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        Ok(Imported {
            text: self.draft.text(file, commands, &self.missed),
            missed: self.missed,
            notes: self.notes,
        })
    }

    /// Everything that was read, put together.
    pub(super) fn draft(&mut self) {
        self.routes();
        let mut balancer = Vec::new();
        if let Some(listen) = self.listen() {
            balancer.push(("listen", quoted(&listen)));
        }
        balancer.extend(self.algorithm());
        let take = |reader: &mut Self, key: &'static str| reader.said.remove(key);
        let table = |pairs: Vec<String>| format!("{{ {} }}", pairs.join(", "));
        balancer.extend(take(self, "retries").map(|value| ("retries", value)));
        let mut retry = Vec::new();
        for key in ["deadline", "non_idempotent", "statuses"] {
            retry.extend(take(self, key).map(|value| format!("{key} = {value}")));
        }
        if !retry.is_empty() {
            balancer.push(("retry", table(retry)));
        }
        match self.passive.as_slice() {
            [(failures, window)] => {
                if let (Ok(failures), Some(window)) =
                    (failures.parse::<u32>(), super::duration(window))
                {
                    let failures = failures.min(1000);
                    let pairs = vec![
                        format!("failures = {failures}"),
                        format!("window = {window}"),
                    ];
                    balancer.push(("passive", table(pairs)));
                }
            }
            [] => {}
            _ => self.notes.push(
                "max_fails and fail_timeout differ from server to server: lbdev has `passive` for all".to_owned(),
            ),
        }
        let mut timeouts = Vec::new();
        for key in ["connect", "client_head", "backend_head", "body", "idle"] {
            timeouts.extend(take(self, key).map(|value| format!("{key} = {value}")));
        }
        if !timeouts.is_empty() {
            balancer.push(("timeouts", table(timeouts)));
        }
        let hosts = self.hosts();
        if !hosts.is_empty() {
            balancer.push(("allow_hosts", format!("[{}]", hosts.join(", "))));
        }
        for key in ["trust_forwarded", "workers"] {
            balancer.extend(take(self, key).map(|value| (key, value)));
        }
        self.draft.balancer = balancer;
    }

    /// One address for all: the first that is listened on.
    fn listen(&mut self) -> Option<String> {
        let (first, at) = self.listens.first().cloned()?;
        let is_port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (host, port) = match first.rsplit_once(':') {
            Some((host, port)) if is_port(port) => (host.to_owned(), port.parse::<u16>().ok()?),
            _ if is_port(&first) => ("*".to_owned(), first.parse().ok()?),
            _ => (first.clone(), 80),
        };
        let ports: Vec<_> = self
            .listens
            .iter()
            .filter(|(address, _)| !address.ends_with(&port.to_string()))
            .cloned()
            .collect();
        for (_, at) in ports {
            self.miss(&at, "lbdev listens on one port");
        }
        let here = matches!(host.as_str(), "127.0.0.1" | "[::1]" | "localhost");
        if !here {
            self.notes.push(format!(
                "`listen {first}` is for every machine around: lbdev listens on localhost unless `listen` says otherwise"
            ));
        }
        let port = match port {
            0..1024 => {
                let other = 8000_u16.saturating_add(port);
                // 80 is 8080 to everybody.
                let other = if port == 80 { 8080 } else { other };
                self.notes.push(format!(
                    "ports below 1024 need rights: {other} stands for {port} (line {})",
                    at.line
                ));
                other
            }
            port => port,
        };
        let both = self
            .listens
            .iter()
            .any(|(address, _)| address.starts_with("127.0.0.1"))
            && self
                .listens
                .iter()
                .any(|(address, _)| address.starts_with("[::1]"));
        Some(match host.as_str() {
            "127.0.0.1" | "[::1]" if !both => format!("{host}:{port}"),
            _ => format!("localhost:{port}"),
        })
    }

    fn algorithm(&mut self) -> Vec<(&'static str, String)> {
        let used: Vec<&Upstream> = (self.order.iter())
            .filter(|name| {
                self.draft
                    .services
                    .iter()
                    .any(|one| one.name == service_name(name))
            })
            .filter_map(|name| self.upstreams.get(name))
            .collect();
        let sticky = used.iter().any(|one| one.sticky);
        let method = used.first().and_then(|one| one.method.clone());
        let others: Vec<_> = (used.iter())
            .filter(|one| one.method != method)
            .filter_map(|one| one.at.clone())
            .collect();
        for at in others {
            self.miss(
                &at,
                "lbdev has one algorithm for all services, the first one's",
            );
        }
        let mut said = Vec::new();
        let mut say = |key, value: &str| said.push((key, quoted(value)));
        match method {
            None => {}
            Some((name, None)) => say(
                "algorithm",
                if name == "random" {
                    "random_two"
                } else {
                    &name
                },
            ),
            Some((_, Some(key))) => {
                say("algorithm", "hash");
                let name =
                    |prefix: &str| key.strip_prefix(prefix).map(|name| name.replace('_', "-"));
                match () {
                    () if key == "$uri" || key == "$request_uri" => {}
                    () if key.starts_with("$http_") => {
                        say(
                            "hash_key",
                            &format!("header:{}", name("$http_").unwrap_or_default()),
                        );
                    }
                    () if key.starts_with("$cookie_") => {
                        say(
                            "hash_key",
                            &format!("cookie:{}", key.trim_start_matches("$cookie_")),
                        );
                    }
                    () => self
                        .notes
                        .push(format!("`hash {key}`: lbdev hashes the path instead")),
                }
            }
        }
        if sticky {
            said.push(("sticky", quoted("cookie")));
        }
        said
    }

    /// Names of a server that answers everything else: besides localhost, lbdev has to be told of them.
    fn hosts(&self) -> Vec<String> {
        let sites = self.sites.iter().enumerate();
        let rest = sites.filter(|(place, site)| self.is_rest(*place, site));
        rest.flat_map(|(_, site)| &site.names)
            .filter(|name| is_host(name) && !name.ends_with("localhost"))
            .map(|name| quoted(name))
            .collect()
    }

    /// The server that gets what is for no other one.
    fn is_rest(&self, place: usize, site: &Site) -> bool {
        match self.sites.iter().any(|site| site.is_default) {
            true => site.is_default,
            false => place == 0,
        }
    }

    fn routes(&mut self) {
        let sites = std::mem::take(&mut self.sites);
        self.sites = sites.iter().map(Site::bare).collect();
        for (place, site) in sites.iter().enumerate() {
            let rest = self.is_rest(place, &self.sites[place]);
            for way in &site.ways {
                let Some(service) = self.service(way) else {
                    continue;
                };
                let mut routes = Vec::new();
                match (rest, way.path.as_str()) {
                    (true, path) => routes.push(path.to_owned()),
                    (false, "/") => {
                        routes.extend(site.names.iter().filter(|name| is_host(name)).cloned());
                    }
                    (false, _) => {
                        self.miss(&way.at, "a route is a host or a path, not both");
                    }
                }
                let known = &mut self.draft.services[service].routes;
                for route in routes {
                    if !known.contains(&route) {
                        known.push(route);
                    }
                }
            }
        }
        let mut taken: Vec<String> = Vec::new();
        for service in &mut self.draft.services {
            service.routes.retain(|route| !taken.contains(route));
            taken.extend(service.routes.iter().cloned());
        }
        self.draft
            .services
            .retain(|service| !service.routes.is_empty());
        let unused: Vec<_> = (self.order.iter())
            .filter(|name| {
                !self
                    .draft
                    .services
                    .iter()
                    .any(|one| one.name == service_name(name))
            })
            .filter_map(|name| self.upstreams.get(name)?.at.clone())
            .collect();
        for at in unused {
            self.miss(
                &at,
                "no location leads to it, or it has no server that lbdev can reach",
            );
        }
        // As they stand in the file.
        let order: Vec<String> = self.order.iter().map(|name| service_name(name)).collect();
        let rank = |service: &Service| order.iter().position(|name| *name == service.name);
        self.draft
            .services
            .sort_by_key(|service| rank(service).unwrap_or(usize::MAX));
    }

    /// The place of the service that a way leads to.
    fn service(&mut self, way: &Way) -> Option<usize> {
        let mut name = service_name(&way.to);
        let mut slow_start = None;
        let servers = match self.upstreams.get(&way.to) {
            Some(upstream) => {
                slow_start.clone_from(&upstream.slow_start);
                upstream.servers.clone()
            }
            None => {
                let Some((host, port)) = address_of(&way.to) else {
                    self.miss(&way.at, "there is no upstream of that name");
                    return None;
                };
                let has_port = way.to.contains(':');
                if !has_port && host != "localhost" && host.parse::<std::net::IpAddr>().is_err() {
                    self.miss(&way.at, "there is no upstream of that name");
                    return None;
                }
                name = format!("port-{port}");
                vec![Server {
                    host,
                    port,
                    weight: 1,
                    backup: false,
                    max_connections: 0,
                }]
            }
        };
        if servers.is_empty() {
            return None;
        }
        let known = self.draft.services.iter().position(|one| one.name == name);
        Some(known.unwrap_or_else(|| {
            let limit = servers[0].max_connections;
            self.draft.services.push(Service {
                name,
                max_connections: limit,
                slow_start,
                servers,
                routes: Vec::new(),
            });
            self.draft.services.len() - 1
        }))
    }
}

impl Site {
    fn bare(&self) -> Site {
        Site {
            names: self.names.clone(),
            is_default: self.is_default,
            ways: Vec::new(),
        }
    }
}

/// A name that `lbdev.toml` takes for a service.
fn service_name(upstream: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || c == '-' || c == '_' {
        true => c,
        false => '_',
    };
    let name: String = upstream.chars().map(plain).take(38).collect();
    match name.starts_with(|c: char| c.is_ascii_alphabetic()) && name != "all" {
        true => name,
        false => format!("s_{name}"),
    }
}

fn is_host(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    name != "_"
        && !name.is_empty()
        && name.chars().all(plain)
        && name.contains(|c: char| c.is_ascii_alphabetic())
}
