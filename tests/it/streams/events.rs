//! Server-sent events from a real asynchronous server: each goes out at once, and a client that comes again says where it was.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

use crate::browser::Browser;
use crate::harness::Lbdev;
use crate::need;
use crate::wait::{s, until};

/// How many events the server sends, and what the median of their delays may be.
const EVENTS: usize = 200;
const MEDIAN: Duration = Duration::from_millis(5);
/// So often it is tried: the machine may be busy with something else.
const TRIES: usize = 3;

fn up(python: &Path) -> Result<Lbdev> {
    let mut lbdev = Lbdev::new();
    lbdev.write("events.py", include_str!("events.py"));
    let venv = python.parent().and_then(Path::parent);
    lbdev.set("VIRTUAL_ENV", venv.context("a venv has a folder")?);
    let command =
        "{python} -m uvicorn events:app --host 127.0.0.1 --port {port} --log-level warning";
    lbdev.service_file(command, "", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    Ok(lbdev)
}

/// The clock that Python's `time.monotonic_ns` reads.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// From writing to reading, for each event of one stream.
async fn delays(client: &reqwest::Client, url: &str) -> Result<Vec<Duration>> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let kind = &response.headers()["content-type"];
    ensure!(kind.to_str()?.starts_with("text/event-stream"), "{kind:?}");
    let (mut text, mut delays) = (String::new(), Vec::new());
    while let Some(piece) = response.chunk().await? {
        let read = now();
        text += std::str::from_utf8(&piece)?;
        while let Some((event, rest)) = text.split_once("\n\n") {
            let (id, data) = event.split_once("\ndata: ").context("an event is torn")?;
            ensure!(id == format!("id: {}", delays.len()), "{event:?}");
            let written = Duration::from_nanos(data.parse()?);
            delays.push(
                read.checked_sub(written)
                    .context("read before it was written")?,
            );
            text = rest.to_owned();
        }
    }
    ensure!(text.is_empty(), "left over: {text:?}");
    Ok(delays)
}

#[tokio::test]
async fn each_event_arrives_at_once() -> Result<()> {
    let Some(python) = need::uvicorn() else {
        return Ok(());
    };
    let lbdev = up(&python)?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(s(60))
        .build()?;
    let url = format!("http://127.0.0.1:{}/timed", lbdev.ports.listen());
    let mut medians = Vec::new();
    for _ in 0..TRIES {
        let delays = delays(&client, &url).await?;
        assert_eq!(delays.len(), EVENTS);
        medians.push(super::median(&delays));
        eprintln!("the medians of the delays: {medians:?}");
        if medians.last() < Some(&MEDIAN) {
            return Ok(());
        }
    }
    panic!("the medians of the delays: {medians:?}");
}

/// The fields of the protocol, as a client without a browser sees them.
#[test]
fn retry_and_last_event_id_pass_through() -> Result<()> {
    let Some(python) = need::uvicorn() else {
        return Ok(());
    };
    let lbdev = up(&python)?;
    let ask = |last: &[(&str, &str)]| {
        crate::http::send(lbdev.ports.listen(), "GET", "/resumed", last, b"")
    };
    assert_eq!(
        ask(&[])?.text(),
        "retry: 50\n\nid: 1\ndata: 1 after none\n\nid: 2\ndata: 2 after none\n\nid: 3\ndata: 3 after none\n\n"
    );
    let again = ask(&[("Last-Event-ID", "3")])?;
    assert!(
        again.text().contains("id: 4\ndata: 4 after 3\n"),
        "{}",
        again.text()
    );
    Ok(())
}

/// A browser's own `EventSource`: it comes again by itself, each time to another backend, and misses nothing.
#[test]
fn a_browser_resumes_where_it_was() -> Result<()> {
    let (Some(python), Some(chromium)) = (need::uvicorn(), need::chromium()) else {
        return Ok(());
    };
    let lbdev = up(&python)?;
    let browser = Browser::start(&chromium)?;
    browser.open(&format!("http://localhost:{}/", lbdev.ports.listen()))?;
    browser.script(
        "window.seen = []; window.source = new EventSource('/resumed'); \
         source.onmessage = event => seen.push(event.data)",
    )?;
    let seen = || browser.script("return window.seen");
    until(s(60), "the browser has come four times", || {
        seen().is_ok_and(|seen| seen.as_array().is_some_and(|seen| seen.len() >= 12))
    });
    let seen = seen()?;
    for (index, data) in seen.as_array().context("a list")?.iter().enumerate() {
        let after = match index / 3 * 3 {
            0 => "none".to_owned(),
            last => last.to_string(),
        };
        assert_eq!(*data, format!("{} after {after}", index + 1));
    }
    let status = lbdev.status();
    let rows = status["backends"].as_array().context("rows")?;
    assert!(
        rows.iter().all(|row| row["requests"].as_u64() > Some(0)),
        "{status:#}"
    );
    Ok(())
}
