//! Which service needs which: those that are not there, and circles.

use super::Need;
use super::draft::ServiceDraft;
use super::problem::{Fault, Problem, Where};
use super::value::{alike, list};

/// The services that another one needs, with where that was said.
fn needed(draft: &ServiceDraft) -> impl Iterator<Item = (&str, &Where)> {
    let needs = draft.needs.iter().flat_map(|needs| &needs.value);
    needs.filter_map(|need| match &need.value {
        Need::Service(name) => Some((name.as_str(), &need.at)),
        Need::Tcp { .. } => None,
    })
}

/// What is wrong with all `needs` together.
pub(super) fn faults(drafts: &[ServiceDraft]) -> Vec<Fault> {
    let names = || drafts.iter().map(|draft| draft.name.value.as_str());
    let mut faults = Vec::new();
    for draft in drafts {
        for (name, at) in needed(draft) {
            let problem = if name == draft.name.value {
                Problem::NeedsItself {
                    service: name.to_owned(),
                }
            } else if !names().any(|known| known == name) {
                Problem::NoSuchService {
                    name: name.to_owned(),
                    known: list(names()),
                    like: alike(name, names()).map(str::to_owned),
                }
            } else {
                continue;
            };
            faults.push(Fault {
                at: at.clone(),
                problem,
            });
        }
    }
    faults.extend(circle(drafts));
    faults
}

/// The first circle, told where it closes.
fn circle(drafts: &[ServiceDraft]) -> Option<Fault> {
    let place_of = |name: &str| drafts.iter().position(|draft| draft.name.value == name);
    let mut done = vec![false; drafts.len()];
    for start in 0..drafts.len() {
        // Depth first; `path` is where we came along, each with the needs that are still to be seen.
        let mut path = vec![(start, needed(&drafts[start]))];
        while let Some((place, rest)) = path.last_mut() {
            let place = *place;
            let Some((name, at)) = rest.next() else {
                done[place] = true;
                path.pop();
                continue;
            };
            let Some(next) = place_of(name).filter(|&next| next != place && !done[next]) else {
                continue;
            };
            if let Some(from) = path.iter().position(|(on_it, _)| *on_it == next) {
                let names = path[from..].iter().map(|(on_it, _)| *on_it).chain([next]);
                let names = names.map(|place| format!("`{}`", drafts[place].name.value));
                let circle = names.collect::<Vec<_>>().join(" needs ");
                return Some(Fault {
                    at: at.clone(),
                    problem: Problem::NeedsCircle { circle },
                });
            }
            path.push((next, needed(&drafts[next])));
        }
    }
    None
}

/// The services that were named, with all that they need, directly or not. None named is none here.
pub(super) fn with_what_they_need(named: &[String], drafts: &[ServiceDraft]) -> Vec<String> {
    let mut wanted = named.to_vec();
    let mut seen = 0;
    while let Some(name) = wanted.get(seen).cloned() {
        seen += 1;
        let draft = drafts.iter().find(|draft| draft.name.value == name);
        for (other, _) in draft.into_iter().flat_map(needed) {
            if !wanted.iter().any(|known| known == other) {
                wanted.push(other.to_owned());
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::At;

    fn drafts(all: &[(&str, &[&str])]) -> Vec<ServiceDraft> {
        let one = |(name, needs): &(&str, &[&str])| {
            let mut draft = ServiceDraft::new(At::nowhere((*name).to_owned()));
            let need = |need: &&str| At::nowhere(Need::Service((*need).to_owned()));
            draft.needs = Some(At::nowhere(needs.iter().map(need).collect()));
            draft
        };
        all.iter().map(one).collect()
    }

    fn check(all: &[(&str, &[&str])], expected: &[&str]) {
        let told = faults(&drafts(all));
        let told: Vec<String> = told.iter().map(|fault| fault.problem.to_string()).collect();
        assert_eq!(told, expected, "{all:?}");
    }

    #[test]
    fn circles_and_strangers() {
        check(&[("a", &["b"]), ("b", &[])], &[]);
        check(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])], &[]);
        check(&[("a", &["a"])], &["`a` needs itself"]);
        check(
            &[("a", &["b"]), ("b", &["c"]), ("c", &["b"])],
            &["services wait for each other: `b` needs `c` needs `b`"],
        );
        check(
            &[("web", &["dp"]), ("db", &[])],
            &["no service `dp`; known: `web` or `db`"],
        );
    }

    #[test]
    fn who_is_named_brings_what_it_needs() {
        let all = drafts(&[("a", &["b"]), ("b", &["c"]), ("c", &[]), ("d", &[])]);
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            with_what_they_need(&names, &all)
        };
        assert_eq!(named(&["a"]), ["a", "b", "c"]);
        assert_eq!(named(&["d"]), ["d"]);
        assert!(named(&[]).is_empty());
    }
}
