//! TARGET: a port, a service, an id, a comma list, or `all`.

use crate::backend::BackendId;

/// A part of a TARGET that names no backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no backend is called `{part}`")]
pub struct UnknownTarget {
    /// What was typed.
    pub part: String,
}

/// The backends that `text` names, each once, in the order of `known`.
///
/// # Errors
/// The first part that names none.
pub fn resolve_target<'a>(
    text: &str,
    known: impl Iterator<Item = &'a BackendId> + Clone,
) -> Result<Vec<BackendId>, UnknownTarget> {
    let mut named = Vec::new();
    for part in text.split(',').map(str::trim) {
        let before = named.len();
        named.extend(known.clone().filter(|id| names(part, id)));
        if named.len() == before {
            return Err(UnknownTarget {
                part: part.to_owned(),
            });
        }
    }
    Ok(known.filter(|id| named.contains(id)).cloned().collect())
}

fn names(part: &str, id: &BackendId) -> bool {
    // All of it is what the balancer balances.
    (part == "all" && !id.is_engine())
        || part == id.service()
        || id
            .port()
            .is_some_and(|port| part.strip_prefix(':').unwrap_or(part) == port.to_string())
        || part == id.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Slot;

    #[test]
    fn a_target_is_a_port_a_service_an_id_a_list_or_all() {
        let known = [
            BackendId::new("web", Slot::Port(8000)),
            BackendId::new("web", Slot::Port(8001)),
            BackendId::new("worker", Slot::Number(1)),
            BackendId::new("nginx", Slot::Engine),
        ];
        let check = |text: &str, expected: Result<&str, &str>| {
            let got = resolve_target(text, known.iter());
            let got = got.map(|ids| {
                ids.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            });
            assert_eq!(
                got,
                expected.map(str::to_owned).map_err(|part| UnknownTarget {
                    part: part.to_owned()
                }),
                "{text}"
            );
        };
        check("8000", Ok("web:8000"));
        check("web:8001", Ok("web:8001"));
        check("worker.1", Ok("worker.1"));
        check("web", Ok("web:8000 web:8001"));
        check("all", Ok("web:8000 web:8001 worker.1"));
        check("nginx", Ok("nginx"));
        check("worker.1, 8000,8000", Ok("web:8000 worker.1"));
        check("8000,9999", Err("9999"));
        check("", Err(""));
        check("800", Err("800"));
    }
}
