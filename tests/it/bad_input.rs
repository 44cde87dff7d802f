//! Wrong use and broken projects: each gets its message, its code and its exit code, and nothing half-started stays.

use std::process::Command;

use anyhow::Result;

use crate::harness::{Lbdev, Output};
use crate::need;
use crate::wait::s;

/// `up -d --wait` with `-c COMMAND`, which must fail.
fn up_with(lbdev: &Lbdev, command: &str, more: &[&str]) -> Output {
    let mut args = vec!["-d", "--wait", "-c", command];
    args.extend(more);
    lbdev.run(&lbdev.with_ports("up", &args))
}

#[test]
fn no_project() {
    let lbdev = Lbdev::new();
    for args in [&["up"][..], &["up", "-d"]] {
        lbdev
            .run(args)
            .fails(2, "LB002")
            .says("manage.py")
            .says("lbdev init")
            .says("lbdev up -c")
            .says("lbdev demo");
    }
    // In a folder above the project: the hint names it.
    lbdev.write("shop/manage.py", "");
    lbdev
        .run(&["up"])
        .fails(2, "LB002")
        .says("lbdev up -C shop");
    lbdev
        .run(&["up", "-C", "nowhere"])
        .says("nowhere")
        .says("error[");
    lbdev.assert_all_gone();
}

#[test]
fn django_is_not_installed() -> Result<()> {
    let Some(python) = need::python() else {
        return Ok(());
    };
    let mut lbdev = Lbdev::new();
    let venv = lbdev.dir.join(".venv");
    let made = Command::new(python)
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .output()?;
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    lbdev.set("PYTHONPATH", "");
    lbdev.write(
        "manage.py",
        "from django.core.management import execute_from_command_line\nexecute_from_command_line()\n",
    );
    lbdev
        .run(&lbdev.with_ports("up", &["-d", "--wait"]))
        .fails(2, "LB022")
        .says("manage.py")
        .says("Django")
        .says(".venv")
        .says("pip install");
    lbdev.assert_all_gone();
    Ok(())
}

#[test]
fn a_command_that_does_not_exist() {
    let lbdev = Lbdev::new();
    up_with(&lbdev, "no-such-program --port {port}", &[])
        .fails(1, "LB013")
        .says("no-such-program");
    lbdev.assert_all_gone();
}

#[test]
fn a_command_that_exits_at_once() {
    let lbdev = Lbdev::new();
    lbdev.script(
        "broken.sh",
        "#!/bin/sh\necho starting on $1\necho the database is on fire >&2\nexit 7\n",
    );
    let output = up_with(&lbdev, "./broken.sh {port}", &[])
        .fails(1, "LB010")
        .says("status 7")
        .says("the database is on fire")
        .says("lbdev logs");
    assert!(output.took < s(20), "{output}");
    lbdev.assert_all_gone();
    // In the foreground it says the same.
    let args = lbdev.with_ports("up", &["-c", "./broken.sh {port}"]);
    lbdev
        .run(&args)
        .fails(1, "LB010")
        .says("the database is on fire");
    lbdev.assert_all_gone();
    // Its logs outlive it.
    lbdev.run(&["logs"]).ok().says("the database is on fire");
}

/// Some are ready, some are not: it goes on with those, and `--wait` says so.
#[test]
fn one_of_four_exits_at_once() {
    let lbdev = Lbdev::new();
    let first = lbdev.ports.first;
    let bin = crate::harness::LBDEV;
    lbdev.script(
        "some.sh",
        &format!("#!/bin/sh\n[ \"$1\" = {first} ] && exit 7\nexec {bin} __demo --port \"$1\"\n"),
    );
    let output = up_with(&lbdev, "./some.sh {port}", &[]).fails(1, "LB010");
    let output = output.says(&first.to_string());
    assert!(output.took < s(30), "{output}");
    let [_, others @ ..] = lbdev.ports.four();
    crate::rotation::goes_round(&lbdev.next_ports(6), &others);
    let status = lbdev.run(&["status"]);
    assert_eq!(status.code, Some(3), "degraded: {status}");
    assert_eq!(lbdev.status()["state"], "degraded");
}

#[test]
fn a_command_that_never_listens() {
    let lbdev = Lbdev::new();
    let output = up_with(&lbdev, "sleep 1000 {port}", &["--wait-timeout", "2s"])
        .fails(1, "LB011")
        .says("2 s");
    assert!(output.took < s(20), "{output}");
    lbdev.assert_all_gone();
}

#[test]
fn a_command_that_listens_on_another_port() {
    let lbdev = Lbdev::new();
    let (spare, bin) = (lbdev.ports.spare(), crate::harness::LBDEV);
    let command = format!("{bin} __demo --port {spare}");
    up_with(&lbdev, &command, &["-n", "1", "--wait-timeout", "3s"])
        .fails(1, "LB012")
        .says(&spare.to_string())
        .says(&lbdev.ports.first.to_string())
        .says("{port}");
    lbdev.assert_all_gone();
}

#[test]
fn a_port_in_use() {
    let lbdev = Lbdev::new();
    let wanted = [
        (lbdev.ports.four()[2], "--ports"),
        (lbdev.ports.listen(), "--listen"),
    ];
    for (taken, flag) in wanted {
        for address in ["127.0.0.1", "[::1]", "0.0.0.0"] {
            let Ok(holder) = std::net::TcpListener::bind(format!("{address}:{taken}")) else {
                // A machine without IPv6.
                continue;
            };
            lbdev
                .run(&lbdev.with_ports("demo", &["-d", "--wait"]))
                .fails(1, "LB001")
                .says(&format!("port {taken} is in use"))
                .says(&format!("pid {}", std::process::id()))
                .says(flag);
            assert!(lbdev.processes().is_empty(), "{:#?}", lbdev.processes());
            drop(holder);
        }
    }
    lbdev.assert_all_gone();
}

/// Another project of the same person holds them: the hint says how to stop it.
#[test]
fn ports_in_use_by_another_lbdev() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let other = lbdev.root().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(lbdev.dir.join("lbdev.toml"), other.join("lbdev.toml")).unwrap();
    let other = other.to_string_lossy().into_owned();
    lbdev
        .run(&["up", "-d", "-C", &other])
        .fails(1, "LB001")
        .says("lbdev down -C");
    assert_eq!(lbdev.backend_processes().len(), 4);
    lbdev.next_ports(4);
}

#[test]
fn two_at_the_same_instant() {
    for _ in 0..3 {
        let lbdev = Lbdev::new();
        lbdev.demo_file("", "");
        let both = [(); 2].map(|()| lbdev.start(&["up", "-d", "--wait"]));
        let both = both.map(|running| running.output(s(90)));
        let [one, two] = &both;
        let text = format!("{one}\n{two}");
        assert!(both.iter().all(|output| output.code == Some(0)), "{text}");
        assert_eq!(
            both.iter()
                .filter(|output| format!("{output}").contains("already running"))
                .count(),
            1,
            "exactly one finds it running already: {text}"
        );
        assert_eq!(
            lbdev.backend_processes().len(),
            4,
            "{text}\n{:#?}",
            lbdev.backend_processes()
        );
        crate::rotation::goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
    }
}

/// Already running with another set-up is not quietly the same: it is taken over, and said.
#[test]
fn already_running_with_another_set_up() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    lbdev
        .run(&["up", "-d", "--wait"])
        .ok()
        .says("already running");
    let said = lbdev.run(&["up", "-d", "--wait", "-n", "2"]).ok();
    said.says("it takes over what has changed")
        .says("gone from the set-up");
    assert_eq!(lbdev.backend_processes().len(), 2);
    // Where another command is to run meanwhile, it would not be what was meant.
    lbdev
        .run(&["run", "-n", "3", "--", "true"])
        .fails(1, "LB003");
}

#[test]
fn a_bad_file_says_everything_at_once() {
    let lbdev = Lbdev::new();
    lbdev.write(
        "lbdev.toml",
        "[balancer]\nlisten = \"localhost:99999\"\nalgoritm = \"round_robin\"\nretries = \"three\"\n\n\
         [services.web]\ncomand = \"x {port}\"\nports = \"8003-8000\"\n",
    );
    let output = lbdev.run(&["up", "-d"]).fails(2, "LB020");
    for place in [
        "lbdev.toml:2:",
        "lbdev.toml:3:1",
        "lbdev.toml:4:",
        "lbdev.toml:7:1",
        "lbdev.toml:8:",
    ] {
        assert!(output.stderr.contains(place), "{place} is not in {output}");
    }
    let output = output
        .says("`algoritm`")
        .says("did you mean `algorithm`")
        .says("did you mean `command`");
    assert!(output.stderr.contains('^'), "no caret in {output}");
    // `config` reads the same file.
    lbdev.run(&["config"]).fails(2, "LB020");
    lbdev.assert_all_gone();

    lbdev.write(
        "lbdev.toml",
        "[balancer]\nsticky = \"glue\"\nhold = \"16 kib\"\nretry = { budget = 20, statuses = [500] }\n\n\
         [services.web]\ncommand = \"x {port}\"\nports = 8000\nhealth = { status = 200 }\nbackends.8000 = { weight = 0 }\n",
    );
    let output = lbdev.run(&["up", "-d"]).fails(2, "LB020");
    for told in [
        "lbdev.toml:2:10: `sticky`: `glue` is not one of `off` or `cookie`",
        "lbdev.toml:3:8: `hold`: `16 kib` is not a size",
        "lbdev.toml:4:20: `budget` must be a share",
        "lbdev.toml:4:36: `statuses`: 500 is not one of 502, 503 or 504",
        "lbdev.toml:9:21: `health.status` of `web` needs `health.path`",
        "lbdev.toml:10:10: every backend of `web` has weight 0",
    ] {
        assert!(output.stderr.contains(told), "{told} is not in {output}");
    }
    lbdev.write("lbdev.toml", "[balancer\nlisten = 8080\n");
    lbdev
        .run(&["up", "-d"])
        .fails(2, "LB020")
        .says("lbdev.toml:1:");
    lbdev.write("lbdev.toml", "");
    let empty = lbdev.run(&["up", "-d"]);
    assert_eq!(empty.code, Some(2), "{empty}");
    lbdev
        .run(&["up", "-d", "-f", "missing.toml"])
        .says("missing.toml")
        .says("error[");
}

#[test]
fn targets_that_are_none() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let [a, b, c, d] = lbdev.ports.four();
    let listen = lbdev.ports.listen().to_string();
    for verb in ["kill", "stop", "start", "restart"] {
        lbdev
            .run(&[verb, "9999"])
            .fails(2, "LB030")
            .says("9999")
            .says(&format!("`{a}`, `{b}`, `{c}`, `{d}`"));
    }
    lbdev
        .run(&["kill", &listen])
        .fails(2, "LB030")
        .says(&format!("{listen} is the balancer, not a backend"))
        .says("lbdev down");
    for nonsense in [
        "",
        "web:1",
        "../..",
        "a b",
        "%00",
        "8000;id",
        &"9".repeat(5000),
    ] {
        lbdev.run(&["kill", nonsense]).fails(2, "LB030");
    }
    // One wrong name in a list: nothing happens to the others.
    lbdev.run(&["kill", &format!("{a},9999")]).fails(2, "LB030");
    assert_eq!(lbdev.backend(a)["state"], "up");
    let wrong = lbdev.run(&["kill", &a.to_string(), "-s", "NOSUCH"]);
    assert_eq!(wrong.code, Some(2), "{wrong}");
    assert_eq!(lbdev.status()["state"], "serving");
}

#[test]
fn nothing_runs() {
    let lbdev = Lbdev::new();
    lbdev.run(&["status"]).fails(4, "LB005").says("lbdev up");
    for verb in ["kill", "stop", "start", "restart"] {
        lbdev.run(&[verb, "8000"]).fails(1, "LB005");
    }
    lbdev.run(&["ls"]).ok();
    lbdev.run(&["down"]).ok();
}

#[test]
fn wrong_usage() {
    let lbdev = Lbdev::new();
    let check = |args: &[&str], word: &str| {
        let output = lbdev.run(args);
        assert_eq!(output.code, Some(2), "{output}");
        assert!(output.stdout.is_empty(), "{output}");
        output.says(word);
    };
    check(&["upp"], "up");
    check(&["kill"], "TARGET");
    check(&["up", "--nonsense"], "--nonsense");
    check(&["up", "-n", "many"], "many");
    check(&["up", "-n", "0"], "0");
    check(&["up", "-c", "x {port}", "--ports", "eighty"], "eighty");
    check(&["up", "-c", "x {port}", "--ports", "8000-70000"], "70000");
    check(
        &["up", "-c", "x {port}", "--listen", "nowhere:http"],
        "nowhere:http",
    );
    check(&["up", "-c", "x {porto}"], "porto");
    check(&["up", "-c", "x '{port}"], "quot");
    check(&["demo", "--algorithm", "lottery"], "lottery");
    check(&["demo", "--sticky", "glue"], "`off` or `cookie`");
    check(&["demo", "--detect", "pasive"], "did you mean `passive`");
    check(&["set"], "KEY=VALUE");
    check(&["scale", "none"], "from 1 to 256");
    check(&["scale", "web=0"], "from 1 to 256");
    check(&["drain", "8000", "--off", "--everyone"], "--everyone");
    check(&["demo", "--wait-timeout", "soon"], "soon");
    lbdev.assert_all_gone();
}

/// Under `--json` an error is JSON on stdout, with the same exit code.
#[test]
fn errors_as_json() {
    let lbdev = Lbdev::new();
    let check = |output: Output, exit: i32, code: &str| {
        assert_eq!(output.code, Some(exit), "{output}");
        let json = output.json();
        assert_eq!(json["error"]["code"], code, "{output}");
        assert!(
            json["error"]["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{output}"
        );
        assert!(json["error"].get("hint").is_some(), "{output}");
    };
    check(lbdev.run(&["status", "--json"]), 4, "LB005");
    check(lbdev.run(&["config", "--json"]), 2, "LB002");
}

/// An external program that goes on listening is named, not fought with.
#[test]
fn a_port_that_a_stranger_takes_while_a_backend_is_down() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let first = lbdev.ports.first;
    let name = first.to_string();
    lbdev.run(&["stop", &name]).ok();
    lbdev.until_state(first, "stopped", s(10));
    let holder = std::net::TcpListener::bind(("127.0.0.1", first)).unwrap();
    let start = lbdev.start(&["start", &name]);
    crate::wait::until(s(30), "it was told to start", || {
        lbdev.backend(first)["desired"] == "up"
    });
    let [_, others @ ..] = lbdev.ports.four();
    crate::rotation::goes_round(&lbdev.next_ports(6), &others);
    assert_ne!(lbdev.backend(first)["state"], "up");
    drop((holder, start));
    // The restart policy goes on trying.
    lbdev.until_state(first, "up", s(30));
    crate::rotation::goes_round(&lbdev.next_ports(8), &lbdev.ports.four());
}
