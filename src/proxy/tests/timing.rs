//! `Server-Timing`, for clients that ask for it.

use super::*;

/// One metric (W3C Server Timing §3): its name, and its duration in milliseconds.
#[derive(Debug, PartialEq)]
struct Metric {
    name: String,
    ms: f64,
    about: Option<String>,
}

fn parse(value: &str) -> Vec<Metric> {
    let is_token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let metric = |text: &str| {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap().to_owned();
        assert!(is_token(&name), "{value}");
        let (mut ms, mut about) = (None, None);
        for part in parts {
            let (key, said) = part.split_once('=').unwrap();
            match key {
                "dur" => ms = Some(said.parse().unwrap()),
                "desc" => {
                    let quoted = said.strip_prefix('"').and_then(|s| s.strip_suffix('"'));
                    about = Some(quoted.unwrap().to_owned());
                }
                _ => panic!("{value}"),
            }
        }
        let ms: f64 = ms.unwrap();
        assert!(ms.is_finite() && ms >= 0.0, "{value}");
        Metric { name, ms, about }
    };
    value.split(',').map(|text| metric(text.trim())).collect()
}

/// The metrics of an answer to `request`, which come in a fixed order, and how long it all took in milliseconds.
async fn timed(front: &Front, start: &str) -> (String, Vec<Metric>, f64) {
    let began = Instant::now();
    let request = format!("{start}\r\nHost: a\r\nX-Lbdev-Timing: 1\r\nConnection: close\r\n\r\n");
    let answer = front.ask(&request).await;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let metrics = parse(field(&answer, "server-timing").unwrap_or_else(|| panic!("{answer}")));
    let sum: f64 = metrics.iter().map(|metric| metric.ms).sum();
    // Each is rounded to a tenth.
    assert!(sum <= took + 0.2, "{metrics:?} in {took}");
    (answer, metrics, took)
}

fn names(metrics: &[Metric]) -> Vec<&str> {
    metrics.iter().map(|metric| &*metric.name).collect()
}

/// A backend that takes this long for each request, and then answers so.
async fn slow(takes: Duration, answer: &'static str) -> Stub {
    stub(move |mut stream, _, heads| async move {
        let head = read_head(&mut stream).await.unwrap();
        heads.lock().unwrap().push(head);
        tokio::time::sleep(takes).await;
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

const TAKES: Duration = Duration::from_millis(30);

#[tokio::test]
async fn an_answer_says_what_took_how_long() {
    let stub = slow(TAKES, OK).await;
    let front = front(&[stub.address]);
    let (answer, metrics, _) = timed(&front, "GET / HTTP/1.1").await;
    assert_eq!(status(&answer), 200);
    assert_eq!(
        names(&metrics),
        ["lbdev-wait", "lbdev-retries", "backend"],
        "{answer}"
    );
    let [wait, _, backend] = &metrics[..] else {
        unreachable!()
    };
    assert_eq!(wait.ms, 0.0);
    assert!(backend.ms >= 30.0, "{metrics:?}");
    assert_eq!(backend.about.as_deref(), Some("web:8000"));
    assert_eq!(field(&stub.heads()[0], "x-lbdev-timing"), None);
}

#[tokio::test]
async fn attempts_in_vain_are_told_apart_from_the_one_that_was_not() {
    let (dying, living) = (slow(TAKES, "").await, answering(OK).await);
    let front = front(&[dying.address, living.address]);
    let (_, metrics, _) = timed(&front, "GET / HTTP/1.1").await;
    let [_, retries, backend] = &metrics[..] else {
        panic!("{metrics:?}")
    };
    assert!(retries.ms >= 30.0, "{metrics:?}");
    assert_eq!(backend.about.as_deref(), Some("web:8001"));
    for stub in [&dying, &living] {
        assert_eq!(field(&stub.heads()[0], "x-lbdev-timing"), None);
    }
}

#[tokio::test]
async fn our_own_pages_say_it_too() {
    // A backend failed.
    let stub = slow(TAKES, "").await;
    let only = front(&[stub.address]);
    let (answer, metrics, _) = timed(&only, "GET / HTTP/1.1").await;
    assert_eq!(status(&answer), 502);
    assert_eq!(names(&metrics), ["lbdev-wait", "lbdev-retries"]);
    assert!(metrics[1].ms >= 30.0, "{metrics:?}");
    // Nobody took it.
    let waits = Duration::from_millis(50);
    let empty = front_with(&[], |settings| settings.queue_timeout = waits);
    let (answer, metrics, _) = timed(&empty, "GET / HTTP/1.1").await;
    assert_eq!(status(&answer), 503);
    assert!(metrics[0].ms >= 50.0, "{metrics:?}");
    // It was not to be forwarded at all.
    let (answer, _, _) = timed(&empty, "CONNECT a:1 HTTP/1.1").await;
    assert_eq!(status(&answer), 405);
}

#[tokio::test]
async fn without_the_question_there_is_none() {
    let stub = answering(OK).await;
    let good = front(&[stub.address]);
    assert_eq!(field(&good.get("/").await, "server-timing"), None);
    let bad = front_with(&[], |settings| settings.queue_max = 0);
    let answer = bad.get("/").await;
    assert_eq!(status(&answer), 503);
    assert_eq!(field(&answer, "server-timing"), None);
}

#[tokio::test]
async fn what_the_backend_says_of_itself_stays() {
    let stub =
        answering("HTTP/1.1 200 OK\r\nServer-Timing: db;dur=5\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let front = front(&[stub.address]);
    let answer = front.get("/").await;
    assert_eq!(field(&answer, "server-timing"), Some("db;dur=5"));
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Lbdev-Timing: 1\r\nConnection: close\r\n\r\n";
    let answer = front.ask(request).await;
    let lines = answer
        .lines()
        .filter_map(|line| line.strip_prefix("Server-Timing: "));
    let all: Vec<_> = lines.flat_map(parse).collect();
    assert_eq!(
        names(&all),
        ["db", "lbdev-wait", "lbdev-retries", "backend"],
        "{answer}"
    );
}
