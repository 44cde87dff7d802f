//! Changes as they are seen by looking: for folders of which the system tells nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::filter::Filter;

/// The files that matter, as they were at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot(BTreeMap<PathBuf, Look>);

/// Whatever of a file differs after it was written: its time, to the nanosecond where the system has it, or its length.
type Look = Option<(SystemTime, u64)>;

impl Snapshot {
    pub(super) fn of(filter: &Filter) -> Self {
        Self(filter.files(filter.root(), look).into_iter().collect())
    }

    /// The files that are new, gone or changed since `before`. A folder that is gone is itself what has changed.
    pub(super) fn differing(&self, before: &Snapshot) -> Vec<PathBuf> {
        let changed = self
            .0
            .iter()
            .filter(|(path, look)| before.0.get(*path) != Some(look));
        let gone = before.0.keys().filter(|path| !self.0.contains_key(*path));
        changed.map(|(path, _)| path).chain(gone).cloned().collect()
    }
}

fn look(path: &Path) -> Look {
    let meta = path.metadata().ok()?;
    Some((meta.modified().ok()?, meta.len()))
}
