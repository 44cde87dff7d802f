//! Two small servers inside the same binary: the demo backend behind `lbdev demo`, and the server of static files.
//!
//! Both are hidden subcommands, so that lbdev launches them as it launches every other backend: a process of its own
//! with a port of its own. Their standard output is their log, which lbdev reads as it reads any backend's. They leave
//! the signals alone: the system's own reaction to TERM ends them at once, which is what a stateless server should do.

mod body;
mod counter;
mod crash;
mod echo;
mod files;
mod form;
mod login;
mod orders;
mod page;
mod server;
mod site;
mod stream;
#[cfg(test)]
mod tests;
mod websocket;
mod work;

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// The subcommand that runs the demo backend: `__demo --port N`.
pub const DEMO: &str = "__demo";
/// The subcommand that serves a folder: `__static --port N --dir DIR`.
pub const STATIC: &str = "__static";

/// Why one of the two servers did not start. Each is one line on standard error.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The arguments are not `--port N [--dir DIR]`.
    #[error("usage: lbdev {subcommand} --port N{}", if *subcommand == STATIC { " --dir DIR" } else { "" })]
    Usage {
        /// Which of the two.
        subcommand: &'static str,
    },
    /// The port cannot be had.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Bind {
        /// Which.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The folder to serve is none.
    #[error("cannot serve `{}`: {source}", dir.display())]
    Dir {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gave no event loop.
    #[error("cannot start the event loop: {source}")]
    Runtime {
        /// Why.
        source: io::Error,
    },
}

/// Answers the hidden subcommands of this module. `args` are the arguments after the program's name; `None` means that
/// they are somebody else's.
///
/// A server that starts never comes back from here: it ends with its process.
pub fn hidden(args: &[OsString]) -> Option<ExitCode> {
    let (first, rest) = args.split_first()?;
    let outcome = match first.to_str()? {
        DEMO => options(DEMO, rest).and_then(|(port, _)| demo(port)),
        STATIC => options(STATIC, rest).and_then(|(port, dir)| match dir {
            Some(dir) => files(port, dir),
            None => Err(DemoError::Usage { subcommand: STATIC }),
        }),
        _ => return None,
    };
    let error = match outcome {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // Nobody may be reading; the exit code says it too.
    let _ = writeln!(io::stderr(), "lbdev: {error}");
    Some(match error {
        DemoError::Usage { .. } => ExitCode::from(2),
        DemoError::Bind { .. } | DemoError::Dir { .. } | DemoError::Runtime { .. } => {
            ExitCode::FAILURE
        }
    })
}

fn options(
    subcommand: &'static str,
    args: &[OsString],
) -> Result<(u16, Option<PathBuf>), DemoError> {
    let usage = || DemoError::Usage { subcommand };
    let (mut port, mut dir) = (None, None);
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(usage)?;
        match name.to_str() {
            Some("--port") => {
                port = Some(
                    value
                        .to_str()
                        .and_then(|n| n.parse().ok())
                        .ok_or_else(usage)?,
                );
            }
            Some("--dir") if subcommand == STATIC => dir = Some(PathBuf::from(value)),
            _ => return Err(usage()),
        }
    }
    Ok((port.ok_or_else(usage)?, dir))
}

fn demo(port: u16) -> Result<Infallible, DemoError> {
    runtime()?.block_on(async {
        tokio::time::sleep(boot()).await;
        let (listener, port) = server::listen(port).await?;
        let site = Arc::new(site::Site::new(
            port,
            site::index(port),
            log,
            Box::new(|| std::process::exit(i32::from(crash::STATUS))),
        ));
        log(&format!("demo server on http://127.0.0.1:{port}/"));
        let handler = move |request| site::answer(Arc::clone(&site), request);
        Ok(server::serve(listener, handler).await)
    })
}

/// So many milliseconds pass before it listens, as real servers take them to load their code.
fn boot() -> Duration {
    let said = std::env::var("DEMO_BOOT_MS").ok();
    let ms = said.and_then(|text| text.parse().ok()).unwrap_or(0);
    Duration::from_millis(ms)
}

fn files(port: u16, dir: PathBuf) -> Result<Infallible, DemoError> {
    runtime()?.block_on(async {
        let folder = files::Folder::new(&dir).map_err(|source| DemoError::Dir { dir, source })?;
        let (listener, port) = server::listen(port).await?;
        let folder = Arc::new(folder.on_port(port));
        log(&format!("files on http://127.0.0.1:{port}/"));
        let handler = move |request| files::answer(Arc::clone(&folder), request);
        Ok(server::serve(listener, handler).await)
    })
}

/// One thread is enough, and starts in well under a millisecond.
fn runtime() -> Result<tokio::runtime::Runtime, DemoError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| DemoError::Runtime { source })
}

/// A line of this process's log, in one write. A closed pipe is no reason to stop serving.
fn log(line: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes());
    let _ = out.flush();
}
