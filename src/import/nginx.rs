//! What an nginx.conf means, as far as lbdev can do the same.

use std::collections::BTreeMap;

use super::draft::{Draft, Server, Service, quoted};
use super::lexer::{self, Directive};
use super::{Commands, Imported, Missed};
use crate::error::Report;

/// What lbdev does by itself, or what is nobody's business behind one machine: nothing is lost without them.
const BY_ITSELF: &[&str] = &[
    "access_log",
    "aio",
    "charset",
    "client_body_buffer_size",
    "client_body_temp_path",
    "client_header_buffer_size",
    "client_max_body_size",
    "daemon",
    "default_type",
    "error_log",
    "events",
    "fastcgi_temp_path",
    "include",
    "keepalive",
    "keepalive_requests",
    "large_client_header_buffers",
    "load_module",
    "log_format",
    "master_process",
    "multi_accept",
    "pid",
    "proxy_buffer_size",
    "proxy_buffering",
    "proxy_buffers",
    "proxy_busy_buffers_size",
    "proxy_http_version",
    "proxy_max_temp_file_size",
    "proxy_redirect",
    "proxy_request_buffering",
    "proxy_send_timeout",
    "proxy_temp_path",
    "reset_timedout_connection",
    "scgi_temp_path",
    "send_timeout",
    "sendfile",
    "server_tokens",
    "tcp_nodelay",
    "tcp_nopush",
    "types",
    "types_hash_max_size",
    "use",
    "user",
    "uwsgi_temp_path",
    "worker_connections",
    "worker_rlimit_nofile",
    "zone",
];
/// Fields that lbdev sets to the same.
const OWN_FIELDS: &[&str] = &[
    "host",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "forwarded",
    "upgrade",
    "connection",
];
const NOTHING_LIKE_IT: &str = "left out: lbdev does not read that";
const BROKEN: &str = "read as far as it goes";

/// Reads an nginx.conf. `included` gives the texts of the files that an `include` names.
///
/// # Errors
/// LB054 where nothing in it is passed on to anybody.
pub fn nginx(
    file: &str,
    text: &str,
    commands: &Commands,
    included: &dyn Fn(&str) -> Vec<(String, String)>,
) -> Result<Imported, Report> {
    let mut reader = Reader {
        included,
        ..Reader::new()
    };
    let tree = reader.tree(file, text, 0);
    reader.level(&tree);
    reader.make(file, commands)
}

/// The names of the upstreams that a server's requests go to, with how many servers each has: for those who are asked for
/// a command.
pub fn upstreams(
    file: &str,
    text: &str,
    included: &dyn Fn(&str) -> Vec<(String, String)>,
) -> Vec<(String, usize)> {
    let mut reader = Reader {
        included,
        ..Reader::new()
    };
    let tree = reader.tree(file, text, 0);
    reader.level(&tree);
    reader.draft();
    let services = reader.draft.services.iter();
    services
        .map(|one| (one.name.clone(), one.servers.len()))
        .collect()
}

#[derive(Debug, Default)]
struct Upstream {
    servers: Vec<Server>,
    /// `least_conn`, with what it goes by.
    method: Option<(String, Option<String>)>,
    sticky: bool,
    /// As `lbdev.toml` has it, quoted.
    slow_start: Option<String>,
    at: Option<Directive>,
}

/// A `location` that passes on, or a whole server.
#[derive(Debug)]
struct Way {
    path: String,
    to: String,
    at: Directive,
}

#[derive(Debug, Default)]
struct Site {
    names: Vec<String>,
    is_default: bool,
    ways: Vec<Way>,
}

struct Reader<'a> {
    included: &'a dyn Fn(&str) -> Vec<(String, String)>,
    upstreams: BTreeMap<String, Upstream>,
    order: Vec<String>,
    sites: Vec<Site>,
    listens: Vec<(String, Directive)>,
    /// Settings of the balancer by key, the first that was said.
    said: BTreeMap<&'static str, String>,
    passive: Vec<(String, String)>,
    missed: Vec<Missed>,
    notes: Vec<String>,
    draft: Draft,
}

impl Reader<'_> {
    fn new() -> Self {
        Self {
            included: &|_| Vec::new(),
            upstreams: BTreeMap::new(),
            order: Vec::new(),
            sites: Vec::new(),
            listens: Vec::new(),
            said: BTreeMap::new(),
            passive: Vec::new(),
            missed: Vec::new(),
            notes: Vec::new(),
            draft: Draft::default(),
        }
    }

    /// A file's directives, with those of the files that it includes in their place.
    fn tree(&mut self, file: &str, text: &str, depth: usize) -> Vec<Directive> {
        let (tree, flaws) = lexer::read(file, text);
        for flaw in flaws {
            self.missed.push(Missed {
                file: file.to_owned(),
                line: flaw.line,
                said: flaw.what.to_owned(),
                why: BROKEN,
            });
        }
        self.with_includes(tree, depth)
    }

    fn with_includes(&mut self, tree: Vec<Directive>, depth: usize) -> Vec<Directive> {
        let mut all = Vec::new();
        for mut one in tree {
            let name = one.arguments().first().cloned().unwrap_or_default();
            let of_types = name.ends_with("mime.types") || name.contains("modules-enabled");
            if one.name() == "include" && !of_types && depth < 8 {
                let files = (self.included)(&name);
                if files.is_empty() && !name.contains('*') {
                    self.miss(&one, "there is no such file");
                }
                for (file, text) in files {
                    let inner = self.tree(&file, &text, depth + 1);
                    all.extend(inner);
                }
                continue;
            }
            if let Some(block) = one.block.take() {
                one.block = Some(self.with_includes(block, depth));
            }
            all.push(one);
        }
        all
    }

    fn miss(&mut self, one: &Directive, why: &'static str) {
        self.missed.push(Missed {
            file: one.file.clone(),
            line: one.line,
            said: match &one.block {
                Some(_) => format!("{} {{…}}", one.said()),
                None => one.said(),
            },
            why,
        });
    }

    /// The outermost level, `http`, and whatever stands where a brace was forgotten.
    fn level(&mut self, tree: &[Directive]) {
        for one in tree {
            match (one.name(), &one.block) {
                ("http", Some(inner)) => self.level(inner),
                ("upstream", Some(inner)) => self.upstream(one, inner),
                ("server", Some(inner)) => self.server(inner),
                ("map", Some(_)) => self.map(one),
                ("add_header", None) if one.said().contains("$lbdev_set_cookie") => {}
                _ => self.setting(one),
            }
        }
    }

    /// Maps of variables that lbdev needs not: those of an upgrade, and those that `lbdev export` wrote.
    fn map(&mut self, one: &Directive) {
        let [from, to] = one.arguments() else {
            return self.miss(one, NOTHING_LIKE_IT);
        };
        let ours = to.starts_with("$lbdev_") || to == "$connection_upgrade";
        if !ours && from != "$http_upgrade" {
            self.miss(one, NOTHING_LIKE_IT);
        }
    }

    fn upstream(&mut self, one: &Directive, inner: &[Directive]) {
        let name = one.arguments().first().cloned().unwrap_or_default();
        let mut upstream = Upstream {
            at: Some(one.clone()),
            ..Upstream::default()
        };
        // A brace that was forgotten: what is no part of an upstream is on the level of `http`.
        let mut outer = Vec::new();
        for one in inner {
            let arguments = one.arguments();
            match (one.name(), &one.block) {
                ("server", None) => self.member(one, &mut upstream),
                ("least_conn" | "ip_hash" | "random", None) => {
                    upstream.method = Some((one.name().to_owned(), None));
                }
                ("hash", None) => {
                    let key = arguments.first().cloned().unwrap_or_default();
                    match key == "$lbdev_client" {
                        true => upstream.sticky = true,
                        false => upstream.method = Some(("hash".to_owned(), Some(key))),
                    }
                }
                ("sticky", None) if arguments.first().is_some_and(|how| how == "cookie") => {
                    upstream.sticky = true;
                }
                (_, Some(_)) => outer.push(one.clone()),
                (name, None) if BY_ITSELF.contains(&name) || name == "keepalive_timeout" => {}
                (_, None) => self.miss(one, NOTHING_LIKE_IT),
            }
        }
        if self.upstreams.contains_key(&name) {
            self.miss(one, "there is one of this name already");
        } else {
            self.order.push(name.clone());
            self.upstreams.insert(name, upstream);
        }
        self.level(&outer);
    }

    fn member(&mut self, one: &Directive, upstream: &mut Upstream) {
        let Some(address) = one.arguments().first() else {
            return self.miss(one, "it has no address");
        };
        let Some((host, port)) = address_of(address) else {
            return self.miss(one, "lbdev connects to addresses with ports only");
        };
        let mut server = Server {
            host,
            port,
            weight: 1,
            backup: false,
            max_connections: 0,
        };
        let (mut fails, mut time) = (None, None);
        for word in &one.arguments()[1..] {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match (key, value.parse::<u32>()) {
                ("weight", Ok(weight)) => server.weight = weight.min(256),
                ("max_conns", Ok(most)) => server.max_connections = most.min(65_535),
                ("max_fails", Ok(_)) => fails = Some(value.to_owned()),
                ("fail_timeout", _) => time = Some(value.to_owned()),
                ("slow_start", _) if duration(value).is_some() => {
                    upstream.slow_start = duration(value)
                }
                ("backup", _) => server.backup = true,
                ("down", _) => server.weight = 0,
                ("resolve", _) => {}
                _ => {
                    let word = Directive {
                        words: vec![word.clone()],
                        ..one.clone()
                    };
                    self.miss(&word, NOTHING_LIKE_IT);
                }
            }
        }
        if upstream.servers.iter().any(|other| other.port == port) {
            return self.miss(
                one,
                "a service's backends differ by their ports, and this one is there already",
            );
        }
        if fails.is_some() || time.is_some() {
            let pair = (
                fails.unwrap_or_else(|| "1".to_owned()),
                time.unwrap_or_else(|| "10s".to_owned()),
            );
            if !self.passive.contains(&pair) {
                self.passive.push(pair);
            }
        }
        upstream.servers.push(server);
    }

    fn server(&mut self, inner: &[Directive]) {
        let mut site = Site::default();
        for one in inner {
            let arguments = one.arguments();
            match (one.name(), &one.block) {
                ("listen", None) => {
                    let is = |what: &str| arguments.iter().any(|word| word == what);
                    site.is_default |= is("default_server");
                    match arguments.first() {
                        _ if is("ssl") || is("quic") => {
                            self.miss(one, "lbdev has no TLS: it is for the own machine")
                        }
                        Some(address) => self.listens.push((address.clone(), one.clone())),
                        None => self.miss(one, "it has no address"),
                    }
                }
                ("server_name", None) => site.names.extend(arguments.iter().cloned()),
                ("location", Some(inner)) => self.location(one, inner, &mut site),
                // A brace that was forgotten.
                ("upstream" | "server", Some(_)) => self.level(std::slice::from_ref(one)),
                ("proxy_pass", None) => {
                    if let Some(to) = self.passed(one, "/") {
                        let at = one.clone();
                        let path = "/".to_owned();
                        site.ways.push(Way { path, to, at });
                    }
                }
                _ => self.setting(one),
            }
        }
        self.sites.push(site);
    }

    fn location(&mut self, one: &Directive, inner: &[Directive], site: &mut Site) {
        let path = match one.arguments() {
            [path] if path.starts_with('/') => path,
            [how, path] if matches!(how.as_str(), "=" | "^~") && path.starts_with('/') => path,
            _ => return self.miss(one, "a route is a beginning of a path, not an expression"),
        };
        let mut passes = false;
        for one in inner {
            let is_answer = one.name() == "return" && path == "/";
            match (one.name(), &one.block) {
                ("proxy_pass", None) => {
                    passes = true;
                    if let Some(to) = self.passed(one, path) {
                        let path = match path.trim_end_matches('/') {
                            "" => "/".to_owned(),
                            plain => plain.to_owned(),
                        };
                        let at = one.clone();
                        site.ways.push(Way { path, to, at });
                    }
                }
                // Where no route fits, lbdev says 404 as well.
                ("return", None) if is_answer && one.arguments() == ["404"] => passes = true,
                ("location", Some(inner)) => self.location(one, inner, site),
                ("upstream" | "server", Some(_)) => self.level(std::slice::from_ref(one)),
                _ => self.setting(one),
            }
        }
        if !passes {
            self.miss(
                one,
                "nothing in it passes requests on: serve that from your application",
            );
        }
    }

    /// Where a `proxy_pass` leads.
    fn passed(&mut self, one: &Directive, location: &str) -> Option<String> {
        let to = one.arguments().first()?;
        let Some(rest) = to.strip_prefix("http://") else {
            self.miss(one, "lbdev speaks HTTP to backends");
            return None;
        };
        let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if to.contains('$') {
            self.miss(one, "where it leads is known to nginx only");
            return None;
        }
        // What stands behind the name takes the place of the location's path.
        if !path.is_empty() && path != location {
            self.miss(one, "it changes the path, which lbdev passes on as it is");
            return None;
        }
        Some(name.to_owned())
    }

    /// What is said about the balancer as a whole.
    fn setting(&mut self, one: &Directive) {
        let arguments = one.arguments();
        let first = arguments.first().map_or("", String::as_str);
        let time = |key: &'static str, reader: &mut Self| match duration(first) {
            Some(text) => {
                reader.said.entry(key).or_insert(text);
            }
            None => reader.miss(one, "that is no time"),
        };
        match one.name() {
            "worker_processes" => {
                if let Some(workers) = first.parse::<u32>().ok().filter(|n| (2..=64).contains(n)) {
                    self.said.entry("workers").or_insert(workers.to_string());
                }
            }
            "proxy_connect_timeout" => time("connect", self),
            "proxy_read_timeout" => time("backend_head", self),
            "client_header_timeout" => time("client_head", self),
            "client_body_timeout" => time("body", self),
            "keepalive_timeout" => time("idle", self),
            "proxy_next_upstream_timeout" => time("deadline", self),
            "proxy_next_upstream_tries" => {
                if let Ok(tries) = first.parse::<u32>()
                    && tries > 0
                {
                    let retries = (tries - 1).min(100).to_string();
                    self.said.entry("retries").or_insert(retries);
                }
            }
            "proxy_next_upstream" => self.next_upstream(one),
            "proxy_set_header" => {
                let name = first.to_ascii_lowercase();
                let value = arguments.get(1).map_or("", String::as_str);
                if name == "x-forwarded-for" && value == "$proxy_add_x_forwarded_for" {
                    self.said.insert("trust_forwarded", "true".to_owned());
                }
                if !OWN_FIELDS.contains(&name.as_str()) {
                    self.miss(one, "fields of its own lbdev does not add");
                }
            }
            name if BY_ITSELF.contains(&name) || name.starts_with("gzip") => {}
            "" => {}
            _ => self.miss(one, NOTHING_LIKE_IT),
        }
    }

    fn next_upstream(&mut self, one: &Directive) {
        let mut statuses = Vec::new();
        for word in one.arguments() {
            match word.as_str() {
                "off" => {
                    self.said.insert("retries", "0".to_owned());
                }
                "non_idempotent" => {
                    self.said.insert("non_idempotent", "true".to_owned());
                }
                "http_502" | "http_503" | "http_504" => statuses.push(word[5..].to_owned()),
                "error" | "timeout" | "invalid_header" => {}
                _ => self.miss(one, "lbdev tries again after failures, 502, 503 and 504"),
            }
        }
        if !statuses.is_empty() {
            let list = format!("[{}]", statuses.join(", "));
            self.said.entry("statuses").or_insert(list);
        }
    }
}

mod making;

/// The host and the port of a server; without a port it is 80, as nginx has it.
fn address_of(text: &str) -> Option<(String, u16)> {
    if text.starts_with("unix:") || text.contains('$') {
        return None;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, 80),
    };
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    (port != 0 && !host.is_empty() && host.chars().all(plain)).then(|| (host.to_owned(), port))
}

/// nginx's times (`60`, `60s`, `1m30s`, `500ms`, `1d`) as lbdev writes them, where it can.
fn duration(text: &str) -> Option<String> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(unit.len());
        let each = match unit[..end].trim() {
            "ms" => 1,
            "s" | "" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(each)?)?;
        rest = &unit[end..];
    }
    // A day is the longest that lbdev takes; no limit is a day when exported.
    if text.is_empty() || total > 86_400_000 {
        return None;
    }
    Some(match total {
        86_400_000 => quoted("off"),
        total if total % 1000 == 0 => quoted(&format!("{}s", total / 1000)),
        total => quoted(&format!("{total}ms")),
    })
}
