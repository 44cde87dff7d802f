//! From what was asked to what is meant: finds the source of the set-up, lets the flags overrule it, fills in every
//! default, and tells every error at once.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::choice::choose;
use super::defaults::{FILE, LISTEN};
use super::draft::{BalancerDraft, Draft, PortsDraft, ServiceDraft};
use super::environment::project_path;
use super::origins::Origins;
use super::problem::{At, Fault, Problem, Source, Where, reports};
use super::python::{self};
use super::request::Request;
use super::service::{self, Kitchen};
use super::surroundings::Surroundings;
use super::value::route_text;
use super::{Balancer, Config, Dashboard, HostList, Route, Service, flags, needs, ports};
use crate::error::Report;

/// Resolves what a person asked for.
///
/// # Errors
/// Everything that is wrong, at once: errors in the file by their place, then those of flags, then the rest.
pub fn resolve(request: &Request) -> Result<Config, Vec<Report>> {
    resolve_in(request, &Surroundings::real())
}

/// What a text would mean if it were the `lbdev.toml` of this folder.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn resolve_text(dir: &Path, text: &str) -> Result<Config, Vec<Report>> {
    let request = Request {
        dir: dir.to_owned(),
        ..Request::default()
    };
    let source = Some(Source { name: FILE, text });
    let mut faults = Vec::new();
    let (config, _) = make(&request, dir, source, &Surroundings::real(), &mut faults);
    match faults.is_empty() {
        true => Ok(config),
        false => Err(reports(faults, source)),
    }
}

/// [`resolve`], with where each value was said.
///
/// # Errors
/// As there.
pub fn resolve_with_origins(request: &Request) -> Result<(Config, Origins), Vec<Report>> {
    resolve_both(request, &Surroundings::real())
}

/// [`resolve`] on a given machine.
pub(super) fn resolve_in(
    request: &Request,
    around: &Surroundings<'_>,
) -> Result<Config, Vec<Report>> {
    resolve_both(request, around).map(|(config, _)| config)
}

fn resolve_both(
    request: &Request,
    around: &Surroundings<'_>,
) -> Result<(Config, Origins), Vec<Report>> {
    let fail = |problem| {
        let fault = Fault {
            at: Where::Nowhere,
            problem,
        };
        reports(vec![fault], None)
    };
    let dir = folder(request).map_err(fail)?;
    let text = read_file(request, &dir).map_err(fail)?;
    let source = text.as_ref().map(|(name, text)| Source { name, text });
    let mut faults = flags::conflicts(request);
    let made = make(request, &dir, source, around, &mut faults);
    match faults.is_empty() {
        true => Ok(made),
        false => Err(reports(faults, source)),
    }
}

/// The project's folder, absolute and there.
fn folder(request: &Request) -> Result<PathBuf, Problem> {
    let dir = request.project_dir();
    let problem = |why: &str| Problem::Folder {
        dir: dir.clone(),
        why: why.to_owned(),
    };
    match dir.metadata() {
        Ok(meta) if meta.is_dir() => Ok(without_steps_up(dir)),
        Ok(_) => Err(problem("is not a folder")),
        Err(error) => Err(problem(&cannot_read(&error))),
    }
}

/// `..` has no name that a project could have, and where a link stands before it only the system knows where it leads.
fn without_steps_up(dir: PathBuf) -> PathBuf {
    match dir.components().any(|part| part == Component::ParentDir) {
        true => dunce::canonicalize(&dir).unwrap_or(dir),
        false => dir,
    }
}

/// Why something cannot be read, in words.
pub(super) fn cannot_read(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a folder".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// The file's name and text; `None` where there is none, or it has no say.
fn read_file(request: &Request, dir: &Path) -> Result<Option<(String, String)>, Problem> {
    if request.demo || request.from.is_some() {
        return Ok(None);
    }
    let (path, name) = match &request.file {
        Some(file) => (request.dir.join(file), file.to_string_lossy().into_owned()),
        None => (dir.join(FILE), FILE.to_owned()),
    };
    let problem = |why| Problem::File {
        file: PathBuf::from(&name),
        why,
    };
    match std::fs::read(&path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some((name, text))),
            Err(_) => Err(problem("is not UTF-8 text".to_owned())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && request.file.is_none() => {
            Ok(None)
        }
        Err(error) => Err(problem(cannot_read(&error))),
    }
}

pub(super) fn make(
    request: &Request,
    dir: &Path,
    source: Option<Source<'_>>,
    around: &Surroundings<'_>,
    faults: &mut Vec<Fault>,
) -> (Config, Origins) {
    // The built-in demo needs no Python, and looking for one can cost a process.
    let python = match request.demo {
        true => None,
        false => python::find(dir, around),
    };
    let mut choice = choose(request, dir, source, python.as_ref(), around, faults);
    flags::apply(request, &mut choice.draft, faults);
    let origins = Origins::of_draft(&choice.draft, source, &choice.origin);

    let listen = At {
        value: choice
            .draft
            .balancer
            .listen
            .as_ref()
            .map_or(LISTEN, |l| l.value),
        at: choice
            .draft
            .balancer
            .listen
            .as_ref()
            .map_or(Where::Nowhere, |listen| listen.at.clone()),
    };
    let path = match request.demo {
        true => None,
        false => project_path(dir, python.as_ref(), (around.var)("PATH")),
    };
    let avoid = taken(&choice.draft, listen.value.port);
    let kitchen = Kitchen {
        dir,
        python: python.as_ref(),
        path: path.as_deref(),
        around,
        avoid: &avoid,
    };
    let mut services = Vec::new();
    for draft in &choice.draft.services {
        let made = service::make(&kitchen, draft, faults, &mut choice.notes);
        services.push((made, place_of_ports(draft)));
    }
    faults.extend(same_routes(&choice.draft.services, &services));
    faults.extend(needs::faults(&choice.draft.services));
    // What is left out is checked all the same, but holds no port this time.
    let wanted = needs::with_what_they_need(&request.services, &choice.draft.services);
    services.retain(|(service, _)| wanted.is_empty() || wanted.contains(&service.name));
    if request.no_watch {
        for (service, _) in &mut services {
            service.watch = None;
        }
    }
    faults.extend(ports::clashes(&listen, &services));
    let services: Vec<Service> = services.into_iter().map(|(service, _)| service).collect();
    let mut balancer = balancer(&choice.draft.balancer, listen.value);
    let routes = services.iter().flat_map(|service| &service.routes);
    balancer.live.allow_hosts = balancer.live.allow_hosts.with_routes(routes);
    let config = Config {
        project: match request.demo {
            true => "demo".to_owned(),
            false => project_name(dir),
        },
        dir: dir.to_owned(),
        origin: choice.origin,
        notes: choice.notes,
        balancer,
        dashboard: Dashboard::made(&choice.draft.dashboard),
        services,
    };
    (config, origins)
}

/// Ports that somebody named, so that none of them is chosen as a free one.
fn taken(draft: &Draft, listen: u16) -> Vec<u16> {
    let mut taken = vec![listen];
    for service in &draft.services {
        if let Some(ports) = &service.ports
            && let PortsDraft::List(list) = &ports.value
        {
            let count = service.replicas.as_ref().map(|count| count.value);
            let count = count.and_then(|count| usize::try_from(count).ok());
            taken.extend(ports::first(list, count.unwrap_or(list.len())).unwrap_or_default());
        }
        let servers = service.external.iter().flat_map(|servers| &servers.value);
        taken.extend(servers.map(|server| server.value.port));
    }
    taken
}

/// Where to point at when a service's ports are wrong.
fn place_of_ports(draft: &ServiceDraft) -> Where {
    let ports = draft.ports.as_ref().map(|ports| &ports.at);
    let external = draft.external.as_ref().map(|external| &external.at);
    let count = draft.replicas.as_ref().map(|count| &count.at);
    let flagged = count.filter(|at| matches!(at, Where::Option(_)));
    flagged
        .or(ports)
        .or(external)
        .unwrap_or(&draft.name.at)
        .clone()
}

/// Routes that two services, or one service twice, would answer.
fn same_routes(drafts: &[ServiceDraft], services: &[(Service, Where)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut seen: Vec<(String, &str)> = Vec::new();
    for (draft, (service, _)) in drafts.iter().zip(services) {
        for (index, route) in service.routes.iter().enumerate() {
            // `/api` and `/api/` have the same requests, but for one.
            let key = match route {
                Route::Prefix(path) => format!("/{}", path.trim_matches('/')),
                Route::Host(name) => name.clone(),
            };
            let said = draft.routes.as_ref().and_then(|said| said.value.get(index));
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == key) {
                faults.push(Fault {
                    at: said.map_or(&draft.name.at, |said| &said.at).clone(),
                    problem: Problem::SameRoute {
                        first: (*first).to_owned(),
                        second: service.name.clone(),
                        route: route_text(route).to_owned(),
                    },
                });
            }
            seen.push((key, &service.name));
        }
    }
    faults
}

/// What was said, over the defaults.
fn balancer(draft: &BalancerDraft, listen: super::Listen) -> Balancer {
    let mut made = Balancer {
        listen,
        ..Balancer::default()
    };
    take(&mut made.engine, &draft.engine);
    let live = &mut made.live;
    take(&mut live.algorithm, &draft.algorithm);
    take(&mut live.hash_key, &draft.hash_key);
    take(&mut live.sequence, &draft.sequence);
    take(&mut live.sticky, &draft.sticky);
    take(&mut live.detect, &draft.detect);
    take_number(&mut live.retries, &draft.retries);
    if let Some(said) = &draft.allow_hosts {
        live.allow_hosts = HostList::default().with_said(said.value.clone());
    }
    take(&mut made.retry.body, &draft.retry_body);
    take(&mut made.retry.budget, &draft.retry_budget);
    take(&mut made.retry.deadline, &draft.retry_deadline);
    take(&mut made.retry.non_idempotent, &draft.non_idempotent);
    take(&mut made.retry.statuses, &draft.retry_statuses);
    take(&mut made.hold, &draft.hold);
    take_number(&mut made.passive.failures, &draft.passive_failures);
    take(&mut made.passive.window, &draft.passive_window);
    take_number(&mut made.queue_max, &draft.queue_max);
    take(&mut made.queue_timeout, &draft.queue_timeout);
    take(&mut made.timeouts.connect, &draft.connect);
    take(&mut made.timeouts.client_head, &draft.client_head);
    take(&mut made.timeouts.backend_head, &draft.backend_head);
    take(&mut made.timeouts.body, &draft.body);
    take(&mut made.timeouts.idle, &draft.idle);
    take(&mut made.timeouts.drain, &draft.drain);
    take(&mut made.trust_forwarded, &draft.trust_forwarded);
    take_number(&mut made.workers, &draft.workers);
    made
}

fn take<T: Clone>(setting: &mut T, said: &Option<At<T>>) {
    if let Some(said) = said {
        setting.clone_from(&said.value);
    }
}

/// A number that is in its range fits whatever holds it.
fn take_number<T: TryFrom<u64>>(setting: &mut T, said: &Option<At<u64>>) {
    if let Some(number) = said.as_ref().and_then(|said| T::try_from(said.value).ok()) {
        *setting = number;
    }
}

/// The folder's name, made fit for a label of a host name (RFC 1123): `My Site` is `my-site`.
fn project_name(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
    let mut label = String::new();
    for c in name.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => label.push(c),
            _ if label.ends_with('-') || label.is_empty() => {}
            _ => label.push('-'),
        }
    }
    label.truncate(63);
    let label = label.trim_end_matches('-');
    match label {
        "" => "project".to_owned(),
        label => label.to_owned(),
    }
}

/// A report of a single problem that no file has a part in.
pub(super) fn report_of(problem: Problem, at: Where) -> Report {
    let mut all = reports(vec![Fault { at, problem }], None);
    // One fault in, one report out.
    all.pop()
        .unwrap_or_else(|| Report::usage("LB021", "the set-up is not valid"))
}

#[cfg(test)]
mod tests;
