//! A real Django project and nothing else: `lbdev up`, and the page goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::browser::Browser;
use crate::harness::Lbdev;
use crate::http::{Connection, Response};
use crate::need;
use crate::rotation::{goes_round, port_in};
use crate::wait::s;

/// A fresh copy of the Django example in a scratch home, run by the Python that has Django; none where there is none.
pub fn django_site() -> Result<Option<Lbdev>> {
    let Some(python) = need::django() else {
        return Ok(None);
    };
    let mut lbdev = Lbdev::new();
    copy_site(&lbdev.dir)?;
    let venv = python
        .parent()
        .and_then(Path::parent)
        .context("a venv has a folder")?;
    lbdev.set("VIRTUAL_ENV", venv);
    Ok(Some(lbdev))
}

/// Copies the example as it is checked out: without a database.
pub fn copy_site(to: &Path) -> Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django");
    copy_folder(&example, to)
}

/// Copies a folder, without what running it once left there.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| format!("{from:?}"))? {
        let entry = entry?;
        let name = entry.file_name();
        let made_by_running = [
            "db.",
            "__pycache__",
            ".venv",
            ".lbdev",
            "node_modules",
            "target",
        ];
        if made_by_running
            .iter()
            .any(|made| name.to_string_lossy().starts_with(made))
        {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(to.join(&name))?;
            copy_folder(&entry.path(), &to.join(&name))?;
        } else {
            std::fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// `manage.py migrate`.
pub fn migrate(python: &Path, site: &Path) -> Result<()> {
    let output = Command::new(python)
        .args(["manage.py", "migrate"])
        .current_dir(site)
        .output()?;
    ensure!(
        output.status.success(),
        "migrate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The whole tutorial with one command.
#[test]
fn pages_come_in_the_order_of_the_ports() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]).says("Django").says("manage.py");
    let four = lbdev.ports.four();
    for _ in 0..3 {
        assert_eq!(lbdev.next_ports(12), [four; 3].concat());
    }
    let [first, others @ ..] = four;
    lbdev.run(&["kill", &first.to_string()]).ok();
    assert_eq!(lbdev.next_ports(6), [others; 2].concat());
    lbdev.run(&["start", &first.to_string()]).ok();
    goes_round(&lbdev.next_ports(8), &four);
    lbdev.run(&["logs"]).ok().says("GET / HTTP/1.1");
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
    Ok(())
}

/// The same by reloading a real page, with its favicon and its style sheet.
#[test]
fn chromium_reloads_in_order() -> Result<()> {
    let Some(chromium) = need::chromium() else {
        return Ok(());
    };
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]);
    let browser = Browser::start(&chromium)?;
    let listen = lbdev.ports.listen();
    browser.open(&format!("http://localhost:{listen}/"))?;
    let shown = || -> Result<u16> {
        let text = browser.text()?;
        port_in(&text).with_context(|| format!("no port on the page: {text}"))
    };
    let mut seen = vec![shown()?];
    for _ in 0..11 {
        browser.reload()?;
        seen.push(shown()?);
    }
    goes_round(&seen, &lbdev.ports.four());
    let rules = browser
        .script("return [...document.styleSheets].reduce((n, s) => n + s.cssRules.length, 0)")?;
    assert!(
        rules.as_u64() > Some(0),
        "the style sheet has not come: {rules}"
    );

    // The browser keeps connections open to the balancer; the death behind it is not its business.
    let [first, others @ ..] = lbdev.ports.four();
    lbdev.run(&["kill", &first.to_string()]).ok();
    let mut seen = Vec::new();
    for _ in 0..6 {
        browser.reload()?;
        seen.push(shown()?);
    }
    goes_round(&seen, &others);
    lbdev.run(&["start", &first.to_string()]).ok();
    lbdev.until_state(first, "up", s(30));

    // A form, with everything that a browser sends along: Origin, Referer, cookies.
    browser.open(&format!("http://localhost:{listen}/"))?;
    browser.type_into("input[name=text]", "written by Chromium")?;
    browser.click("main form button")?;
    browser.wait_text("written by Chromium")?;

    browser.open(&format!("http://localhost:{listen}/login/"))?;
    browser.type_into("input[name=username]", "demo")?;
    browser.type_into("input[name=password]", "demo")?;
    browser.click("main form button")?;
    // Every copy knows who it is.
    for _ in 0..5 {
        browser.wait_text("Log out")?;
        browser.reload()?;
    }
    Ok(())
}

/// A client with a cookie jar.
pub struct Visitor {
    connection: Connection,
    origin: String,
    pub cookies: BTreeMap<String, String>,
}

impl Visitor {
    pub fn new(port: u16) -> Result<Visitor> {
        Ok(Visitor {
            connection: Connection::open(port)?,
            origin: format!("http://localhost:{port}"),
            cookies: BTreeMap::new(),
        })
    }

    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![("Origin", self.origin.as_str())];
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        headers.extend(more);
        let response = self.connection.request(method, path, &headers, body)?;
        for cookie in response.headers_named("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie has a value")?;
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        Ok(response)
    }

    pub fn get(&mut self, path: &str) -> Result<Response> {
        self.request("GET", path, &[], b"")
    }

    /// The token of the form on a page.
    fn token(&mut self, path: &str) -> Result<String> {
        let page = self.get(path)?.text();
        let (_, rest) = page
            .split_once("name=\"csrfmiddlewaretoken\" value=\"")
            .context("no form token")?;
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    }

    fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
        let mut body = format!("csrfmiddlewaretoken={}", self.token(path)?);
        for (name, value) in fields {
            body += &format!("&{name}={value}");
        }
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        self.request("POST", path, &[kind], body.as_bytes())
    }
}

#[test]
fn form_login_upload_and_download() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]);
    let mut visitor = Visitor::new(lbdev.ports.listen())?;

    // Each form is made by one copy and taken by the next: `Host` passes unchanged, or CSRF refuses it.
    for number in 0..8 {
        let posted = visitor.post_form("/", &[("text", &format!("note-{number}"))])?;
        assert_eq!(posted.status, 302, "{}", posted.text());
    }
    let page = visitor.get("/")?.text();
    assert!(page.contains("note-0") && page.contains("note-7"), "{page}");
    let without = visitor.request(
        "POST",
        "/",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        b"text=x",
    )?;
    assert_eq!(without.status, 403, "CSRF protection is on");

    let wrong = visitor.post_form("/login/", &[("username", "demo"), ("password", "wrong")])?;
    assert_eq!(wrong.status, 200, "the form comes again");
    let right = visitor.post_form("/login/", &[("username", "demo"), ("password", "demo")])?;
    assert_eq!(right.status, 302, "{}", right.text());
    for _ in 0..4 {
        assert!(
            visitor.get("/")?.text().contains("Log out"),
            "every copy knows who it is"
        );
    }

    let down = visitor.get("/download")?;
    assert_eq!((down.status, down.body.len()), (200, 20_000_000));
    let wrong = down
        .body
        .iter()
        .enumerate()
        .find(|(at, byte)| usize::from(**byte) != at % 251);
    assert!(wrong.is_none(), "byte {wrong:?} is not what was sent");
    let digest = down
        .header("x-content-sha256")
        .context("no digest")?
        .to_owned();

    // The same 20 MB up: the digest that the server makes of them must be the one of the download.
    let token = visitor.token("/upload")?;
    let mut body = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"csrfmiddlewaretoken\"\r\n\r\n{token}\r\n--edge\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"20mb.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&down.body);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let headers = [
        ("Content-Type", "multipart/form-data; boundary=edge"),
        ("Accept", "application/json"),
    ];
    let up = visitor.request("POST", "/upload", &headers, &body)?;
    assert_eq!(up.status, 200, "{}", up.text());
    let answer = up.json();
    assert_eq!(
        (&answer["size"], &answer["sha256"]),
        (&20_000_000.into(), &digest.into())
    );
    Ok(())
}

/// Four copies write one SQLite file at once.
#[test]
fn many_write_at_once() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]);
    let port = lbdev.ports.listen();
    let writer = |who: u32| {
        move || -> Result<()> {
            let mut visitor = Visitor::new(port)?;
            for number in 0..8 {
                let posted = visitor.post_form("/", &[("text", &format!("{who}-{number}"))])?;
                ensure!(posted.status == 302, "{}: {}", posted.status, posted.text());
            }
            Ok(())
        }
    };
    let writers: Vec<_> = (0..8).map(|who| std::thread::spawn(writer(who))).collect();
    for writer in writers {
        writer.join().expect("a writer does not panic")?;
    }
    let page = lbdev.get("/").text();
    assert!(page.contains("64 notes"), "{page}");
    assert_eq!(lbdev.status()["balancer"]["failures"], 0);
    Ok(())
}

/// Django's own line about a request says what lbdev's says already: it is folded into that, unless somebody wants it.
#[test]
fn access_lines_are_folded() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    let own = "\"GET /login/ HTTP/1.1\" 200";
    for raw in [false, true] {
        let more: &[&str] = if raw { &["--raw-logs"] } else { &[] };
        let mut running = lbdev.start(&lbdev.with_ports("up", more));
        running.wait_line("lbdev: ready", s(60));
        assert_eq!(lbdev.get("/login/").status, 200);
        running.wait_line("GET /login/ 200", s(60));
        if raw {
            running.wait_line(own, s(60));
        }
        lbdev.run(&["down"]).ok();
        running.wait_exit(s(60));
        assert_eq!(running.lines.transcript().contains(own), raw);
        lbdev.run(&["logs"]).ok().says(own);
    }
    Ok(())
}
