//! Texts for other programs: completions and the manual page.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::cli;
use crate::error::Report;
use crate::ui::Ui;

/// What makes a shell complete our words.
pub(super) fn completions(shell: &str, ui: &Ui) -> Result<u8, Vec<Report>> {
    let script = cli::registration(shell).map_err(unwritten)?;
    ui.out(&String::from_utf8_lossy(&script));
    Ok(0)
}

/// The manual page: read with `man` on a terminal, else as it is.
pub(super) fn man(ui: &Ui) -> Result<u8, Vec<Report>> {
    let page = cli::man_page().map_err(unwritten)?;
    if !(ui.out_terminal && shown(&page)) {
        ui.out(&String::from_utf8_lossy(&page));
    }
    Ok(0)
}

/// Whether there is a `man` that has shown it. It is looked for where its own reader would look.
fn shown(page: &[u8]) -> bool {
    let started = Command::new("man")
        .args(["-l", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut man) = started else { return false };
    if let Some(mut stdin) = man.stdin.take() {
        // A reader that leaves early has seen enough.
        let _ = stdin.write_all(page);
    }
    man.wait().is_ok_and(|status| status.success())
}

fn unwritten(error: std::io::Error) -> Vec<Report> {
    let message = format!("the text cannot be made: {error}");
    vec![Report::failed("LB008", message)]
}
