//! What works alone and breaks behind a balancer, found in the project's own text. Each is an entry of
//! `templates/pitfalls.toml`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use regex::Regex;
use serde::Deserialize;

/// So far below the project's folder is looked.
const DEPTH: usize = 4;
/// No more files are read than this: it must not hold a start up.
const FILES: usize = 3000;
/// Nor longer ones.
const BYTES: u64 = 256 * 1024;
/// Folders that hold somebody else's code.
const NOT_OURS: [&str; 8] = [
    "node_modules",
    "__pycache__",
    "site-packages",
    "dist",
    "build",
    "target",
    "tests",
    "test",
];

/// One of them, where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pitfall {
    /// The file, relative to the project's folder.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// What will happen.
    pub said: &'static str,
    /// What to do about it.
    pub what: &'static str,
    /// For `lbdev explain`.
    pub code: &'static str,
}

impl std::fmt::Display for Pitfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        let (said, what, code) = (self.said, self.what, self.code);
        write!(f, "{said} ({file}:{line}): {what} · lbdev explain {code}")
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    pitfall: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    code: String,
    ending: String,
    text: String,
    unless: Option<String>,
    needs: Option<String>,
    said: String,
    what: String,
}

/// A rule, ready to look.
struct Look {
    rule: Rule,
    text: Regex,
    unless: Option<Regex>,
    needs: Option<Regex>,
}

fn looks() -> &'static [Look] {
    static ALL: OnceLock<Vec<Look>> = OnceLock::new();
    ALL.get_or_init(|| {
        let text = include_str!("../../templates/pitfalls.toml");
        let file: File = toml::from_str(text).expect("embedded, and read by a test");
        let regex = |text: &String| Regex::new(text).expect("embedded, and compiled by a test");
        let ready = |rule: Rule| Look {
            text: regex(&rule.text),
            unless: rule.unless.as_ref().map(regex),
            needs: rule.needs.as_ref().map(regex),
            rule,
        };
        file.pitfall.into_iter().map(ready).collect()
    })
}

/// Those of a folder, each kind once, in the order of their files.
pub fn pitfalls(dir: &Path) -> Vec<Pitfall> {
    let mut files = Vec::new();
    gather(dir, DEPTH, &mut files);
    files.sort();
    let mut found: Vec<Pitfall> = Vec::new();
    for path in files {
        let small = path.metadata().is_ok_and(|meta| meta.len() <= BYTES);
        let Some(text) = small.then(|| std::fs::read_to_string(&path).ok()).flatten() else {
            continue;
        };
        let file = path.strip_prefix(dir).unwrap_or(&path);
        for one in in_text(file, &text) {
            if !found.iter().any(|known| known.said == one.said) {
                found.push(one);
            }
        }
    }
    found
}

/// What the rules find in one file.
fn in_text(file: &Path, text: &str) -> Vec<Pitfall> {
    let name = file.to_string_lossy();
    let mut found = Vec::new();
    for look in looks() {
        let script = look.rule.ending == ".js"
            && [".mjs", ".cjs", ".ts"]
                .iter()
                .any(|ending| name.ends_with(ending));
        if !name.ends_with(&look.rule.ending) && !script {
            continue;
        }
        let has = |regex: &Option<Regex>| regex.as_ref().map(|regex| regex.is_match(text));
        if has(&look.unless) == Some(true) || has(&look.needs) == Some(false) {
            continue;
        }
        let comment = |line: &str| line.trim_start().starts_with(['#', '/']);
        let line = text
            .lines()
            .position(|line| !comment(line) && look.text.is_match(line));
        if let Some(line) = line {
            found.push(Pitfall {
                file: file.to_owned(),
                line: line + 1,
                said: &look.rule.said,
                what: &look.rule.what,
                code: &look.rule.code,
            });
        }
    }
    found
}

fn gather(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if files.len() >= FILES {
            return;
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Links are not followed: there could be circles.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = entry.path();
        if kind.is_dir() {
            let ours = !name.starts_with('.')
                && !NOT_OURS.contains(&&*name)
                && !path.join("pyvenv.cfg").is_file();
            if ours && depth > 0 {
                gather(&path, depth - 1, files);
            }
        } else if kind.is_file() {
            let endings = [".py", ".js", ".mjs", ".cjs", ".ts"];
            if endings.iter().any(|ending| name.ends_with(ending)) {
                files.push(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, expected: &[&str]) {
        let found = in_text(Path::new(file), text);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let begins = |(found, expected): (&String, &&str)| found.contains(*expected);
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        assert!(found.iter().zip(expected).all(begins), "{text}: {found:?}");
    }

    #[test]
    fn in_settings_and_servers() {
        check(
            "settings.py",
            "SESSION_ENGINE = 'django.contrib.sessions.backends.cache'\n",
            &["logins will come and go (settings.py:1)"],
        );
        check(
            "settings.py",
            "SESSION_ENGINE = 'django.contrib.sessions.backends.cache'\nCACHES = {'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache'}}\n",
            &[],
        );
        check(
            "settings.py",
            "SESSION_ENGINE = 'django.contrib.sessions.backends.db'\n",
            &[],
        );
        check(
            "settings.py",
            "\n'BACKEND': 'django.core.cache.backends.locmem.LocMemCache',\n",
            &["(settings.py:2)"],
        );
        check(
            "s.py",
            "CHANNEL_LAYERS = {'default': {'BACKEND': 'channels.layers.InMemoryChannelLayer'}}",
            &["the channel layer"],
        );
        check(
            "s.py",
            "SECRET_KEY = get_random_secret_key()",
            &["a secret key of its own"],
        );
        check(
            "s.py",
            "SECRET_KEY = os.environ['SECRET_KEY']\n# SECRET_KEY = secrets.token_hex()",
            &[],
        );
        check(
            "app.py",
            "app.secret_key = os.urandom(16)",
            &["a secret key of its own"],
        );
        check("app.py", "app.secret_key = 'fixed'", &[]);
        check(
            "jobs.py",
            "scheduler = BackgroundScheduler()",
            &["as often as there are copies"],
        );
        check(
            "app.js",
            "import session from 'express-session'\napp.use(session({ secret: 'x' }))",
            &["MemoryStore"],
        );
        check(
            "app.mjs",
            "const session = require('express-session')\napp.use(session({ store, secret: 'x' }))",
            &[],
        );
        check(
            "app.js",
            "import session from 'express-session'\napp.use(session({\n store: new RedisStore(),\n}))",
            &[],
        );
        check(
            "app.js",
            "secret: crypto.randomBytes(8)",
            &["a secret of its own"],
        );
        check(
            "app.js",
            "cron.schedule('* * * * *', tick)",
            &["a scheduler"],
        );
        check("readme.md", "SECRET_KEY = get_random_secret_key()", &[]);
    }

    #[test]
    fn each_kind_once_and_nobody_elses_code() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("b.py", "SECRET_KEY = secrets.token_hex()");
        write("a/settings.py", "SECRET_KEY = secrets.token_hex()");
        write("node_modules/x.js", "cron.schedule(x)");
        write("env/pyvenv.cfg", "");
        write("env/lib/z.py", "x = BackgroundScheduler()");
        let found = pitfalls(dir.path());
        let places: Vec<&Path> = found.iter().map(|one| &*one.file).collect();
        assert_eq!(places, [Path::new("a/settings.py")]);
        // The example that newcomers start with has none.
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/django");
        assert_eq!(pitfalls(Path::new(example)), []);
    }
}
