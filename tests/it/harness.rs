//! The real `lbdev` in a scratch home: nothing of the machine's own set-up comes in, and nothing of the test stays. When a
//! test ends, everything it started is ended, and whatever `lbdev down` left over fails the test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::output::Lines;
use crate::wait::{holds_within, s};
use crate::{http, ports, scan};

/// The binary under test.
pub const LBDEV: &str = env!("CARGO_BIN_EXE_lbdev");

/// No command takes longer than this; the machine may be busy with other tests.
const LIMIT: Duration = s(90);

/// One scratch home with a project folder, a block of ports, and all that is started there.
pub struct Lbdev {
    home: tempfile::TempDir,
    /// The project's folder, empty at first; commands run in it.
    pub dir: PathBuf,
    pub ports: ports::Block,
    env: Vec<(OsString, OsString)>,
}

impl Lbdev {
    /// An empty project folder named `site`.
    pub fn new() -> Lbdev {
        // Short, since the paths of Unix sockets are.
        let home = tempfile::Builder::new()
            .prefix("lb")
            .rand_bytes(6)
            .tempdir_in("/tmp")
            .expect("a scratch folder can be made");
        let root = home.path().canonicalize().expect("it is there");
        let dir = root.join("site");
        for folder in ["site", "home", "state", "tmp"] {
            std::fs::create_dir(root.join(folder)).expect("a folder can be made");
        }
        let mut lbdev = Lbdev {
            dir,
            home,
            ports: ports::Block::take(),
            env: Vec::new(),
        };
        lbdev.set("PATH", std::env::var_os("PATH").unwrap_or_default());
        lbdev.set("HOME", root.join("home"));
        lbdev.set("XDG_STATE_HOME", root.join("state"));
        lbdev.set("TMPDIR", root.join("tmp"));
        lbdev.set("LANG", "C.UTF-8");
        lbdev.set("TZ", "UTC");
        lbdev.set("NO_COLOR", "1");
        lbdev.set("RUST_BACKTRACE", "1");
        // Nothing listens there: whoever asked a proxy for a way to loopback would fail.
        for name in [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            lbdev.set(name, "http://127.0.0.1:9");
        }
        lbdev
    }

    /// Sets a variable for everything that is run from now on.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// The scratch home.
    pub fn root(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir.join(path);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes an executable script of the project.
    pub fn script(&self, path: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(path, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// `lbdev ARGS` in the project's folder, not yet started.
    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(LBDEV);
        command
            .args(args.iter().map(AsRef::as_ref))
            .current_dir(&self.dir)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs `lbdev ARGS` to its end.
    #[track_caller]
    pub fn run<S: AsRef<str>>(&self, args: &[S]) -> Output {
        self.start(args).output(LIMIT)
    }

    /// Starts `lbdev ARGS` in the foreground.
    pub fn start<S: AsRef<str>>(&self, args: &[S]) -> Running {
        Running::spawn(self.command(args))
    }

    /// `up` (or `demo`) with this test's ports, and more arguments.
    pub fn with_ports<'a>(&self, verb: &'a str, more: &[&'a str]) -> Vec<String> {
        let mut args = vec![verb.to_owned()];
        args.extend(["--ports".to_owned(), self.ports.range()]);
        args.extend(["--listen".to_owned(), self.ports.listen().to_string()]);
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        args
    }

    /// The built-in demo in the background, all four ready.
    #[track_caller]
    pub fn demo(&self) -> Output {
        self.run(&self.with_ports("demo", &["-d", "--wait"])).ok()
    }

    /// `up -d --wait` with this test's ports.
    #[track_caller]
    pub fn up(&self, more: &[&str]) -> Output {
        let mut args = vec!["-d", "--wait"];
        args.extend(more);
        self.run(&self.with_ports("up", &args)).ok()
    }

    /// An `lbdev.toml` with demo backends as the service `web`; `balancer` and `service` are further lines of the tables.
    pub fn demo_file(&self, balancer: &str, service: &str) {
        self.service_file(
            &format!("{LBDEV} __demo --port {{port}}"),
            balancer,
            service,
        );
    }

    /// The same with another command.
    pub fn service_file(&self, command: &str, balancer: &str, service: &str) {
        let (listen, range) = (self.ports.listen(), self.ports.range());
        self.write(
            "lbdev.toml",
            &format!(
                "[balancer]\nlisten = \"localhost:{listen}\"\n{balancer}\n\n[services.web]\n\
                 command = \"{command}\"\nports = \"{range}\"\n{service}\n"
            ),
        );
    }

    /// `status --json`.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        let output = self.run(&["status", "--json"]);
        assert!(
            matches!(output.code, Some(0 | 3 | 4)),
            "status failed\n{output}"
        );
        output.json()
    }

    /// One backend's row of `status --json`.
    #[track_caller]
    pub fn backend(&self, port: u16) -> serde_json::Value {
        let status = self.status();
        let rows = status["backends"].as_array().expect("backends is a list");
        rows.iter()
            .find(|row| row["port"] == port)
            .unwrap_or_else(|| panic!("no backend {port} in {status:#}"))
            .clone()
    }

    /// Waits until a backend is in this state.
    #[track_caller]
    pub fn until_state(&self, port: u16, state: &str, limit: Duration) {
        let mut last = serde_json::Value::Null;
        let reached = holds_within(limit, || {
            last = self.backend(port);
            last["state"] == state
        });
        assert!(reached, "{port} is not {state} after {limit:?}: {last:#}");
    }

    /// GETs through the balancer, each on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> http::Response {
        http::get(self.ports.listen(), path)
            .unwrap_or_else(|error| panic!("GET {path} through the balancer: {error}"))
    }

    /// The ports that the next `n` GETs of `/` are answered from, as the page itself says.
    #[track_caller]
    pub fn next_ports(&self, n: usize) -> Vec<u16> {
        let mut seen = Vec::new();
        for _ in 0..n {
            let response = self.get("/");
            let text = response.text();
            assert_eq!(response.status, 200, "GET /: {text}");
            let port = crate::rotation::port_in(&text)
                .unwrap_or_else(|| panic!("the page does not say which port it used: {text}"));
            let backend = response.header("x-lbdev-backend").unwrap_or_default();
            assert!(
                backend.ends_with(&format!(":{port}")),
                "page of {port}, x-lbdev-backend: {backend}"
            );
            seen.push(port);
        }
        seen
    }

    /// Waits until all four serve.
    #[track_caller]
    pub fn until_serving(&self) {
        let serving = holds_within(s(30), || self.run(&["status", "--json"]).code == Some(0));
        assert!(serving, "it does not serve");
    }

    /// The process of the only `lbdev top`.
    #[track_caller]
    pub fn top_pid(&self) -> u32 {
        let is_top = |pid: u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.ends_with(b"\0top\0")
        };
        let mut found = self
            .processes()
            .into_iter()
            .filter(|process| is_top(process.pid));
        found.next().expect("a top runs").pid
    }

    /// Asserts that no backend is left; the test's own terminal may be.
    #[track_caller]
    pub fn assert_all_backends_gone(&self) {
        let backends = self.backend_processes();
        assert!(backends.is_empty(), "backends still run: {backends:#?}");
    }

    /// Every process that was started from this home and lives.
    pub fn processes(&self) -> Vec<scan::Found> {
        scan::carrying(&self.root().join("state").to_string_lossy())
    }

    /// Those of them that belong to backends.
    pub fn backend_processes(&self) -> Vec<scan::Found> {
        let mut all = self.processes();
        all.retain(|process| process.backend.is_some());
        all
    }

    /// Asserts that nothing of this home runs any more, and that nobody listens on its ports. lbdev's own helpers may take
    /// a moment to see that they are not needed any more; backends may not.
    #[track_caller]
    pub fn assert_all_gone(&self) {
        let backends = self.backend_processes();
        assert!(backends.is_empty(), "backends still run: {backends:#?}");
        let gone = holds_within(s(3), || self.processes().is_empty());
        assert!(gone, "still running: {:#?}", self.processes());
        let taken = self.taken_ports();
        assert!(taken.is_empty(), "still taken: {taken:?}");
    }

    /// Ports of this test on which somebody listens. Linux takes a process that ends its memory, and with it the environment by
    /// which it is found, before it closes its sockets: they have a moment for that.
    fn taken_ports(&self) -> Vec<u16> {
        let taken = || {
            let ports = self.ports.all();
            ports.filter(|&port| !ports::is_free(port))
        };
        holds_within(s(3), || taken().next().is_none());
        taken().collect()
    }

    /// What the logs and files in the state folder say last, for a failure's text.
    fn state_files(&self) -> String {
        let mut folders = vec![self.root().join("state")];
        let mut text = String::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    let bytes = std::fs::read(&path).unwrap_or_default();
                    let content = String::from_utf8_lossy(&bytes);
                    let lines: Vec<&str> = content.lines().collect();
                    text += &format!("  --- {}\n", path.display());
                    for line in &lines[lines.len().saturating_sub(15)..] {
                        text += &format!("  {line}\n");
                    }
                }
            }
        }
        text
    }
}

impl Drop for Lbdev {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if failing {
            eprintln!(
                "the state folder when the test failed:\n{}",
                self.state_files()
            );
        }
        if !self.processes().is_empty() {
            let down = Running::spawn(self.command(&["down", "--all"]));
            if !down.lines.ended_within(s(30)) {
                eprintln!("`down --all` does not end:\n{}", down.lines.transcript());
            }
        }
        holds_within(s(3), || self.processes().is_empty());
        let left = self.processes();
        for process in &left {
            kill(process.pid, Signal::KILL);
        }
        holds_within(s(3), || self.processes().is_empty());
        let taken = self.taken_ports();
        if !left.is_empty() || !taken.is_empty() {
            let text = format!("left over by lbdev: processes {left:#?}, ports {taken:?}");
            assert!(failing, "{text}");
            eprintln!("{text}");
        }
    }
}

/// Sends a signal to one process; one that has ended is left alone.
pub fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may just have ended.
        let _ = kill_process(pid, signal);
    }
}

/// A process that a test has started, with what it writes.
pub struct Running {
    pub pid: u32,
    pub lines: Lines,
    args: String,
    begun: Instant,
    exit: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
}

impl Running {
    /// Starts it as the leader of a process group, as a shell does, with both streams read.
    pub fn spawn(mut command: Command) -> Running {
        use std::os::unix::process::CommandExt;
        let args: Vec<_> = command
            .get_args()
            .map(|arg| arg.to_string_lossy())
            .collect();
        let program = Path::new(command.get_program()).file_name();
        let program = program.unwrap_or_default().to_string_lossy();
        let args = format!("{program} {}", args.join(" "));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("`{args}` cannot be started: {error}"));
        let lines = Lines::default();
        lines.read("stdout", child.stdout.take().expect("it is piped"));
        lines.read("stderr", child.stderr.take().expect("it is piped"));
        let (sender, exit) = channel();
        let pid = child.id();
        std::thread::spawn(move || {
            let status = child.wait().expect("it is our child");
            // Whoever started it may not want to know.
            let _ = sender.send(status);
        });
        Running {
            pid,
            lines,
            args,
            begun,
            exit,
            status: None,
        }
    }

    /// Waits for a line that contains `text`, on either stream.
    #[track_caller]
    pub fn wait_line(&self, text: &str, limit: Duration) -> String {
        let found = self.lines.wait(limit, |lines| {
            let mut lines = lines.iter();
            lines
                .find(|(_, line)| line.contains(text))
                .map(|(_, line)| line.clone())
        });
        found.unwrap_or_else(|| {
            panic!(
                "`{}` has not said {text:?} within {limit:?}:\n{}",
                self.args,
                self.lines.transcript()
            )
        })
    }

    /// A signal to this process alone.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal);
    }

    /// A signal to its process group, as a terminal sends Ctrl-C.
    pub fn signal_group(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // It may just have ended.
        let _ = kill_process_group(pid.expect("a real pid"), signal);
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.exit.try_recv().ok();
        }
        self.status.is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        match self.exit.recv_timeout(limit) {
            Ok(status) => *self.status.insert(status),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                kill(self.pid, Signal::KILL);
                panic!(
                    "`{}` has not ended within {limit:?}:\n{}",
                    self.args,
                    self.lines.transcript()
                )
            }
        }
    }

    /// Waits for its end and takes all that it said. Its streams must end with it: what goes on in the background lets go
    /// of them.
    #[track_caller]
    pub fn output(mut self, limit: Duration) -> Output {
        use std::os::unix::process::ExitStatusExt;
        let status = self.wait_exit(limit);
        let took = self.begun.elapsed();
        assert!(
            self.lines.ended_within(s(3)),
            "`{}` has ended, but something it started still holds its stdout or stderr:\n{}",
            self.args,
            self.lines.transcript()
        );
        Output {
            args: self.args.clone(),
            code: status.code(),
            signal: status.signal(),
            stdout: self.lines.of("stdout"),
            stderr: self.lines.of("stderr"),
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.runs() && std::thread::panicking() {
            eprintln!("`{}` said so far:\n{}", self.args, self.lines.transcript());
        }
        if self.runs() {
            // Gently first: lbdev takes its backends with it.
            self.signal(Signal::TERM);
            if self.exit.recv_timeout(s(15)).is_err() {
                self.signal(Signal::KILL);
            }
        }
    }
}

/// What a finished command said.
#[derive(Debug, Clone)]
pub struct Output {
    args: String,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Output {
            args,
            code,
            signal,
            stdout,
            stderr,
            took,
        } = self;
        write!(
            f,
            "`{args}` ended with code {code:?}, signal {signal:?}, after {took:?}"
        )?;
        write!(f, "\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

impl Output {
    /// Asserts exit code 0.
    #[track_caller]
    pub fn ok(self) -> Output {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Asserts an exit code and the code of the error on stderr.
    #[track_caller]
    pub fn fails(self, exit: i32, code: &str) -> Output {
        assert_eq!(self.code, Some(exit), "{self}");
        assert!(
            self.stderr.contains(&format!("error[{code}]: ")),
            "no {code} in {self}"
        );
        assert!(!self.stderr.contains("panicked at"), "{self}");
        self
    }

    /// Asserts that one of the streams contains `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Output {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "{text:?} is not in {self}"
        );
        self
    }

    /// Asserts that neither stream contains `text`.
    #[track_caller]
    pub fn says_not(self, text: &str) -> Output {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "{text:?} is in {self}"
        );
        self
    }

    /// Its stdout as JSON of version 1.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let value: serde_json::Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON ({error}): {self}"));
        assert_eq!(value["version"], 1, "{self}");
        value
    }
}
