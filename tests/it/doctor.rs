//! `doctor` finds what will go wrong; `explain` says it at length.

use std::net::TcpListener;

use crate::harness::Lbdev;
use crate::left_behind::{guardian, the_lbdev};
use crate::up_django;

#[test]
fn ports_and_their_holders() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev
        .run(&["doctor"])
        .ok()
        .says("are free")
        .says("no earlier lbdev");
    let [a, b, ..] = lbdev.ports.four();
    let held = TcpListener::bind(("127.0.0.1", b)).unwrap();
    let found = lbdev.run(&["doctor"]);
    assert_eq!(found.code, Some(1), "{found}");
    let pid = std::process::id();
    let found = found
        .says(&format!("port {b} is in use by"))
        .says(&format!("pid {pid}"));
    found.says("lbdev explain LB001").says("1 problem");
    let one = lbdev.run(&["doctor", &b.to_string()]);
    assert_eq!(one.code, Some(1));
    one.says(&format!("pid {pid}"));
    lbdev.run(&["doctor", &a.to_string()]).ok().says("is free");
    drop(held);
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev
        .run(&["doctor"])
        .ok()
        .says("by the lbdev of this folder");
}

#[test]
fn what_is_no_project_is_said() {
    let lbdev = Lbdev::new();
    let found = lbdev.run(&["doctor"]);
    assert_eq!(found.code, Some(1), "{found}");
    found.says("LB002").says("files may be open at once");
    lbdev.write(
        "lbdev.toml",
        "[services.web]\ncommand = \"no-such-program {port}\"\nports = 8000\n",
    );
    let found = lbdev.run(&["doctor"]);
    assert_eq!(found.code, Some(1), "{found}");
    found.says("there is no program `no-such-program`");
}

/// Both lbdev and its guardian were killed: what they left is told of, and `down` ends it.
#[test]
fn a_stale_instance_is_told_of() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let both = [guardian(&lbdev).unwrap(), the_lbdev(&lbdev).unwrap()];
    // Stopped first, so that neither sees the other one's end.
    for signal in [rustix::process::Signal::STOP, rustix::process::Signal::KILL] {
        both.iter()
            .for_each(|pid| crate::harness::kill(*pid, signal));
    }
    crate::wait::until(crate::wait::s(10), "the lock is free", || {
        lbdev
            .run(&["doctor"])
            .stdout
            .contains("1 earlier lbdev was killed")
    });
    lbdev.run(&["doctor"]).says("lbdev down --all");
    lbdev.run(&["down", "--all"]).ok();
    lbdev.run(&["doctor"]).ok().says("no earlier lbdev");
}

/// Real Django: as it comes, and with each setting that breaks behind a balancer.
#[test]
fn django_settings_that_break() {
    let Some(mut lbdev) = up_django::django_site().unwrap() else {
        return;
    };
    lbdev.set("PYTHONDONTWRITEBYTECODE", "1");
    let before = lbdev.run(&["doctor", "--json"]).json();
    let state = |found: &serde_json::Value, code: &str| {
        let checks = found["checks"].as_array().unwrap();
        let of = checks.iter().find(|check| check["code"] == code);
        of.map(|check| check["state"].as_str().unwrap().to_owned())
    };
    for code in ["LB110", "LB111", "LB112", "LB116", "LB117"] {
        assert_eq!(state(&before, code), None, "{before:#}");
    }
    let checks = before["checks"].as_array().unwrap();
    let django = checks
        .iter()
        .find(|check| check["check"] == "django")
        .unwrap();
    assert!(
        django["text"].as_str().unwrap().starts_with("Django "),
        "{django}"
    );
    let settings = settings_file(&lbdev.dir);
    let mut text = std::fs::read_to_string(&settings).unwrap();
    text.push_str(
        "\nimport secrets\nSECRET_KEY = str(secrets.token_hex())\n\
         SESSION_ENGINE = 'django.contrib.sessions.backends.cache'\n\
         CACHES = {'default': {'BACKEND': 'django.core.cache.backends.locmem.LocMemCache'}}\n\
         DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE_DIR / 'db.sqlite3'}}\n\
         ALLOWED_HOSTS = ['example.org']\nCSRF_COOKIE_SECURE = True\n\
         INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.sessions']\n",
    );
    std::fs::write(&settings, text).unwrap();
    let after = lbdev.run(&["doctor", "--json"]);
    assert_eq!(after.code, Some(1), "{after}");
    let after = after.json();
    for (code, expected) in [
        ("LB110", "problem"),
        ("LB111", "problem"),
        ("LB112", "problem"),
        ("LB115", "note"),
        ("LB116", "problem"),
        ("LB117", "problem"),
    ] {
        assert_eq!(
            state(&after, code).as_deref(),
            Some(expected),
            "{code}: {after:#}"
        );
        lbdev.run(&["explain", code]).ok().says(code).says("➜");
    }
    std::fs::write(&settings, "this is no Python").unwrap();
    lbdev
        .run(&["doctor"])
        .says("the settings cannot be imported");
}

fn settings_file(site: &std::path::Path) -> std::path::PathBuf {
    let folders = std::fs::read_dir(site).unwrap().flatten();
    let mut files = folders.map(|folder| folder.path().join("settings.py"));
    files
        .find(|file| file.is_file())
        .expect("the example has settings")
}
