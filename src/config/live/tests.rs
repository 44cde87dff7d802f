use serde_json::json;

use super::*;
use crate::config::Balancer;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

#[test]
fn only_what_is_said_changes() {
    let before = Balancer::default().live;
    let change = LiveChange::read(&object(json!({
        "algorithm": "least-conn", "hash_key": "header:X-User", "retries": "7",
    })))
    .unwrap();
    let expected = Live {
        algorithm: Algorithm::LeastConn,
        hash_key: HashKey::Header("x-user".into()),
        retries: 7,
        ..before.clone()
    };
    assert_eq!(change.over(&before), expected);
    let rest = LiveChange::read(&object(json!({
        "sequence": "Requests", "sticky": "cookie", "detect": "passive", "retries": 0,
    })))
    .unwrap();
    let all = rest.over(&expected);
    assert_eq!(all.algorithm, Algorithm::LeastConn);
    assert_eq!(
        (all.sequence, all.sticky, all.detect, all.retries),
        (Sequence::Requests, Sticky::Cookie, Detect::Passive, 0)
    );
    assert_eq!(LiveChange::from(all.clone()).over(&before), all);
}

/// What the file calls a setting, `set` does too.
#[test]
fn every_live_key_is_read() {
    for key in LIVE_KEYS {
        let wrong = LiveChange::read(&object(json!({ key: "?" }))).unwrap_err();
        assert!(wrong.message.starts_with(&format!("`{key}`")), "{wrong}");
        assert!(wrong.message.contains('?'), "{wrong}");
    }
}

#[test]
fn what_cannot_be_set() {
    let check = |settings: Value, message: &str, hint: Option<&str>| {
        let report = LiveChange::read(&object(settings)).unwrap_err();
        assert_eq!((report.code, report.exit.code()), ("LB021", 2));
        assert_eq!(report.message, message);
        assert_eq!(report.hint.as_deref(), hint, "{message}");
    };
    let known =
        "`algorithm`, `hash_key`, `sequence`, `sticky`, `detect`, `retries` or `allow_hosts`";
    check(
        json!({}),
        &format!("there is nothing to set; known: {known}"),
        None,
    );
    check(
        json!({"retries": 1, "algoritm": "hash"}),
        &format!("`algoritm` cannot be set; known: {known}"),
        Some("did you mean `algorithm`?"),
    );
    check(
        json!({"allow_hosts": "a.test,http://b.test"}),
        "`allow_hosts`: `http://b.test` is a URL; write its host alone: `b.test`",
        None,
    );
    check(
        json!({"allow_hosts": ["a.test", 7]}),
        "`allow_hosts` must be a string, not a number",
        None,
    );
    check(
        json!({"allow_hosts": ["a.test,b.test"]}),
        "`allow_hosts`: `a.test,b.test` is more than one host; in a file each is a string of its own, in `lbdev set` a comma stands between two",
        None,
    );
    check(
        json!({"allow_hosts": "a.test,"}),
        "`allow_hosts`: a host name is empty",
        None,
    );
    check(
        json!({"allow_hosts": null}),
        "`allow_hosts` must be a list of strings, not null",
        None,
    );
    check(
        json!({"weight": 3}),
        "`weight` is a setting of a backend, and none is named",
        Some("name it first, as in `lbdev set 8000 weight=3`"),
    );
    check(
        json!({"detect": "pasive"}),
        "`detect`: `pasive` is not one of `instant`, `passive` or `active`",
        Some("did you mean `passive`?"),
    );
    check(
        json!({"sticky": true}),
        "`sticky` must be a string, not true or false",
        None,
    );
    check(
        json!({"retries": 101}),
        "`retries` must be from 0 to 100, not 101",
        None,
    );
    check(
        json!({"retries": -1}),
        "`retries` must be from 0 to 100, not -1",
        None,
    );
    check(
        json!({"retries": "+1"}),
        "`retries` must be from 0 to 100, not `+1`",
        None,
    );
    check(
        json!({"retries": 1.5}),
        "`retries` must be from 0 to 100, not 1.5",
        None,
    );
    check(
        json!({"retries": null}),
        "`retries` must be a whole number, not null",
        None,
    );
}

/// Names are replaced as one list; those of routes are not part of it.
#[test]
fn hosts() {
    use crate::config::{HostList, Route};

    let routes = [Route::Host("shop.test".into())];
    let before = Live {
        allow_hosts: HostList::default().with_routes(&routes),
        ..Balancer::default().live
    };
    let check = |said: Value, texts: &[&str]| {
        let change = LiveChange::read(&object(json!({ "allow_hosts": said }))).unwrap();
        let now = change.over(&before).allow_hosts;
        assert_eq!(now.texts(), texts, "{said}");
        assert!(now.allows("shop.test"), "{said}");
        assert_eq!(now.allows("app.test"), !texts.is_empty(), "{said}");
        let other = LiveChange::read(&object(json!({ "retries": 1 }))).unwrap();
        assert_eq!(other.over(&change.over(&before)).allow_hosts, now);
        let none = LiveChange::read(&object(json!({ "allow_hosts": "" }))).unwrap();
        let emptied = none.over(&change.over(&before)).allow_hosts;
        assert_eq!(emptied, before.allow_hosts);
    };
    check(json!("app.test"), &["app.test"]);
    check(json!("App.test, *.B.test"), &["app.test", "*.b.test"]);
    check(json!(["app.test", ".b.test"]), &["app.test", ".b.test"]);
    check(json!(["*"]), &["*"]);
    check(json!([]), &[]);
    check(json!(" "), &[]);
}

/// Who tries a key of the file is told where it belongs: every key of the file is either set, or told so.
#[test]
fn keys_of_the_file() {
    let template = include_str!("../../../templates/lbdev.toml");
    let (_, rest) = template.split_once("[balancer]\n").unwrap();
    let (balancer, rest) = rest.split_once("[dashboard]\n").unwrap();
    let (_, rest) = rest.split_once("[services.web]\n").unwrap();
    let (service, _) = rest.split_once("\n## ").unwrap();
    let keys = |text: &'static str| -> Vec<&str> {
        let keys = text.lines().filter_map(|line| {
            let line = line.strip_prefix("# ").unwrap_or(line);
            Some(line.split_once(" = ")?.0)
        });
        keys.filter(|key| !key.contains(' ')).collect()
    };
    let check = |report: Report, place: &str| {
        let hint = report.hint.unwrap_or_default();
        let once = ["`workers`", "`passive`"]
            .iter()
            .any(|key| report.message.starts_with(key));
        let then = if once {
            "lbdev down && lbdev up"
        } else {
            "lbdev reload"
        };
        let expected = format!("write it into lbdev.toml below `{place}`, then run `{then}`");
        assert_eq!(hint, expected, "{}", report.message);
    };
    let mut told = Vec::new();
    for key in keys(balancer) {
        if !LIVE_KEYS.contains(&key) {
            check(unknown_setting(key), "[balancer]");
            check(unknown_of_backend(key), "[balancer]");
            told.push(key);
        }
    }
    assert_eq!(told.len(), FILE_KEYS.len(), "{told:?}");
    for key in keys(service) {
        check(unknown_setting(key), "[services.NAME]");
        check(unknown_of_backend(key), "[services.NAME]");
    }
    assert!(keys(service).len() > 8);
    check(unknown_setting("timeouts.client_head"), "[balancer]");
    check(unknown_of_backend("health.path"), "[services.NAME]");
    let replicas = unknown_setting("replicas").hint;
    assert_eq!(replicas.as_deref(), Some("run `lbdev scale 6` to have six"));
    // What is nothing at all stays so.
    assert_eq!(unknown_setting("speed").hint, None);
}

#[test]
fn weights() {
    let check = |settings: Value, expected: Result<u32, &str>| {
        let read = read_weight(&object(settings)).map_err(|report| report.message);
        assert_eq!(read, expected.map_err(str::to_owned));
    };
    check(json!({"weight": 3}), Ok(3));
    check(json!({"weight": "0"}), Ok(0));
    check(
        json!({"weight": 257}),
        Err("`weight` must be from 0 to 256, not 257"),
    );
    check(
        json!({"weight": "x"}),
        Err("`weight` must be from 0 to 256, not `x`"),
    );
    check(
        json!({"weight": ""}),
        Err("`weight` must be from 0 to 256, not ``"),
    );
    check(
        json!({}),
        Err("there is nothing to set; known for a backend: `weight`"),
    );
    check(
        json!({"weight": 1, "wieght": 3}),
        Err("`wieght` cannot be set; known: `weight`"),
    );
    check(
        json!({"retries": 3}),
        Err("`retries` is a setting of the whole balancer, not of a backend"),
    );
}
