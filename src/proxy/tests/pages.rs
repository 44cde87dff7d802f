//! What lbdev's own pages say of the backends' last words.

use super::*;

fn get(accept: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
}

/// One backend is down, one is up: neither takes requests.
async fn nobody_to_be_had(stub: &Stub) -> Front {
    let front = front_with(&[stub.address, stub.address], |s| {
        s.queue_timeout = Duration::from_millis(20);
    });
    let mut members = members(&[stub.address, stub.address], RunId::FIRST);
    for (index, phase) in [Phase::Failed, Phase::Up].into_iter().enumerate() {
        let one = Arc::make_mut(&mut members[index]);
        (one.eligible, one.phase) = (false, phase);
    }
    front.pool().publish(members);
    front
}

#[tokio::test]
async fn a_503_shows_the_last_lines_of_who_is_not_up() {
    let stub = answering(OK).await;
    let front = nobody_to_be_had(&stub).await;

    let html = front.ask(&get("text/html")).await;
    assert_eq!(status(&html), 503);
    for number in 0..6 {
        let line = format!("<span>line {number} of web:8000 &lt;b&gt;</span>");
        assert!(html.contains(&line), "{html}");
    }
    assert!(
        !html.contains("line 6 of") && !html.contains("of web:8001 "),
        "{html}"
    );
    assert!(!html.contains('\u{1b}'));

    let json = front.ask(&get("application/json")).await;
    let body = json.split_once("\r\n\r\n").unwrap().1;
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    let lines = value["backends"][0]["last_lines"].as_array().unwrap();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0], "line 0 of web:8000 <b>");
    assert_eq!(value["backends"][1]["last_lines"], serde_json::json!([]));

    let text = front.ask(&get("*/*")).await;
    assert!(text.contains("\n    | line 5 of web:8000 <b>\n"), "{text}");
    assert!(!text.contains("of web:8001 "), "{text}");
}

#[tokio::test]
async fn a_502_shows_the_last_lines_of_who_failed() {
    let (cut, other) = (cutting("").await, answering(OK).await);
    let front = front(&[cut.address, other.address]);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    let text = front.ask(post).await;
    assert_eq!(status(&text), 502);
    assert!(text.contains("\n    | line 0 of web:8000 <b>\n"), "{text}");
    assert!(!text.contains("of web:8001 "), "{text}");
}

#[tokio::test]
async fn a_front_for_others_too_shows_none() {
    let stub = answering(OK).await;
    let front = nobody_to_be_had(&stub).await;
    let open = Listen {
        host: ListenHost::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        port: 0,
    };
    let bound = bind(&open, 1).unwrap();
    let port = bound.addresses()[0].port();
    let settings = Balancer {
        queue_timeout: Duration::from_millis(20),
        ..settings()
    };
    let pools = front.pools.clone();
    let proxy = start(Arc::new(settings), bound, pools, Arc::default(), lent()).unwrap();
    let open = Front {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        proxy,
        ..front
    };
    for accept in ["text/html", "application/json", "*/*"] {
        let answer = open.ask(&get(accept)).await;
        assert_eq!(status(&answer), 503);
        assert!(!answer.contains("line 0"), "{answer}");
    }
}
