//! Configuration files with something wrong in them: each is `broken/NAME.toml`, and what lbdev says of it is `NAME.txt`.
//!
//! With `LBDEV_TEST_BLESS=1` the texts are written anew, to be read before they are kept.

use std::path::{Path, PathBuf};

use crate::harness::Lbdev;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/broken");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn each_is_told_as_expected() {
    let lbdev = Lbdev::new();
    let bless = std::env::var_os("LBDEV_TEST_BLESS").is_some_and(|value| value == "1");
    let files = files();
    assert!(files.len() >= 60, "{}", files.len());
    let mut wrong = Vec::new();
    for path in files {
        std::fs::copy(&path, lbdev.dir.join("lbdev.toml")).unwrap();
        let said = lbdev.run(&["config"]);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert_eq!(said.code, Some(2), "{name}: {said}");
        assert_eq!(said.stdout, "", "{name}");
        let text = path.with_extension("txt");
        if bless {
            std::fs::write(&text, &said.stderr).unwrap();
        }
        let expected = std::fs::read_to_string(&text).unwrap_or_default();
        if said.stderr != expected {
            wrong.push(format!(
                "{name}:\n{}--- instead of\n{expected}",
                said.stderr
            ));
        }
        // Whoever starts it hears the same.
        if name == "several-at-once" {
            assert_eq!(lbdev.run(&["up"]).stderr, said.stderr);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The schema that editors use knows each of them that breaks no rule between keys, and finds nothing wrong with the
/// template and the examples.
#[test]
fn the_schema_agrees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read_to_string(root.join("templates/lbdev.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let read = |text: &str| -> Option<serde_json::Value> { toml::from_str(text).ok() };
    let mut good = Vec::new();
    for example in std::fs::read_dir(root.join("examples")).unwrap() {
        good.extend(std::fs::read_to_string(example.unwrap().path().join("lbdev.toml")).ok());
    }
    // The template with its examples switched on, then with its defaults.
    let template = std::fs::read_to_string(root.join("templates/lbdev.toml")).unwrap();
    let template = template
        .replace("@COMMAND@", "\"x {port}\"")
        .replace("@PORTS@", "8000");
    for mark in ["## ", "# "] {
        let lines = template.lines().map(|line| match line.strip_prefix(mark) {
            Some(key) if key.contains(" = ") && !key.split(" = ").next().unwrap().contains(' ') => {
                key
            }
            Some(key) if key.starts_with('[') => key,
            _ => line,
        });
        good.push(lines.collect::<Vec<_>>().join("\n"));
    }
    assert!(good.len() > 5);
    for text in good {
        let file = read(&text).unwrap_or_else(|| panic!("no TOML: {text}"));
        let errors: Vec<String> = validator
            .iter_errors(&file)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {text}");
    }
    for path in files() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let kinds = ["unknown-", "type-", "key-in"];
        if let Some(file) = read(&text)
            && kinds.iter().any(|kind| name.starts_with(kind))
        {
            assert!(!validator.is_valid(&file), "{name}");
        }
    }
}
