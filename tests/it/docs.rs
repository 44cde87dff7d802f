//! The README keeps its word.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::harness::Lbdev;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Markdown files that show commands.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![repository().join("README.md")];
    for entry in std::fs::read_dir(repository().join("examples"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let readme = entry.path().join("README.md");
        if readme.is_file() {
            found.push(readme);
        }
    }
    found
}

/// The `lbdev …` lines of a document's code blocks, without prompts and comments.
fn commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            continue;
        }
        let line = line.trim();
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let line = line
            .strip_prefix("cargo run --release -- ")
            .map_or(line.to_owned(), |rest| format!("lbdev {rest}"));
        if inside && line.starts_with("lbdev ") {
            // A command ends at a comment, or at the wide gap before a remark.
            let end = line
                .find(" #")
                .or_else(|| line.find("   "))
                .unwrap_or(line.len());
            found.push(line[..end].trim_end().to_owned());
        }
    }
    found
}

/// The verbs that `lbdev --help` lists.
fn verbs(lbdev: &Lbdev) -> BTreeSet<String> {
    let help = lbdev.run(&["--help"]).ok();
    let list = help
        .stdout
        .lines()
        .skip_while(|line| !line.trim_end().ends_with("ommands:"));
    let words = list.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    words
        .map(|word| word.trim_end_matches(',').to_owned())
        .collect()
}

#[test]
fn commands_name_verbs_that_exist() -> Result<()> {
    let lbdev = Lbdev::new();
    let mut known = verbs(&lbdev);
    assert!(known.contains("up") && known.contains("kill"), "{known:?}");
    // The alias is not in the list.
    known.insert("ps".to_owned());
    for document in documents() {
        let text = std::fs::read_to_string(&document).with_context(|| format!("{document:?}"))?;
        for command in commands(&text) {
            let verb = command.split_whitespace().nth(1).unwrap_or_default();
            // `lbdev 0.1.0   mysite …` is the banner of a session that is shown, `lbdev` alone begins a row of a table.
            let is_output = verb.is_empty()
                || verb.starts_with(|c: char| c.is_ascii_digit())
                || verb.starts_with('-');
            assert!(
                is_output || known.contains(verb),
                "{document:?} names `{command}`, but there is no `lbdev {verb}`"
            );
        }
    }
    Ok(())
}

/// Every command of the README that can run without a terminal and another program does, in the order in which it stands
/// there, against the built-in demo on this test's ports.
#[test]
fn the_readmes_commands_run() -> Result<()> {
    let lbdev = Lbdev::new();
    let text = std::fs::read_to_string(repository().join("README.md"))?;
    let [a, b, c, d] = lbdev.ports.four().map(|port| port.to_string());
    let mut ran = 0;
    lbdev.demo_file("", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    for command in commands(&text) {
        let command = command
            .replace("8000", &a)
            .replace("8001", &b)
            .replace("8002", &c)
            .replace("8003", &d)
            .replace("8080", &lbdev.ports.listen().to_string());
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let plain = !words.iter().any(|word| {
            matches!(*word, "-f" | "--follow" | "|" | "&&")
                || word.contains(['[', '…', '<', '"', '\'', '·', '|'])
        });
        let placeholders = words
            .iter()
            .skip(1)
            .any(|word| word.chars().all(|c| c.is_ascii_uppercase()));
        let runs = matches!(
            words.first(),
            Some(
                &("status"
                    | "ps"
                    | "ls"
                    | "kill"
                    | "start"
                    | "stop"
                    | "restart"
                    | "drain"
                    | "undrain"
                    | "set"
                    | "logs"
                    | "config"
                    | "export")
            )
        );
        if !(plain && runs && !placeholders) {
            continue;
        }
        let output = lbdev.run(&words);
        // After a `kill` of the README a `status` says 3: degraded.
        let fine = output.code == Some(0)
            || matches!(words[0], "status" | "ps") && matches!(output.code, Some(3 | 4));
        assert!(fine, "the README's `lbdev {}`: {output}", words.join(" "));
        ran += 1;
    }
    assert!(ran > 0, "the README shows no command that can run");
    Ok(())
}

/// Every example that needs nothing else starts and answers.
#[test]
fn the_static_example_runs() -> Result<()> {
    let example = repository().join("examples/static");
    let lbdev = Lbdev::new();
    for entry in std::fs::read_dir(&example).with_context(|| format!("{example:?}"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), lbdev.dir.join(entry.file_name()))?;
        }
    }
    lbdev.up(&[]);
    assert_eq!(lbdev.get("/").status, 200);
    Ok(())
}

/// Every `lbdev.toml` that we show resolves.
#[test]
fn configuration_files_of_the_examples_resolve() -> Result<()> {
    let lbdev = Lbdev::new();
    for entry in std::fs::read_dir(repository().join("examples"))? {
        let dir = entry?.path();
        if dir.join("lbdev.toml").is_file() {
            lbdev.run(&["config", "-C", &dir.to_string_lossy()]).ok();
        }
    }
    Ok(())
}

/// The whole files that the README shows as `lbdev.toml` are right.
#[test]
fn the_readmes_configuration_resolves() -> Result<()> {
    let text = std::fs::read_to_string(repository().join("README.md"))?;
    for block in text.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let lbdev = Lbdev::new();
        lbdev.write("lbdev.toml", block);
        let output = lbdev.run(&["config"]);
        assert_eq!(output.code, Some(0), "{block}\n{output}");
    }
    Ok(())
}
