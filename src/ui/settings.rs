//! What `set` changed, a line each.

use super::Paint;
use super::acted::head;
use crate::config::WEIGHT_KEY;
use crate::wire::{BackendStatus, BalancerStatus};

/// `algorithm is least_conn now (was round_robin)`
pub fn changed(key: &str, before: &BalancerStatus, now: &BalancerStatus) -> String {
    said(key, &value(key, now), &value(key, before))
}

/// `● 8000 weight is 3 now (was 1)`; one of 0 gets nothing.
pub fn weight(backend: &BackendStatus, was: Option<u32>, paint: Paint) -> String {
    let now = backend.weight.to_string();
    let was = was.map_or_else(|| now.clone(), |was| was.to_string());
    let nothing = match backend.weight {
        0 => " · it gets no new requests",
        _ => "",
    };
    format!(
        "{} {}{nothing}",
        head(&backend.state, backend, paint),
        said(WEIGHT_KEY, &now, &was)
    )
}

fn said(key: &str, now: &str, was: &str) -> String {
    match now == was {
        true => format!("{key} is {now} already"),
        false => format!("{key} is {now} now (was {was})"),
    }
}

/// A key that only a later server knows is merely set.
fn value(key: &str, balancer: &BalancerStatus) -> String {
    balancer.setting(key).unwrap_or_else(|| "set".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LIVE_KEYS;
    use crate::ui::status::tests::{backend, status};

    #[test]
    fn what_it_is_and_what_it_was() {
        let before = status(Vec::new()).balancer;
        let mut now = before.clone();
        now.algorithm = "least_conn".into();
        now.retry_limit = 0;
        assert_eq!(
            changed("algorithm", &before, &now),
            "algorithm is least_conn now (was round_robin)"
        );
        assert_eq!(
            changed("retries", &before, &now),
            "retries is 0 now (was 3)"
        );
        assert_eq!(changed("sticky", &before, &now), "sticky is off already");
        assert_eq!(
            changed("allow_hosts", &before, &now),
            "allow_hosts is empty already"
        );
        now.allow_hosts = vec!["app.test".into(), "*.b.test".into()];
        assert_eq!(
            changed("allow_hosts", &before, &now),
            "allow_hosts is app.test,*.b.test now (was empty)"
        );
        for key in LIVE_KEYS {
            assert_ne!(value(key, &now), "set", "{key} is not shown");
        }
        let one = |weight| BackendStatus {
            weight,
            ..backend(8000, "up")
        };
        let paint = Paint::new(false);
        for (weighs, was, line) in [
            (3, Some(1), "● 8000 weight is 3 now (was 1)"),
            (3, Some(3), "● 8000 weight is 3 already"),
            (
                0,
                Some(1),
                "● 8000 weight is 0 now (was 1) · it gets no new requests",
            ),
            (2, None, "● 8000 weight is 2 already"),
        ] {
            assert_eq!(weight(&one(weighs), was, paint), line);
        }
    }
}
