//! What the pages say.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;

use super::Demo;

#[tokio::test]
async fn the_first_page_names_its_port() {
    let demo = Demo::start().await;
    let port = demo.address.port();
    assert_eq!(demo.get("/").await.text(), format!("Using port {port}\n"));
    let asked = demo.request(Method::GET, "/");
    let page = asked.header("accept", "text/html").send().await;
    assert!(page.text().contains("Using port"), "{}", page.text());
    assert!(
        page.text().contains("2 requests answered"),
        "{}",
        page.text()
    );
    assert!(!page.text().contains("{{"), "{}", page.text());
    assert_eq!(page.field("cache-control"), "no-store");
    let asked = demo.request(Method::GET, "/");
    let facts = asked.header("accept", "application/json").send().await;
    assert_eq!(facts.json()["port"], port);
    assert_eq!(facts.json()["answered"], 3);
}

#[tokio::test]
async fn what_a_client_sends_is_not_html() {
    let demo = Demo::start().await;
    for asked in [
        demo.request(Method::GET, "/")
            .header("host", "<script>.localhost"),
        demo.request(Method::GET, "/slow?ms=%3Cscript%3E"),
        demo.request(Method::GET, "/status/%3Cscript%3E"),
        demo.request(Method::POST, "/counter")
            .header("x-request-id", "<script>"),
    ] {
        let page = asked.header("accept", "text/html").send().await;
        let main = page.text().split("</head>").nth(1).expect("a page");
        assert!(!main.contains("<script>"), "{main}");
    }
}

#[tokio::test]
async fn statuses_and_refusals() {
    let demo = Demo::start().await;
    let check = async |method: Method, target: &str, expected: u16| {
        for accept in ["text/html", "application/json", "text/plain"] {
            let asked = demo
                .request(method.clone(), target)
                .header("accept", accept);
            assert_eq!(asked.send().await.status, expected, "{method} {target}");
        }
    };
    for code in [200, 204, 205, 301, 304, 404, 418, 500, 503, 599] {
        check(Method::GET, &format!("/status/{code}"), code).await;
    }
    for code in [
        "199", "600", "100", "101", "0", "", "-1", "x", "99999", "503/",
    ] {
        check(Method::GET, &format!("/status/{code}"), 400).await;
    }
    check(Method::POST, "/status/503", 503).await;
    check(Method::GET, "/health", 200).await;
    check(Method::HEAD, "/health", 200).await;
    check(Method::GET, "/env", 200).await;
    check(Method::GET, "/chat", 200).await;
    check(Method::GET, "/ws", 200).await;
    check(Method::GET, "/favicon.ico", 200).await;
    check(Method::GET, "/nothing", 404).await;
    check(Method::GET, "//", 404).await;
    check(Method::POST, "/", 405).await;
    check(Method::DELETE, "/login", 405).await;
    check(Method::GET, "/slow?ms=1", 200).await;
    check(Method::POST, "/slow?ms=1", 200).await;
    check(Method::GET, "/slow?ms=-1", 400).await;
    check(Method::GET, "/slow?ms=99999999999999999999", 400).await;
    check(Method::GET, "/stream?n=x", 400).await;
    check(Method::GET, "/stream?n=100001", 400).await;
    check(Method::GET, "/stream?n=2&ms=%ff", 400).await;
    check(Method::GET, "/bytes/-1", 400).await;
    check(Method::GET, "/bytes/99999999999999999999", 400).await;
    check(Method::GET, "/crash?after=tea", 400).await;
    check(Method::POST, "/login", 400).await;
    assert_eq!(
        demo.request(Method::PUT, "/").send().await.field("allow"),
        "GET, HEAD"
    );
    let long = vec![b'a'; 100_000];
    let asked = demo.request(Method::POST, "/login").body(long);
    assert_eq!(asked.send().await.status, 413);
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let demo = Demo::start().await;
    for target in ["/", "/bytes/1000", "/nothing"] {
        let whole = demo.get(target).await;
        let head = demo.request(Method::HEAD, target).send().await;
        assert_eq!(head.status, whole.status, "{target}");
        assert_eq!(head.field("content-length"), whole.body.len().to_string());
        assert!(head.body.is_empty(), "{target}");
    }
}

#[tokio::test]
async fn a_session_is_known_where_it_was_made() {
    let (here, there) = (Demo::start().await, Demo::start().await);
    let asked = here.request(Method::POST, "/login");
    let entered = asked.body("name=Ada+%3CL%3E").send().await;
    assert_eq!(entered.status, 303);
    assert_eq!(entered.field("location"), "/login");
    let cookie = entered
        .field("set-cookie")
        .split(';')
        .next()
        .expect("a cookie")
        .to_owned();
    let page = async |demo: &Demo| {
        let asked = demo.request(Method::GET, "/login");
        asked
            .header("cookie", &cookie)
            .send()
            .await
            .text()
            .to_owned()
    };
    assert!(page(&here).await.contains("You are Ada &lt;L&gt;"));
    assert!(page(&there).await.contains("does not know you"));
    let asked = here.request(Method::POST, "/logout");
    assert_eq!(asked.header("cookie", &cookie).send().await.status, 303);
    assert!(page(&here).await.contains("does not know you"));
}

#[tokio::test]
async fn a_counter_says_what_ran() {
    let demo = Demo::start().await;
    let commit = async |id: &str| {
        let asked = demo.request(Method::POST, "/counter");
        let asked = asked.header("accept", "application/json");
        asked.header("x-request-id", id).send().await.json()
    };
    assert_eq!(commit("a").await["committed"], 1);
    assert_eq!(commit("b").await["times"], 1);
    assert_eq!(commit("a").await["times"], 2);
    let begun = Instant::now();
    let slow = demo.request(Method::POST, "/counter?ms=60").send();
    assert_eq!(slow.await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(60));
    let form = demo.request(Method::POST, "/counter").body("request_id=c");
    assert!(form.send().await.text().contains("commit 5 "));
    let state = demo.get("/counter?json").await.json();
    assert_eq!(state["count"], 5);
    assert_eq!(state["requests"], json!({"a": 2, "b": 1, "c": 1}));
    let asked = demo.request(Method::GET, "/counter");
    let page = asked.header("accept", "text/html").send().await;
    assert!(
        page.text().contains("number 5, transaction"),
        "{}",
        page.text()
    );
}
