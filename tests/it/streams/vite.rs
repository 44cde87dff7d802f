//! A real Vite in development behind the balancer: the page changes with its file, over the WebSocket and without a reload,
//! and Vite's own check of `Host` sees what the browser said.

use anyhow::{Context, Result};

use crate::browser::Browser;
use crate::harness::Lbdev;
use crate::http;
use crate::need::{self, Chromium};
use crate::wait::{holds_within, s, until};

use super::in_flight;

const PAGE: &str = "<!doctype html>\n<title>Vite</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n\
    <h1>waiting</h1>\n<script type=\"module\" src=\"/main.js\"></script>\n";
const MAIN: &str = "import { text } from './text.js'\n\
    const show = text => { document.querySelector('h1').textContent = text }\n\
    show(text)\n\
    if (import.meta.hot) import.meta.hot.accept('./text.js', module => show(module.text))\n";

fn text(text: &str) -> String {
    format!("export const text = '{text}'\n")
}

/// A project with one Vite, as `lbdev` starts it.
fn up() -> Result<Option<Lbdev>> {
    let Some(vite) = need::vite() else {
        return Ok(None);
    };
    let lbdev = Lbdev::new();
    lbdev.write("index.html", PAGE);
    lbdev.write("main.js", MAIN);
    lbdev.write("text.js", &text("the first text"));
    lbdev.write("style.css", "h1 { color: rgb(1, 2, 3) }\n");
    lbdev.write(
        "package.json",
        "{\"private\": true, \"type\": \"module\"}\n",
    );
    // What it prepares belongs to this project, and not to where it is installed.
    lbdev.write("vite.config.js", "export default { cacheDir: '.vite' }\n");
    let vite = vite.to_str().context("its path is text")?;
    let (first, listen) = (lbdev.ports.first, lbdev.ports.listen());
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\n\n[services.web]\n\
             command = \"{vite} --host 127.0.0.1 --port {{port}} --strictPort\"\nports = \"{first}\"\n"
        ),
    );
    lbdev.run(&["up", "-d", "--wait"]).ok();
    Ok(Some(lbdev))
}

/// Changes the text, and sees it. Vite's watcher drops a change that comes within 50 ms after another one of the same file, also
/// without a balancer: then it is written again.
fn change(lbdev: &Lbdev, browser: &Browser, to: &str) -> Result<()> {
    let seen = || browser.text().is_ok_and(|text| text.contains(to));
    for _ in 0..5 {
        lbdev.write("text.js", &text(to));
        if holds_within(s(4), seen) {
            return Ok(());
        }
    }
    browser.wait_text(to)
}

/// Opens the page under this host's name, changes the project, and sees the changes on the same page.
fn changes_are_seen(lbdev: &Lbdev, chromium: &Chromium, host: &str) -> Result<()> {
    let browser = Browser::start(chromium)?;
    browser.open(&format!("http://{host}:{}/", lbdev.ports.listen()))?;
    browser.wait_text("the first text")?;
    // Vite's client connects to its own port where the page's does not take it. Here it does: the balancer holds it.
    until(s(20), "the WebSocket is open", || in_flight(lbdev) == 1);
    browser.script("window.mark = 'this very page'")?;

    change(lbdev, &browser, "the second text")?;
    lbdev.write("style.css", "h1 { color: rgb(4, 5, 6) }\n");
    let color = || browser.script("return getComputedStyle(document.querySelector('h1')).color");
    until(s(20), "the new colour shows", || {
        color().is_ok_and(|color| color == "rgb(4, 5, 6)")
    });
    assert_eq!(
        browser.script("return window.mark")?,
        "this very page",
        "it was reloaded"
    );
    // As it was, and Vite has taken it up: a page that is opened before that would show the old text, and hear of nothing.
    change(lbdev, &browser, "the first text")?;
    lbdev.write("style.css", "h1 { color: rgb(1, 2, 3) }\n");
    until(s(20), "the first colour shows", || {
        color().is_ok_and(|color| color == "rgb(1, 2, 3)")
    });
    Ok(())
}

/// The example, as it is recognised: a changed file shows, and what was typed into the page stays.
#[test]
fn the_example_changes_without_a_reload() -> Result<()> {
    let Some(chromium) = need::chromium() else {
        return Ok(());
    };
    let Some(vite) = need::vite() else {
        return Ok(());
    };
    let lbdev = Lbdev::new();
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/vite");
    crate::up_django::copy_folder(&example, &lbdev.dir)?;
    let modules = vite
        .parent()
        .and_then(std::path::Path::parent)
        .context("node_modules")?;
    std::os::unix::fs::symlink(modules, lbdev.dir.join("node_modules"))?;
    lbdev.write("vite.config.js", "export default { cacheDir: '.vite' }\n");
    let (first, listen) = (
        lbdev.ports.first.to_string(),
        lbdev.ports.listen().to_string(),
    );
    let up = ["up", "-d", "--wait", "--ports", &first, "--listen", &listen];
    lbdev.run(&up).ok().says("Vite (package.json)");
    let browser = Browser::start(&chromium)?;
    browser.open(&format!("http://localhost:{listen}/"))?;
    browser.wait_text("Served by Vite")?;
    until(s(20), "the WebSocket is open", || in_flight(&lbdev) == 1);
    browser.script("document.querySelector('input').value = 'typed'")?;
    lbdev.write("src/title.js", "export const title = 'Changed by hand'\n");
    browser.wait_text("Changed by hand")?;
    assert_eq!(
        browser.script("return document.querySelector('input').value")?,
        "typed"
    );
    Ok(())
}

#[test]
fn a_changed_file_changes_the_page_without_a_reload() -> Result<()> {
    let Some(chromium) = need::chromium() else {
        return Ok(());
    };
    let Some(lbdev) = up()? else {
        return Ok(());
    };
    changes_are_seen(&lbdev, &chromium, "localhost")?;
    until(s(20), "the browser has gone", || in_flight(&lbdev) == 0);
    // The name of the project, which Vite allows without being told.
    changes_are_seen(&lbdev, &chromium, "site.localhost")
}

/// `server.allowedHosts`: `localhost`, `*.localhost` and addresses are allowed by default, and nobody else's page is.
#[test]
fn its_own_check_of_hosts_sees_the_real_one() -> Result<()> {
    let Some(lbdev) = up()? else {
        return Ok(());
    };
    let listen = lbdev.ports.listen();
    let ask = |host: &str| {
        let host = format!("{host}:{listen}");
        http::send(
            listen,
            "GET",
            "/",
            &[("Host", &host), ("Accept", "text/html")],
            b"",
        )
    };
    for host in [
        "localhost",
        "site.localhost",
        "a.b.localhost",
        "127.0.0.1",
        "[::1]",
    ] {
        let answer = ask(host)?;
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
        assert!(
            answer.text().contains("/@vite/client"),
            "{host}: {}",
            answer.text()
        );
    }
    // By Vite or before it: a page of another name must not get at the sources.
    for host in ["evil.example", "localhost.evil.example"] {
        let answer = ask(host)?;
        assert!(
            (400..500).contains(&answer.status),
            "{host}: {}",
            answer.status
        );
        assert!(
            !answer.text().contains("/@vite/client"),
            "{host}: {}",
            answer.text()
        );
    }
    Ok(())
}
