//! The thin front of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    lbdev::process::hidden(&args).unwrap_or(ExitCode::SUCCESS)
}
