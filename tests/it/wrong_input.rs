//! Wrong input of all kinds: each gets a suggestion, or the list of what is possible, and changes nothing.

use crate::harness::Lbdev;

#[test]
fn forty_wrong_inputs_each_say_what_is_possible() {
    let lbdev = Lbdev::new();
    lbdev.demo_file("", "");
    lbdev.run(&["up", "-d", "--wait"]).ok();
    std::fs::create_dir(lbdev.dir.join("empty")).unwrap();
    let before = lbdev.status()["balancer"].clone();
    let [a, ..] = lbdev.ports.four().map(|port| port.to_string());
    let listen = lbdev.ports.listen().to_string();
    let cases: &[(&[&str], &str)] = &[
        // Verbs.
        (&["stauts"], "did you mean `lbdev status`?"),
        (&["kil", &a], "did you mean `lbdev kill`?"),
        (&["restrat", &a], "did you mean `lbdev restart`?"),
        (&["unfreeze", &a], "did you mean `lbdev thaw`?"),
        (&["exit"], "did you mean `lbdev down`?"),
        (&["list"], "did you mean `lbdev ls`?"),
        (&["frobnicate"], "run `lbdev --help` to see all verbs"),
        // Options.
        (
            &["kill", &a, "--singal", "TERM"],
            "did you mean `--signal`?",
        ),
        (&["restart", &a, "--roling"], "did you mean `--rolling`?"),
        (&["status", "--jsno"], "did you mean `--json`?"),
        (&["up", "--listne", "80"], "did you mean `--listen`?"),
        (
            &["status", "--color", "blue"],
            "`auto`, `always` or `never`",
        ),
        (&["drain", &a, "--off", "--everyone"], "exclude each other"),
        (&["up", "-f", "x", "-c", "y"], "exclude each other"),
        // Too few words, and too many.
        (&["kill"], "needs `<TARGET>`"),
        (&["scale"], "needs `<[SERVICE=]N>`"),
        (&["fault", &a], "needs `<WHAT>...`"),
        (&["kill", &a, &a], "one word too many"),
        // Targets.
        (&["kill", "9"], &a),
        (&["kill", "wbe"], &a),
        (&["kill", &listen], "is the balancer, not a backend"),
        (&["logs", "wbe"], "known: `"),
        (&["drain", "web:1"], "known: `"),
        (&["scale", "wbe=3"], "known: `web`"),
        // Keys.
        (&["set", "algoritm=hash"], "did you mean `algorithm`?"),
        (&["set", "weight=3"], "name it first"),
        (&["set", &a, "wieght=3"], "known: `weight`"),
        (&["set", "listen=80"], "write it into lbdev.toml"),
        (&["set", "retries"], "KEY=VALUE is missing"),
        (&["fault", &a, "latancy=1s"], "did you mean `latency`?"),
        (&["fault", &a, "250ms"], "known: `latency`"),
        // Values and their units.
        (
            &["set", "algorithm=least_con"],
            "did you mean `least_conn`?",
        ),
        (&["set", "retries=many"], "from 0 to 100"),
        (&["set", &a, "weight=1000"], "from 0 to 256"),
        (&["fault", &a, "latency=fast"], "write for example `200ms`"),
        (&["fault", &a, "status=99"], "write for example `503`"),
        (
            &["fault", &a, "reset", "rate=20"],
            "write for example `20%`",
        ),
        (&["fault", &a, "reset", "status=500"], "cannot meet both"),
        (&["kill", &a, "-s", "TREM"], "did you mean `TERM`?"),
        (&["scale", "0"], "they are from 1 to 256"),
        (&["up", "-n", "zero"], "want a number from 1 to 256"),
        (&["logs", "--since", "yesterday"], "want a time like `5m`"),
        (&["logs", "--grep", "("], "hint:"),
        (
            &["run", "--wait-timeout", "5parsecs", "--", "true"],
            "want a time like `60s`",
        ),
        (&["doctor", "99999"], "want a port, from 1 to 65535"),
        (
            &["explain", "LB999"],
            "run `lbdev explain` to see all of them",
        ),
        (
            &["completions", "tcsh"],
            "`bash`, `zsh`, `fish` or `powershell`",
        ),
        // Files and folders.
        (&["config", "-f", "nothing.toml"], "does not exist"),
        (&["config", "-C", "nowhere"], "does not exist"),
        (&["status", "--project", "nobody"], "nobody"),
        (&["init", "djnago", "-C", "empty"], "did you mean `django`?"),
    ];
    assert!(cases.len() >= 40);
    for (args, says) in cases {
        let output = lbdev.run(args);
        assert!(matches!(output.code, Some(1 | 2 | 4)), "{output}");
        assert!(output.stderr.contains("error[LB"), "{output}");
        assert!(!output.stderr.contains("panicked"), "{output}");
        assert_eq!(output.stdout, "", "{output}");
        output.says(says);
    }
    let after = lbdev.status();
    assert_eq!(after["balancer"], before);
    assert_eq!(after["state"], "serving");
}
