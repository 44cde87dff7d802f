//! What a backend is told of who asks (RFC 7239, and the fields that were there before it), by `trust_forwarded`.

use super::*;

/// The head that a backend gets of a request with these lines.
async fn told(trust: bool, lines: &str) -> (Front, String) {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| s.trust_forwarded = trust);
    let request =
        format!("GET / HTTP/1.1\r\nHost: Shop.localhost:81\r\n{lines}Connection: close\r\n\r\n");
    assert_eq!(status(&front.ask(&request).await), 200);
    let head = stub.heads().remove(0);
    (front, head)
}

fn all<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

const SAID: &str = "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-host: app.test\r\nX-FORWARDED-PORT: 443\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6;proto=https\r\n";

fn ours(port: &str) -> [(&'static str, String); 5] {
    [
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-forwarded-host", "Shop.localhost:81".to_owned()),
        ("x-forwarded-port", port.to_owned()),
        ("x-forwarded-proto", "http".to_owned()),
        (
            "forwarded",
            "for=127.0.0.1;host=\"Shop.localhost:81\";proto=http".to_owned(),
        ),
    ]
}

#[tokio::test]
async fn what_strangers_say_is_replaced() {
    let twice = format!("{SAID}{SAID}");
    let removed_by_name =
        format!("{SAID}Connection: x-forwarded-for, forwarded, x-forwarded-host\r\n");
    // CGI and WSGI write every `-` of a name as `_`: these would be heard, too.
    let underscored = "X_Forwarded_For: 6.6.6.6\r\nx_forwarded-host: app.test\r\n";
    for lines in ["", SAID, &twice, &removed_by_name, underscored] {
        let (front, head) = told(false, lines).await;
        for (name, value) in ours(&front.address.port().to_string()) {
            assert_eq!(all(&head, name), [value], "{name} {lines:?}\n{head}");
        }
        assert!(!head.contains('_'), "{head}");
    }
}

#[tokio::test]
async fn what_is_trusted_is_kept_and_continued() {
    let (_, head) = told(true, SAID).await;
    for (name, value) in [
        ("x-forwarded-for", "6.6.6.6, 127.0.0.1"),
        ("x-forwarded-host", "app.test"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
        (
            "forwarded",
            "for=6.6.6.6;proto=https, for=127.0.0.1;host=\"Shop.localhost:81\";proto=http",
        ),
    ] {
        assert_eq!(all(&head, name), [value], "{name}\n{head}");
    }
}

#[tokio::test]
async fn several_of_one_name_are_one_list() {
    let lines = "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nForwarded: for=1.1.1.1\r\nX: y\r\nx-forwarded-for: 3.3.3.3\r\nforwarded: for=3.3.3.3\r\n";
    let (_, head) = told(true, lines).await;
    let list = "1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1";
    assert_eq!(all(&head, "x-forwarded-for"), [list]);
    let list = "for=1.1.1.1, for=3.3.3.3, for=127.0.0.1;host=\"Shop.localhost:81\";proto=http";
    assert_eq!(all(&head, "forwarded"), [list]);
    assert_eq!(all(&head, "x"), ["y"]);
}

#[tokio::test]
async fn who_trusts_and_hears_nothing_says_it_itself() {
    let (front, head) = told(true, "").await;
    for (name, value) in ours(&front.address.port().to_string()) {
        assert_eq!(all(&head, name), [value], "{name}\n{head}");
    }
    let (front, head) = told(true, "X-Forwarded-Proto: https\r\n").await;
    let mut expected = ours(&front.address.port().to_string());
    expected[3].1 = "https".to_owned();
    for (name, value) in expected {
        assert_eq!(all(&head, name), [value], "{name}\n{head}");
    }
}

#[tokio::test]
async fn http_2_is_told_of_in_the_same_words() {
    for trust in [false, true] {
        let stub = answering(OK).await;
        let front = front_with(&[stub.address], |s| s.trust_forwarded = trust);
        let mut request = super::rfc9113::get("/");
        let said = "6.6.6.6".parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", said);
        assert_eq!(front.h2().await.ask(request).await.status, 200);
        let head = stub.heads().remove(0);
        let expected = if trust {
            "6.6.6.6, 127.0.0.1"
        } else {
            "127.0.0.1"
        };
        assert_eq!(all(&head, "x-forwarded-for"), [expected]);
        assert_eq!(all(&head, "x-forwarded-host"), ["a"]);
    }
}
