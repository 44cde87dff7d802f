use super::*;

#[test]
fn hash_keys() {
    let check = |text: &str, key: Option<HashKey>| {
        assert_eq!(hash_key(text).ok(), key, "{text}");
    };
    check("path", Some(HashKey::Path));
    check("header:X-User", Some(HashKey::Header("x-user".into())));
    check("cookie:Id", Some(HashKey::Cookie("Id".into())));
    for wrong in [
        "",
        "path:",
        "path:x",
        "header",
        "header:",
        "header:a b",
        "header:a:b",
        "cookie:",
        "cookie:é",
        "cookies:a",
        "Path",
    ] {
        check(wrong, None);
    }
    check(&format!("header:{}", "x".repeat(257)), None);
}
use proptest::prelude::*;

fn nobody(_: &str, _: u16) -> Vec<SocketAddr> {
    Vec::new()
}

#[test]
fn durations() {
    #[track_caller]
    fn check(text: &str, millis: Option<u64>) {
        assert_eq!(duration(text).ok(), millis.map(Duration::from_millis));
    }
    check("200ms", Some(200));
    check("5s", Some(5000));
    check("1m", Some(60_000));
    check("1m30s", Some(90_000));
    check("1.5s", Some(1500));
    check("0s", Some(0));
    check("24h", Some(86_400_000));
    for wrong in [
        "", "5", "s", "5 s", "-5s", "5x", "1..2s", "25h", "1e9s", "NaNs", "∞s",
    ] {
        check(wrong, None);
    }
}

#[test]
fn port_lists() {
    #[track_caller]
    fn check(text: &str, wanted: Result<&[u16], &str>) {
        assert_eq!(
            ports(text).map_err(|e| e.to_string()),
            wanted.map(<[u16]>::to_vec).map_err(str::to_owned)
        );
    }
    check("8000", Ok(&[8000]));
    check("8000-8002", Ok(&[8000, 8001, 8002]));
    check("8000, 8005", Ok(&[8000, 8005]));
    check("65535", Ok(&[65535]));
    check("8003-8000", Err("the range `8003-8000` runs backwards"));
    check("8000,8000", Err("`8000,8000` names port 8000 twice"));
    for wrong in ["", "0", "65536", "+80", "x", "8000-", "-8000"] {
        assert!(ports(wrong).is_err(), "{wrong}");
    }
    check(
        "1-65535",
        Err("`1-65535` is 65535 ports; a service has at most 256 backends"),
    );
}

#[test]
fn listen_addresses() {
    #[track_caller]
    fn check(text: &str, wanted: Option<&str>) {
        assert_eq!(
            listen(text).ok().map(listen_text).as_deref(),
            wanted,
            "{text}"
        );
    }
    check("8080", Some("localhost:8080"));
    check(":80", Some("localhost:80"));
    check("localhost:8080", Some("localhost:8080"));
    check("0.0.0.0:8080", Some("0.0.0.0:8080"));
    check("[::1]:9000", Some("[::1]:9000"));
    for wrong in [
        "",
        "localhost",
        "0",
        "::1:80",
        "example.com:80",
        "localhost:",
        "localhost:99999",
        "[::1]",
    ] {
        check(wrong, None);
    }
}

#[test]
fn external_servers() {
    #[track_caller]
    fn check(text: &str, wanted: Option<&[&str]>) {
        let found = servers(text, &nobody).ok().map(|servers| {
            let all = servers.into_iter().flat_map(|server| server.addresses);
            all.map(|address| address.to_string()).collect::<Vec<_>>()
        });
        let wanted = wanted.map(|w| w.iter().map(|a| (*a).to_owned()).collect());
        assert_eq!(found, wanted, "{text}");
    }
    check("7000", Some(&["127.0.0.1:7000", "[::1]:7000"]));
    check("localhost:7000", Some(&["127.0.0.1:7000", "[::1]:7000"]));
    check("10.0.0.1:80", Some(&["10.0.0.1:80"]));
    check("[::1]:7001", Some(&["[::1]:7001"]));
    for wrong in ["", "x", "10.0.0.300:80", "no.such:80", "http://a:80", ":80"] {
        check(wrong, None);
    }
}

#[test]
fn routes() {
    #[track_caller]
    fn check(text: &str, wanted: Option<Route>) {
        assert_eq!(route(text).ok(), wanted, "{text}");
    }
    check("/api", Some(Route::Prefix("/api".into())));
    check("API.localhost", Some(Route::Host("api.localhost".into())));
    for wrong in ["", "/a b", "a/b", "*.x", "a:80", "/a#b", "http://x/"] {
        check(wrong, None);
    }
}

#[test]
fn did_you_mean() {
    let known = ["algorithm", "listen", "env"];
    let check = |text, wanted| assert_eq!(alike(text, known.into_iter()), wanted);
    check("algoritm", Some("algorithm"));
    check("LISTEN", Some("listen"));
    check("enw", Some("env"));
    check("foo", None);
}

proptest! {
    #[test]
    fn durations_read_as_written(micros in 0u64..86_400_000_000) {
        let wanted = Duration::from_micros(micros);
        prop_assert_eq!(duration(&duration_text(wanted)), Ok(wanted));
    }

    #[test]
    fn ports_read_as_written(
        set in proptest::collection::hash_set(1u16.., 1..20)
    ) {
        let wanted: Vec<u16> = set.into_iter().collect();
        prop_assert_eq!(ports(&ports_text(&wanted)), Ok(wanted));
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = (duration(&text), ports(&text), listen(&text), servers(&text, &nobody));
        let _ = (route(&text), backoff(&text), stop_signal(&text));
    }
}
