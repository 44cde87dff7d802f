//! A terminal with a shell in it, as a person has one: tmux, which draws what programs send, and can be looked at.

use std::process::{Command, Stdio};

use crate::harness::Lbdev;
use crate::need;
use crate::wait::{holds_within, s};

/// One window. It is closed when it is dropped, with what runs in it.
pub struct Window {
    tmux: std::path::PathBuf,
    socket: std::path::PathBuf,
}

impl Window {
    /// Opens a window of this size with a shell whose prompt is `$ `, in the project's folder and with lbdev's variables;
    /// `lbdev` is a command there. `None` where there is no tmux.
    pub fn open(lbdev: &Lbdev, width: u16, height: u16) -> Option<Window> {
        let tmux = need::installed("tmux", "tmux is not installed")?;
        let socket = lbdev.root().join("tmux");
        let window = Window { tmux, socket };
        let bin = std::path::Path::new(crate::harness::LBDEV)
            .parent()
            .unwrap();
        let path = format!(
            "{}:{}",
            bin.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let mut command = lbdev.command(&[""]);
        let mut tmux = Command::new(&window.tmux);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                tmux.env(name, value);
            }
        }
        command.env_clear();
        let (width, height) = (width.to_string(), height.to_string());
        let opened = tmux
            .args(["-u", "-S"])
            .arg(&window.socket)
            .args(["-f", "/dev/null", "new-session", "-d"])
            .args(["-x", &width, "-y", &height])
            .args(["bash", "--norc", "--noprofile"])
            .env("PATH", path)
            .env("PS1", "$ ")
            .env("TERM", "xterm-256color")
            .current_dir(&lbdev.dir)
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(opened.success(), "tmux opens no window");
        window.wait("$");
        Some(window)
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new(&self.tmux)
            .arg("-u")
            .arg("-S")
            .arg(&self.socket)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Presses keys: letters as they are.
    pub fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", "--", text]);
    }

    /// Presses one key by its name: `Enter`, `Escape`, `C-c`, `Down`.
    pub fn presses(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Types a command and Enter.
    pub fn runs(&self, command: &str) {
        self.types(command);
        self.presses("Enter");
    }

    /// What is to be seen now.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same with what has scrolled away.
    pub fn all(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-2000"])
    }

    /// Waits until something is to be seen.
    #[track_caller]
    pub fn wait(&self, text: &str) {
        self.wait_for(text, |screen| screen.contains(text));
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub fn wait_for(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let found = holds_within(s(30), || holds(&self.screen()));
        assert!(found, "waited in vain for {what:?}:\n{}", self.screen());
    }

    /// Runs a command and waits for its end; the one line that it wrote.
    #[track_caller]
    pub fn output(&self, command: &str) -> String {
        let mark = fastrand::u32(..);
        // The mark stands in what is typed, too: in two parts.
        self.runs(&format!("clear; echo \"<<$({command})>>\" 'done''{mark}'"));
        // Long lines are broken where the window ends.
        let whole = |screen: &str| screen.replace('\n', "");
        let mark = format!("done{mark}");
        self.wait_for(&mark, |screen| whole(screen).contains(&mark));
        let screen = whole(&self.screen());
        let (begin, end) = (screen.rfind("<<").unwrap(), screen.rfind(">>").unwrap());
        screen[begin + 2..end].to_owned()
    }

    /// Another size.
    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// Closes it as a person does: the terminal goes away.
    pub fn close(&self) {
        self.tmux(&["kill-server"]);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the screen when the test failed:\n{}", self.screen());
        }
        self.close();
    }
}
