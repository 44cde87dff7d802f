//! The lbdev of a lab: a child of this process, which ends when this process does.
//!
//! It is `lbdev run -- lbdev __hold`: what runs in it reads a pipe whose other end is here, and `run` ends everything when that
//! ends. Its folder and its state are of this lab alone, and go with it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::config::Engine;
use crate::control::client::Client;
use crate::error::Report;
use crate::instance::{self, Folder};

/// The subcommand that ends when its input does.
pub const HOLD: &str = "__hold";
/// What it says when it runs.
const HELD: &str = "held";
/// A start that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(90);
/// So long may an orderly end take.
const END: Duration = Duration::from_secs(30);
/// A folder of a lab that is older is nobody's.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// Ports in a row: the balancer's, and as many backends as a lab may want.
const BLOCK: u16 = 10;
/// Below what systems give to outgoing connections, above what programs listen on by habit.
const PORTS: std::ops::Range<u16> = 12_000..20_000;
/// So many blocks are tried.
const TRIES: usize = 200;

/// Answers the hidden subcommand of this module: says that it runs, and ends with its input.
pub fn hidden(args: &[OsString]) -> Option<ExitCode> {
    if args.first()? != HOLD {
        return None;
    }
    let mut out = std::io::stdout().lock();
    // Whoever does not read it has gone, which the input tells as well.
    let _ = writeln!(out, "{HELD}").and_then(|()| out.flush());
    let mut bytes = [0_u8; 64];
    let mut input = std::io::stdin().lock();
    loop {
        match input.read(&mut bytes) {
            Ok(0) => return Some(ExitCode::SUCCESS),
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Some(ExitCode::SUCCESS);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// The folder of a lab that runs, with what is in it; goes with the value.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// A folder of its own for `lab`, with the files that labs need.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn new(lab: &str) -> Result<Self, Report> {
        let root = instance::labs_folder().map_err(Report::from)?;
        forget_old(&root);
        let dir = root.join(format!("{lab}-{}", std::process::id()));
        let made = std::fs::create_dir_all(dir.join("shared"));
        let files = || super::library::FILES.iter();
        let written = made.and_then(|()| {
            files().try_for_each(|(name, text)| std::fs::write(dir.join(name), text))
        });
        written.map_err(|error| {
            let message = format!("cannot write into `{}`: {error}", dir.display());
            Report::failed("LB007", message).hint("make room, or set XDG_STATE_HOME elsewhere")
        })?;
        Ok(Self { dir })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where backends of a lab keep what they share.
    pub(super) fn shared(&self) -> PathBuf {
        self.dir.join("shared")
    }
}

/// What labs have left that were ended so hard that they could not clean up: after a day nobody is at it any more.
fn forget_old(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let about = entry.metadata().ok().filter(std::fs::Metadata::is_dir);
        let age = about.and_then(|about| about.modified().ok()?.elapsed().ok());
        if age.is_none_or(|age| age < OLD) {
            continue;
        }
        let folder = Folder::of(&entry.path()).ok();
        if folder.as_ref().is_some_and(Folder::is_locked) {
            continue;
        }
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(entry.path());
        if let Some(folder) = folder {
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It is in nobody's way if it stays.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Free ports in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    first: u16,
}

impl Ports {
    /// Some that nobody listens on now.
    ///
    /// # Errors
    /// When there are none.
    pub fn find() -> Result<Self, Report> {
        let blocks = (PORTS.end - PORTS.start) / BLOCK;
        for _ in 0..TRIES {
            let first = PORTS.start + fastrand::u16(0..blocks) * BLOCK;
            if (first..first + BLOCK).all(is_free) {
                return Ok(Self { first });
            }
        }
        Err(
            Report::failed("LB008", "no ten free ports in a row were found")
                .hint("end what listens on many ports, then try again"),
        )
    }

    /// The balancer's.
    pub fn listen(self) -> u16 {
        self.first + BLOCK - 1
    }

    /// The first four.
    pub fn backends(self) -> [u16; 4] {
        [self.first, self.first + 1, self.first + 2, self.first + 3]
    }
}

fn is_free(port: u16) -> bool {
    let four = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    // A machine without IPv6 has nobody there.
    let six = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    four && !six.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// An lbdev that runs for a lab.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its end is the other one's.
    hold: Option<ChildStdin>,
    /// It is spoken to by this.
    pub client: Client,
    state: PathBuf,
}

impl Running {
    /// Starts it with this `lbdev.toml`, and waits until every backend is ready.
    ///
    /// # Errors
    /// When it does not start, with what it said.
    pub async fn start(place: &Place, setup: &str, engine: Engine) -> Result<Self, Report> {
        let failed = |error: std::io::Error| {
            Report::failed(
                "LB008",
                format!("cannot start the lab's own lbdev: {error}"),
            )
            .hint("run it again; `lbdev doctor` looks for what is in the way")
        };
        std::fs::write(place.dir().join("lbdev.toml"), setup).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(&program);
        command
            .env_remove("LBDEV_PROJECT")
            .args(["--color", "never", "run", "--no-dashboard"])
            .args(["--engine", engine.name(), "--"])
            .arg(&program)
            .arg(HOLD)
            .current_dir(place.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C is meant for the lab, which ends it in order.
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(windows)]
        command.creation_flags(0x0000_0200);
        let mut child = command.spawn().map_err(failed)?;
        let hold = child.stdin.take();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let said = tokio::spawn(async move {
            let mut text = Vec::new();
            if let Some(err) = err {
                // What could not be read is missing in an error's text.
                let _ = err.take(1 << 20).read_to_end(&mut text).await;
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let held = async {
            let mut lines = BufReader::new(out?).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == HELD {
                    // The rest is nobody's, but the pipe must stay.
                    return Some(lines);
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, held).await {
            Ok(Some(lines)) => {
                tokio::spawn(async move {
                    let mut lines = lines;
                    while let Ok(Some(_)) = lines.next_line().await {}
                });
            }
            Ok(None) => {
                // Its output has ended, and so has it, or will.
                let _ = child.wait().await;
                let said = said.await.unwrap_or_default();
                return Err(not_started(&said));
            }
            Err(_) => {
                drop(hold);
                let _ = tokio::time::timeout(END, child.wait()).await;
                return Err(not_started("it was not ready in time"));
            }
        }
        let found = instance::find(Some(place.dir()), None).map_err(Report::from)?;
        Ok(Self {
            child,
            hold,
            client: Client::new(Path::new(&found.instance.socket))?,
            state: found.folder.path().to_owned(),
        })
    }

    /// Ends it, with everything it started.
    pub async fn end(mut self) {
        self.hold = None;
        if tokio::time::timeout(END, self.child.wait()).await.is_err() {
            // Its guardian ends what it has started.
            let _ = self.child.kill().await;
        }
        // Logs of a folder that is gone would be nobody's.
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

fn not_started(said: &str) -> Report {
    let error = said.lines().find(|line| line.starts_with("error"));
    let message = match error {
        Some(error) => format!("the lab's own lbdev did not start: {error}"),
        None => "the lab's own lbdev did not start".to_owned(),
    };
    let mut report = Report::failed("LB010", message);
    report.details = said.lines().rev().take(8).map(str::to_owned).collect();
    report.details.reverse();
    report.hint("run it again; with `--app` try `lbdev up` first")
}
