//! Servers that lbdev did not start.

use std::process::{Command, Stdio};

use anyhow::Result;
use rustix::process::Signal;

use crate::harness::{Lbdev, Running};
use crate::load::Load;
use crate::ports::answers;
use crate::rotation::goes_round;
use crate::up_django::{copy_site, migrate};
use crate::wait::{s, until};
use crate::{need, ports};

/// Four runservers in four terminals, as the tutorial has it.
#[test]
fn four_runservers_one_killed() -> Result<()> {
    let Some(python) = need::django() else {
        return Ok(());
    };
    let lbdev = Lbdev::new();
    copy_site(&lbdev.dir)?;
    migrate(&python, &lbdev.dir)?;
    let runserver = |port: u16| {
        let mut command = Command::new(&python);
        command
            .args([
                "manage.py",
                "runserver",
                "--noreload",
                &format!("127.0.0.1:{port}"),
            ])
            .current_dir(&lbdev.dir)
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null());
        Running::spawn(command)
    };
    let mut servers: Vec<Running> = lbdev.ports.four().into_iter().map(runserver).collect();
    for port in lbdev.ports.four() {
        until(s(60), "the runservers listened", || answers(port));
    }
    // Only the balancer is lbdev's: the folder could as well be empty.
    let listen = lbdev.ports.listen().to_string();
    let range = lbdev.ports.range();
    let up = [
        "up",
        "-d",
        "--wait",
        "--external",
        &range,
        "--listen",
        &listen,
    ];
    lbdev.run(&up).ok();
    goes_round(&lbdev.next_ports(12), &lbdev.ports.four());
    let row = lbdev.backend(lbdev.ports.first);
    assert_eq!(
        (&row["kind"], &row["pid"]),
        (&"external".into(), &serde_json::Value::Null)
    );

    let first = lbdev.ports.first;
    let load = Load::start(lbdev.ports.listen(), "/", 100, 8);
    load.run_for(100, s(60));
    servers[0].signal_group(Signal::KILL);
    servers[0].wait_exit(s(5));
    load.run_for(150, s(60));
    load.finish().none_lost();
    until(s(10), "it counted as unhealthy", || {
        lbdev.backend(first)["healthy"] == false
    });
    let [_, others @ ..] = lbdev.ports.four();
    goes_round(&lbdev.next_ports(9), &others);

    // What lbdev did not start it does not end either.
    let name = lbdev.ports.four()[1].to_string();
    lbdev.run(&["kill", &name]).fails(1, "LB031").says(&name);

    servers[0] = runserver(first);
    until(s(60), "it was back", || {
        lbdev.backend(first)["state"] == "up"
    });
    goes_round(&lbdev.next_ports(8), &lbdev.ports.four());

    lbdev.run(&["down"]).ok();
    for (server, port) in servers.iter_mut().zip(lbdev.ports.four()) {
        assert!(
            server.runs() && answers(port),
            "`down` ended {port}, which is not its own"
        );
    }
    for server in &servers {
        server.signal_group(Signal::KILL);
    }
    for port in lbdev.ports.four() {
        until(s(5), "the port was free", || ports::is_free(port));
    }
    Ok(())
}

#[test]
fn nonsense_is_refused() {
    let lbdev = Lbdev::new();
    for nonsense in [
        "",
        "abc",
        "0",
        "70000",
        "8003-8000",
        "localhost:",
        "8000,8000",
    ] {
        let output = lbdev.run(&["up", "-d", "--external", nonsense]);
        assert_eq!(output.code, Some(2), "--external {nonsense:?}: {output}");
    }
    lbdev.assert_all_gone();
}
