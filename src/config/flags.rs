//! The flags of the command line, over whatever the set-up was taken from.

use super::Engine;
use super::choice::one_service;
use super::dashboard;
use super::defaults::{MOST_BACKENDS, SERVICE, WORKERS_RANGE};
use super::draft::{Draft, PortsDraft, ServiceDraft};
use super::file::Lookup;
use super::problem::{At, Fault, Problem, Where};
use super::request::Request;
use super::value::{self, ValueError, alike, list};
use crate::backend::Detect;
use crate::balance::{Algorithm, Sticky};

/// Flags that say different things about what to run.
pub(super) fn conflicts(request: &Request) -> Vec<Fault> {
    let said = [
        ("demo", request.demo),
        ("-c", request.command.is_some()),
        ("--external", request.external.is_some()),
        ("--from", request.from.is_some()),
        // With the others a file still says how to balance.
        (
            "-f",
            request.file.is_some() && (request.from.is_some() || request.demo),
        ),
    ];
    let said: Vec<&'static str> = said.iter().filter(|(_, on)| *on).map(|(o, _)| *o).collect();
    let mut pairs: Vec<(&'static str, &'static str)> =
        said.windows(2).map(|pair| (pair[0], pair[1])).collect();
    if request.external.is_some() {
        let other = [
            ("--ports", request.ports.is_some()),
            ("-n", request.replicas.is_some()),
        ];
        let other = other.iter().filter(|(_, on)| *on);
        pairs.extend(other.map(|(option, _)| ("--external", *option)));
    }
    let fault = |(one, other)| Fault {
        at: Where::Option(one),
        problem: Problem::NotTogether { one, other },
    };
    pairs.into_iter().map(fault).collect()
}

/// The service that `-c` or `--external` describe.
pub(super) fn service(
    request: &Request,
    lookup: Lookup<'_>,
    faults: &mut Vec<Fault>,
) -> Option<ServiceDraft> {
    if let Some(command) = &request.command {
        return one_service(command, Where::Option("-c")).services.pop();
    }
    let at = Where::Option("--external");
    let mut servers = Vec::new();
    let text = request.external.as_deref()?;
    for part in text.split(',') {
        match value::servers(part, lookup) {
            Ok(found) => servers.extend(found.into_iter().map(|value| At {
                value,
                at: at.clone(),
            })),
            Err(source) => faults.push(bad("--external", source)),
        }
    }
    if servers.len() > MOST_BACKENDS {
        let source = ValueError::TooMany {
            text: text.to_owned(),
            count: servers.len(),
        };
        faults.push(bad("--external", source));
        return None;
    }
    // What could not be read was told; an empty list would only be told again.
    if servers.is_empty() {
        return None;
    }
    let mut service = ServiceDraft::new(At::nowhere(SERVICE.to_owned()));
    service.external = Some(At { value: servers, at });
    Some(service)
}

/// A value of an option that cannot be.
pub(super) fn bad(option: &'static str, source: ValueError) -> Fault {
    Fault {
        at: Where::Option(option),
        problem: Problem::Value {
            key: option.to_owned(),
            source,
        },
    }
}

/// Lets the flags overrule the draft.
pub(super) fn apply(request: &Request, draft: &mut Draft, faults: &mut Vec<Fault>) {
    if let Some(text) = &request.listen {
        match value::listen(text) {
            Ok(value) => {
                let at = Where::Option("--listen");
                draft.balancer.listen = Some(At { value, at });
            }
            Err(source) => faults.push(bad("--listen", source)),
        }
    }
    dashboard::apply(request, &mut draft.dashboard, faults);
    let balancer = &mut draft.balancer;
    let (algorithm, sticky, detect) = (&request.algorithm, &request.sticky, &request.detect);
    let known = Algorithm::NAMES;
    choice(
        "--algorithm",
        algorithm,
        known,
        &mut balancer.algorithm,
        faults,
    );
    choice(
        "--sticky",
        sticky,
        Sticky::NAMES,
        &mut balancer.sticky,
        faults,
    );
    choice(
        "--detect",
        detect,
        Detect::NAMES,
        &mut balancer.detect,
        faults,
    );
    choice(
        "--engine",
        &request.engine,
        Engine::NAMES,
        &mut balancer.engine,
        faults,
    );
    if let Some(workers) = request.workers {
        let value = workers as u64;
        match in_range("--workers", value, &WORKERS_RANGE) {
            Ok(value) => draft.balancer.workers = Some(value),
            Err(fault) => faults.push(fault),
        }
    }
    for name in &request.services {
        let known = || draft.services.iter().map(|s| s.name.value.as_str());
        if !known().any(|other| other == name) && !draft.services.is_empty() {
            faults.push(Fault {
                at: Where::Nowhere,
                problem: Problem::NoSuchService {
                    name: name.clone(),
                    known: list(known()),
                    like: alike(name, known()).map(str::to_owned),
                },
            });
        }
    }
    // Servers that run already have their number and ports; `conflicts` said so.
    if request.external.is_none() {
        how_many(request, draft, faults);
    }
}

/// Puts a name that an option says in its place.
fn choice<T: Copy>(
    option: &'static str,
    said: &Option<String>,
    names: &[(&'static str, T)],
    place: &mut Option<At<T>>,
    faults: &mut Vec<Fault>,
) {
    let Some(text) = said else {
        return;
    };
    let at = Where::Option(option);
    match value::choice(text, names) {
        Ok(value) => *place = Some(At { value, at }),
        Err(source) => faults.push(bad(option, source)),
    }
}

fn in_range(
    option: &'static str,
    value: u64,
    range: &std::ops::RangeInclusive<u64>,
) -> Result<At<u64>, Fault> {
    let at = Where::Option(option);
    match range.contains(&value) {
        true => Ok(At { value, at }),
        false => Err(Fault {
            at,
            problem: Problem::OutOfRange {
                key: option.to_owned(),
                least: *range.start(),
                most: *range.end(),
                found: value.to_string(),
            },
        }),
    }
}

/// `-n` and `--ports`.
fn how_many(request: &Request, draft: &mut Draft, faults: &mut Vec<Fault>) {
    let ports = match request.ports.as_deref() {
        None => None,
        Some("auto") => Some(PortsDraft::Auto),
        Some(text) => match value::ports(text) {
            Ok(ports) => Some(PortsDraft::List(ports)),
            Err(source) => {
                faults.push(bad("--ports", source));
                None
            }
        },
    };
    if let Some(ports) = ports {
        match only_service(request, draft, "--ports") {
            Ok(service) => {
                match (&ports, &service.ports) {
                    // The ports say how many there are.
                    (PortsDraft::List(_), _) => service.replicas = None,
                    (PortsDraft::Auto, Some(before)) => {
                        if let PortsDraft::List(list) = &before.value
                            && service.replicas.is_none()
                        {
                            service.replicas = Some(At::nowhere(list.len() as u64));
                        }
                    }
                    (PortsDraft::Auto, None) => {}
                }
                let at = Where::Option("--ports");
                service.ports = Some(At { value: ports, at });
            }
            Err(problem) => faults.extend(problem),
        }
    }
    if let Some(replicas) = request.replicas {
        let count = in_range("-n", u64::from(replicas), &(1..=MOST_BACKENDS as u64));
        match (count, only_service(request, draft, "-n")) {
            (Ok(count), Ok(service)) => service.replicas = Some(count),
            (Err(fault), _) => faults.push(fault),
            (Ok(_), Err(problem)) => faults.extend(problem),
        }
    }
}

/// The one service that a flag can be about: the only one with ports among those that are to run, else the only one.
fn only_service<'a>(
    request: &Request,
    draft: &'a mut Draft,
    option: &'static str,
) -> Result<&'a mut ServiceDraft, Option<Fault>> {
    let wanted = |service: &&mut ServiceDraft| {
        service.external.is_none()
            && (request.services.is_empty() || request.services.contains(&service.name.value))
    };
    // Nothing to run at all is told elsewhere.
    if draft.services.is_empty() {
        return Err(None);
    }
    let all: Vec<&mut ServiceDraft> = draft.services.iter_mut().filter(wanted).collect();
    let (mut balanced, mut others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|service| service.ports.is_some());
    let found = if balanced.len() == 1 {
        balanced.pop()
    } else if balanced.is_empty() && others.len() == 1 && option == "-n" {
        others.pop()
    } else {
        None
    };
    let at = Where::Option(option);
    found.ok_or_else(|| {
        let services = balanced.iter().map(|service| service.name.value.as_str());
        let problem = match balanced.len() {
            0 => Problem::NoBalanced { option },
            _ => Problem::WhichService {
                option,
                services: services
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(" and "),
            },
        };
        Some(Fault { at, problem })
    })
}
