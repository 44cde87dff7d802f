//! Launching, signalling and finding real processes, through the real binary's hidden subcommands.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lbdev::backend::{BackendId, ExitStatus, RunId, Signal, Slot};
use lbdev::config::Command;
use lbdev::process::output::{Line, Store};
use lbdev::process::{Launch, Launcher, News, adopt_orphans, end_instance, guardian};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const LBDEV: &str = env!("CARGO_BIN_EXE_lbdev");
/// Longer than anything takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// A launcher with everything around it, and an instance name of its own. Dropping it ends what was launched.
struct Bench {
    dir: TempDir,
    store: Arc<Store>,
    launcher: Launcher,
    news: UnboundedReceiver<News>,
    instance: String,
    next: RunId,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let left = end_instance(&self.instance, Path::new(""));
        if !std::thread::panicking() {
            assert_eq!(left, [0u32; 0], "processes were left");
        }
    }
}

impl Bench {
    fn new() -> Bench {
        adopt_orphans().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("logs")).unwrap();
        let (tell, news) = unbounded_channel();
        let instance = format!("test-{}-{}", std::process::id(), fastrand::u64(..));
        let launcher = Launcher::with_program(
            instance.clone(),
            tell,
            Arc::clone(&store),
            false,
            Some(PathBuf::from(LBDEV)),
        );
        Bench {
            dir,
            store,
            launcher,
            news,
            instance,
            next: RunId::FIRST,
        }
    }

    fn launch(&mut self, argv: &[&str]) -> RunId {
        let run = self.next;
        self.next = run.next();
        let command = Command {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: vec![("PORT".into(), "8000".into())],
            cwd: self.dir.path().to_owned(),
            pty: false,
            awaits: None,
        };
        self.launcher.launch(id(), run, command);
        run
    }

    fn sh(&mut self, script: &str) -> RunId {
        self.launch(&["sh", "-c", script])
    }

    async fn news(&mut self) -> News {
        tokio::time::timeout(LIMIT, self.news.recv())
            .await
            .expect("news in time")
            .expect("a launcher")
    }

    async fn launched(&mut self) -> u32 {
        match self.news().await {
            News::Launched { pid, .. } => pid,
            other => panic!("not launched: {other:?}"),
        }
    }

    async fn exited(&mut self) -> ExitStatus {
        match self.news().await {
            News::Exited { status, .. } => status,
            other => panic!("not exited: {other:?}"),
        }
    }

    /// Launches a script and waits until it has written `ready`.
    async fn sh_ready(&mut self, script: &str) -> (RunId, u32) {
        let mut lines = self.store.subscribe();
        let run = self.sh(script);
        let pid = self.launched().await;
        let ready = async { while &*lines.recv().await.unwrap().text != "ready" {} };
        tokio::time::timeout(LIMIT, ready).await.expect("ready");
        (run, pid)
    }

    fn tail(&self) -> Vec<String> {
        let lines = self.store.tail(&id(), 50);
        lines
            .iter()
            .map(|line: &Line| line.text.to_string())
            .collect()
    }

    /// The command lines of this instance's living processes, found without lbdev's own code.
    fn alive(&self) -> Vec<String> {
        pids_with(&format!("LBDEV_INSTANCE={}\0", self.instance))
            .iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok())
            .filter(|words| !words.is_empty())
            .collect()
    }
}

/// The processes with `mark` in their environment.
fn pids_with(mark: &str) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            fs::read(entry.path().join("environ"))
                .is_ok_and(|env| String::from_utf8_lossy(&env).contains(mark))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn id() -> BackendId {
    BackendId::new("web", Slot::Port(8000))
}

async fn eventually(what: &str, condition: impl FnMut() -> bool) {
    crate::wait::until_async(LIMIT, what, condition).await;
}

fn stat(pid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn a_command_runs_in_its_session_folder_and_environment() {
    let mut bench = Bench::new();
    let (_, pid) = bench
        .sh_ready("echo $LBDEV_BACKEND $PORT; pwd; cat; echo oops >&2; echo ready; exec sleep 300")
        .await;
    assert_eq!(stat(pid)[3], pid.to_string(), "it leads a session");
    let folder = bench.dir.path().display().to_string();
    eventually("all is read", || bench.tail().len() == 4).await;
    let tail = bench.tail();
    for line in ["web:8000 8000", &folder, "ready", "oops"] {
        assert!(tail.iter().any(|other| other == line), "{tail:?}");
    }
    bench.store.flush(LIMIT);
    let file = fs::read_to_string(bench.store.file(&id())).unwrap();
    assert!(
        file.contains("Z err oops\n") && file.contains("Z out ready\n"),
        "{file}"
    );
    bench.launcher.signal(RunId::FIRST, Signal::Term);
    assert_eq!(bench.exited().await, ExitStatus::Signal(15));
}

#[tokio::test]
async fn an_exit_is_told_at_once_with_the_last_words_stored() {
    let mut bench = Bench::new();
    bench.sh("echo first; printf 'last words'; exit 3");
    bench.launched().await;
    assert_eq!(bench.exited().await, ExitStatus::Code(3));
    assert_eq!(bench.tail(), ["first", "last words"]);
}

#[tokio::test]
async fn four_launches_and_four_kills_take_milliseconds() {
    let mut bench = Bench::new();
    let start = Instant::now();
    let runs: Vec<RunId> = (0..4).map(|_| bench.launch(&["sleep", "300"])).collect();
    for _ in &runs {
        bench.launched().await;
    }
    let launching = start.elapsed();
    let start = Instant::now();
    for run in &runs {
        bench.launcher.signal(*run, Signal::Kill);
    }
    for _ in &runs {
        assert_eq!(bench.exited().await, ExitStatus::Signal(9));
    }
    let killing = start.elapsed();
    // Alone on a machine both take a few ms; other tests run beside this one.
    assert!(launching < Duration::from_millis(500), "{launching:?}");
    assert!(killing < Duration::from_millis(500), "{killing:?}");
}

#[tokio::test]
async fn a_signal_before_the_launch_is_not_lost() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        let run = bench.launch(&["sleep", "300"]);
        bench.launcher.signal(run, Signal::Kill);
        bench.launched().await;
        assert_eq!(bench.exited().await, ExitStatus::Signal(9));
    }
}

#[tokio::test]
async fn kill_reaches_children_and_daemons() {
    let mut bench = Bench::new();
    let script = "sleep 300 & sh -c 'sleep 300 & wait' & setsid -f sh -c 'sleep 300 & wait'
        setsid -f setsid -f sleep 300; echo ready; wait";
    let (run, _) = bench.sh_ready(script).await;
    eventually("all of them run", || {
        let alive = bench.alive();
        alive
            .iter()
            .filter(|words| words.starts_with("sleep"))
            .count()
            == 4
    })
    .await;
    let daemons = pids_with(&format!("LBDEV_INSTANCE={}\0", bench.instance));
    assert!(daemons.len() > 4);
    bench.launcher.signal(run, Signal::Kill);
    assert_eq!(bench.exited().await, ExitStatus::Signal(9));
    assert_eq!(bench.alive(), [""; 0]);
    eventually("the orphans are reaped", || {
        daemons
            .iter()
            .all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    })
    .await;
}

#[tokio::test]
async fn term_reaches_every_process_and_can_be_refused() {
    let mut bench = Bench::new();
    let script = "trap 'echo heard' TERM; setsid -f sh -c 'trap \"echo daemon heard; exit\" TERM
        echo there; while :; do sleep 0.05; done'
        echo ready; while :; do sleep 0.05; done";
    let (run, _) = bench.sh_ready(script).await;
    eventually("the daemon listens", || {
        bench.tail().contains(&"there".into())
    })
    .await;
    bench.launcher.signal(run, Signal::Term);
    for words in ["heard", "daemon heard"] {
        eventually(words, || bench.tail().contains(&words.into())).await;
    }
    bench.launcher.signal(run, Signal::Kill);
    assert_eq!(bench.exited().await, ExitStatus::Signal(9));
}

#[tokio::test]
async fn freezing_and_thawing_reach_children() {
    let mut bench = Bench::new();
    let (run, pid) = bench.sh_ready("echo ready; while :; do :; done").await;
    bench.launcher.signal(run, Signal::Stop);
    eventually("frozen", || stat(pid)[0] == "T").await;
    bench.launcher.signal(run, Signal::Cont);
    eventually("thawed", || stat(pid)[0] != "T").await;
    bench.launcher.signal(run, Signal::Stop);
    bench.launcher.signal(run, Signal::Term);
    bench.launcher.signal(run, Signal::Cont);
    assert_eq!(bench.exited().await, ExitStatus::Signal(15));
}

#[tokio::test]
async fn what_a_leader_leaves_is_ended_before_its_exit_is_told() {
    let mut bench = Bench::new();
    let start = Instant::now();
    bench.sh("sleep 300 & setsid -f sleep 300; exit 3");
    bench.launched().await;
    assert_eq!(bench.exited().await, ExitStatus::Code(3));
    assert_eq!(bench.alive(), [""; 0]);
    assert!(start.elapsed() < Duration::from_secs(1), "TERM was enough");

    let start = Instant::now();
    bench.sh("sh -c 'trap \"\" TERM; echo there; while :; do sleep 0.05; done' & exec sleep 0.2");
    bench.launched().await;
    assert_eq!(bench.exited().await, ExitStatus::Code(0));
    assert_eq!(bench.alive(), [""; 0]);
    assert!(
        start.elapsed() > Duration::from_secs(1),
        "it had its second"
    );
}

#[tokio::test]
async fn what_was_asked_to_end_may_finish_after_its_leader() {
    let mut bench = Bench::new();
    let script = "sh -c 'trap \"sleep 1.5; echo finished; exit\" TERM; echo ready
        while :; do sleep 0.05; done' & wait";
    let (run, _) = bench.sh_ready(script).await;
    bench.launcher.signal(run, Signal::Term);
    assert_eq!(bench.exited().await, ExitStatus::Signal(15));
    assert_eq!(bench.tail().last().unwrap(), "finished");
}

#[tokio::test]
async fn a_stranger_who_holds_the_pipe_delays_nothing() {
    let mut bench = Bench::new();
    let start = Instant::now();
    // Its own session and no environment: nothing ties it to the run any more. It ends by itself.
    bench.sh("echo last words; env -i setsid -f sleep 3");
    bench.launched().await;
    assert_eq!(bench.exited().await, ExitStatus::Code(0));
    assert_eq!(bench.tail(), ["last words"]);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn any_output_is_taken() {
    let mut bench = Bench::new();
    bench.sh(
        "head -c 1000000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\r\\n1%%\\r2%%\\n\\nend'",
    );
    bench.launched().await;
    bench.exited().await;
    let tail = bench.tail();
    assert!(tail[0].len() < 70_000 && tail[0].ends_with("left out]"));
    assert_eq!(tail[1..], ["a\u{fffd}b", "2%", "", "end"]);

    let start = Instant::now();
    bench.sh("seq 1 100000");
    bench.launched().await;
    bench.exited().await;
    let file = bench.store.file(&id());
    eventually("all lines", || {
        fs::read_to_string(&file)
            .unwrap()
            .ends_with(" out 100000\n")
    })
    .await;
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 100_005);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn what_cannot_run_is_said() {
    let mut bench = Bench::new();
    bench.launch(&["no-such-program-at-all"]);
    match bench.news().await {
        News::LaunchFailed { why, .. } => {
            assert_eq!(why, "no such command: `no-such-program-at-all`");
        }
        other => panic!("{other:?}"),
    }
    // Its interpreter is a folder: only the kernel knows that it cannot be run.
    let script = bench.dir.path().join("odd");
    fs::write(&script, "#!/\n").unwrap();
    make_executable(&script);
    bench.launch(&["./odd"]);
    bench.launched().await;
    assert_eq!(bench.exited().await, ExitStatus::Code(126));
    assert!(
        bench.tail()[0].contains("odd` cannot be run: "),
        "{:?}",
        bench.tail()
    );
    // A program's name for itself is what was written.
    bench.launch(&["sh", "-c", "echo $0"]);
    bench.launched().await;
    assert_eq!(bench.exited().await, ExitStatus::Code(0));
    assert_eq!(bench.tail()[1], "sh");
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn the_guardian_ends_everything_when_lbdev_is_killed() {
    let bench = Bench::new();
    // In lbdev's place: a process whose only writing end is the guardian's pipe.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut parent = StdCommand::new("sleep")
        .arg("300")
        .stdout(writer)
        .spawn()
        .unwrap();
    let mut guardian = StdCommand::new(LBDEV)
        .args(["__guardian", &bench.instance, ""])
        .stdin(reader)
        .spawn()
        .unwrap();
    let mut backend = StdCommand::new("sh")
        .args([
            "-c",
            "trap '' TERM; setsid -f sleep 300; echo ready; while :; do sleep 0.05; done",
        ])
        .env("LBDEV_INSTANCE", &bench.instance)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    backend
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut [0; 6])
        .unwrap();
    assert!(guardian.try_wait().unwrap().is_none());
    assert!(!bench.alive().is_empty());
    parent.kill().unwrap();
    parent.wait().unwrap();
    // The backend is this test's own child, so its end is waited for here. A launcher of another test, in this same process, may
    // have been faster: it waits for whatever child has ended.
    eventually("the backend ends", || {
        backend.try_wait().map_or(true, |ended| ended.is_some())
    })
    .await;
    let mut ended = None;
    eventually("the guardian goes", || match guardian.try_wait() {
        Ok(status) => {
            ended = status;
            status.is_some()
        }
        Err(_) => true,
    })
    .await;
    assert!(ended.is_none_or(|status| status.success()));
    assert_eq!(bench.alive(), [""; 0]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_run_does_not_outlive_the_thread_that_launched_it() {
    let bench = Bench::new();
    let (tell, mut news) = unbounded_channel();
    let launcher = Launcher::with_program(
        bench.instance.clone(),
        tell,
        Arc::clone(&bench.store),
        false,
        Some(PathBuf::from(LBDEV)),
    );
    let command = Command {
        argv: ["sh", "-c", "echo ready; exec sleep 300"]
            .map(String::from)
            .to_vec(),
        env: Vec::new(),
        cwd: bench.dir.path().to_owned(),
        pty: false,
        awaits: None,
    };
    launcher.launch(id(), RunId::FIRST, command);
    // From its first line on it is past the steps of the hidden subcommand.
    eventually("it runs", || bench.tail() == ["ready"]).await;
    drop(launcher);
    let exited = async {
        loop {
            if let Some(News::Exited { status, .. }) = news.recv().await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(LIMIT, exited).await.expect("its end");
    assert_eq!(status, ExitStatus::Signal(15));
}

#[tokio::test]
async fn a_guardian_without_work_is_dismissed_at_once() {
    let bench = Bench::new();
    let guardian =
        guardian::keep_program(Path::new(LBDEV), &bench.instance, Path::new(""), |lost| {
            panic!("{lost:?}")
        })
        .unwrap();
    let pid = guardian.pid().unwrap();
    eventually("it leads a session", || stat(pid)[3] == pid.to_string()).await;
    let start = Instant::now();
    guardian.dismiss();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn the_background_keeps_nothing_of_the_caller() {
    // Descriptor 7 is what a test harness leaves open and waits for.
    let me = std::process::id();
    let script = format!(
        "exec 7>&1; exec \"$1\" __detach __exec {me} - /bin/sh sh -c 'ls /proc/self/fd; ps -o sid= -p $$; echo $$'"
    );
    let output = StdCommand::new("sh")
        .args(["-c", &script, "sh", LBDEV])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(output.status.success(), "{output:?}");
    assert!(!words.contains(&"7"), "{text}");
    let [.., session, pid] = words[..] else {
        panic!("{text}");
    };
    assert_eq!(session, pid, "it leads a session");
}
