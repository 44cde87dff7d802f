//! Every folder of `examples/`: it starts, each backend answers, one is killed and the page goes on, it comes back, and
//! nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::harness::Lbdev;
use crate::http::Connection;
use crate::need;
use crate::rotation::port_in;
use crate::up_django::copy_folder;
use crate::wait::{s, until};

/// The folders that a test below is about.
const TRIED: &[&str] = &[
    "django",
    "fastapi",
    "flask",
    "go",
    "kubernetes",
    "nginx",
    "node",
    "php",
    "rust",
    "static",
    "swarm",
    "tomcat",
    "two-services",
    "vite",
    "weighted",
];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn each_has_a_test_and_says_what_to_try() -> Result<()> {
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(examples())? {
        let entry = entry?;
        let name = entry.file_name().into_string().expect("plain names");
        let readme = std::fs::read_to_string(entry.path().join("README.md"))
            .with_context(|| format!("README of {name}"))?;
        ensure!(readme.contains("$ lbdev up"), "{name}: how it is started");
        there.insert(name);
    }
    let tried: BTreeSet<String> = TRIED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(there, tried);
    Ok(())
}

/// A copy of an example in a scratch home, whose ports are those of this test.
fn site(name: &str) -> Result<Lbdev> {
    let lbdev = Lbdev::new();
    copy_folder(&examples().join(name), &lbdev.dir)?;
    let file = lbdev.dir.join("lbdev.toml");
    if file.is_file() {
        // The second service of one, where there is one, gets what is left of the block.
        let ports = &lbdev.ports;
        let mut text = std::fs::read_to_string(&file)?;
        text = text.replace("localhost:8080", &format!("localhost:{}", ports.listen()));
        for (number, port) in (8000..8004).zip(ports.first..) {
            text = text.replace(&number.to_string(), &port.to_string());
        }
        for (number, port) in (9000..9002).zip(ports.first + 2..) {
            text = text.replace(&number.to_string(), &port.to_string());
        }
        std::fs::write(&file, text)?;
    }
    Ok(lbdev)
}

/// The ports that `n` pages at `path` came from, which each page says itself if `says`.
fn answered(lbdev: &Lbdev, path: &str, n: usize, says: bool) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for _ in 0..n {
        let page = lbdev.get(path);
        let text = page.text();
        assert_eq!(page.status, 200, "{path}: {text}");
        let port = page.backend_port().expect("the answer names its backend");
        if says {
            assert_eq!(port_in(&text), Some(port), "{text}");
        }
        ports.insert(port);
    }
    ports
}

/// Up, a page by every backend, kill, start, down.
fn goes_on(lbdev: &Lbdev, up: &[String], says: bool) {
    lbdev.run(up).ok();
    let status = lbdev.status();
    let rows = status["backends"].as_array().expect("backends");
    // The one at `/` stands first.
    let service = &rows[0]["service"];
    let balanced = rows.iter().filter(|row| row["service"] == *service);
    let all: BTreeSet<u16> = (balanced.clone())
        .filter_map(|row| row["port"].as_u64()?.try_into().ok())
        .collect();
    assert!(!all.is_empty(), "{status:#}");
    let sticky = status["balancer"]["sticky"] == "cookie";
    // Without a cookie every request is a new client's.
    let n = all.len() * 5;
    assert_eq!(answered(lbdev, "/", n, says), all, "sticky: {sticky}");
    let first = *all.first().expect("one");
    if all.len() > 1 {
        lbdev.run(&["kill", &first.to_string()]).ok();
        let left: BTreeSet<u16> = all.iter().copied().filter(|port| *port != first).collect();
        assert_eq!(answered(lbdev, "/", n, says), left);
        lbdev.run(&["start", &first.to_string()]).ok();
        assert_eq!(answered(lbdev, "/", n, says), all);
    } else {
        lbdev.run(&["kill", &first.to_string()]).ok();
        lbdev.run(&["start", &first.to_string()]).ok();
        assert_eq!(answered(lbdev, "/", n, says), all);
    }
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
}

/// With the ports of this test on the command line, where there is no file that says them.
fn up(lbdev: &Lbdev) -> Vec<String> {
    let listen = lbdev.ports.listen().to_string();
    let mut args = vec!["up", "-d", "--wait", "--wait-timeout", "120s"];
    let range = lbdev.ports.range();
    if !lbdev.dir.join("lbdev.toml").is_file() {
        // Each page counts, whatever the client.
        args.extend(["--listen", &listen, "--ports", &range]);
    }
    args.into_iter().map(str::to_owned).collect()
}

fn with_venv(lbdev: &mut Lbdev, python: &Path) {
    let venv = python.parent().and_then(Path::parent);
    lbdev.set("VIRTUAL_ENV", venv.expect("a venv has a folder"));
}

#[test]
fn django() -> Result<()> {
    let Some(python) = need::django() else {
        return Ok(());
    };
    let mut lbdev = site("django")?;
    with_venv(&mut lbdev, &python);
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

#[test]
fn flask() -> Result<()> {
    let Some(python) = need::flask() else {
        return Ok(());
    };
    let mut lbdev = site("flask")?;
    with_venv(&mut lbdev, &python);
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

#[test]
fn fastapi() -> Result<()> {
    let Some(python) = need::uvicorn() else {
        return Ok(());
    };
    let mut lbdev = site("fastapi")?;
    with_venv(&mut lbdev, &python);
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

/// The same by what is recognised, without the file.
#[test]
fn fastapi_is_recognised() -> Result<()> {
    let Some(python) = need::uvicorn() else {
        return Ok(());
    };
    let mut lbdev = site("fastapi")?;
    std::fs::remove_file(lbdev.dir.join("lbdev.toml"))?;
    with_venv(&mut lbdev, &python);
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

#[test]
fn node() -> Result<()> {
    if need::program("node").is_none() {
        return Ok(());
    }
    let lbdev = site("node")?;
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

#[test]
fn vite() -> Result<()> {
    let Some(vite) = need::vite() else {
        return Ok(());
    };
    let lbdev = site("vite")?;
    let modules = vite
        .parent()
        .and_then(Path::parent)
        .context("node_modules")?;
    std::os::unix::fs::symlink(modules, lbdev.dir.join("node_modules"))?;
    let (first, listen) = (
        lbdev.ports.first.to_string(),
        lbdev.ports.listen().to_string(),
    );
    let args = ["up", "-d", "--wait", "--ports", &first, "--listen", &listen];
    goes_on(&lbdev, &args.map(str::to_owned), false);
    Ok(())
}

#[test]
fn static_files() -> Result<()> {
    let lbdev = site("static")?;
    goes_on(&lbdev, &up(&lbdev), false);
    Ok(())
}

#[test]
fn rust() -> Result<()> {
    if need::program("cargo").is_none() {
        return Ok(());
    }
    let mut lbdev = site("rust")?;
    // The toolchain is where the tests' own is, not in the scratch home.
    for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            lbdev.set(name, value);
        }
    }
    if let Some(home) = std::env::var_os("HOME") {
        lbdev.set("HOME", home);
    }
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

#[test]
fn go() -> Result<()> {
    if need::installed("go", "Go is not installed").is_none() {
        return Ok(());
    }
    let lbdev = site("go")?;
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

#[test]
fn php() -> Result<()> {
    if need::installed("php", "PHP is not installed").is_none() {
        return Ok(());
    }
    let lbdev = site("php")?;
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

#[test]
fn tomcat() -> Result<()> {
    if !need::tomcat() {
        return Ok(());
    }
    let lbdev = site("tomcat")?;
    lbdev.run(&up(&lbdev)).ok();
    let mut connection = Connection::open(lbdev.ports.listen())?;
    let mut jar: BTreeMap<String, String> = BTreeMap::new();
    // A browser's visit: who answered, and how many visits that one counts.
    let mut visit = || -> Result<(u16, u32)> {
        let cookies: Vec<String> = jar.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let page = connection.request("GET", "/", &[("Cookie", &cookies.join("; "))], b"")?;
        assert_eq!(page.status, 200, "{}", page.text());
        for cookie in page.headers_named("set-cookie") {
            let pair = cookie
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='));
            let (name, value) = pair.context("a cookie")?;
            jar.insert(name.to_owned(), value.to_owned());
        }
        let text = page.text();
        let visits = text.split_once("Your visits: ").map(|(_, rest)| rest);
        let visits = visits.and_then(|rest| rest.split('<').next()?.parse().ok());
        Ok((port_in(&text).context("a port")?, visits.context("visits")?))
    };
    let (owner, _) = visit()?;
    for expected in 2..6 {
        assert_eq!(visit()?, (owner, expected), "the session stays where it is");
    }
    lbdev.run(&["kill", &owner.to_string()]).ok();
    let (heir, visits) = visit()?;
    assert!(
        heir != owner && visits == 1,
        "the session was in the memory of {owner}: {heir}, {visits}"
    );
    lbdev.run(&["start", &owner.to_string()]).ok();
    assert_eq!(
        visit()?,
        (heir, 2),
        "who came back has nothing to do with it"
    );
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

/// The tutorial's configuration: what stands in the folder is what `import` makes of it.
#[test]
fn nginx() -> Result<()> {
    let Some(python) = need::python() else {
        return Ok(());
    };
    let again = Lbdev::new();
    copy_folder(&examples().join("nginx"), &again.dir)?;
    let written = std::fs::read_to_string(again.dir.join("lbdev.toml"))?;
    let args = [
        "import",
        "nginx.conf",
        "--run",
        "{python} server.py {port}",
        "-o",
        "-",
    ];
    assert_eq!(again.run(&args).ok().stdout, written);
    let mut lbdev = site("nginx")?;
    lbdev.set("PATH", path_with(&python));
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

/// What stands in the folder is what `export` writes, and the same servers run here.
#[test]
fn swarm_and_kubernetes() -> Result<()> {
    let Some(python) = need::python() else {
        return Ok(());
    };
    for name in ["swarm", "kubernetes"] {
        let file = format!("{name}.yaml");
        let mut again = Lbdev::new();
        let folder = again.dir.join(name);
        std::fs::create_dir(&folder)?;
        copy_folder(&examples().join(name), &folder)?;
        again.dir = folder;
        for (target, file) in [(name, file.as_str()), ("dockerfile", "Dockerfile")] {
            let written = std::fs::read_to_string(again.dir.join(file))?;
            assert_eq!(
                again.run(&["export", target]).ok().stdout,
                written,
                "{name}/{file}"
            );
        }
        let mut lbdev = site(name)?;
        lbdev.set("PATH", path_with(&python));
        goes_on(&lbdev, &up(&lbdev), true);
    }
    Ok(())
}

#[test]
fn weighted() -> Result<()> {
    let Some(python) = need::python() else {
        return Ok(());
    };
    let mut lbdev = site("weighted")?;
    lbdev.set("PATH", path_with(&python));
    goes_on(&lbdev, &up(&lbdev), true);
    Ok(())
}

#[test]
fn two_services() -> Result<()> {
    let Some(python) = need::python() else {
        return Ok(());
    };
    let mut lbdev = site("two-services")?;
    lbdev.set("PATH", path_with(&python));
    lbdev.run(&up(&lbdev)).ok();
    let (web, api) = (lbdev.ports.first, lbdev.ports.first + 2);
    assert_eq!(
        answered(&lbdev, "/", 4, false),
        BTreeSet::from([web, web + 1])
    );
    assert_eq!(
        answered(&lbdev, "/api/health", 4, false),
        BTreeSet::from([api, api + 1])
    );
    lbdev.run(&["kill", "api"]).ok();
    // Nobody answers for the one, and the other goes on.
    assert_eq!(
        answered(&lbdev, "/", 4, false),
        BTreeSet::from([web, web + 1])
    );
    lbdev.run(&["start", "api"]).ok();
    until(s(10), "both answer", || {
        answered(&lbdev, "/api/health", 4, false) == BTreeSet::from([api, api + 1])
    });
    lbdev.run(&["down"]).ok();
    lbdev.assert_all_gone();
    Ok(())
}

/// PATH with the folder of this program first.
fn path_with(program: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = program.parent().map(Path::to_owned);
    let all = first.into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(all).expect("no colon in it")
}
