//! Sticky sessions, and the pages that say why nobody answers. The demo's `/login` keeps its sessions in the memory of one
//! process: who is sent to another one is not known there.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};

use crate::browser::Browser;
use crate::harness::Lbdev;
use crate::need;
use crate::up_django::Visitor;
use crate::wait::s;

/// lbdev's own cookie: the project's folder is `site`.
const COOKIE: &str = "lbdev_site";

fn up(balancer: &str) -> Lbdev {
    let lbdev = Lbdev::new();
    lbdev.demo_file(balancer, "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev
}

fn sticky() -> Lbdev {
    up("sticky = \"cookie\"")
}

fn login(lbdev: &Lbdev) -> Result<Visitor> {
    let mut visitor = Visitor::new(lbdev.ports.listen())?;
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let answer = visitor.request("POST", "/login", &[kind], b"name=ann")?;
    assert_eq!(answer.status, 303, "{}", answer.text());
    Ok(visitor)
}

/// Who answers, and whether it knows the visitor.
fn known(visitor: &mut Visitor) -> Result<(u16, bool)> {
    let page = visitor.get("/login")?;
    let port = page.backend_port().context("nobody is named")?;
    Ok((port, page.text().contains("You are ann")))
}

/// Asks `n` times; each time the same backend has to know the visitor.
#[track_caller]
fn stays(visitor: &mut Visitor, n: usize) -> Result<u16> {
    let (home, _) = known(visitor)?;
    for _ in 0..n {
        assert_eq!(known(visitor)?, (home, true));
    }
    Ok(home)
}

#[test]
fn a_login_in_one_memory_lasts_only_if_it_sticks() -> Result<()> {
    let plain = up("");
    let mut visitor = login(&plain)?;
    let answers = (0..8).map(|_| known(&mut visitor));
    let answers: Vec<(u16, bool)> = answers.collect::<Result<_>>()?;
    let by = answers.iter().filter(|(_, known)| *known).count();
    assert_eq!(by, 2, "one of four knows: {answers:?}");
    assert!(!visitor.cookies.contains_key(COOKIE));

    let sticky = sticky();
    let mut visitors = [login(&sticky)?, login(&sticky)?, login(&sticky)?];
    let mut homes = BTreeSet::new();
    for visitor in &mut visitors {
        homes.insert(stays(visitor, 20)?);
    }
    assert_eq!(homes.len(), 3, "each has a backend of its own: {homes:?}");
    // Whoever has none goes round as ever.
    crate::rotation::goes_round(&sticky.next_ports(8), &sticky.ports.four());
    Ok(())
}

#[test]
fn after_a_kill_the_client_belongs_to_another() -> Result<()> {
    let lbdev = sticky();
    let mut visitor = login(&lbdev)?;
    let home = stays(&mut visitor, 3)?;
    let before = visitor.cookies[COOKIE].clone();
    lbdev.run(&["kill", &home.to_string()]).ok();
    let (other, known_there) = known(&mut visitor)?;
    assert!(
        other != home && !known_there,
        "{other} cannot know: {home} did"
    );
    assert_ne!(visitor.cookies[COOKIE], before);
    for _ in 0..4 {
        assert_eq!(known(&mut visitor)?.0, other);
    }
    // Its old home is back, and not its home any more.
    lbdev.run(&["start", &home.to_string()]).ok();
    lbdev.until_state(home, "up", s(30));
    assert_eq!(known(&mut visitor)?.0, other);
    Ok(())
}

#[test]
fn a_drain_is_for_others() -> Result<()> {
    let lbdev = sticky();
    let mut visitor = login(&lbdev)?;
    let home = stays(&mut visitor, 3)?;
    lbdev.run(&["drain", &home.to_string()]).ok();
    lbdev.until_state(home, "draining", s(10));
    assert_eq!(stays(&mut visitor, 8)?, home);
    assert!(!lbdev.next_ports(6).contains(&home));
    lbdev.run(&["undrain", &home.to_string()]).ok();
    assert_eq!(stays(&mut visitor, 3)?, home);
    Ok(())
}

#[test]
fn down_and_up_keep_where_clients_belong() -> Result<()> {
    let lbdev = sticky();
    let mut visitor = login(&lbdev)?;
    let home = stays(&mut visitor, 3)?;
    let cookie = visitor.cookies[COOKIE].clone();
    assert_eq!(cookie.len(), 22, "opaque: {cookie}");
    let keys: Vec<_> = walk(&lbdev.root().join("state"))
        .into_iter()
        .filter(|path| path.ends_with("cookie.key"))
        .collect();
    let [key] = &keys[..] else {
        panic!("not one key: {keys:?}");
    };
    let mode = std::fs::metadata(key)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    lbdev.run(&["down"]).ok();
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let again = |cookies: BTreeMap<String, String>| -> Result<Vec<u16>> {
        let mut visitor = Visitor::new(lbdev.ports.listen())?;
        visitor.cookies = cookies;
        (0..4).map(|_| Ok(known(&mut visitor)?.0)).collect()
    };
    assert_eq!(again(visitor.cookies.clone())?, [home; 4]);

    // With another key it is nobody's, and is replaced.
    lbdev.run(&["down"]).ok();
    std::fs::remove_file(key)?;
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let mut visitor = Visitor::new(lbdev.ports.listen())?;
    visitor.cookies.insert(COOKIE.to_owned(), cookie.clone());
    known(&mut visitor)?;
    assert_ne!(visitor.cookies[COOKIE], cookie);
    Ok(())
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(walk(&path)),
            path => found.push(path),
        }
    }
    found
}

#[test]
fn a_browser_keeps_its_login() -> Result<()> {
    let Some(chromium) = need::chromium() else {
        return Ok(());
    };
    let lbdev = sticky();
    let browser = Browser::start(&chromium)?;
    let url = format!("http://localhost:{}/login", lbdev.ports.listen());
    browser.open(&url)?;
    browser.type_into("input[name=name]", "ann")?;
    browser.click("main form button")?;
    browser.wait_text("You are ann")?;
    for _ in 0..6 {
        browser.reload()?;
        browser.wait_text("You are ann")?;
    }
    let seen = browser.script("return document.cookie")?;
    let seen = seen.as_str().context("no cookies")?;
    assert!(!seen.contains(COOKIE), "not for scripts: {seen}");
    Ok(())
}

/// The last lines of a real process are on the page, in each form.
#[test]
fn a_503_shows_what_the_backends_said_last() -> Result<()> {
    let lbdev = Lbdev::new();
    let (listen, range) = (lbdev.ports.listen(), lbdev.ports.range());
    let program = format!(
        "#!/bin/sh\nprintf '\\033[31mred %s\\033[0m <b>\\n' \"$0\"\nexec {} __demo --port \"$1\"\n",
        crate::harness::LBDEV
    );
    let script = lbdev.script("serve", &program);
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\nqueue = {{ timeout = \"50ms\" }}\n\n[services.web]\n\
             command = \"{} {{port}}\"\nports = \"{range}\"\n",
            script.display()
        ),
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev.run(&["kill", "all"]).ok();
    let ask = |accept: &str| {
        crate::http::send(listen, "GET", "/", &[("Accept", accept)], b"")
            .map_err(anyhow::Error::from)
    };
    let said = format!("red {}", script.display());
    let json = ask("application/json")?;
    assert_eq!(json.status, 503, "{}", json.text());
    for backend in json.json()["backends"].as_array().context("no list")? {
        let lines = &backend["last_lines"];
        assert_eq!(lines[0], format!("{said} <b>"), "{backend}");
    }
    let html = ask("text/html")?.text();
    assert_eq!(
        html.matches(&format!("{said} &lt;b&gt;</span>")).count(),
        4,
        "{html}"
    );
    let text = ask("*/*")?.text();
    assert_eq!(
        text.matches(&format!("    | {said} <b>\n")).count(),
        4,
        "{text}"
    );
    Ok(())
}
