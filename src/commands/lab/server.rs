//! The server of a lab, as lines of an `lbdev.toml`.

use std::path::Path;

use crate::config::lab::Lab;
use crate::config::{self, Request};
use crate::demo;
use crate::error::Report;

/// A port that stands for every other one while the command is looked up.
const STAND_IN: u16 = 64_123;

/// The built-in demo.
pub(in crate::commands) fn demo() -> Result<String, Report> {
    let program = std::env::current_exe().map_err(|error| {
        Report::failed("LB007", format!("cannot find lbdev itself: {error}"))
            .hint("run it by its full path")
    })?;
    let words = [
        program.to_string_lossy().into_owned(),
        demo::DEMO.to_owned(),
        "--port".to_owned(),
        "{port}".to_owned(),
    ];
    Ok(format!("command = {}", list(&words)))
}

/// That of somebody's own project: its first service with ports.
pub(super) fn of_project(lab: &Lab, dir: &Path) -> Result<String, Report> {
    if !lab.app {
        let message = format!(
            "the lab `{}` needs what only the built-in server can do",
            lab.name
        );
        return Err(Report::usage("LB051", message)
            .hint(format!("run `lbdev lab {}` without `--app`", lab.name)));
    }
    let request = Request {
        dir: dir.to_owned(),
        ports: Some(STAND_IN.to_string()),
        replicas: Some(1),
        no_watch: true,
        ..Request::default()
    };
    let resolved = config::resolve(&request).map_err(|reports| {
        let first = reports.into_iter().next();
        first.unwrap_or_else(|| Report::failed("LB002", "there is no project"))
    })?;
    let mut services = resolved.services.iter();
    let command = services.find_map(|service| {
        let backend = service
            .backends
            .iter()
            .find(|backend| backend.id.port().is_some())?;
        backend.command.as_ref()
    });
    let Some(command) = command else {
        let message = format!("`{}` has no server with a port", dir.display());
        return Err(Report::failed("LB002", message).hint("run `lbdev lab` without `--app`"));
    };
    let port = STAND_IN.to_string();
    let general = |text: &str| text.replace(&port, "{port}");
    let words: Vec<String> = command.argv.iter().map(|word| general(word)).collect();
    let cwd = command.cwd.to_string_lossy().into_owned();
    let ours = |name: &str| name.starts_with("LBDEV_") || name == "PORT";
    let env = command.env.iter().filter(|(name, _)| !ours(name));
    let env: Vec<String> = env
        .map(|(name, value)| format!("{} = {}", quoted(name), quoted(&general(value))))
        .collect();
    Ok(format!(
        "command = {}\ncwd = {}\nenv = {{ {} }}",
        list(&words),
        quoted(&cwd),
        env.join(", ")
    ))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", quoted.join(", "))
}
