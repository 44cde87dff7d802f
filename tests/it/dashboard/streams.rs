//! The event stream: what it begins with, what it goes on with, and readers that are none.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Door, demo};
use crate::wait::{s, until};

/// A stream that is read.
struct Reader(BufReader<TcpStream>);

impl Reader {
    fn open(door: &Door, with: &str) -> Result<Reader> {
        let mut reader = BufReader::new(door.stream(with)?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        ensure!(first.contains(" 200 "), "{first}");
        while first.trim() != "" {
            first.clear();
            reader.read_line(&mut first)?;
        }
        Ok(Reader(reader))
    }

    /// The next event: its name and its data.
    fn next(&mut self) -> Result<(String, Value)> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                bail!("the stream has ended");
            }
            if let Some(text) = line.strip_prefix("event: ") {
                name = text.trim().to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = text.trim().to_owned();
            } else if line == "\n" && !name.is_empty() {
                return Ok((name, serde_json::from_str(&data)?));
            }
        }
    }

    /// The next one of this name that fits.
    fn until(&mut self, wanted: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let (name, data) = self.next()?;
            if name == wanted && fits(&data) {
                return Ok(data);
            }
        }
    }
}

#[test]
fn a_stream_begins_with_what_there_is_and_goes_on() -> Result<()> {
    let (lbdev, door) = demo()?;
    for _ in 0..8 {
        lbdev.get("/");
    }
    let mut reader = Reader::open(&door, "status,timeline,events,requests,logs,pulse")?;
    let mut first = Vec::new();
    loop {
        let (name, data) = reader.next()?;
        if name == "live" {
            break;
        }
        first.push((name, data));
    }
    let named = |wanted: &str| {
        let found = first.iter().find(|(name, _)| name == wanted);
        found
            .map(|(_, data)| data.clone())
            .with_context(|| wanted.to_owned())
    };
    ensure!(named("status")?["backends"].as_array().map(Vec::len) == Some(4));
    ensure!(named("requests")?["requests"].as_array().map(Vec::len) == Some(8));
    ensure!(
        named("logs")?["lines"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("demo"))
    );
    ensure!(named("event")?["seq"] == 1);
    named("timeline")?;
    let sum = |pulse: &Value| -> u64 {
        let backends = pulse["backends"].as_array().unwrap().iter();
        backends.map(|one| one["requests"].as_u64().unwrap()).sum()
    };
    ensure!(sum(&named("pulse")?) == 8);

    lbdev.get("/");
    reader.until("pulse", |pulse| sum(pulse) == 9)?;
    let port = lbdev.ports.first;
    door.post(&format!("/v1/backends/{port}/kill"), &serde_json::json!({}))?;
    let id = format!("web:{port}");
    let event = reader.until("event", |event| event["to"] == "stopped")?;
    ensure!(
        event["backend"] == id.as_str() && event["by"] == "operator",
        "{event}"
    );
    reader.until("status", |status| status["state"] == "degraded")?;
    let second = reader.until("second", |second| {
        let mut backends = second["backends"].as_array().unwrap().iter();
        backends.any(|one| one["id"] == id.as_str() && one["state"] == "stopped")
    })?;
    ensure!(
        second["at"].as_f64().is_some_and(|at| at > 1.7e9),
        "{second}"
    );
    // A request and its way, after the death.
    lbdev.get("/?after");
    let seen = reader.until("requests", |seen| {
        seen["requests"][0]["target"] == "/?after"
    })?;
    let seen = &seen["requests"][0];
    ensure!(
        seen["why"]
            .as_str()
            .is_some_and(|why| why.contains("round_robin")),
        "{seen}"
    );
    Ok(())
}

#[test]
fn a_reader_goes_on_where_it_was() -> Result<()> {
    let (lbdev, door) = demo()?;
    let bearer = door.bearer();
    let all = door.get("/v1/events")?.json();
    let last = all["last"].as_u64().context("a number")?;
    ensure!(last >= 8, "four starts");
    let after = format!("{}", last - 1);
    let mut connection = door.connect()?;
    let head = format!(
        "GET /v1/events HTTP/1.1\r\nHost: localhost:{}\r\nAccept: text/event-stream\r\nAuthorization: {bearer}\r\n\
         Last-Event-ID: {after}\r\n\r\n",
        door.port
    );
    connection.send_raw(head.as_bytes())?;
    let mut reader = Reader(BufReader::new(connection.socket().try_clone()?));
    let (name, first) = reader.next()?;
    ensure!(name == "event" && first["seq"] == last, "{first}");
    ensure!(reader.next()?.0 == "live");
    lbdev.run(&["set", "algorithm=least_conn"]).ok();
    let event = reader.until("event", |_| true)?;
    ensure!(event["kind"] == "settings", "{event}");
    Ok(())
}

fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.context("VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kb.parse::<u64>()? * 1024)
}

#[test]
fn a_thousand_streams_that_are_never_read() -> Result<()> {
    const MB: u64 = 1024 * 1024;
    let (lbdev, door) = demo()?;
    let pid = u32::try_from(lbdev.status()["pid"].as_u64().context("a pid")?)?;
    let before = resident(pid)?;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        match door.stream("status,events,requests,logs,pulse,timeline") {
            Ok(stream) => idle.push(stream),
            Err(error) => bail!("after {}: {error}", idle.len()),
        }
    }
    // The command line has a door of its own, and goes on; so do requests.
    let port = lbdev.ports.first.to_string();
    for _ in 0..3 {
        lbdev.run(&["kill", &port]).ok();
        lbdev.run(&["start", &port]).ok();
        for _ in 0..200 {
            ensure!(lbdev.get("/").status == 200);
        }
    }
    let after = resident(pid)?;
    ensure!(
        after < before + 60 * MB,
        "{} MB more",
        (after - before) / MB
    );
    // Some were let in, the others were told why not, or wait.
    let mut answers = std::collections::BTreeMap::new();
    for stream in &mut idle[..200] {
        stream.set_read_timeout(Some(std::time::Duration::from_millis(500)))?;
        let mut head = [0; 12];
        let status = match stream.read_exact(&mut head) {
            Ok(()) => String::from_utf8_lossy(&head[9..]).into_owned(),
            Err(_) => "waits".to_owned(),
        };
        *answers.entry(status).or_insert(0) += 1;
    }
    ensure!(answers.get("200") == Some(&64), "{answers:?}");
    ensure!(answers.contains_key("503"), "{answers:?}");
    drop(idle);
    until(s(20), "there is room again", || {
        Reader::open(&door, "status").is_ok()
    });
    Ok(())
}

#[test]
fn who_is_too_slow_is_told_so() -> Result<()> {
    let (lbdev, door) = demo()?;
    // It reads nothing while more is written than the sockets and lbdev keep for it.
    let mut reader = Reader::open(&door, "events")?;
    let port = lbdev.ports.first.to_string();
    let long = format!("path=/{}", "x".repeat(200));
    for _ in 0..400 {
        for what in [&["latency=1ms", long.as_str()][..], &["off"]] {
            let mut body = serde_json::Map::new();
            for word in what {
                let (key, value) = word.split_once('=').unwrap_or((word, "true"));
                let value = match value {
                    "true" => Value::Bool(true),
                    text => text.into(),
                };
                body.insert(key.to_owned(), value);
            }
            let path = format!("/v1/backends/{port}/fault");
            ensure!(door.post(&path, &Value::Object(body))?.status == 200);
        }
    }
    // Either all of it fits, or it is told what it has missed: nothing is left out in silence.
    let mut before = 0;
    loop {
        let (name, data) = match reader.next() {
            Ok(next) => next,
            Err(error) => bail!("after {before}: {error}"),
        };
        match name.as_str() {
            "event" => {
                let seq = data["seq"].as_u64().context("a number")?;
                ensure!(before == 0 || seq == before + 1, "{before} → {seq}");
                before = seq;
                if seq >= 800 {
                    return Ok(());
                }
            }
            "missed" => {
                ensure!(data["chunks"].as_u64().is_some_and(|n| n > 0));
                ensure!(reader.next().is_err(), "it ends");
                return Ok(());
            }
            _ => {}
        }
    }
}
