use std::fs;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::config::WatchMode;

/// What comes without a longer break is one save, however late this thread or the other one is.
const STEADY: Duration = Duration::from_millis(250);

struct Bench {
    dir: tempfile::TempDir,
    root: PathBuf,
    heard: UnboundedReceiver<Heard>,
    watch: Option<Watch>,
}

impl Bench {
    /// A folder with some files, watched by these patterns.
    fn new(patterns: &[&str], poll: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dunce::canonicalize(dir.path()).unwrap().join("site");
        fs::create_dir(&root).unwrap();
        let (out, heard) = unbounded_channel();
        let mut bench = Self {
            dir,
            root,
            heard,
            watch: None,
        };
        bench.write("app.py", "1");
        bench.write("pages/home.html", "1");
        bench.write(".gitignore", "*.log.py\nbuilt/\n.env\n");
        bench.write("built/x.py", "1");
        bench.write("venv/pyvenv.cfg", "");
        bench.write("venv/lib/y.py", "1");
        bench.write(".env", "A=1");
        bench.watch = Some(start_with("web", &bench.watching(patterns), out, poll).unwrap());
        bench
    }

    fn watching(&self, patterns: &[&str]) -> Watching {
        Watching {
            patterns: patterns.iter().map(|text| (*text).to_owned()).collect(),
            dir: self.root.clone(),
            mode: WatchMode::Fresh,
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn next(&mut self) -> Heard {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match self.heard.try_recv() {
                Ok(Heard::Note(text)) if text.contains("LBDEV_WATCH") => {}
                Ok(heard) => return heard,
                Err(_) => {
                    assert!(Instant::now() < until, "nothing is heard");
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    /// The next save: its files, at most ten, and how many there are.
    fn save(&mut self) -> (Vec<String>, usize) {
        let service = "web".to_owned();
        assert_eq!(self.next(), Heard::Began { service });
        match self.next() {
            Heard::Saved { files, count, .. } => {
                let names = files.iter().map(|file| file.to_string_lossy().into_owned());
                (names.collect(), count)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn check(poll: bool) {
    let patterns = ["**/*.py", "**/*.html", ".env", "built/deep/server"];
    let mut bench = Bench::new(&patterns, poll);
    let one = |name: &str| (vec![name.to_owned()], 1);
    // What does not matter first: it would be in the save.
    for name in [
        "built/x.py",
        "venv/lib/y.py",
        "a.log.py",
        "notes.txt",
        ".hidden/z.py",
    ] {
        bench.write(name, "2, and more of it");
    }
    bench.write("app.py", "2, and longer");
    assert_eq!(bench.save(), one("app.py"));
    bench.write(".env", "A=2, and longer");
    assert_eq!(bench.save(), one(".env"));
    // A folder that is new, and a file in it.
    bench.write("deep/er/new.py", "1");
    assert_eq!(bench.save(), one("deep/er/new.py"));
    bench.write("deep/er/new.py", "longer than it was");
    assert_eq!(bench.save(), one("deep/er/new.py"));
    fs::remove_file(bench.root.join("deep/er/new.py")).unwrap();
    assert_eq!(bench.save(), one("deep/er/new.py"));
    // As many editors save.
    bench.write("app.py.tmp", "3, and of another length");
    fs::rename(bench.root.join("app.py.tmp"), bench.root.join("app.py")).unwrap();
    assert_eq!(bench.save(), one("app.py"));
    // As a switch of branches does, unless the machine stops the test in the middle of it.
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    for number in 0..500 {
        bench.write(&format!("many/{}/m{number}.py", number % 20), "1");
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    let (named, mut count) = bench.save();
    while longest > STEADY && count < 500 {
        count += bench.save().1;
    }
    assert_eq!((named.len(), count), (NAMED, 500));
    // One that is named, in a folder that git ignores and that comes only now.
    std::fs::create_dir_all(bench.root.join("built/deep")).unwrap();
    bench.write("built/deep/other.py", "1");
    bench.write("built/deep/server", "1");
    assert_eq!(bench.save(), one("built/deep/server"));
    // It vanishes, and comes back.
    let away = bench.dir.path().join("away");
    fs::rename(&bench.root, &away).unwrap();
    if !poll {
        // Moved away, it tells of nothing by itself: a file that is written there is what is heard.
        fs::write(away.join("app.py"), "4").unwrap();
    }
    let service = "web".to_owned();
    assert_eq!(
        bench.next(),
        Heard::Began {
            service: service.clone()
        }
    );
    assert!(matches!(bench.next(), Heard::Note(text) if text.contains("is gone")));
    let (files, count) = (Vec::new(), 0);
    assert_eq!(
        bench.next(),
        Heard::Saved {
            service,
            files,
            count
        }
    );
    fs::rename(&away, &bench.root).unwrap();
    assert!(matches!(bench.next(), Heard::Note(text) if text.contains("is back")));
    assert_eq!(bench.save().1, 1);
    bench.write("app.py", "5, and of another length again");
    assert_eq!(bench.save(), one("app.py"));
    // Nobody watches any more.
    bench.watch = None;
    let until = Instant::now() + Duration::from_secs(20);
    while !bench.heard.is_closed() {
        assert!(Instant::now() < until, "it still watches");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn saves_as_the_system_tells_of_them() {
    check(false);
}

#[test]
fn saves_as_they_are_seen() {
    check(true);
}

#[test]
fn ten_saves_are_one() {
    // A busy machine may stop the test for longer than a save may pause: then it is another save, and the next try counts.
    for _ in 0..8 {
        let mut bench = Bench::new(&["**/*.py"], false);
        let begin = Instant::now();
        let (mut last, mut longest) = (begin, Duration::ZERO);
        for number in 0..10 {
            bench.write("app.py", &number.to_string());
            longest = longest.max(last.elapsed());
            last = Instant::now();
            let next = begin + QUIET / 2 * (number + 1);
            // The pace is what is tried here.
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        if longest < STEADY {
            assert_eq!(bench.save(), (vec!["app.py".to_owned()], 1));
            assert!(bench.heard.try_recv().is_err(), "one save was told as two");
            return;
        }
    }
    panic!("the machine is too busy");
}

#[cfg(unix)]
#[test]
fn circles_of_links_are_not_followed() {
    let bench = Bench::new(&["**/*.py"], true);
    std::os::unix::fs::symlink(&bench.root, bench.root.join("pages/again")).unwrap();
    let filter = Filter::new(&bench.watching(&["**/*.py"]));
    assert_eq!(filter.dirs(filter.root()).len(), 2);
    assert_eq!(filter.files(filter.root(), |_| ()).len(), 1);
}

#[test]
fn patterns_and_what_they_name() {
    let bench = Bench::new(&[], false);
    let filter = Filter::new(&bench.watching(&["*.py", "templates/**", "**/*.mo", ".env"]));
    let wants = |name: &str| filter.wants(&bench.root.join(name));
    for name in ["app.py", "templates/a/b.html", "x.mo", "a/b/x.mo", ".env"] {
        assert!(wants(name), "{name}");
    }
    for name in [
        "a/app.py",
        "a/templates/b.html",
        "a.log.py",
        "node_modules/x.mo",
        "venv/x.mo",
        ".git/x.mo",
    ] {
        assert!(!wants(name), "{name}");
    }
    assert!(!filter.wants(Path::new("/elsewhere/app.py")));
}
