use std::fs;
use std::path::Path;

use super::find::find_in;
use super::place::{key, tilde_of};
use super::*;
use crate::wire;

fn instance(folder: &Folder, project: &str, dir: &Path) -> wire::Instance {
    wire::Instance {
        version: wire::VERSION,
        id: "x".into(),
        project: project.into(),
        dir: dir.display().to_string(),
        pid: std::process::id(),
        dashboard: None,
        url: "http://localhost:8080".into(),
        socket: folder.socket().display().to_string(),
        started: jiff::Timestamp::UNIX_EPOCH,
        setup: String::new(),
        device: identity(dir).unwrap_or_default().0,
        inode: identity(dir).unwrap_or_default().1,
    }
}

#[cfg(unix)]
type Socket = std::os::unix::net::UnixListener;
#[cfg(windows)]
type Socket = (
    tokio::net::windows::named_pipe::NamedPipeServer,
    tokio::runtime::Runtime,
);

#[cfg(unix)]
fn listen(path: &Path) -> Socket {
    Socket::bind(path).unwrap()
}

/// One end that waits is enough: when it is taken, the others hear that.
#[cfg(windows)]
fn listen(path: &Path) -> Socket {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let inside = runtime.enter();
    let pipe = tokio::net::windows::named_pipe::ServerOptions::new().create(path);
    drop(inside);
    (pipe.unwrap(), runtime)
}

/// A pretended instance: a lock, a file, a socket that connects.
struct Alive(Lock, #[allow(dead_code)] Socket);

fn start(root: &Path, project: &str, dir: &Path) -> Alive {
    let dir = dunce::canonicalize(dir).unwrap();
    let folder = Folder::under(root, &key(&dir));
    let lock = Lock::try_take(&folder).unwrap().unwrap();
    let listener = listen(folder.socket());
    lock.write(&instance(&folder, project, &dir)).unwrap();
    Alive(lock, listener)
}

#[test]
fn one_lock_at_a_time_and_it_goes_with_its_holder() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::under(root.path(), "k");
    assert!(!folder.is_locked());
    let lock = Lock::try_take(&folder).unwrap().unwrap();
    assert!(Lock::try_take(&folder).unwrap().is_none());
    assert!(folder.is_locked());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    drop(lock);
    assert!(!folder.is_locked());
    assert!(Lock::try_take(&folder).unwrap().is_some());
}

#[test]
fn stale_and_broken_files_are_nothing() {
    let root = tempfile::tempdir().unwrap();
    let project = tempfile::tempdir().unwrap();
    let Alive(lock, listener) = start(root.path(), "site", project.path());
    let folder = lock.folder().clone();
    assert!(running(&folder).is_some());
    drop(listener);
    assert!(running(&folder).is_none(), "its socket refuses");
    drop(lock);
    assert!(folder.read().is_some(), "the file is still there");
    assert!(running(&folder).is_none());

    for broken in ["", "{", "[]", "{\"version\":1}", "\u{0}"] {
        fs::write(folder.instance_file(), broken).unwrap();
        assert!(running(&folder).is_none(), "{broken:?}");
    }
    super::os::remove_socket(folder.socket()).unwrap();
    let again = start(root.path(), "site", project.path());
    assert!(running(&folder).is_some());
    again.0.remove().unwrap();
    again.0.remove().unwrap();
    assert!(folder.read().is_none());
}

#[test]
fn the_folder_then_its_parents_then_the_only_one() {
    let root = tempfile::tempdir().unwrap();
    let base = tempfile::tempdir().unwrap();
    let (a, b) = (base.path().join("a"), base.path().join("b"));
    let deep = a.join("x/y");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(&b).unwrap();
    let find = |dir: Option<&Path>, project| find_in(root.path(), dir, project);

    assert!(matches!(
        find(None, None),
        Err(InstanceError::NothingRuns { .. })
    ));
    let first = start(root.path(), "a", &a);
    let found = find(Some(&a), None).unwrap();
    assert_eq!((found.instance.project.as_str(), found.note), ("a", None));
    let found = find(Some(&deep), None).unwrap();
    assert_eq!(found.instance.project, "a");
    assert!(found.note.is_some());
    assert!(
        matches!(find(Some(&b), None), Err(InstanceError::NothingRuns { elsewhere, .. }) if elsewhere.len() == 1),
        "a folder that was named is not swapped for another"
    );
    let found = find(None, None).unwrap();
    assert_eq!(found.instance.project, "a");
    assert!(found.note.unwrap().starts_with("using "));

    let _second = start(root.path(), "b", &b);
    assert!(
        matches!(find(None, None), Err(InstanceError::Several { running }) if running.len() == 2)
    );
    assert_eq!(find(None, Some("b")).unwrap().instance.project, "b");
    assert!(matches!(
        find(None, Some("c")),
        Err(InstanceError::NoSuchProject { .. })
    ));
    drop(first);
    assert_eq!(find(None, None).unwrap().instance.project, "b");
}

#[test]
fn a_folder_that_was_moved_or_removed_is_still_the_one() {
    let root = tempfile::tempdir().unwrap();
    let base = tempfile::tempdir().unwrap();
    let (old, new) = (base.path().join("old"), base.path().join("new"));
    let other = base.path().join("other");
    fs::create_dir(&old).unwrap();
    fs::create_dir(&other).unwrap();
    let find = |dir: &Path| find_in(root.path(), Some(dir), None);
    let _other = start(root.path(), "other", &other);
    let alive = start(root.path(), "site", &old);
    assert!(alive.0.folder().read().unwrap().is_in_place());

    fs::rename(&old, &new).unwrap();
    fs::create_dir(new.join("deep")).unwrap();
    assert!(!alive.0.folder().read().unwrap().is_in_place());
    for dir in [&new, &new.join("deep"), &old, &old.join("deep")] {
        let found = find(dir).unwrap();
        assert_eq!(found.instance.project, "site", "{dir:?}");
        assert!(found.note.is_some());
    }
    assert!(find(base.path()).is_err());

    fs::remove_dir_all(&new).unwrap();
    assert_eq!(find(&old).unwrap().instance.project, "site");
    assert!(matches!(find(&new), Err(InstanceError::NoFolder { .. })));
    drop(alive);
    assert!(matches!(find(&old), Err(InstanceError::NoFolder { .. })));
}

#[cfg(unix)]
#[test]
fn a_long_path_gets_its_socket_elsewhere() {
    let short = Folder::under(Path::new("/s"), "demo");
    assert_eq!(short.socket(), Path::new("/s/demo/control.sock"));
    let root = format!("/{}", "x".repeat(100));
    let one = Folder::under(Path::new(&root), "demo");
    let two = Folder::under(Path::new(&format!("{root}x")), "demo");
    assert!(one.socket().starts_with("/tmp") && one.socket().as_os_str().len() < 100);
    assert_ne!(one.socket(), two.socket());
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_can_open_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    use super::os::own_dir;
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("d");
    own_dir(&dir).unwrap();
    own_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(own_dir(&dir), Err(InstanceError::Unsafe { .. })));
    let link = base.path().join("link");
    std::os::unix::fs::symlink(base.path(), &link).unwrap();
    assert!(matches!(own_dir(&link), Err(InstanceError::Unsafe { .. })));
}

#[test]
fn paths_below_home_are_short() {
    let home = Some(Path::new("/home/ada"));
    for (path, expected) in [
        ("/home/ada", "~"),
        ("/home/ada/mysite", "~/mysite"),
        ("/home/adam/x", "/home/adam/x"),
        ("/srv/x", "/srv/x"),
    ] {
        assert_eq!(tilde_of(Path::new(path), home), expected);
    }
    assert_eq!(tilde_of(Path::new("/srv"), Some(Path::new("/"))), "/srv");
    assert_eq!(tilde_of(Path::new("/srv"), None), "/srv");
}

#[test]
fn several_are_listed() {
    let root = Path::new("/s");
    let running = ["a", "demo"]
        .map(|name| {
            let folder = Folder::under(root, name);
            Found {
                instance: instance(&folder, name, Path::new(&format!("/srv/{name}"))),
                folder,
                note: None,
            }
        })
        .into();
    let report = Report::from(InstanceError::Several { running });
    assert_eq!(report.exit, Exit::Usage);
    insta::assert_snapshot!(report, @"
    error[LB004]: 2 projects are running: which one?
      a  http://localhost:8080  -C /srv/a
      demo  http://localhost:8080  --project demo
      hint: say it, for example `lbdev status -C /srv/a`
    ");
}
