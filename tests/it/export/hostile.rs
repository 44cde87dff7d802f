//! Set-ups whose names, paths and texts look like directives, read by the real tools: each says only what it would say
//! without them.

use std::path::Path;

use anyhow::Result;

use super::content;
use crate::harness::Lbdev;
use crate::need;

/// Values that end a word, a line, a block or a quote somewhere.
const NASTY: &[&str] = &[
    "/a;b",
    "/a{b}",
    "/a\"b",
    "/a'b",
    "/a\\",
    "/a\\\"b",
    "/a${HOME}b",
    "/a{$HOME}b",
    "/a{env.HOME}b",
    "/a%b",
    "/a`b`",
    "/a*",
    "/a)b(",
    "/a|b&c",
    "/a<b>",
    "/-a",
    "/a?b",
    "/~",
    "/a,b",
    "/a:b",
    "/a!b=c",
    "/[a]",
];

/// What a format is made of: of each line what it begins with.
fn bones(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let first = |line: &str| {
        line.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    lines.map(first).filter(|word| !word.is_empty()).collect()
}

#[test]
fn no_path_becomes_a_directive() -> Result<()> {
    let tools = [
        (
            "nginx",
            need::installed("nginx", "nginx is not installed"),
            "-t -c",
        ),
        (
            "haproxy",
            need::installed("haproxy", "HAProxy is not installed"),
            "-c -f",
        ),
        (
            "apache",
            need::installed("apache2", "Apache is not installed"),
            "-t -f",
        ),
        (
            "caddy",
            need::installed("caddy", "Caddy is not installed"),
            "validate --adapter caddyfile --config",
        ),
    ];
    let lbdev = Lbdev::new();
    let write = |path: &str, text: &str| {
        let quoted = toml::Value::String(path.to_owned()).to_string();
        // Of a path of checks `{port}` is filled in.
        let asked = match path.contains("${") {
            true => "/plain".to_owned(),
            false => path.replace('{', "{{").replace('}', "}}"),
        };
        let asked = toml::Value::String(asked).to_string();
        let text = toml::Value::String(text.to_owned()).to_string();
        lbdev.write(
            "lbdev.toml",
            &format!(
                "[services.web]\ncommand = \"srv {{port}}\"\nports = \"8000-8001\"\nhealth = {{ path = {asked}, body = {text} }}\n\
                 [services.other]\ncommand = \"srv {{port}}\"\nports = \"8002-8003\"\nroutes = [{quoted}]\n"
            ),
        );
    };
    for (target, tool, check) in &tools {
        let Some(tool) = tool else { continue };
        let export = || lbdev.run(&["export", target]).ok();
        write("/plain", "plain");
        let plain = bones(&export().stdout);
        // Of a route that cannot be written there nothing is left, and that is said.
        let unroutable = {
            write("/a?b", "plain");
            bones(&export().stdout)
        };
        for nasty in NASTY {
            write(nasty, nasty);
            let made = export();
            let found = bones(&made.stdout);
            let left_out = made.stderr.contains("is left out");
            let expected = if left_out { &unroutable } else { &plain };
            // Nor of a check that cannot ask for such a path, or look for such a text.
            let checks = ["health_", "ProxyHCExpr", "http-check", "option"];
            let unchecked = made.stderr.contains("carried over: health.");
            let said =
                |word: &&String| !(unchecked && checks.iter().any(|check| word.starts_with(check)));
            let expected: Vec<&String> = expected.iter().filter(said).collect();
            let found: Vec<&String> = found.iter().filter(said).collect();
            assert_eq!(found, expected, "{target} {nasty}: {}", made.stdout);
            let file = lbdev.write("exported.conf", &made.stdout);
            let mut args: Vec<&str> = check.split(' ').collect();
            args.push(file.to_str().unwrap());
            content(tool, &args, &lbdev.dir)?;
        }
    }
    Ok(())
}

/// Names of fields and of cookies have characters that mean something elsewhere (RFC 9110 §5.6.2); a folder may have any name.
#[test]
fn no_name_becomes_a_directive() -> Result<()> {
    let names = [
        "x!y", "x$y", "x%y", "x&y", "x'y", "x*y", "x+y", "x^y", "x`y", "x|y", "x~y",
    ];
    let lbdev = Lbdev::new();
    let folder = lbdev.dir.join("a\"b;c{d}e$f'g\\");
    std::fs::create_dir(&folder)?;
    for (target, program, check) in [
        ("nginx", "nginx", "-t -c"),
        ("haproxy", "haproxy", "-c -f"),
        ("apache", "apache2", "-t -f"),
        ("caddy", "caddy", "validate --adapter caddyfile --config"),
    ] {
        let Some(tool) = need::installed(program, &format!("{program} is not installed")) else {
            continue;
        };
        for kind in ["header", "cookie"] {
            for name in names {
                std::fs::write(
                    folder.join("lbdev.toml"),
                    format!(
                        "[balancer]\nalgorithm = \"hash\"\nhash_key = \"{kind}:{name}\"\n\
                         [services.web]\ncommand = \"srv {{port}}\"\nports = \"8000-8001\"\n"
                    ),
                )?;
                let dir = folder.to_str().unwrap();
                let made = lbdev.run(&["-C", dir, "export", target]).ok();
                let file = lbdev.write("exported.conf", &made.stdout);
                let mut args: Vec<&str> = check.split(' ').collect();
                args.push(file.to_str().unwrap());
                content(&tool, &args, &lbdev.dir)?;
            }
        }
    }
    Ok(())
}

#[test]
fn no_word_of_a_command_becomes_a_key() -> Result<()> {
    let Some(python) = need::python_that_imports("yaml") else {
        return Ok(());
    };
    let words = [
        "a: b",
        "- c",
        "# d",
        "\"; rm -rf /\"",
        "'x'",
        "$HOME",
        "{{ project",
        "{% raw",
        "{# x",
        "\u{85}next: line",
        "\u{2028}sep: x",
        "tab\tx",
        "\\n",
        "no",
        "*a",
        "&b",
        "!c",
        "> d",
        "| e",
        "%f",
        "@g",
        "🎉",
    ];
    let lbdev = Lbdev::new();
    let mut argv = vec!["srv".to_owned()];
    argv.extend(words.map(str::to_owned));
    let list = toml::Value::try_from(&argv)?.to_string();
    let value = toml::Value::String(words.join(" ")).to_string();
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[services.web]\ncommand = {list}\nports = \"8000-8001\"\nenv = {{ NASTY = {value} }}\n"
        ),
    );
    let script = "import sys, yaml, json\n\
        docs = list(yaml.safe_load_all(open(sys.argv[1], encoding='utf-8')))\n\
        k8s = sys.argv[2] == 'kubernetes'\n\
        one = docs[0]['spec']['template']['spec']['containers'][0] if k8s else docs[0]['services']['web']\n\
        command = one['command']\n\
        env = {e['name']: e['value'] for e in one['env']} if k8s else one['environment']\n\
        plain = (lambda t: t) if k8s else (lambda t: t.replace('$$', '$'))\n\
        print(json.dumps([[plain(w) for w in command[1:]], plain(env['NASTY'])]))";
    for target in ["compose", "swarm", "kubernetes"] {
        let text = lbdev.run(&["export", target]).ok().stdout;
        let file = lbdev.write("exported.yaml", &text);
        let read = content(
            &python,
            &["-c", script, file.to_str().unwrap(), target],
            &lbdev.dir,
        )?;
        let read: serde_json::Value = serde_json::from_str(&read)?;
        assert_eq!(read[0], serde_json::json!(words), "{target}: {text}");
        assert_eq!(read[1], words.join(" "), "{target}");
    }
    // A Dockerfile's CMD is JSON.
    let text = lbdev.run(&["export", "dockerfile"]).ok().stdout;
    let command = text
        .lines()
        .find_map(|line| line.strip_prefix("CMD "))
        .unwrap_or_default();
    let command: Vec<String> = serde_json::from_str(command)?;
    assert_eq!(command[1..], words);
    // A Procfile's line is a shell's.
    let text = lbdev.run(&["export", "procfile"]).ok().stdout;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("web: "))
        .unwrap_or_default();
    let sh = content(
        Path::new("sh"),
        &[
            "-c",
            &format!(
                "srv() {{ printf '%s\\n' \"$#\"; }}; srv{}",
                line.split_once("srv").map_or("", |(_, rest)| rest)
            ),
        ],
        &lbdev.dir,
    )?;
    assert_eq!(sh.trim(), words.len().to_string(), "{line}");
    Ok(())
}
