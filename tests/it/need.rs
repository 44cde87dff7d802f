//! What only some machines have. A test asks for its tool, and returns early where it is missing; the skip is written down
//! with its reason, and `tests/run` shows it (with CI=true a skip is a failure there).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A Python that can import Django, in a venv of its own.
pub fn django() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| python_with("import django"));
    or_skip(found.clone(), "Django is not installed")
}

/// A Python that can run asynchronous servers: uvicorn, FastAPI and what they need for WebSockets.
pub fn uvicorn() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| python_with("import fastapi, uvicorn, websockets"));
    or_skip(found.clone(), "uvicorn or FastAPI is not installed")
}

/// A Python that can run gunicorn.
pub fn gunicorn() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| python_with("import gunicorn"));
    or_skip(found.clone(), "gunicorn is not installed")
}

/// A Python of the tests' own that has what else they ask for.
pub fn python_that_imports(names: &str) -> Option<PathBuf> {
    let found = python_with(&format!("import {names}"));
    or_skip(found, &format!("Python has not all of {names}"))
}

/// Node, and the modules that `tests/run` has installed.
#[derive(Debug, Clone)]
pub struct Node {
    pub program: PathBuf,
    pub modules: PathBuf,
}

/// Node with Playwright, axe, and what makes the dashboard's page.
pub fn node() -> Option<Node> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.env/npm/node_modules");
    let has = |name: &str| modules.join(name).join("package.json").is_file();
    let all = [
        "playwright-core",
        "axe-core",
        "esbuild",
        "typescript",
        "uplot",
    ];
    let found = all.iter().all(|name| has(name)).then(|| {
        let program = on_path("node")?;
        Some(Node { program, modules })
    });
    or_skip(
        found.flatten(),
        "Node, or Playwright and what makes the page, is not installed",
    )
}

/// The one that was named, or the one of the tests' own venv, if it can do this.
fn python_with(imports: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.env/venv/bin/python");
    let told = std::env::var_os("LBDEV_TEST_PYTHON").map(PathBuf::from);
    let mut candidates = told.into_iter().chain([own]);
    candidates.find(|python| succeeds(Command::new(python).args(["-c", imports])))
}

/// A Python that can import Flask.
pub fn flask() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| python_with("import flask"));
    or_skip(found.clone(), "Flask is not installed")
}

/// A program that `tests/run` installs where it may.
pub fn installed(name: &str, reason: &str) -> Option<PathBuf> {
    or_skip(on_path(name), reason)
}

/// Whether Java and Tomcat are here.
pub fn tomcat() -> bool {
    let home = std::env::var_os("CATALINA_HOME").map(PathBuf::from);
    let packaged = ["11", "10"].map(|version| format!("/usr/share/tomcat{version}").into());
    let mut homes = home.into_iter().chain(packaged);
    let there = homes.any(|home| home.join("bin/catalina.sh").is_file());
    let both = (there && on_path("java").is_some()).then_some(());
    or_skip(both, "Tomcat 10, or Java that runs it, is not installed").is_some()
}

/// The command of a real Vite.
pub fn vite() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let own = "tests/.env/npm/node_modules/.bin/vite";
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(own);
        Some(own).filter(|vite| succeeds(Command::new(vite).arg("--version")))
    });
    or_skip(
        found.clone(),
        "Vite, or Node that runs it, is not installed",
    )
}

/// Any Python 3.
pub fn python() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| python_with("").or_else(|| on_path("python3")));
    or_skip(found.clone(), "there is no python3")
}

/// A headless browser.
#[derive(Debug, Clone)]
pub struct Chromium {
    pub browser: PathBuf,
    pub driver: PathBuf,
}

/// Chromium with its driver.
pub fn chromium() -> Option<Chromium> {
    static FOUND: OnceLock<Option<Chromium>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let named = |variable: &str, names: &[&str]| {
            let told = std::env::var_os(variable).map(PathBuf::from);
            told.or_else(|| names.iter().find_map(|name| on_path(name)))
                .filter(|program| succeeds(Command::new(program).arg("--version")))
        };
        Some(Chromium {
            browser: named(
                "LBDEV_TEST_CHROMIUM",
                &["chromium", "chromium-browser", "google-chrome"],
            )?,
            driver: named("LBDEV_TEST_CHROMEDRIVER", &["chromedriver"])?,
        })
    });
    or_skip(
        found.clone(),
        "Chromium or its chromedriver is not installed",
    )
}

/// A program that a small test needs and nearly every system has.
pub fn program(name: &str) -> Option<PathBuf> {
    or_skip(on_path(name), &format!("there is no `{name}`"))
}

/// Whether this runs as root, who alone may make namespaces and mount something everywhere.
pub fn root() -> bool {
    let is = rustix::process::getuid().is_root();
    or_skip(is.then_some(()), "it needs root").is_some()
}

fn or_skip<T>(found: Option<T>, reason: &str) -> Option<T> {
    if found.is_none() {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test").to_owned();
        eprintln!("skipped {test}: {reason}");
        if let Some(file) = std::env::var_os("LBDEV_TEST_SKIPS") {
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(file)
                .expect("the list of skips can be opened");
            writeln!(file, "{test}: {reason}").expect("the list of skips can be written");
        }
    }
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Where Debian keeps balancers; a user's PATH may be without it.
    let sbin = PathBuf::from("/usr/sbin");
    std::env::split_paths(&path)
        .chain([sbin])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
