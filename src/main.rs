//! The thin front of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    lbdev::app::main()
}
