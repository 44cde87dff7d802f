//! A Procfile: `web` gets ports, everything else runs beside it.

use super::Imported;
use super::draft::quoted;
use crate::config::{self, ProcfileLine};
use crate::error::Report;

/// The text of `lbdev.toml` for a Procfile.
///
/// # Errors
/// Lines that are none, all at once.
pub fn procfile(file: &str, text: &str) -> Result<Imported, Vec<Report>> {
    let (lines, notes) = config::procfile_lines(file, text)?;
    let mut out = format!("# From {file}, by `lbdev import`.\n");
    for ProcfileLine {
        name,
        command,
        ports,
    } in lines
    {
        out.push_str(&format!(
            "\n[services.{name}]\ncommand = {}\n",
            quoted(&command)
        ));
        if let Some(ports) = ports {
            out.push_str(&format!("ports = {}\n", quoted(&ports)));
        }
    }
    Ok(Imported {
        text: out,
        missed: Vec::new(),
        notes,
    })
}
