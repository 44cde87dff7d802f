//! A resolved set-up as a file: `lbdev config`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::environment::{own_variables, project_path};
use super::value::{
    RESTART_MODES, STOP_SIGNALS, budget_text, duration_text, expected_status_text, limit_text,
    listen_text, name_of, ports_text, ready_text, route_text, size_text,
};
use super::words::{Scene, escape};
use super::{
    BackendSpec, Balancer, Command, Config, Dashboard, Need, Origins, Service, Task, WatchMode,
};
use crate::backend::{Kind, Ready};

/// The set-up as an `lbdev.toml` with every default written out. Read again, it is the same set-up.
pub fn render(config: &Config) -> String {
    written(config, &|_| String::new())
}

/// The same, with where each value was said behind it.
pub fn render_with_origins(config: &Config, origins: &Origins) -> String {
    written(config, &|key| format!("  # {}", origins.of(key)))
}

/// What stands behind a key's value.
type Behind<'a> = &'a dyn Fn(&str) -> String;

fn written(config: &Config, behind: Behind<'_>) -> String {
    let mut out = String::new();
    line(
        &mut out,
        &format!("# {}, from {}", config.project, config.origin),
    );
    line(&mut out, &format!("# {}", config.dir.display()));
    for note in &config.notes {
        line(&mut out, &format!("# note: {note}"));
    }
    out.push('\n');
    balancer(&mut out, &config.balancer, behind);
    out.push('\n');
    dashboard(&mut out, &config.dashboard, behind);
    for each in &config.services {
        out.push('\n');
        service(&mut out, config, each, behind);
    }
    out
}

/// One line; a newline within would end a comment.
fn line(out: &mut String, text: &str) {
    out.extend(
        text.chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c }),
    );
    out.push('\n');
}

fn balancer(out: &mut String, balancer: &Balancer, behind: Behind<'_>) {
    let (live, retry, passive) = (&balancer.live, &balancer.retry, &balancer.passive);
    let timeouts = &balancer.timeouts;
    let time = |time: Duration| quoted(&duration_text(time));
    out.push_str("[balancer]\n");
    for (key, value) in [
        ("listen", quoted(&listen_text(balancer.listen))),
        ("algorithm", quoted(live.algorithm.name())),
        ("hash_key", quoted(&live.hash_key.to_string())),
        ("sequence", quoted(live.sequence.name())),
        ("sticky", quoted(live.sticky.name())),
        ("detect", quoted(live.detect.name())),
        ("retries", live.retries.to_string()),
        (
            "retry",
            inline(&[
                ("body", quoted(&size_text(retry.body))),
                ("budget", quoted(&budget_text(retry.budget))),
                ("deadline", time(retry.deadline)),
                ("non_idempotent", retry.non_idempotent.to_string()),
                ("statuses", format!("{:?}", retry.statuses)),
            ]),
        ),
        (
            "queue",
            inline(&[
                ("max", balancer.queue_max.to_string()),
                ("timeout", time(balancer.queue_timeout)),
            ]),
        ),
        ("hold", quoted(&size_text(balancer.hold))),
        (
            "passive",
            inline(&[
                ("failures", passive.failures.to_string()),
                ("window", time(passive.window)),
            ]),
        ),
        (
            "timeouts",
            inline(&[
                ("connect", time(timeouts.connect)),
                ("client_head", quoted(&limit_text(timeouts.client_head))),
                ("backend_head", quoted(&limit_text(timeouts.backend_head))),
                ("body", quoted(&limit_text(timeouts.body))),
                ("idle", time(timeouts.idle)),
                ("drain", time(timeouts.drain)),
            ]),
        ),
        ("allow_hosts", strings(live.allow_hosts.texts().into_iter())),
        ("trust_forwarded", balancer.trust_forwarded.to_string()),
        ("workers", balancer.workers.to_string()),
    ] {
        line(
            out,
            &format!("{key} = {value}{}", behind(&format!("balancer.{key}"))),
        );
    }
}

/// What only an option can say, and what nobody said, stands in comments: read again, it is the same set-up.
fn dashboard(out: &mut String, dashboard: &Dashboard, behind: Behind<'_>) {
    out.push_str("[dashboard]\n");
    let enabled = behind("dashboard.enabled");
    line(out, &format!("enabled = {}{enabled}", dashboard.enabled));
    let mark = match dashboard.named && !dashboard.is_wide() {
        true => "",
        false => "# ",
    };
    let address = quoted(&listen_text(dashboard.listen));
    let listen = behind("dashboard.listen");
    line(out, &format!("{mark}listen = {address}{listen}"));
    if !dashboard.hosts.is_empty() {
        let hosts = dashboard.hosts.join(" and ");
        line(out, &format!("# --dashboard-host {hosts}"));
    }
}

/// An inline table.
fn inline(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k} = {v}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn service(out: &mut String, config: &Config, service: &Service, behind: Behind<'_>) {
    let Some(first) = service.backends.first() else {
        return;
    };
    let ports: Vec<u16> = service
        .backends
        .iter()
        .filter_map(|b| b.id.port())
        .collect();
    // What each may have at once is said for all, and again where one differs.
    let limit = first.max_connections;
    let mut keys: Vec<(&str, String)> = Vec::new();
    match first.kind {
        Kind::External => {
            let servers = service.backends.iter().filter_map(external);
            keys.push(("external", strings(servers)));
        }
        Kind::Managed => {
            let common = common(service);
            match &common {
                Some(command) => keys.extend(command_keys(config, first, command)),
                None => differing(out, service),
            }
            match ports.is_empty() {
                true => keys.push(("replicas", service.backends.len().to_string())),
                false => keys.push(("ports", quoted(&ports_text(&ports)))),
            }
        }
    }
    if !ports.is_empty() {
        let routes = service.routes.iter().map(|r| route_text(r).to_owned());
        keys.push(("routes", strings(routes)));
        keys.push(("health", health(service, first)));
        keys.push(("slow_start", quoted(&duration_text(first.slow_start))));
        keys.push(("max_connections", limit.to_string()));
    }
    if first.kind == Kind::Managed {
        let restart = &first.restart;
        keys.push((
            "restart",
            format!(
                "{{ policy = \"{}\", backoff = \"{}..{}\", max = {} }}",
                name_of(restart.mode, RESTART_MODES),
                duration_text(restart.backoff_min),
                duration_text(restart.backoff_max),
                restart.max
            ),
        ));
        keys.push((
            "stop",
            format!(
                "{{ signal = \"{}\", timeout = \"{}\" }}",
                name_of(first.stop.signal, STOP_SIGNALS),
                duration_text(first.stop.timeout)
            ),
        ));
    }
    keys.extend(around(service, first));
    let _ = writeln!(out, "[services.{}]", service.name);
    for (key, value) in keys {
        let behind = behind(&format!("services.{}.{key}", service.name));
        line(out, &format!("{key} = {value}{behind}"));
    }
    for backend in &service.backends {
        let weight = (backend.weight != 1).then(|| format!("weight = {}", backend.weight));
        let backup = backend.backup.then(|| "backup = true".to_owned());
        let own = backend.max_connections;
        let own = (own != limit).then(|| format!("max_connections = {own}"));
        let said: Vec<String> = weight.into_iter().chain(backup).chain(own).collect();
        if let Some(port) = backend.id.port()
            && !said.is_empty()
        {
            let _ = writeln!(out, "backends.{port} = {{ {} }}", said.join(", "));
        }
    }
}

/// What surrounds the backends, where something does.
fn around(service: &Service, first: &BackendSpec) -> Vec<(&'static str, String)> {
    let mut keys = Vec::new();
    let lines = |tasks: &[Task]| strings(tasks.iter().map(|task| task.line.clone()));
    // Without a port, `http` only means that it runs, which nobody can write.
    if first.ready != Ready::Http {
        keys.push(("ready", quoted(&ready_text(&first.ready))));
    }
    if let Some(watch) = &service.watch {
        keys.push(("watch", strings(watch.patterns.iter().cloned())));
        keys.push(("watch_mode", quoted(name_of(watch.mode, WatchMode::NAMES))));
    }
    for (key, tasks) in [("before", &service.before), ("after", &service.after)] {
        if !tasks.is_empty() {
            keys.push((key, lines(tasks)));
        }
    }
    if !service.needs.is_empty() {
        keys.push(("needs", strings(service.needs.iter().map(Need::to_string))));
    }
    keys
}

/// Commands that no placeholder makes one of, as comments.
fn differing(out: &mut String, service: &Service) {
    line(
        out,
        &format!("# the commands of `{}` differ:", service.name),
    );
    for backend in &service.backends {
        if let Some(command) = &backend.command {
            let words = strings(command.argv.iter().cloned());
            line(out, &format!("# {}: {words}", backend.id));
        }
    }
}

/// One entry of `external`. Of several addresses the port alone means both loopback ones, else the first is it.
fn external(backend: &BackendSpec) -> Option<String> {
    let port = backend.id.port()?;
    match backend.addresses == super::value::loopback(port) {
        true => Some(port.to_string()),
        false => backend.addresses.first().map(ToString::to_string),
    }
}

fn health(service: &Service, first: &BackendSpec) -> String {
    let health = &first.health;
    let paths: Vec<Option<String>> = service
        .backends
        .iter()
        .map(|backend| backend.health.path.clone())
        .collect();
    let general = generalised(service, |number| {
        paths.get(number).cloned().flatten().into_iter().collect()
    });
    let mut pairs = Vec::new();
    if let Some([path]) = general.as_deref() {
        pairs.push(("path", quoted(path)));
        let status = health.status.map(expected_status_text);
        pairs.extend(status.map(|status| ("status", quoted(&status))));
        pairs.extend(health.body.as_deref().map(|body| ("body", quoted(body))));
    }
    pairs.extend([
        ("interval", quoted(&duration_text(health.interval))),
        ("timeout", quoted(&duration_text(health.timeout))),
        ("rise", health.rise.to_string()),
        ("fall", health.fall.to_string()),
    ]);
    inline(&pairs)
}

/// The command that all backends share, with placeholders where they differ.
fn common(service: &Service) -> Option<Command> {
    let commands: Vec<&Command> = service
        .backends
        .iter()
        .filter_map(|backend| backend.command.as_ref())
        .collect();
    let of = |number: usize| commands.get(number).copied();
    let argv = generalised(service, |number| {
        of(number).map(|c| c.argv.clone()).unwrap_or_default()
    })?;
    let first = of(0)?;
    let names: Vec<String> = first.env.iter().map(|(name, _)| name.clone()).collect();
    let values = generalised(service, |number| {
        let env = of(number).map(|c| c.env.as_slice()).unwrap_or_default();
        env.iter()
            .filter(|(name, _)| !is_own(name))
            .map(|(_, value)| value.clone())
            .collect()
    })?;
    let cwd = generalised(service, |number| {
        let cwd = of(number).and_then(|c| c.cwd.to_str());
        cwd.map(str::to_owned).into_iter().collect()
    })?;
    let names = names.into_iter().filter(|name| !is_own(name));
    Some(Command {
        argv,
        env: names.zip(values).collect(),
        cwd: cwd.concat().into(),
        pty: first.pty,
        awaits: None,
    })
}

fn is_own(name: &str) -> bool {
    super::environment::RESERVED.contains(&name)
}

/// Texts with `{port}` and `{index}` such that each backend's own come out; `None` where none were found.
fn generalised(service: &Service, texts: impl Fn(usize) -> Vec<String>) -> Option<Vec<String>> {
    let all: Vec<Vec<String>> = (0..service.backends.len()).map(texts).collect();
    let fits = |place: usize, general: &str| {
        service.backends.iter().zip(&all).all(|(backend, texts)| {
            let scene = Scene {
                port: backend.id.port(),
                index: backend.index,
                python: None,
                lbdev: "",
            };
            scene.fill(general).ok().as_ref() == texts.get(place)
        })
    };
    let first = service.backends.first()?;
    let port = first.id.port().map(|port| port.to_string());
    let index = first.index.to_string();
    let general = |(place, text): (usize, &String)| {
        let plain = escape(text);
        let ported = match &port {
            Some(port) => variants(&plain, port, "{port}"),
            None => vec![plain],
        };
        // As few placeholders as do: the same number can stand there for another reason.
        let mut indexed = ported
            .iter()
            .flat_map(|text| variants(text, &index, "{index}"));
        ported
            .iter()
            .find(|general| fits(place, general))
            .cloned()
            .or_else(|| indexed.find(|general| fits(place, general)))
    };
    all.first()?.iter().enumerate().map(general).collect()
}

/// A text with a placeholder for any of the places where a number stands; the text itself first. Only the first few
/// places count, as their choices double with each.
fn variants(text: &str, number: &str, placeholder: &str) -> Vec<String> {
    const PLACES: usize = 6;
    let places: Vec<usize> = text
        .match_indices(number)
        .map(|(at, _)| at)
        .take(PLACES)
        .collect();
    let with = |chosen: u32| {
        let mut out = String::new();
        let mut done = 0;
        for (bit, &at) in places.iter().enumerate() {
            if chosen & (1 << bit) != 0 {
                out.push_str(&text[done..at]);
                out.push_str(placeholder);
                done = at + number.len();
            }
        }
        out.push_str(&text[done..]);
        out
    };
    (0..1 << places.len()).map(with).collect()
}

/// `command`, `env` and `cwd`, without what lbdev sets by itself.
fn command_keys(
    config: &Config,
    first: &BackendSpec,
    common: &Command,
) -> Vec<(&'static str, String)> {
    let mut keys = vec![("command", strings(common.argv.iter().cloned()))];
    let own = own_variables(&first.id, first.index);
    let shown = common.env.iter().filter(|(name, value)| {
        // `{port}` is what PORT is anyway; a person's own PATH is no part of the set-up.
        let automatic = own.iter().any(|(known, own)| {
            known == name && (own == value || (*known == "PORT" && value == "{port}"))
        });
        !automatic && (name != "PATH" || !is_project_path(&config.dir, value))
    });
    if common.pty {
        keys.push(("pty", "true".to_owned()));
    }
    let shown: Vec<String> = shown
        .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
        .collect();
    if !shown.is_empty() {
        keys.push(("env", format!("{{ {} }}", shown.join(", "))));
    }
    if common.cwd != config.dir {
        keys.push(("cwd", quoted(&common.cwd.to_string_lossy())));
    }
    keys
}

/// Whether PATH is what lbdev itself made of its own PATH for this folder.
fn is_project_path(dir: &Path, value: &str) -> bool {
    let around = super::surroundings::Surroundings::real();
    let python = super::python::find(dir, &around);
    project_path(dir, python.as_ref(), (around.var)("PATH")).as_deref() == Some(value)
}

fn quoted(text: &str) -> String {
    // TOML's own writer might choose a multi-line string, which an inline table cannot hold nicely.
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn strings(texts: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = texts.map(|text| quoted(&text)).collect();
    format!("[{}]", all.join(", "))
}
