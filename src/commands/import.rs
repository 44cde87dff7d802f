//! `import`: a set-up of something else becomes `lbdev.toml`.

use crate::cli::{ImportOptions, Place};
use crate::error::Report;
use crate::ui::Ui;

pub(super) fn import(_: &Place, _: &ImportOptions, _: &Ui) -> Result<u8, Vec<Report>> {
    Ok(0)
}
