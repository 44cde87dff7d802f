//! §5, §6.5, §7.6.1: what passes, what is for one hop only, what comes behind a body.

use super::*;

#[tokio::test]
async fn s5_1_names_keep_their_case_and_fields_their_order_both_ways() {
    let answer = "HTTP/1.1 200 OK\r\nsErVeR: x\r\nX-b: 1\r\nSet-Cookie: a=1\r\nx-A: 2\r\nset-cookie: b=2\r\nDate: then\r\nContent-Length: 2\r\n\r\nok";
    let stub = answering(answer).await;
    let front = front(&[stub.address]);
    let lines = "x-Two: 2\r\nACCEPT: a/b\r\nX-One: 1\r\naccept: c/d\r\nUser-AGENT: me\r\n";
    let request = get(&format!("{lines}Connection: close\r\n"));
    let got = front.ask(&request).await;
    let fields = answer.split_once("\r\n").unwrap().1;
    let fields = fields.split_once("Content-Length").unwrap().0;
    assert!(got.contains(fields), "{got}");
    assert_eq!(got.to_lowercase().matches("\r\ndate:").count(), 1);
    let head = stub.heads().remove(0);
    assert!(head.contains(&format!("Host: a\r\n{lines}")), "{head}");
}

#[tokio::test]
async fn s6_6_1_a_date_is_added_where_there_is_none() {
    let stub = answering(OK).await;
    let front = front(&[stub.address]);
    let answer = front.get("/").await;
    let date = field(&answer, "date").unwrap();
    let date = httpdate::parse_http_date(date).unwrap();
    let now = std::time::SystemTime::now();
    let apart = now
        .duration_since(date)
        .unwrap_or_else(|error| error.duration());
    assert!(apart < LIMIT, "{answer}");
}

#[tokio::test]
async fn s15_what_a_status_is_called_passes() {
    for line in [
        "HTTP/1.1 200 Quite All Right",
        "HTTP/1.1 200 ",
        "HTTP/1.1 299 Of Its Own",
        "HTTP/1.1 999 Last",
        "HTTP/1.1 418 I'm a teapot",
    ] {
        let answer: &'static str = format!("{line}\r\nContent-Length: 2\r\n\r\nok").leak();
        let stub = answering(answer).await;
        let got = front(&[stub.address]).get("/").await;
        assert_eq!(got.lines().next(), Some(line));
    }
    // A phrase may be left out with its blank, though it should not.
    let stub = answering("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok").await;
    let got = front(&[stub.address]).get("/").await;
    assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
}

#[tokio::test]
async fn s7_6_1_what_is_for_one_hop_stays_there_both_ways() {
    let hop = "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-Hop: 1\r\nx-HOP: 2\r\nX-Other: 3\r\n";
    let answer: &'static str = format!(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\n{hop}connection: X-OTHER\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    .leak();
    let stub = answering(answer).await;
    let front = front(&[stub.address]);
    let request = get(&format!(
        "Connection: x-hop\r\n{hop}connection: close, X-OTHER,,\r\nTE: gzip\r\nX-Stays: 1\r\n"
    ));
    let got = front.ask(&request).await;
    for message in [&got, &stub.heads()[0]] {
        for gone in ["keep-alive", "proxy-connection", "x-hop", "x-other", "te"] {
            assert_eq!(field(message, gone), None, "{gone}: {message}");
        }
        assert_eq!(field(message, "x-stays"), Some("1"), "{message}");
    }
    assert_eq!(field(&stub.heads()[0], "connection"), None);
}

#[tokio::test]
async fn s7_6_1_nobody_takes_a_message_apart_by_naming_its_parts() {
    let backend = taking().await;
    let front = front(&[backend.stub.address]);
    let names = "Connection: close, host, content-length, transfer-encoding, x-forwarded-for\r\n";
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{names}\r\nhello");
    assert_eq!(status(&front.ask(&request).await), 200);
    let taken = backend.taken().remove(0);
    assert_eq!(taken.body, b"hello");
    assert_eq!(field(&taken.head, "host"), Some("a"));
    assert_eq!(field(&taken.head, "x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn s6_5_trailers_pass_both_ways_but_what_only_a_head_may_say() {
    let trailers = "X-Sum: 7\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX-Twice: 1\r\nx-twice: 2\r\n";
    let answer: &'static str = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n"
    )
    .leak();
    let stub = stub(move |stream, _, heads| async move {
        let mut taker = Taker::new(stream);
        while let Some(taken) = taker.request(usize::MAX, |_| {}).await {
            let text = format!("{}{}", taken.head, taken.trailers.join("\n"));
            heads.lock().unwrap().push(text);
            taker.answer(answer).await;
        }
    })
    .await;
    let front = front(&[stub.address]);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n{trailers}Host: b\r\nAuthorization: me\r\n\r\n"
    );
    let got = front.ask(&request).await;
    let behind = got.split_once("\r\n0\r\n").unwrap().1.to_lowercase();
    assert_eq!(behind, "x-sum: 7\r\nx-twice: 1\r\nx-twice: 2\r\n\r\n");
    let head = stub.heads().remove(0);
    let (head, behind) = head.split_once("chunked\r\n").unwrap();
    assert_eq!(field(head, "te"), Some("trailers"), "{head}");
    assert_eq!(field(head, "trailer"), Some("X-Sum"), "{head}");
    assert_eq!(behind.to_lowercase(), "x-sum: 7\nx-twice: 1\nx-twice: 2");
    // HTTP/1.0 has no place for them.
    let got = front.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert!(got.ends_with("\r\n\r\nok"), "{got}");
    // In HTTP/2 fields of a connection would break the stream.
    let answer = front.h2().await.get("/").await;
    assert_eq!(answer.body, "ok");
    let trailers = answer.trailers.unwrap();
    assert_eq!(trailers["x-sum"], "7");
    assert_eq!(trailers.len(), 3, "{trailers:?}");
}

#[tokio::test]
async fn s9_3_methods_pass_whatever_they_are() {
    for method in [
        "GET",
        "OPTIONS",
        "TRACE",
        "PROPFIND",
        "get",
        "M-SEARCH",
        "X!#$%&'*+.^_`|~",
    ] {
        let stub = answering(OK).await;
        let front = front(&[stub.address]);
        let request = format!("{method} /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&front.ask(&request).await), 200, "{method}");
        assert!(stub.heads()[0].starts_with(&format!("{method} /a HTTP/1.1\r\n")));
    }
}
