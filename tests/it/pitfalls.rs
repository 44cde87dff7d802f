//! What breaks behind a balancer is said when a project is started, once.

use std::time::Duration;

use anyhow::Result;

use crate::need;
use crate::up_django::django_site;
use crate::wait::s;

const LIMIT: Duration = s(60);
const SAID: &str = "each copy makes a secret key of its own";

#[test]
fn a_random_key_is_said_once() -> Result<()> {
    let Some(lbdev) = django_site()? else {
        return Ok(());
    };
    let settings = lbdev.dir.join("mysite/settings.py");
    let good = std::fs::read_to_string(&settings)?;
    let random = format!(
        "{good}\nfrom django.core.management.utils import get_random_secret_key\nSECRET_KEY = get_random_secret_key()\n"
    );
    let line = random.lines().count();
    std::fs::write(&settings, &random)?;
    let place = format!("(mysite/settings.py:{line})");
    lbdev.up(&[]).says(SAID).says(&place);
    lbdev.run(&["down"]).ok();
    lbdev.up(&[]).says_not(SAID);
    lbdev.run(&["down"]).ok();
    // In the foreground it stands in the headline; once mended and broken again, it is news.
    std::fs::write(&settings, &good)?;
    lbdev.up(&[]).says_not(SAID);
    lbdev.run(&["down"]).ok();
    std::fs::write(&settings, &random)?;
    let running = lbdev.start(&lbdev.with_ports("up", &[]));
    running.wait_line(SAID, LIMIT);
    lbdev.run(&["down"]).ok();
    Ok(())
}

/// A new project, whose database is empty.
#[test]
fn migrations_that_are_not_applied() -> Result<()> {
    let Some(python) = need::django() else {
        return Ok(());
    };
    let mut lbdev = crate::harness::Lbdev::new();
    let venv = python.parent().and_then(std::path::Path::parent);
    lbdev.set("VIRTUAL_ENV", venv.expect("a venv has a folder"));
    let django = |args: &[&str]| {
        let done = std::process::Command::new(&python)
            .args(args)
            .current_dir(&lbdev.dir)
            .output();
        assert!(done.expect("it runs").status.success(), "{args:?}");
    };
    django(&["-m", "django", "startproject", "mysite", "."]);
    let said = "the database lacks migrations of the code";
    let running = lbdev.start(&lbdev.with_ports("up", &[]));
    running.wait_line(said, LIMIT);
    lbdev.run(&["down"]).ok();
    // lbdev can run them itself, once for all four; then there is nothing to be asked.
    let (listen, range) = (lbdev.ports.listen(), lbdev.ports.range());
    let command = "{python} manage.py runserver --noreload 127.0.0.1:{port}";
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = {listen}\n[services.web]\ncommand = \"{command}\"\nports = \"{range}\"\n\
             before = [\"{{python}} manage.py migrate\"]\n"
        ),
    );
    let running = lbdev.start(&["up"]);
    running.wait_line("lbdev: ready", LIMIT);
    let transcript = running.lines.transcript();
    let applied = transcript
        .matches("Applying contenttypes.0001_initial")
        .count();
    assert_eq!(applied, 1, "{transcript}");
    lbdev.run(&["down"]).ok();
    std::fs::remove_file(lbdev.dir.join("lbdev.toml"))?;
    django(&["manage.py", "migrate", "--check"]);
    // With them it is quiet.
    let mut running = lbdev.start(&lbdev.with_ports("up", &[]));
    running.wait_line("lbdev: ready", LIMIT);
    let asks = || {
        let mut asked = lbdev.backend_processes().into_iter();
        asked.any(|process| process.backend.as_deref() == Some("web.before"))
    };
    crate::wait::until(LIMIT, "the question is asked", asks);
    crate::wait::until(LIMIT, "it is answered", || !asks());
    lbdev.run(&["down"]).ok();
    running.wait_exit(LIMIT);
    assert!(!running.lines.transcript().contains(said));
    Ok(())
}
