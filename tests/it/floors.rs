//! The house stands on its floors: reads every path in the source and holds each rule of the architecture. A failure says
//! the rule, the file and the line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod source;

use source::{Source, Token};

/// A module uses only floors below its own, and of its own floor only what does not use it in turn.
const FLOORS: [&[&str]; 6] = [
    &["backend", "balance", "history"],
    &["config", "recognise", "error", "wire"],
    &[
        "pool", "process", "probe", "watch", "instance", "shutdown", "export", "import",
    ],
    &[
        "proxy",
        "supervisor",
        "control",
        "dashboard",
        "demo",
        "tomcat",
        "load",
        "lab",
        "engine",
        "compare",
    ],
    &["cli", "commands", "ui"],
    &["main", "app", "internals"],
];

/// Crates (by the beginning of their names) that only some modules know.
const ONLY: &[(&str, &[&str])] = &[
    ("duct", &["process"]),
    (
        "hyper",
        &["proxy", "control", "dashboard", "demo", "load", "compare"],
    ),
    ("schemars", &["wire", "control::openapi"]),
    ("reqwest", &["probe", "control::client"]),
    ("ctrlc", &["shutdown"]),
    ("indicatif", &["ui"]),
    ("console", &["ui"]),
    ("clap", &["cli"]),
    ("ratatui", &["ui"]),
    ("open", &["commands::browser"]),
    ("notify", &["watch"]),
    ("ignore", &["watch"]),
    ("sysinfo", &["process::os"]),
    ("win32job", &["process::exec_windows"]),
    ("windows_sys", &["process::os"]),
    ("winapi_util", &["process::os", "instance::os"]),
    ("hmac", &["proxy::sticky"]),
    ("sha2", &["proxy::sticky", "lab"]),
    ("minijinja", &["ui", "lab", "config::lab", "export"]),
    ("csv", &["lab::grade", "ui"]),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// `src/control/client.rs` is `["control", "client"]`.
fn module_path(file: &Path) -> Vec<String> {
    let relative = file
        .strip_prefix(repository().join("src"))
        .unwrap()
        .with_extension("");
    let mut parts: Vec<String> = relative
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// All source files but `lib.rs`, which only lists the modules.
fn sources() -> Vec<Source> {
    let files = rust_files(&repository().join("src"));
    let files = files
        .into_iter()
        .filter(|file| !file.ends_with("src/lib.rs"));
    files
        .map(|file| {
            let module = module_path(&file);
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file
                .strip_prefix(repository())
                .unwrap()
                .display()
                .to_string();
            Source::read(name, module, &text)
        })
        .collect()
}

#[track_caller]
fn none_broken(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}\n{}", broken.join("\n"));
}

#[test]
fn a_module_uses_only_floors_below_its_own() {
    let mut broken = Vec::new();
    let mut beside: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let top = source.top();
        let Some(floor) = floor_of(top) else {
            broken.push(format!(
                "{}: `{top}` has no floor: give it one in tests/it/floors.rs",
                source.name
            ));
            continue;
        };
        for used in source.modules_used() {
            if used.name == top {
                continue;
            }
            match floor_of(&used.name) {
                Some(other) if other > floor => broken.push(format!(
                    "{}:{}: `{top}` (floor {floor}) uses `{}` (floor {other})",
                    source.name, used.line, used.name
                )),
                Some(other) if other == floor && !used.in_test => {
                    beside
                        .entry(top.to_owned())
                        .or_default()
                        .insert(used.name.clone());
                }
                _ => {}
            }
        }
    }
    none_broken("a module uses only floors below its own", &broken);
    for start in beside.keys() {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&String> = beside[start].iter().collect();
        while let Some(module) = next.pop() {
            assert_ne!(
                module, start,
                "modules of one floor use each other in a circle, through `{start}`: {beside:#?}"
            );
            if seen.insert(module) {
                next.extend(beside.get(module).into_iter().flatten());
            }
        }
    }
}

#[test]
fn proxy_and_supervisor_meet_in_pool() {
    let mut broken = Vec::new();
    for source in sources() {
        let other = match source.top() {
            "proxy" => "supervisor",
            "supervisor" => "proxy",
            _ => continue,
        };
        let uses = source.modules_used();
        let wrong = uses.iter().filter(|used| used.name == other);
        broken.extend(wrong.map(|used| format!("{}:{}: uses `{other}`", source.name, used.line)));
    }
    none_broken(
        "`proxy` and `supervisor` never import each other: they meet in `pool`",
        &broken,
    );
}

#[test]
fn a_crate_is_known_only_where_it_belongs() {
    for (name, allowed) in ONLY {
        let mut broken = Vec::new();
        for source in sources() {
            let module = source.module.join("::");
            let known = allowed.iter().any(|&place| {
                module == place
                    || module
                        .strip_prefix(place)
                        .is_some_and(|rest| rest.starts_with("::"))
            });
            if !known {
                let lines = source.crate_paths().filter(|(path, _)| {
                    path.strip_prefix(name)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
                });
                broken.extend(
                    lines.map(|(_, line)| format!("{}:{line}: knows `{name}`", source.name)),
                );
            }
        }
        none_broken(
            &format!("only {} may know `{name}`", allowed.join(", ")),
            &broken,
        );
    }
}

#[test]
fn unsafe_code_is_in_one_file() {
    const PLACE: &str = "src/process/os/windows/calls.rs";
    let (here, elsewhere): (Vec<_>, Vec<_>) = sources()
        .into_iter()
        .partition(|source| source.name == PLACE);
    let uses = |source: &Source| {
        let uses = source.tokens.iter().filter(|token| token.text == "unsafe");
        uses.map(|token| format!("{}:{}", source.name, token.line))
            .collect::<Vec<_>>()
    };
    assert!(
        here.iter().any(|source| !uses(source).is_empty()),
        "{PLACE}"
    );
    let broken: Vec<String> = elsewhere.iter().flat_map(uses).collect();
    none_broken(&format!("`unsafe` is in {PLACE} and nowhere else"), &broken);
}

#[test]
fn only_ui_prints() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.top() != "ui") {
        for pair in source.tokens.windows(2) {
            let [name, mark] = pair else { continue };
            let prints =
                ["print", "println", "eprint", "eprintln", "dbg"].contains(&name.text.as_str());
            if prints && mark.text == "!" && !name.in_test {
                broken.push(format!("{}:{}: {}!", source.name, name.line, name.text));
            }
        }
    }
    none_broken("only `ui` prints", &broken);
}

#[test]
fn the_lowest_floor_is_pure() {
    let banned_crates = ["tokio", "serde", "fastrand", "rustix", "socket2", "uuid"];
    let banned_paths = [
        ["Instant", "now"],
        ["SystemTime", "now"],
        ["std", "fs"],
        ["std", "net"],
        ["std", "process"],
        ["std", "thread"],
        ["std", "env"],
    ];
    let mut broken = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| floor_of(source.top()) == Some(0))
    {
        let crates = source
            .crate_paths()
            .filter(|(path, _)| banned_crates.contains(path));
        broken.extend(crates.map(|(path, line)| format!("{}:{line}: {path}", source.name)));
        for four in source.tokens.windows(4).filter(|four| !four[0].in_test) {
            let words = [four[0].text.as_str(), four[3].text.as_str()];
            if four[1].text == ":" && four[2].text == ":" && banned_paths.contains(&words) {
                broken.push(format!(
                    "{}:{}: {}::{}",
                    source.name, four[0].line, words[0], words[1]
                ));
            }
        }
    }
    none_broken(
        "backend, balance and history are pure: no I/O, no clock reads, no randomness of their own, nothing serialised",
        &broken,
    );
}

#[test]
fn every_reqwest_client_goes_without_a_proxy() {
    let mut broken = Vec::new();
    for source in sources() {
        if !source.crate_paths().any(|(path, _)| path == "reqwest") {
            continue;
        }
        let has = |word: &str| source.tokens.iter().any(|token| token.text == word);
        let line_of = |first: &str, last: &str| {
            let mut fours = source.tokens.windows(4);
            fours
                .find(|four: &&[Token]| {
                    four[0].text == first && four[3].text == last && four[1].text == ":"
                })
                .map(|four| four[0].line)
        };
        if let Some(line) = line_of("Client", "new").filter(|_| has("reqwest")) {
            // Our own `Client::new` is a definition's name, not a path with a crate before it.
            let qualified = source
                .tokens
                .windows(4)
                .any(|four| four[0].text == "reqwest" && four[3].text == "Client");
            if qualified && !has("no_proxy") {
                broken.push(format!("{}:{line}", source.name));
            }
        }
        let builds = line_of("Client", "builder").or(line_of("ClientBuilder", "new"));
        if let Some(line) = builds.filter(|_| !has("no_proxy")) {
            broken.push(format!("{}:{line}", source.name));
        }
    }
    none_broken("every reqwest client is built with `no_proxy()`", &broken);
}

#[test]
fn tests_sleep_only_in_wait() {
    let mut broken = Vec::new();
    for file in rust_files(&repository().join("tests/it")) {
        if file.ends_with("tests/it/wait.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file
            .strip_prefix(repository())
            .unwrap()
            .display()
            .to_string();
        let source = Source::read(name, vec!["it".to_owned()], &text);
        for pair in source.tokens.windows(2) {
            if pair[0].text == "sleep" && pair[1].text == "(" {
                broken.push(format!("{}:{}", source.name, pair[0].line));
            }
        }
    }
    none_broken(
        "no sleep stands in for synchronisation: the tests' only one is in tests/it/wait.rs",
        &broken,
    );
}
