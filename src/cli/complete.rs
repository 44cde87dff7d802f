//! What a shell asks when somebody presses Tab.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};

use super::args::Args;
use crate::backend::Detect;
use crate::balance::{Algorithm, Sequence, Sticky};
use crate::config::{FAULT_KEYS, LIVE_KEYS, WEIGHT_KEY};
use crate::control::Client;
use crate::error::CODES;
use crate::instance;
use crate::lab::Library;
use crate::wire::Status;

/// The variable by which a shell says that it asks.
const VARIABLE: &str = "LBDEV_COMPLETE";
/// A running instance that is slower is not waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// If this process was started by a shell that asks for words: they are printed, and true.
pub fn asked(args: &[OsString]) -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let cwd = std::env::current_dir().ok();
    CompleteEnv::with_factory(Args::command)
        .var(VARIABLE)
        .try_complete(args.iter().cloned(), cwd.as_deref())
        // A shell shows errors in the middle of what is typed: no words are better.
        .unwrap_or(true)
}

/// What a shell of this name has to run so that it asks.
///
/// # Errors
/// None but those of writing into memory.
pub fn registration(shell: &str) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let shells = Shells::builtins();
    if let Some(known) = shells.completer(shell) {
        known.write_registration(VARIABLE, "lbdev", "lbdev", "lbdev", &mut out)?;
    }
    Ok(out)
}

/// Backends of the running instance, the last one of a comma list.
pub(super) fn targets(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let (before, last) = match typed.rfind(',') {
        Some(comma) => typed.split_at(comma + 1),
        None => ("", &*typed),
    };
    let Some(status) = status() else {
        return Vec::new();
    };
    let mut words: Vec<(String, String)> = Vec::new();
    let one_service = status
        .backends
        .windows(2)
        .all(|two| two[0].service == two[1].service);
    for backend in &status.backends {
        let said = format!("{} · {}", backend.service, backend.state);
        match backend.port {
            Some(port) => words.push((port.to_string(), said)),
            None => words.push((backend.id.clone(), said)),
        }
    }
    if !one_service {
        let mut services: Vec<&str> = status.backends.iter().map(|b| b.service.as_str()).collect();
        services.dedup();
        for service in services {
            words.push((service.to_owned(), "all of this service".to_owned()));
        }
    }
    if before.is_empty() {
        words.push(("all".to_owned(), "every backend".to_owned()));
    }
    let fitting = words
        .into_iter()
        .filter(|(word, _)| word.starts_with(last) && !before.split(',').any(|one| one == word));
    fitting
        .map(|(word, said)| candidate(format!("{before}{word}"), said))
        .collect()
}

/// What can be set.
pub(super) fn settings(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    fn names<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
        all.iter().map(|(name, _)| *name).collect()
    }
    let values = |key: &str| match key {
        "algorithm" => names(Algorithm::NAMES),
        "sequence" => names(Sequence::NAMES),
        "sticky" => names(Sticky::NAMES),
        "detect" => names(Detect::NAMES),
        "hash_key" => vec!["path", "header:", "cookie:"],
        _ => Vec::new(),
    };
    if let Some((key, _)) = typed.split_once('=') {
        let words = values(key)
            .into_iter()
            .map(|value| format!("{key}={value}"));
        return fitting(words, &typed);
    }
    let keys = LIVE_KEYS.into_iter().chain([WEIGHT_KEY]);
    let mut words = fitting(keys.map(|key| format!("{key}=")), &typed);
    if !typed.is_empty() && words.is_empty() {
        words = targets(OsStr::new(&*typed));
    }
    words
}

/// What a fault can be made of.
pub(super) fn faults(typed: &OsStr) -> Vec<CompletionCandidate> {
    let words = FAULT_KEYS.into_iter().map(|key| match key {
        "reset" | "hang" => key.to_owned(),
        key => format!("{key}="),
    });
    fitting(words.chain(["off".to_owned()]), &typed.to_string_lossy())
}

/// Labs, and what else `lab` does.
pub(super) fn labs(typed: &OsStr) -> Vec<CompletionCandidate> {
    let here = std::env::current_dir().unwrap_or_default();
    let library = Library::of(&here);
    let labs = library.all().map(|(name, _)| name.to_owned());
    let words = ["list", "hint", "show", "grade"].map(str::to_owned);
    fitting(labs.chain(words), &typed.to_string_lossy())
}

/// What can be explained.
pub(super) fn codes(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy().to_ascii_uppercase();
    let known = CODES.iter().filter(|(code, _)| code.starts_with(&typed));
    known
        .map(|(code, said)| candidate((*code).to_owned(), (*said).to_owned()))
        .collect()
}

fn fitting(words: impl Iterator<Item = String>, typed: &str) -> Vec<CompletionCandidate> {
    let fitting = words.filter(|word| word.starts_with(typed));
    fitting.map(CompletionCandidate::new).collect()
}

fn candidate(word: String, said: String) -> CompletionCandidate {
    CompletionCandidate::new(word).help(Some(said.into()))
}

/// Of the instance that a verb typed here would mean. Whatever stands in the way: nothing is known then.
fn status() -> Option<Status> {
    let project = std::env::var("LBDEV_PROJECT")
        .ok()
        .filter(|name| !name.is_empty());
    let found = instance::find(None, project.as_deref()).ok()?;
    let client = Client::new(Path::new(&found.instance.socket)).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let asked = async { tokio::time::timeout(PATIENCE, client.status()).await };
    runtime.block_on(asked).ok()?.ok()
}
