//! For which names lbdev answers, and that the application still has its own say.

use anyhow::Result;

use crate::harness::Lbdev;
use crate::http::{Connection, Response};
use crate::need;
use crate::up_django::django_site;
use crate::wait::s;

fn ask(connection: &mut Connection, host: &str) -> Result<Response> {
    Ok(connection.request("GET", "/", &[("Host", host)], b"")?)
}

/// From the refusal to the page by the command that the refusal names, on the connection that was refused.
#[test]
fn a_refusal_names_the_command_that_helps() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let mut connection = Connection::open_for(lbdev.ports.listen(), s(20))?;
    let refusal = ask(&mut connection, "app.test")?;
    assert_eq!(refusal.status, 403);
    assert_eq!(refusal.backend_port(), None);
    let text = refusal.text();
    let command = text
        .lines()
        .find_map(|line| line.split("lbdev set ").nth(1))
        .unwrap_or_else(|| panic!("no command in {text}"));
    assert_eq!(command.trim(), "allow_hosts=app.test");
    lbdev
        .run(&["set", command.trim()])
        .ok()
        .says("allow_hosts is app.test now (was empty)");
    assert_eq!(ask(&mut connection, "app.test")?.status, 200);
    assert_eq!(ask(&mut connection, "App.Test:8080")?.status, 200);
    assert_eq!(ask(&mut connection, "other.test")?.status, 403);
    assert_eq!(ask(&mut connection, "shop.localhost")?.status, 200);
    let hosts = &lbdev.status()["balancer"]["allow_hosts"];
    assert_eq!(*hosts, serde_json::json!(["app.test"]));
    lbdev.run(&["set", "allow_hosts="]).ok();
    assert_eq!(ask(&mut connection, "app.test")?.status, 403);
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
    Ok(())
}

/// The same with the program that people type it with, over HTTP/2 too.
#[test]
fn curl_sees_the_change() -> Result<()> {
    let Some(curl) = need::program("curl") else {
        return Ok(());
    };
    let lbdev = Lbdev::new();
    lbdev.demo();
    let url = format!("http://127.0.0.1:{}/", lbdev.ports.listen());
    let status = |version: &str| -> Result<String> {
        let shows = ["-s", "-o", "/dev/null", "-w", "%{http_code}", version];
        let output = std::process::Command::new(&curl)
            .args(shows)
            .args(["--noproxy", "*", "-H", "Host: app.test", &url])
            .output()?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let versions = ["--http1.0", "--http1.1", "--http2-prior-knowledge"];
    for version in versions {
        assert_eq!(status(version)?, "403", "{version}");
    }
    lbdev.run(&["set", "allow_hosts=app.test"]).ok();
    for version in versions {
        assert_eq!(status(version)?, "200", "{version}");
    }
    Ok(())
}

/// What lbdev lets through unchanged, Django judges by its `ALLOWED_HOSTS`.
#[test]
fn django_has_its_own_say() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    lbdev.up(&[]);
    let mut connection = Connection::open_for(lbdev.ports.listen(), s(60))?;
    assert_eq!(ask(&mut connection, "shop.localhost")?.status, 200);
    let refusal = ask(&mut connection, "app.test")?;
    assert_eq!((refusal.status, refusal.backend_port()), (403, None));
    lbdev.run(&["set", "allow_hosts=app.test"]).ok();
    let mut connection = Connection::open_for(lbdev.ports.listen(), s(60))?;
    let refusal = ask(&mut connection, "app.test")?;
    assert_eq!(refusal.status, 400, "{}", refusal.text());
    assert!(refusal.backend_port().is_some(), "it was Django's");
    assert!(
        refusal.text().contains("ALLOWED_HOSTS"),
        "{}",
        refusal.text()
    );
    Ok(())
}
