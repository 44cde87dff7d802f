//! `lbdev init`: a full `lbdev.toml` with what was recognised, and every other key as a comment.

use std::path::Path;

use super::choice::named;
use super::defaults::FIRST_PORT;
use super::problem::Where;
use super::resolve::report_of;
use crate::error::Report;
use crate::recognise;

const TEMPLATE: &str = include_str!("../../templates/lbdev.toml");

/// What stands in the template where the command goes.
const COMMAND: &str = "@COMMAND@";
/// And its ports.
const PORTS: &str = "@PORTS@";
/// The command of a file for a folder in which nothing was recognised: to be replaced.
pub const PLACEHOLDER: &str = "./my-server --port {port}";
/// What stands in the template where it says what was recognised.
const ORIGIN: &str = "@ORIGIN@";

/// The text of `lbdev.toml` for a folder: for the framework of this name, else for what is recognised there, else an
/// example to be edited.
///
/// # Errors
/// LB021 for a framework that lbdev does not know, LB002 for one that is not in the folder.
pub fn init(dir: &Path, framework: Option<&str>) -> Result<String, Report> {
    let found = match framework {
        Some(id) => {
            let named = named(id, dir);
            Some(named.map_err(|problem| report_of(problem, Where::Nowhere))?)
        }
        None => recognise::recognise(dir).into_iter().next(),
    };
    let Some(found) = found else {
        let command = toml::Value::String(PLACEHOLDER.to_owned()).to_string();
        return Ok(TEMPLATE
            .replace(ORIGIN, "an example: put your own command below")
            .replace(COMMAND, &command)
            .replace(PORTS, &ports(4)));
    };
    let framework = found.framework;
    // What was not found is left to be put in.
    let fill = |text: &str| match found.fill(text) {
        Ok(filled) => filled,
        Err(find) => text.replace(&format!("{{{}}}", find.name), &find.name.to_uppercase()),
    };
    let text = |text: &str| toml::Value::String(fill(text)).to_string();
    let texts = |all: &[String]| {
        let all: Vec<String> = all.iter().map(|one| text(one)).collect();
        format!("[{}]", all.join(", "))
    };
    let mut lines = vec![text(&framework.command)];
    if !framework.env.is_empty() {
        let env = framework.env.iter();
        let env: Vec<String> = env
            .map(|(name, value)| format!("{name} = {}", text(value)))
            .collect();
        lines.push(format!("env = {{ {} }}", env.join(", ")));
    }
    if !framework.before.is_empty() {
        lines.push(format!("before = {}", texts(&framework.before)));
    }
    if !framework.watch.is_empty() {
        lines.push(format!("watch = {}", texts(&framework.watch)));
    }
    Ok(TEMPLATE
        .replace(ORIGIN, &found.origin())
        .replace(COMMAND, &lines.join("\n"))
        .replace(PORTS, &ports(framework.replicas.unwrap_or(4))))
}

/// So many ports from the first one on.
fn ports(count: u16) -> String {
    match count {
        1 => format!("\"{FIRST_PORT}\""),
        count => format!("\"{FIRST_PORT}-{}\"", FIRST_PORT + count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Request, resolve};

    fn resolved(dir: &Path) -> Config {
        let request = Request {
            dir: dir.to_owned(),
            ..Request::default()
        };
        resolve(&request).unwrap()
    }

    #[test]
    fn says_what_was_recognised() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("index.html"), "hello").unwrap();
        let without = resolved(dir.path());
        let text = init(dir.path(), None).unwrap();
        std::fs::write(dir.path().join("lbdev.toml"), &text).unwrap();
        let with = resolved(dir.path());
        assert_eq!(with.origin, "lbdev.toml");
        let same = Config {
            origin: without.origin.clone(),
            ..with
        };
        assert_eq!(same, without);
    }

    #[test]
    fn every_commented_key_is_valid_and_the_default() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("index.html"), "hello").unwrap();
        let without = resolved(dir.path());
        let text = init(dir.path(), Some("static")).unwrap();
        // Keys that are commented out stand as `# key = value`; `## ` marks what would change the set-up.
        let lines = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(key)
                if key
                    .split_once(" = ")
                    .is_some_and(|(k, _)| !k.trim_end().contains(' ')) =>
            {
                key
            }
            _ => line,
        });
        let all: Vec<&str> = lines.collect();
        assert_ne!(all.join("\n"), text.trim_end());
        std::fs::write(dir.path().join("lbdev.toml"), all.join("\n")).unwrap();
        let with = resolved(dir.path());
        assert_eq!(with.balancer, without.balancer);
        assert_eq!(with.services, without.services);
    }

    #[test]
    fn its_examples_are_valid() {
        let dir = tempfile::tempdir().unwrap();
        let lines = TEMPLATE.lines().map(|line| match line.strip_prefix("## ") {
            Some(key) if key.contains(" = ") || key.starts_with('[') => key,
            _ => line,
        });
        let text = lines
            .collect::<Vec<_>>()
            .join("\n")
            .replace(COMMAND, "'x {port}'")
            .replace(PORTS, "\"8000-8003\"");
        std::fs::write(dir.path().join("lbdev.toml"), text).unwrap();
        std::fs::write(dir.path().join(".env"), "").unwrap();
        let names: Vec<String> = resolved(dir.path())
            .services
            .into_iter()
            .map(|s| s.name)
            .collect();
        assert_eq!(names, ["web", "api", "worker", "legacy"]);
    }

    #[test]
    fn unknown_frameworks() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(init(dir.path(), Some("djang")).unwrap_err().code, "LB021");
        assert_eq!(init(dir.path(), Some("django")).unwrap_err().code, "LB002");
        assert!(init(dir.path(), None).is_ok());
    }
}
