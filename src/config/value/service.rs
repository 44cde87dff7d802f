//! Values of a service: what it needs, how it is ready, which files are watched.

use std::path::{Component, Path};

use super::{ValueError, port};
use crate::backend::Ready;
use crate::config::Need;

/// Reads what a service needs: a service, or `tcp:HOST:PORT`.
pub(in crate::config) fn need(text: &str) -> Result<Need, ValueError> {
    let wrong = || ValueError::Need {
        text: text.to_owned(),
    };
    let Some(address) = text.strip_prefix("tcp:") else {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        return match plain && !text.is_empty() && port(text).is_err() {
            true => Ok(Need::Service(text.to_owned())),
            false => Err(wrong()),
        };
    };
    let (host, number) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => inner,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(wrong());
    }
    Ok(Need::Tcp {
        host: host.to_owned(),
        port: port(number)?,
    })
}

/// Reads how a backend shows that it is ready.
pub(in crate::config) fn ready(text: &str) -> Result<Ready, ValueError> {
    match text {
        "http" => Ok(Ready::Http),
        "tcp" => Ok(Ready::Tcp),
        "exit" => Ok(Ready::Exit),
        _ => match text.strip_prefix("log:").map(str::trim) {
            Some(line) if !line.is_empty() => Ok(Ready::Log(line.to_owned())),
            Some(_) | None => Err(ValueError::Ready {
                text: text.to_owned(),
            }),
        },
    }
}

/// Writes it so that [`ready`] reads the same.
pub(in crate::config) fn ready_text(ready: &Ready) -> String {
    match ready {
        Ready::Http => "http".to_owned(),
        Ready::Tcp => "tcp".to_owned(),
        Ready::Exit => "exit".to_owned(),
        Ready::Log(text) => format!("log:{text}"),
    }
}

/// Reads a pattern of files to watch, relative to the service's folder.
pub(in crate::config) fn pattern(text: &str) -> Result<String, ValueError> {
    let wrong = |why: &str| ValueError::Pattern {
        text: text.to_owned(),
        why: why.to_owned(),
    };
    if text.trim().is_empty() {
        return Err(wrong("it is empty"));
    }
    if Path::new(text).is_absolute()
        || Path::new(text)
            .components()
            .any(|c| c == Component::ParentDir)
    {
        return Err(wrong(
            "it has to lie in the service's folder, so without `..` or a leading `/`",
        ));
    }
    match globset::Glob::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(wrong(&error.kind().to_string())),
    }
}
