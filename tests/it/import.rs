//! `lbdev import`: what it writes is run.

use anyhow::Result;

use crate::harness::{LBDEV, Lbdev};

#[test]
fn servers_that_run_already_are_balanced() -> Result<()> {
    // Somebody else's, as far as the second one knows.
    let theirs = Lbdev::new();
    theirs.demo();
    let lbdev = Lbdev::new();
    let servers: String = theirs
        .ports
        .four()
        .iter()
        .map(|port| format!("server localhost:{port};\n"))
        .collect();
    lbdev.write(
        "nginx.conf",
        &format!(
            "http {{\nupstream myproject {{\n{servers}}}\nserver {{\nlisten {};\nserver_name localhost;\nlocation / {{ proxy_pass http://myproject; }}\n}}\n}}\n",
            lbdev.ports.listen()
        ),
    );
    lbdev
        .run(&["import", "nginx.conf"])
        .ok()
        .says("start it with `lbdev up`");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    let seen = (0..8)
        .map(|_| lbdev.get("/"))
        .filter(|page| page.status == 200)
        .count();
    assert_eq!(seen, 8);
    // Once written it is somebody's file.
    lbdev
        .run(&["import", "nginx.conf"])
        .fails(2, "LB007")
        .says("is there already");
    Ok(())
}

#[test]
fn with_a_command_they_are_started() -> Result<()> {
    let lbdev = Lbdev::new();
    let four = lbdev.ports.four();
    lbdev.write(
        "nginx.conf",
        &format!(
            "upstream shop {{ server 127.0.0.1:{}; server 127.0.0.1:{}; }} server {{ listen {}; gzip_static on; lua on; location / {{ proxy_pass http://shop; }} }}",
            four[0],
            four[1],
            lbdev.ports.listen()
        ),
    );
    let run = format!("shop={LBDEV} __demo --port {{port}}");
    let said = lbdev.run(&["import", "nginx.conf", "--run", &run]).ok();
    said.clone().says("nginx.conf:1: lua on");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    assert_eq!(lbdev.next_ports(4).len(), 4);
    let json = lbdev
        .run(&["import", "nginx.conf", "-o", "-", "--json"])
        .ok()
        .json();
    assert_eq!(json["not_understood"][0]["text"], "lua on");
    assert_eq!(json["not_understood"][0]["line"], 1);
    Ok(())
}

#[test]
fn a_procfile_becomes_services() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.write(
        "Procfile",
        &format!("web: {LBDEV} __demo --port $PORT\nclock: sleep 1000\nrelease: migrate\n"),
    );
    lbdev
        .run(&["import", "Procfile"])
        .ok()
        .says("run it by hand: `migrate`");
    lbdev.run(&lbdev.with_ports("up", &["-d", "--wait"])).ok();
    let status = lbdev.status();
    assert_eq!(
        status["backends"].as_array().map(Vec::len),
        Some(5),
        "{status:#}"
    );
    Ok(())
}

#[test]
fn strange_files_are_refused() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev
        .run(&["import", "gone.conf"])
        .fails(2, "LB007")
        .says("nothing of that name");
    lbdev.run(&["import", "."]).fails(2, "LB007");
    std::fs::write(lbdev.dir.join("b.conf"), [0xff, 0xfe, 0])?;
    lbdev
        .run(&["import", "b.conf"])
        .fails(2, "LB007")
        .says("not UTF-8");
    lbdev.write("e.conf", "http { server { root /; } }");
    lbdev
        .run(&["import", "e.conf"])
        .fails(2, "LB054")
        .says("e.conf:1: root /");
    lbdev.write("Procfile", "web\n");
    lbdev.run(&["import", "Procfile"]).fails(2, "LB020");
    lbdev
        .run(&["import", "e.conf", "--run", "web="])
        .fails(2, "LB021");
    Ok(())
}
