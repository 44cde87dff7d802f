//! Tomcat, one instance a backend: a hidden subcommand that makes a CATALINA_BASE with ports of its own, then becomes
//! `catalina.sh run`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// `__tomcat --port N --dir DIR`: serves the web application in DIR, or the `.war` in it.
pub const TOMCAT: &str = "__tomcat";

/// Where packages put it, newest first.
const HOMES: [&str; 8] = [
    "/usr/share/tomcat11",
    "/usr/share/tomcat10",
    "/usr/share/tomcat9",
    "/opt/tomcat",
    "/usr/local/tomcat",
    "/opt/homebrew/opt/tomcat/libexec",
    "/usr/local/opt/tomcat/libexec",
    "/usr/share/tomcat",
];
/// What an instance has in its `conf`, besides its own `server.xml`.
const CONF: [&str; 3] = ["catalina.properties", "context.xml", "web.xml"];
/// For a Tomcat that comes without one: nothing but servlets would answer.
const WEB: &str = include_str!("../templates/tomcat_web.xml");
/// Lines go where those of every backend go.
const LOGGING: &str = "handlers = java.util.logging.ConsoleHandler\n\
                       .handlers = java.util.logging.ConsoleHandler\n\
                       java.util.logging.ConsoleHandler.level = INFO\n\
                       java.util.logging.ConsoleHandler.formatter = org.apache.juli.OneLineFormatter\n";

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
enum TomcatError {
    #[error("usage: lbdev {TOMCAT} --port N --dir DIR")]
    Usage,
    #[error("Tomcat was not found: set CATALINA_HOME to its folder (looked at {})", HOMES.join(", "))]
    NoHome,
    #[error("`{}` holds neither WEB-INF nor a .war", dir.display())]
    NoApplication { dir: PathBuf },
    #[error("cannot make `{}`: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("cannot start `{}`: {source}", script.display())]
    Unstartable { script: PathBuf, source: io::Error },
}

/// The subcommand, where `args` name it.
pub fn hidden(args: &[OsString]) -> Option<ExitCode> {
    let (first, rest) = args.split_first()?;
    if first != TOMCAT {
        return None;
    }
    let error = match run(rest) {
        Ok(code) => return Some(code),
        Err(error) => error,
    };
    // Nobody may be reading; the exit code says it too.
    let _ = writeln!(io::stderr(), "lbdev: {error}");
    Some(ExitCode::FAILURE)
}

fn run(args: &[OsString]) -> Result<ExitCode, TomcatError> {
    let [port_flag, port, dir_flag, dir] = args else {
        return Err(TomcatError::Usage);
    };
    let port = port.to_str().and_then(|port| port.parse::<u16>().ok());
    let (Some(port), true) = (port, port_flag == "--port" && dir_flag == "--dir") else {
        return Err(TomcatError::Usage);
    };
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.into());
    let application = application(&dir)?;
    let home = home(std::env::var_os("CATALINA_HOME"))?;
    let base = dir.join(".lbdev").join(format!("tomcat-{port}"));
    make_base(&base, &home, &application, port)
        .map_err(|(path, source)| TomcatError::Unwritable { path, source })?;
    let script = home.join("bin").join(SCRIPT);
    let mut command = Command::new(&script);
    command
        .arg("run")
        .env("CATALINA_HOME", &home)
        .env("CATALINA_BASE", &base)
        .env("CATALINA_TMPDIR", base.join("temp"));
    become_it(command).map_err(|source| TomcatError::Unstartable { script, source })
}

#[cfg(not(windows))]
const SCRIPT: &str = "catalina.sh";
#[cfg(windows)]
const SCRIPT: &str = "catalina.bat";

/// The process is Tomcat's from here on, so that signals reach it.
#[cfg(unix)]
fn become_it(mut command: Command) -> io::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec())
}

#[cfg(not(unix))]
fn become_it(mut command: Command) -> io::Result<ExitCode> {
    let status = command.status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What is served: the folder with `WEB-INF`, else the first `.war`.
fn application(dir: &Path) -> Result<PathBuf, TomcatError> {
    if dir.join("WEB-INF").is_dir() {
        return Ok(dir.to_owned());
    }
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let wars = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new("war")));
    wars.min().ok_or_else(|| TomcatError::NoApplication {
        dir: dir.to_owned(),
    })
}

fn home(said: Option<OsString>) -> Result<PathBuf, TomcatError> {
    let said = said.map(PathBuf::from);
    let all = said.into_iter().chain(HOMES.map(PathBuf::from));
    let mut there = all.filter(|home| home.join("bin").join(SCRIPT).is_file());
    there.next().ok_or(TomcatError::NoHome)
}

fn make_base(
    base: &Path,
    home: &Path,
    application: &Path,
    port: u16,
) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    for folder in ["conf", "temp", "work", "logs", "webapps"] {
        let path = base.join(folder);
        std::fs::create_dir_all(&path).map_err(at(&path))?;
    }
    // It is made anew at each start, and nobody's to keep.
    if let Some(own) = base.parent() {
        let ignore = own.join(".gitignore");
        if !ignore.exists() {
            std::fs::write(&ignore, "*\n").map_err(at(&ignore))?;
        }
    }
    // Archives have `conf`, Debian's package has `etc`.
    let from = ["conf", "etc"].map(|folder| home.join(folder));
    for name in CONF {
        let found = from.iter().map(|folder| folder.join(name));
        if let Some(found) = found.into_iter().find(|path| path.is_file()) {
            std::fs::copy(&found, base.join("conf").join(name)).map_err(at(&found))?;
        }
    }
    let web = base.join("conf").join("web.xml");
    if !from.iter().any(|folder| folder.join("web.xml").is_file()) {
        std::fs::write(&web, WEB).map_err(at(&web))?;
    }
    let own = [
        ("server.xml", server_xml(application, port)),
        ("logging.properties", LOGGING.to_owned()),
    ];
    for (name, text) in own {
        let path = base.join("conf").join(name);
        std::fs::write(&path, text).map_err(at(&path))?;
    }
    Ok(())
}

/// One connector on loopback, no shutdown port, and the application at `/`.
fn server_xml(application: &Path, port: u16) -> String {
    let application = escaped(&application.to_string_lossy());
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1">
  <Service name="Catalina">
    <Connector port="{port}" address="127.0.0.1" protocol="HTTP/1.1" />
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" autoDeploy="false">
        <Context path="" docBase="{application}" />
      </Host>
    </Engine>
  </Service>
</Server>
"#
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_ports_and_files_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (home, site) = (dir.path().join("home"), dir.path().join("a & b"));
        std::fs::create_dir_all(home.join("etc")).unwrap();
        std::fs::write(home.join("etc/web.xml"), "<web/>").unwrap();
        std::fs::create_dir_all(site.join("WEB-INF")).unwrap();
        assert_eq!(application(&site).unwrap(), site);
        let base = site.join(".lbdev/tomcat-8000");
        make_base(&base, &home, &site, 8000).unwrap();
        let read = |name: &str| std::fs::read_to_string(base.join(name)).unwrap();
        assert_eq!(read("conf/web.xml"), "<web/>");
        assert!(read("conf/server.xml").contains("port=\"8000\" address=\"127.0.0.1\""));
        assert!(read("conf/server.xml").contains("a &amp; b\""));
        assert_eq!(read("../.gitignore"), "*\n");
        // Again, as after a kill; from one that has none.
        std::fs::remove_file(home.join("etc/web.xml")).unwrap();
        make_base(&base, &home, &site, 8000).unwrap();
        assert!(read("conf/web.xml").contains("JspServlet"));
    }

    #[test]
    fn what_is_served() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            application(dir.path()),
            Err(TomcatError::NoApplication { .. })
        ));
        for name in ["b.war", "a.war", "x.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(application(dir.path()).unwrap(), dir.path().join("a.war"));
        assert!(matches!(
            run(&["--port".into(), "x".into()]),
            Err(TomcatError::Usage)
        ));
    }
}
