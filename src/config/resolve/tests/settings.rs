//! How requests are given out, retried and checked: each key is read, told where it is wrong, and part of the set-up.

use std::time::Duration;

use super::*;
use crate::backend::Detect;
use crate::balance::Sticky;
use crate::config::value::{budget_text, size_text};

/// One service with two backends, and further lines for the tables.
fn lines(balancer: &str, service: &str) -> Bench {
    Bench::with(&format!(
        "[balancer]\n{balancer}\n[services.web]\ncommand = 'srv {{port}}'\nports = '8000-8001'\n{service}\n"
    ))
}

#[test]
fn what_a_whole_file_says() {
    let config = whole().config(same);
    let balancer = &config.balancer;
    assert_eq!(balancer.live.sticky, Sticky::Cookie);
    assert_eq!(balancer.live.detect, Detect::Passive);
    assert_eq!(balancer.retry.body, 512 * 1024);
    assert_eq!(balancer.retry.budget, None);
    assert!(balancer.retry.non_idempotent);
    assert_eq!(balancer.retry.statuses, [502, 504]);
    assert_eq!(balancer.hold, 1000);
    assert_eq!(balancer.passive.failures, 0);
    assert_eq!(balancer.passive.window.as_secs(), 90);
    let timeouts = &balancer.timeouts;
    assert_eq!(timeouts.client_head, Some(Duration::from_secs(3)));
    assert_eq!((timeouts.backend_head, timeouts.body), (None, None));
    assert!(balancer.trust_forwarded);
    let hosts = &balancer.live.allow_hosts;
    assert_eq!(
        hosts.texts(),
        ["app.test", "*.b.test", ".c.test", "10.0.0.1", "app.test"]
    );
    // The last one is a route's.
    for host in ["app.test", "x.b.test", "c.test", "web.localhost"] {
        assert!(hosts.allows(host), "{host}");
    }
    let web = &config.services[0].backends;
    assert!(web.iter().all(|one| one.slow_start.as_secs() == 30));
    let limits: Vec<u32> = web.iter().map(|one| one.max_connections).collect();
    assert_eq!(limits, [16, 16, 2]);
    assert_eq!(web[0].health.status, Some((200, 299)));
    assert_eq!(web[2].health.body.as_deref(), Some("\"ok\""));
    assert_eq!(config.services[2].backends[0].max_connections, 0);
}

/// Who routes a host wants its requests; a service that is left out has none.
#[test]
fn hosts_of_routes_are_allowed() {
    let bench = Bench::with(
        "[balancer]\nallow_hosts = ['a.test']\n[services.web]\ncommand = 'srv {port}'\nports = 8000\nroutes = ['/', 'Shop.test']\n\
         [services.api]\ncommand = 'srv {port}'\nports = 9000\nroutes = ['api.test', '10.0.0.1']\n",
    );
    let allowed = |config: &Config| {
        let hosts = &config.balancer.live.allow_hosts;
        ["a.test", "shop.test", "api.test", "x.api.test"].map(|host| hosts.allows(host))
    };
    assert_eq!(allowed(&bench.config(same)), [true, true, true, false]);
    let web = bench.config(|r| r.services = vec!["web".into()]);
    assert_eq!(allowed(&web), [true, true, false, false]);
    // Only what was said is written: the routes say the rest again.
    let texts = web.balancer.live.allow_hosts.texts();
    assert_eq!(texts, ["a.test"]);
    let nothing = lines("", "").config(same).balancer;
    assert_eq!(nothing, Balancer::default());
}

#[test]
fn flags_overrule_the_file() {
    let bench = lines(
        "sticky = 'cookie'\ndetect = 'active'\nalgorithm = 'hash'",
        "",
    );
    let live = bench.config(same).balancer.live;
    assert_eq!((live.sticky, live.detect), (Sticky::Cookie, Detect::Active));
    let flagged = bench.config(|r| {
        r.sticky = Some("off".into());
        r.detect = Some("instant".into());
        r.algorithm = Some("peak-ewma".into());
    });
    let live = flagged.balancer.live;
    assert_eq!((live.sticky, live.detect), (Sticky::Off, Detect::Instant));
    assert_eq!(live.algorithm, Algorithm::PeakEwma);
}

/// `up` on a running instance compares fingerprints: no key may be missing from it. Nor from what `lbdev config` writes.
#[test]
fn every_key_is_part_of_the_set_up() {
    let plain = lines("", "health.path = '/up'").config(same);
    for (balancer, service) in [
        ("algorithm = 'peak_ewma'", ""),
        ("hash_key = 'cookie:a'", ""),
        ("sequence = 'requests'", ""),
        ("sticky = 'cookie'", ""),
        ("detect = 'passive'", ""),
        ("retries = 4", ""),
        ("retry.body = '2mb'", ""),
        ("retry.body = 0", ""),
        ("retry.budget = '21%'", ""),
        ("retry.budget = 'off'", ""),
        ("retry.deadline = '9s'", ""),
        ("retry.non_idempotent = true", ""),
        ("retry.statuses = [503]", ""),
        ("hold = 0", ""),
        ("passive.failures = 4", ""),
        ("passive.window = '9s'", ""),
        ("timeouts.client_head = '9s'", ""),
        ("timeouts.client_head = 'off'", ""),
        ("timeouts.body = '9s'", ""),
        ("timeouts.body = 'off'", ""),
        ("allow_hosts = ['app.test']", ""),
        ("allow_hosts = ['*.app.test', '.app.test', '*', '::1']", ""),
        ("trust_forwarded = true", ""),
        ("", "slow_start = '5s'"),
        ("", "max_connections = 1"),
        ("", "backends.8001.max_connections = 1"),
        ("", "health.status = 200"),
        ("", "health.body = 'well'"),
    ] {
        let bench = lines(balancer, &format!("health.path = '/up'\n{service}"));
        let config = bench.config(same);
        let said = format!("{balancer}{service}");
        assert_ne!(fingerprint(&config), fingerprint(&plain), "{said}");
        let again = bench.file("lbdev.toml", &render(&config)).config(same);
        assert_eq!(again.balancer, config.balancer, "{said}");
        assert_eq!(again.services, config.services, "{said}");
    }
}

#[test]
fn what_cannot_be() {
    let check = |balancer: &str, service: &str, expected: &str| {
        let told = lines(balancer, service).errors(same);
        let first = told.lines().next().unwrap_or_default();
        let (_, message) = first.split_once(": ").unwrap();
        let (_, message) = message.split_once(": ").unwrap();
        assert_eq!(message, expected, "{balancer}{service}");
        assert!(told.contains('^'), "{told}");
        assert_eq!(told.matches("error[").count(), 1, "{told}");
    };
    for (line, expected) in [
        (
            "sticky = true",
            "`sticky` must be a string, not true or false",
        ),
        (
            "sticky = 'on'",
            "`sticky`: `on` is not one of `off` or `cookie`",
        ),
        (
            "detect = 'pasive'",
            "`detect`: `pasive` is not one of `instant`, `passive` or `active`",
        ),
        (
            "hold = '16 kib'",
            "`hold`: `16 kib` is not a size; write for example `16kb`, `1mb` or `0`",
        ),
        (
            "hold = -1",
            "`hold`: `-1` is not a size; write for example `16kb`, `1mb` or `0`",
        ),
        ("hold = '1gb'", "`hold`: it must be at most 16mb, not 1gb"),
        (
            "hold = 0x1_000_001",
            "`hold`: it must be at most 16mb, not 16777217b",
        ),
        (
            "hold = 1.5",
            "`hold` must be a size such as \"16kb\", not a number with a point",
        ),
        (
            "retry.body = '65mb'",
            "`body`: it must be at most 64mb, not 65mb",
        ),
        (
            "retry.budget = '101%'",
            "`budget`: `101%` is not a share of the requests; write for example `20%` (up to `100%`), or `off` for no limit",
        ),
        (
            "retry.budget = 20",
            "`budget` must be a share such as \"20%\", or \"off\", not a whole number",
        ),
        (
            "retry.non_idempotent = 'yes'",
            "`non_idempotent` must be true or false, not a string",
        ),
        (
            "retry.statuses = [502, 500]",
            "`statuses`: 500 is not one of 502, 503 or 504; any other answer is the application's, and reaches the client",
        ),
        (
            "retry.statuses = 502",
            "`statuses` must be a list of statuses such as [502, 503, 504], not a whole number",
        ),
        (
            "retry.statuses = ['502']",
            "`statuses` must be a list of whole numbers, not a string",
        ),
        ("retry.tries = 3", "unknown key `tries` in [balancer.retry]"),
        (
            "passive.failures = 1001",
            "`failures` must be from 0 to 1000, not 1001",
        ),
        ("passive.window = '1ms'", "`window` must be at least 10ms"),
        (
            "trust_forwarded = 'yes'",
            "`trust_forwarded` must be true or false, not a string",
        ),
        (
            "timeouts.client_head = '1ms'",
            "`client_head` must be at least 10ms",
        ),
        (
            "timeouts.body = 60",
            "`body` must be a duration such as \"60s\", or \"off\", not a whole number",
        ),
        (
            "timeouts.body = 'never'",
            "`body`: `never` is not a duration; write for example `200ms`, `5s` or `1m`",
        ),
        (
            "allow_hosts = 'app.test'",
            "`allow_hosts` must be a list of host names such as [\"app.test\", \"*.app.test\"], not a string",
        ),
        (
            "allow_hosts = ['app.test', 7]",
            "`allow_hosts` must be a string, not a whole number",
        ),
        (
            "allow_hosts = ['bücher.test']",
            "`allow_hosts`: `bücher.test` has letters that no request carries; write the name as browsers send it, with `xn--`",
        ),
    ] {
        check(line, "", expected);
    }
    for (line, expected) in [
        (
            "slow_start = 5",
            "`slow_start` must be a duration such as \"5s\", not a whole number",
        ),
        (
            "max_connections = 65536",
            "`max_connections` must be from 0 to 65535, not 65536",
        ),
        (
            "backends.8001.max_connections = 'many'",
            "`max_connections` must be a whole number, not a string",
        ),
        (
            "health.status = 200",
            "`health.status` of `web` needs `health.path`: without it nothing is asked over HTTP while a backend is up",
        ),
        (
            "health.body = 'ok'",
            "`health.body` of `web` needs `health.path`: without it nothing is asked over HTTP while a backend is up",
        ),
        (
            "health = { path = 'up', status = 200 }",
            "`path`: `up` is not a path that begins with `/`",
        ),
        (
            "health = { path = '/', status = '2xx' }",
            "`status`: `2xx` is not a status that a check can end with; write for example `200` or `200-399`",
        ),
        (
            "health = { path = '/', status = 100 }",
            "`status`: `100` is not a status that a check can end with; write for example `200` or `200-399`",
        ),
        (
            "health = { path = '/', status = '399-200' }",
            "`status`: the range `399-200` runs backwards",
        ),
        (
            "health = { path = '/', body = '' }",
            "`body`: it is empty, and every answer holds that",
        ),
        (
            "watch_mode = 'fresh'",
            "`watch_mode` of `web` says how, and there is no `watch` that says what",
        ),
    ] {
        check("", line, expected);
    }
    let portless =
        Bench::with("[services.w]\ncommand = 'w'\nslow_start = '1s'\nmax_connections = 3\n");
    assert_snapshot!(portless.errors(same), @r#"
error[LB020]: lbdev.toml:3:14: `slow_start` of `w` is only for a service with `ports`
  3 | slow_start = '1s'
    |              ^^^^
error[LB020]: lbdev.toml:4:19: `max_connections` of `w` is only for a service with `ports`
  4 | max_connections = 3
    |                   ^
"#);
}

#[test]
fn sizes_and_shares() {
    use crate::config::value::{budget, expected_body, expected_status, size};
    for (text, bytes) in [
        ("0", Some(0)),
        ("512", Some(512)),
        ("512b", Some(512)),
        ("16kb", Some(16_384)),
        ("16 KB", Some(16_384)),
        ("1mb", Some(1 << 20)),
        ("3gb", Some(3 << 30)),
        ("", None),
        ("kb", None),
        ("-1kb", None),
        ("+1", None),
        ("1.5mb", None),
        ("1tb", None),
        ("99999999999999999999", None),
        ("18446744073709551615gb", None),
    ] {
        assert_eq!(size(text).ok(), bytes, "{text:?}");
    }
    for (text, share) in [
        ("20%", Some(Some(20))),
        ("0 %", Some(Some(0))),
        ("100%", Some(Some(100))),
        ("OFF", Some(None)),
        ("", None),
        ("%", None),
        ("+5%", None),
        ("2.5%", None),
        ("101%", None),
        ("99999999999%", None),
    ] {
        assert_eq!(budget(text).ok(), share, "{text:?}");
    }
    for (text, statuses) in [
        ("200", Some((200, 200))),
        ("200-399", Some((200, 399))),
        ("599 - 599", Some((599, 599))),
        ("", None),
        ("200-", None),
        ("0200", None),
        ("199", None),
        ("600", None),
        ("200-300-400", None),
    ] {
        assert_eq!(expected_status(text).ok(), statuses, "{text:?}");
    }
    assert!(expected_body(&"x".repeat(1024)).is_ok());
    assert!(expected_body(&"x".repeat(1025)).is_err());
}

proptest! {
    #[test]
    fn a_size_is_read_as_it_is_written(bytes: u64) {
        use crate::config::value::size;
        prop_assert_eq!(size(&size_text(bytes)).ok(), Some(bytes));
        prop_assert_eq!(size(&size_text(bytes << 20)).ok(), Some(bytes << 20));
    }

    #[test]
    fn a_share_is_read_as_it_is_written(percent in proptest::option::of(0..=100u32)) {
        use crate::config::value::budget;
        prop_assert_eq!(budget(&budget_text(percent)).ok(), Some(percent));
    }
}
