//! The command line.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use crate::{backend, clients, hold};

/// Does what the words say; what is measured comes back as a line of JSON.
pub(crate) fn run(words: &[String]) -> io::Result<String> {
    let at = |index: usize| words.get(index).map(String::as_str);
    match at(0) {
        Some("backend") => {
            backend::serve(number(at(1), "port")?, number(at(2), "count")?, at(3))?;
            Ok(String::new())
        }
        Some("hold") => {
            hold::hold(number(at(1), "port")?, number(at(2), "count")?)?;
            Ok(String::new())
        }
        Some("clients") => Ok(clients::run(&course(&words[1..])?)?.json()),
        _ => Err(wrong("say `backend`, `clients` or `hold`")),
    }
}

fn course(words: &[String]) -> io::Result<clients::Course> {
    let mut course = clients::Course::default();
    let mut words = words.iter().map(String::as_str);
    while let Some(option) = words.next() {
        if option == "--close" {
            course.close = true;
            continue;
        }
        let value = words.next();
        match option {
            "--port" => course.port = number(value, option)?,
            "--path" => course.path = value.unwrap_or_default().to_owned(),
            "--connections" => course.connections = number(value, option)?,
            "--seconds" => course.measured = seconds(value, option)?,
            "--warmup" => course.warmup = seconds(value, option)?,
            "--pids" => {
                for pid in value.unwrap_or_default().split(',') {
                    course.pids.push(number(Some(pid), option)?);
                }
            }
            _ => return Err(wrong(&format!("unknown option `{option}`"))),
        }
    }
    Ok(course)
}

fn seconds(word: Option<&str>, what: &str) -> io::Result<Duration> {
    let seconds: f64 = number(word, what)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong(&format!("{what}: no such time")))
}

fn number<T: FromStr>(word: Option<&str>, what: &str) -> io::Result<T> {
    let word = word.unwrap_or_default();
    word.parse()
        .map_err(|_| wrong(&format!("{what}: `{word}` is no number")))
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
