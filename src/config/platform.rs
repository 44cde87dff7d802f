//! What differs between systems in how commands are found and run.

/// The folder of programs in a Python environment.
pub(super) const PYTHON_BIN: &str = if cfg!(windows) { "Scripts" } else { "bin" };
/// The interpreter in that folder.
pub(super) const PYTHON_IN_BIN: &str = if cfg!(windows) {
    "python.exe"
} else {
    "python"
};
/// Interpreters on PATH, in the order to try.
pub(super) const PYTHON_NAMES: &[&str] = if cfg!(windows) {
    &["py", "python"]
} else {
    &["python3", "python"]
};
/// What runs a command that needs a shell.
pub(super) const SHELL: [&str; 2] = if cfg!(windows) {
    ["cmd", "/C"]
} else {
    ["sh", "-c"]
};
