use proptest::prelude::*;

use super::*;

fn list(said: &[&str]) -> HostList {
    let said = said.iter().map(|text| text.parse().unwrap()).collect();
    HostList::default().with_said(said)
}

#[test]
fn without_an_entry() {
    let none = HostList::default();
    for host in [
        "localhost",
        "localhost.",
        "mysite.localhost",
        "a.b.c.localhost",
        "mysite.localhost.",
        "127.0.0.1",
        "0.0.0.0",
        "192.168.178.20",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[::ffff:127.0.0.1]",
    ] {
        assert!(none.allows(host), "{host}");
    }
    for host in [
        "",
        ".",
        "..",
        "example.com",
        "evil.test.",
        "localhost.evil.test",
        "notlocalhost",
        "my-localhost",
        ".localhost",
        "localhost..",
        "localhost.localdomain",
        "127.0.0.1.evil.test",
        "127.0.0.1.nip.io",
        // Not four numbers: a name, as far as anybody here knows.
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.0.0.1",
        " 127.0.0.1",
        "+127.0.0.1",
        // A port, and brackets that are missing or hold no address.
        "localhost:8080",
        "::1",
        "[::1",
        "::1]",
        "[127.0.0.1]",
        "[localhost]",
        "[]",
        "[",
        "[fe80::1%eth0]",
    ] {
        assert!(!none.allows(host), "{host}");
    }
}

#[test]
fn what_entries_mean() {
    for (said, allowed, refused) in [
        (
            "app.test",
            &["app.test", "app.test."][..],
            &["x.app.test", "test", "xapp.test", "app.test.evil"][..],
        ),
        (
            "*.app.test",
            &["x.app.test", "y.x.app.test", "x.app.test."],
            &["app.test", ".app.test", "xapp.test", "x.app.test.evil"],
        ),
        (
            ".app.test",
            &["app.test", "x.app.test", "y.x.app.test"],
            &[".app.test", "xapp.test"],
        ),
        ("test", &["test"], &["app.test"]),
        ("*", &["app.test", "a", "evil.example"], &[]),
        ("App.TEST.", &["app.test"], &["x.app.test"]),
        ("  my_app.test ", &["my_app.test"], &["my-app.test"]),
        ("xn--bcher-kva.test", &["xn--bcher-kva.test"], &["b.test"]),
        // They change nothing, and are no error.
        ("localhost", &["localhost"], &["app.test"]),
        ("10.0.0.1", &["10.0.0.1"], &["app.test"]),
        ("[::1]", &["[::1]"], &["::1"]),
        ("::1", &["[::1]"], &["::1"]),
    ] {
        let list = list(&[said]);
        for host in allowed {
            assert!(list.allows(host), "{said} has {host}");
        }
        for host in refused {
            assert!(!list.allows(host), "{said} has not {host}");
        }
        assert!(list.allows("localhost") && list.allows("127.0.0.1"));
    }
    let several = list(&["a.test", "*.b.test", "a.test"]);
    assert_eq!(several.texts(), ["a.test", "*.b.test", "a.test"]);
    assert!(several.allows("a.test") && several.allows("x.b.test"));
    assert!(!several.allows("b.test"));
}

#[test]
fn routes_are_beside_the_entries() {
    let routes = [
        Route::Prefix("/".into()),
        Route::Host("shop.test".into()),
        Route::Prefix("evil.test".into()),
    ];
    let with = list(&["a.test"]).with_routes(&routes);
    assert!(with.allows("shop.test") && with.allows("shop.test.") && with.allows("a.test"));
    assert!(!with.allows("x.shop.test") && !with.allows("evil.test"));
    let other = with.clone().with_said(Vec::new());
    assert!(other.allows("shop.test") && !other.allows("a.test"));
    let none = with.with_routes(&[]);
    assert!(none.allows("a.test") && !none.allows("shop.test"));
}

#[test]
fn what_is_no_host() {
    let no_name = |text: &str| {
        format!(
            "`{text}` is not a host name; write for example `app.test`, `*.app.test` for the names below it, `.app.test` for both, or `*` for every host"
        )
    };
    let star = |text: &str| {
        format!(
            "`{text}` has a `*` in the wrong place; it can only be the first part, as in `*.app.test`, or stand alone for every host"
        )
    };
    let several = |text: &str| {
        format!(
            "`{text}` is more than one host; in a file each is a string of its own, in `lbdev set` a comma stands between two"
        )
    };
    let letters = |text: &str| {
        format!(
            "`{text}` has letters that no request carries; write the name as browsers send it, with `xn--`"
        )
    };
    let url = |text: &str, host: &str| format!("`{text}` is a URL; write its host alone: `{host}`");
    let path =
        |text: &str, host: &str| format!("`{text}` has a path; write the host alone: `{host}`");
    let port = |text: &str, host: &str| {
        format!("`{text}` has a port; a host is allowed whatever its port: write `{host}`")
    };
    let blank = || "a host name is empty".to_owned();
    for (text, message) in [
        ("", blank()),
        (" \t", blank()),
        ("a.test,b.test", several("a.test,b.test")),
        ("a.test b.test", several("a.test b.test")),
        ("http://App.test", url("http://App.test", "app.test")),
        (
            "https://app.test:8443/x?y",
            url("https://app.test:8443/x?y", "app.test"),
        ),
        ("http://[::1]:80/", url("http://[::1]:80/", "[::1]")),
        ("app.test/x", path("app.test/x", "app.test")),
        ("app.test:80/", path("app.test:80/", "app.test")),
        ("app.test:8080", port("app.test:8080", "app.test")),
        ("app.test:*", port("app.test:*", "app.test")),
        ("app.test:", port("app.test:", "app.test")),
        ("[::1]:8080", port("[::1]:8080", "[::1]")),
        ("127.0.0.1:80", port("127.0.0.1:80", "127.0.0.1")),
        ("a.*.test", star("a.*.test")),
        ("*app.test", star("*app.test")),
        ("*.*.test", star("*.*.test")),
        ("app.*", star("app.*")),
        ("**", star("**")),
        ("bücher.test", letters("bücher.test")),
        ("*.bücher.test", letters("*.bücher.test")),
        (".", no_name(".")),
        ("..", no_name("..")),
        ("*.", star("*.")),
        ("..app.test", no_name("..app.test")),
        ("app..test", no_name("app..test")),
        ("-app.test", no_name("-app.test")),
        ("me@app.test", no_name("me@app.test")),
        ("app.test:port", no_name("app.test:port")),
        ("[app.test]", no_name("[app.test]")),
        ("a\\b", no_name("a\\b")),
        ("1.2.3", no_name("1.2.3")),
        ("*.10.0.0.1", no_name("*.10.0.0.1")),
    ] {
        let said = text
            .parse::<HostPattern>()
            .map_err(|error| error.to_string());
        assert_eq!(said, Err(message), "{text:?}");
    }
    let long = format!("{}.test", "a".repeat(64));
    assert!(long.parse::<HostPattern>().is_err());
}

/// Names that meet: labels of few letters, so that one is often below or equal to another.
const NAME: &str = "[ab]{1,2}(\\.[ab]{1,2}){0,3}";

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => NAME,
        8 => NAME.prop_map(|name| format!("*.{name}")),
        8 => NAME.prop_map(|name| format!(".{name}")),
        1 => Just("*".to_owned()),
    ]
}

proptest! {
    #[test]
    fn nothing_panics(text in any::<String>(), odd in "[a.*:\\[\\]/0-9 ,@ü%\\\\-]{0,12}") {
        for text in [text, odd] {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                // As a file has it, it means the same.
                prop_assert_eq!(&pattern.to_string().parse::<HostPattern>(), &Ok(pattern.clone()));
                list(&[&pattern.to_string()]).allows(&text);
            }
            HostList::default().allows(&text);
            list(&["*.a", ".a", "a"]).allows(&text);
        }
    }

    /// What is allowed stays so when the list grows; the root's dot changes nothing; and an entry means what it says,
    /// label by label.
    #[test]
    fn a_longer_list_allows_no_less(
        said in proptest::collection::vec(entry(), 0..5),
        further in entry(),
        host in NAME,
    ) {
        let texts: Vec<&str> = said.iter().map(String::as_str).collect();
        let before = list(&texts).allows(&host);
        let after = list(&[&texts[..], &[&further]].concat()).allows(&host);
        prop_assert!(after || !before);
        prop_assert_eq!(list(&texts).allows(&format!("{host}.")), before);

        let labels = |name: &str| name.rsplit('.').map(str::to_owned).collect::<Vec<_>>();
        let host = labels(&host);
        let meant = texts.iter().any(|&text| match (text.strip_prefix("*."), text.strip_prefix('.')) {
            _ if text == "*" => true,
            (Some(name), _) => host.starts_with(&labels(name)) && host.len() > labels(name).len(),
            (None, Some(name)) => host.starts_with(&labels(name)),
            (None, None) => host == labels(text),
        });
        prop_assert_eq!(before, meant);
    }
}
