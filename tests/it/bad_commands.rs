//! Commands that cannot be run, each said exactly, with nothing half-started left.

use crate::harness::Lbdev;

#[test]
fn each_is_said_and_nothing_stays() {
    for (service, exit, code, says) in [
        (
            "command = \"python3 -c 'print( {port}\"",
            2,
            "LB020",
            "the command of `web`: a quote (') is not closed",
        ),
        (
            "command = \"no-such-thing-at-all {port}\"",
            1,
            "LB013",
            "cannot be started: no such command: `no-such-thing-at-all`",
        ),
        (
            "command = \"./interpreter.sh {port}\"",
            1,
            "LB013",
            "is run by `/no/such/interpreter` (its first line), which does not exist",
        ),
        (
            "command = \"./plain.sh {port}\"",
            1,
            "LB013",
            "plain.sh` is not executable; `chmod +x",
        ),
        (
            "command = \"sleep {port}\"\ncwd = \"nowhere\"",
            2,
            "LB020",
            "the working directory `nowhere` of `web` does not exist",
        ),
        (
            "command = \"sleep {port}\"\nenv = { A = \"a\\u0000b\" }",
            2,
            "LB020",
            "a variable of the environment cannot hold a NUL character",
        ),
        (
            "command = \"sleep {port}\"\nenv_file = \"latin1.env\"",
            2,
            "LB020",
            "`env_file` of `web`: `latin1.env` is not UTF-8 text",
        ),
        (
            "command = \"sleep {port}\"\nenv_file = \"none.env\"",
            2,
            "LB020",
            "`env_file` of `web`: `none.env` does not exist",
        ),
    ] {
        for args in [&["up"][..], &["up", "-d", "--wait"]] {
            let lbdev = Lbdev::new();
            lbdev.script("interpreter.sh", "#!/no/such/interpreter\n");
            lbdev.write("plain.sh", "echo\n");
            std::fs::write(lbdev.dir.join("latin1.env"), b"NAME=caf\xe9\n").unwrap();
            lbdev.write(
                "lbdev.toml",
                &format!(
                    "[balancer]\nlisten = {}\n\n[services.web]\nports = \"{}\"\n{service}\n",
                    lbdev.ports.listen(),
                    lbdev.ports.range()
                ),
            );
            lbdev.run(args).fails(exit, code).says(says);
            lbdev.assert_all_gone();
            lbdev.run(&["-C", ".", "status"]).fails(4, "LB005");
        }
    }
}

/// One of two services is fine, and ends again with the other.
#[test]
fn what_could_be_started_does_not_stay() {
    let lbdev = Lbdev::new();
    let first = lbdev.ports.first;
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = {}\n\n[services.web]\nports = {first}\ncommand = \"{} __demo --port {{port}}\"\n\n\
             [services.api]\nports = {}\nroutes = [\"/api\"]\ncommand = \"no-such-thing-at-all {{port}}\"\n",
            lbdev.ports.listen(),
            crate::harness::LBDEV,
            first + 1
        ),
    );
    for args in [&["up"][..], &["up", "-d", "--wait"]] {
        lbdev
            .run(args)
            .fails(1, "LB013")
            .says("no such command: `no-such-thing-at-all`");
        lbdev.assert_all_gone();
    }
}
