//! What an lbdev left behind that was ended so hard that neither it nor its guardian could clean up.

use std::path::Path;

use crate::error::Report;
use crate::instance::{self, InstanceError, Lock};
use crate::process;
use crate::ui::{Ui, plural};

/// Ends every process that an earlier instance of the locked folder left, and removes its files. What is to be said of it,
/// if any was found.
///
/// # Errors
/// When a file of the earlier one cannot be removed.
pub(crate) fn end_left_over(lock: &Lock) -> Result<Option<String>, InstanceError> {
    let folder = lock.folder();
    let ended = folder
        .read()
        .map(|left| process::end_instance(&left.id, &folder.sessions_file()))
        .unwrap_or_default();
    lock.remove()?;
    if ended.is_empty() {
        return Ok(None);
    }
    let all = plural(ended.len(), "process", "processes");
    let pids: Vec<String> = ended.iter().take(5).map(u32::to_string).collect();
    let more = if ended.len() > pids.len() {
        ", …"
    } else {
        ""
    };
    Ok(Some(format!(
        "an earlier lbdev here was killed and left {all} behind (pid {}{more}), which are ended now",
        pids.join(", ")
    )))
}

/// The same for `dir` and its parents, or for every project of this user, where no lbdev runs.
pub(super) fn clean_up(dir: Option<&Path>, ui: &Ui) -> Result<(), Report> {
    for folder in instance::left_over(dir)? {
        // Another one may have been started at this very moment: then it cleans up.
        if let Some(lock) = Lock::try_take(&folder)?
            && let Some(said) = end_left_over(&lock)?
        {
            ui.note(&said);
        }
    }
    Ok(())
}
