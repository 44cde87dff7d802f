//! Django's settings, as Django itself has them after it has read everything.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{Command, Config};
use crate::process;
use crate::ui::banner::app_url;
use crate::wire::Finding;

/// Settings that take longer to import than this are not waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What asks.
const SCRIPT: &str = include_str!("../../../templates/doctor_django.py");

/// What the script tells.
#[derive(Debug, Clone, Deserialize)]
struct Settings {
    version: String,
    python: String,
    settings: String,
    key: String,
    sessions: bool,
    session_engine: String,
    session_cache: String,
    caches: Vec<String>,
    databases: Vec<Database>,
    hosts: BTreeMap<String, bool>,
    debug: bool,
    secure_cookies: Vec<String>,
    csrf_trusted_origins: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Database {
    engine: String,
    timeout: Option<f64>,
    mode: String,
}

/// Of the first service that runs a `manage.py`. The settings are imported twice, by two processes, as copies of a server do.
pub(super) fn settings(config: &Config) -> Vec<Finding> {
    let commands = config.services.iter().filter_map(|service| {
        let command = service.backends.first()?.command.as_ref()?;
        asking(command, config, service.backends.len())
    });
    let Some((command, copies)) = commands.into_iter().next() else {
        return Vec::new();
    };
    let asked = || -> Option<Settings> {
        let said = process::ask(&command, PATIENCE)?;
        // What the settings themselves print stands before it.
        serde_json::from_str(said.lines().last()?).ok()
    };
    let Some(first) = asked() else {
        let text = "the settings cannot be imported";
        return vec![
            Finding::problem("django", text)
                .hint("run `python manage.py check` to see why")
                .code("LB010"),
        ];
    };
    let second = asked().map(|second| second.key);
    judge(&first, second.as_deref(), copies)
}

/// The same Python in the same folder with the same variables, with the script in the place of `manage.py`.
fn asking(command: &Command, config: &Config, copies: usize) -> Option<(Command, usize)> {
    let manage = command
        .argv
        .iter()
        .position(|word| word.ends_with("manage.py"))?;
    let python = command.argv[..manage].first()?;
    let url = app_url(&config.balancer.listen.url(), &config.project);
    let host = url.strip_prefix("http://").unwrap_or(&url);
    let host = host.split(['/', ':']).next().unwrap_or("localhost");
    let mut argv = vec![python.clone(), "-c".to_owned(), SCRIPT.to_owned()];
    argv.extend([
        host.to_owned(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ]);
    argv.dedup();
    let command = Command {
        argv,
        pty: false,
        awaits: None,
        ..command.clone()
    };
    Some((command, copies))
}

/// What is to be said of these settings, where another process has the key `second`.
fn judge(settings: &Settings, second: Option<&str>, copies: usize) -> Vec<Finding> {
    let local = |backend: &str| backend.ends_with("LocMemCache") || backend.ends_with("DummyCache");
    let several = copies > 1;
    let mut found = vec![Finding::ok(
        "django",
        format!(
            "Django {}, Python {}, {}",
            settings.version, settings.python, settings.settings
        ),
    )];
    found.push(match second == Some(&settings.key) {
        true => Finding::ok("django", "SECRET_KEY is the same in every copy"),
        false => Finding::problem(
            "django",
            "SECRET_KEY is another one in each copy, and after each restart",
        )
        .hint("read it from the environment or a file: the same for all")
        .code("LB110"),
    });
    let engine = settings
        .session_engine
        .rsplit('.')
        .next()
        .unwrap_or_default();
    let in_memory = engine == "cache" && local(&settings.session_cache);
    found.push(match (settings.sessions, in_memory && several) {
        (false, _) => Finding::ok("django", "there are no sessions"),
        (true, true) => Finding::problem("django", "sessions live in the memory of one process (SESSION_ENGINE is the cache, and the cache is local)")
            .hint("set SESSION_ENGINE to `django.contrib.sessions.backends.db`, or a cache that all copies share")
            .code("LB112"),
        (true, false) => Finding::ok("django", format!("sessions are kept by `{engine}`, which all copies share")),
    });
    match settings.caches.iter().find(|backend| local(backend)) {
        Some(_) if several => found.push(
            Finding::problem(
                "django",
                "a cache of CACHES is in the memory of each process",
            )
            .hint("use one that all copies share: `DatabaseCache`, `FileBasedCache`, Redis")
            .code("LB111"),
        ),
        Some(_) | None => found.push(Finding::ok(
            "django",
            "no cache is set up that only one copy has",
        )),
    }
    found.extend(
        settings
            .databases
            .iter()
            .map(|database| database_finding(database, several)),
    );
    let refused: Vec<String> = (settings.hosts.iter())
        .filter(|(_, allowed)| !**allowed)
        .map(|(host, _)| format!("`{host}`"))
        .collect();
    found.push(match refused.is_empty() {
        true => Finding::ok("django", "ALLOWED_HOSTS has the addresses of lbdev"),
        false => Finding::problem(
            "django",
            format!(
                "ALLOWED_HOSTS does not allow {}: they get 400",
                refused.join(", ")
            ),
        )
        .hint("add `\".localhost\"` and `\"127.0.0.1\"` to ALLOWED_HOSTS")
        .code("LB116"),
    });
    let bare = settings
        .csrf_trusted_origins
        .iter()
        .find(|origin| !origin.contains("://"));
    found.push(match (settings.secure_cookies.is_empty(), bare) {
        (false, _) => Finding::problem("django", format!("{} {} for HTTPS, and lbdev's address is HTTP", settings.secure_cookies.join(", "), if settings.secure_cookies.len() == 1 { "is" } else { "are" }))
            .hint("switch them on only where the site is served over HTTPS")
            .code("LB117"),
        (true, Some(bare)) => Finding::problem("django", format!("CSRF_TRUSTED_ORIGINS has `{bare}`, which names no scheme: forms from there fail with 403"))
            .hint(format!("write `\"https://{bare}\"`"))
            .code("LB117"),
        (true, None) => Finding::ok("django", "forms and cookies work at lbdev's address: it passes `Host` on as it is"),
    });
    if !settings.debug {
        found.push(
            Finding::note("django", "DEBUG is off: runserver serves no static files")
                .hint("run `lbdev up` with `DEBUG` on, or have whitenoise or the like serve them"),
        );
    }
    found
}

fn database_finding(database: &Database, several: bool) -> Finding {
    let engine = database.engine.rsplit('.').next().unwrap_or_default();
    if engine != "sqlite3" || !several {
        return Finding::ok("django", format!("a database of `{engine}`"));
    }
    if database.mode.eq_ignore_ascii_case("immediate") {
        let timeout = database.timeout.unwrap_or(5.0);
        return Finding::ok(
            "django",
            format!("SQLite takes its lock at once, and waits {timeout} s for it"),
        );
    }
    let text = match database.timeout {
        None => {
            "several copies write into one SQLite file, with neither a timeout nor IMMEDIATE transactions"
        }
        Some(_) => {
            "several copies write into one SQLite file, and transactions take their lock late"
        }
    };
    Finding::note("django", text)
        .hint("set `\"OPTIONS\": {\"timeout\": 20, \"transaction_mode\": \"IMMEDIATE\"}` (Django 5.1 and later)")
        .code("LB115")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Settings {
        Settings {
            version: "6.0".into(),
            python: "3.13.1".into(),
            settings: "shop.settings".into(),
            key: "same".into(),
            sessions: true,
            session_engine: "django.contrib.sessions.backends.db".into(),
            session_cache: "django.core.cache.backends.locmem.LocMemCache".into(),
            caches: Vec::new(),
            databases: vec![Database {
                engine: "django.db.backends.sqlite3".into(),
                timeout: Some(20.0),
                mode: "IMMEDIATE".into(),
            }],
            hosts: [("shop.localhost".to_owned(), true)].into(),
            debug: true,
            secure_cookies: Vec::new(),
            csrf_trusted_origins: Vec::new(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Settings), second: &str, codes: &[&str]) {
        let mut settings = good();
        change(&mut settings);
        let found = judge(&settings, Some(second), 4);
        let bad = found.iter().filter(|one| one.state != "ok");
        let said: Vec<&str> = bad.filter_map(|one| one.code.as_deref()).collect();
        assert_eq!(said, codes, "{found:#?}");
    }

    #[test]
    fn each_setting_that_breaks_is_found() {
        check(|_| {}, "same", &[]);
        check(|_| {}, "another", &["LB110"]);
        let cache = "django.contrib.sessions.backends.cache";
        check(|s| s.session_engine = cache.into(), "same", &["LB112"]);
        let redis = "django.core.cache.backends.redis.RedisCache";
        check(
            |s| {
                s.session_engine = cache.into();
                s.session_cache = redis.into();
            },
            "same",
            &[],
        );
        let local = "django.core.cache.backends.locmem.LocMemCache";
        check(
            |s| s.caches = vec![redis.into(), local.into()],
            "same",
            &["LB111"],
        );
        check(|s| s.databases[0].mode = String::new(), "same", &["LB115"]);
        check(|s| s.databases[0].timeout = None, "same", &[]);
        check(
            |s| s.databases[0].engine = "django.db.backends.postgresql".into(),
            "same",
            &[],
        );
        check(
            |s| s.hosts = [("shop.localhost".to_owned(), false)].into(),
            "same",
            &["LB116"],
        );
        check(
            |s| s.secure_cookies = vec!["CSRF_COOKIE_SECURE".into()],
            "same",
            &["LB117"],
        );
        check(
            |s| s.csrf_trusted_origins = vec!["shop.test".into()],
            "same",
            &["LB117"],
        );
    }

    #[test]
    fn one_copy_shares_everything_with_itself() {
        let mut settings = good();
        settings.session_engine = "django.contrib.sessions.backends.cache".into();
        settings.databases[0].mode = String::new();
        let found = judge(&settings, Some("same"), 1);
        assert!(found.iter().all(|one| one.state == "ok"), "{found:#?}");
    }
}
