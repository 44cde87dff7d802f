//! One function that finds every process of a run or of an instance: for the supervisor, the guardian and the backstop.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::os::{self, Proc};
use super::own;
use super::sessions::Known;

/// Whose processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// One run: the session of `leader`, and the environment of that run in that instance.
    Run {
        /// The process that leads its session. It must not have been reaped, else the number may be another's.
        leader: u32,
        /// `LBDEV_INSTANCE`.
        instance: String,
        /// `LBDEV_RUN`. The backend's name would not do: its next run may begin while this one is still looked for.
        run: String,
    },
    /// Everything that one instance of lbdev launched, whatever backend.
    Instance {
        /// `LBDEV_INSTANCE`.
        instance: String,
        /// Processes that are its own whatever their environment says now, each with the session that it leads.
        known: Vec<Known>,
    },
}

impl Scope {
    fn has(&self, proc: &Proc, table: &Table) -> bool {
        match self {
            Scope::Run { leader, .. } if proc.session == *leader || proc.pid == *leader => true,
            Scope::Run { instance, run, .. } => table
                .mark(proc.pid)
                .is_some_and(|mark| mark.instance == *instance && mark.run == *run),
            Scope::Instance { instance, known } => {
                let mark = table.mark(proc.pid);
                known.iter().any(|known| known.covers(proc, &table.procs))
                    || mark.is_some_and(|mark| mark.instance == *instance)
            }
        }
    }

    /// The same scope, in which what was found stays a member: the first look may see what a later one cannot, when the
    /// process by which it was found has ended.
    pub(super) fn keeping(&self, found: &[Proc]) -> Scope {
        let mut scope = self.clone();
        if let Scope::Instance { known, .. } = &mut scope {
            known.extend(
                found
                    .iter()
                    .filter(|proc| proc.start > 0)
                    .map(|proc| Known {
                        pid: proc.pid,
                        start: proc.start,
                    }),
            );
        }
        scope
    }
}

impl Known {
    /// It is this process, or this process is in the session that it leads and that it is still there to vouch for.
    fn covers(self, proc: &Proc, table: &[Proc]) -> bool {
        let is = |row: &Proc| row.pid == self.pid && row.start == self.start;
        is(proc) || (proc.session == self.pid && table.iter().any(is))
    }
}

/// Which run of which instance the environment of a process names. The run may be empty.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mark {
    instance: String,
    run: String,
}

impl Mark {
    /// `None` where it names no instance.
    fn read(environ: &[u8]) -> Option<Mark> {
        let value = |name: &str| {
            environ.split(|byte| *byte == 0).find_map(|variable| {
                let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                String::from_utf8(value.to_vec()).ok()
            })
        };
        Some(Mark {
            // An empty name is nobody's: a search for what has no name must not find it.
            instance: value("LBDEV_INSTANCE").filter(|name| !name.is_empty())?,
            run: value("LBDEV_RUN").unwrap_or_default(),
        })
    }
}

/// Processes as they were at one moment. What their environments name is read when it is first asked for, of all of them
/// and once.
#[derive(Debug)]
pub(super) struct Table {
    procs: Vec<Proc>,
    marks: OnceLock<HashMap<u32, Mark>>,
}

impl Table {
    fn new(procs: Vec<Proc>) -> Self {
        let marks = OnceLock::new();
        Self { procs, marks }
    }

    /// A table in which only sessions and descent count.
    pub(super) fn without_marks(procs: Vec<Proc>) -> Self {
        let marks = OnceLock::from(HashMap::new());
        Self { procs, marks }
    }

    /// Whether this process is in it, alive or not. Where one is not that surely exists, the system has refused the look: it
    /// takes open files.
    pub(super) fn lists(&self, pid: u32) -> bool {
        self.procs.iter().any(|proc| proc.pid == pid)
    }

    fn mark(&self, pid: u32) -> Option<&Mark> {
        let marks = self.marks.get_or_init(|| {
            let pids: Vec<u32> = self.procs.iter().map(|proc| proc.pid).collect();
            let environs = os::environs(&pids);
            let marks = environs.into_iter();
            marks
                .filter_map(|(pid, environ)| Some((pid, Mark::read(&environ)?)))
                .collect()
        });
        marks.get(&pid)
    }
}

/// The last look at the table. A hundred runs that end at once all want one that begins after their own end, and the same
/// one does for all of them: who asks while a look is under way waits for the next, which the first of them makes.
struct Looks(Mutex<Option<(Instant, Arc<Table>)>>);

impl Looks {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// A look that began after it was asked for.
    fn after(&self, asked: Instant, look: impl FnOnce() -> Vec<Proc>) -> Arc<Table> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((began, table)) if *began > asked => table.clone(),
            Some(_) | None => {
                let began = Instant::now();
                let table = Arc::new(Table::new(look()));
                *last = Some((began, table.clone()));
                table
            }
        }
    }
}

/// The whole table of processes, now.
pub(super) fn whole() -> Arc<Table> {
    static LOOKS: Looks = Looks::new();
    LOOKS.after(Instant::now(), os::snapshot)
}

/// What is below this process, where the system gives us every orphan, which is a hundred times less to read than the
/// whole table; elsewhere that.
pub(super) fn ours() -> Arc<Table> {
    static LOOKS: Looks = Looks::new();
    LOOKS.after(Instant::now(), || {
        own::quietly(|_| os::descendants()).unwrap_or_else(os::snapshot)
    })
}

/// The living processes in `scope`, out of the whole process table.
pub(super) fn everywhere(scope: &Scope) -> Vec<Proc> {
    members(scope, &whole())
}

/// Picks the living members out of a table: those of the session, those with the environment, and what descends from
/// either. This process itself is never one: a test, or an lbdev that a backend of another one started, would end itself.
pub(super) fn members(scope: &Scope, table: &Table) -> Vec<Proc> {
    let me = std::process::id();
    let procs = &table.procs;
    let mut found: HashSet<u32> = procs
        .iter()
        .filter(|proc| proc.pid != me && scope.has(proc, table))
        .map(|proc| proc.pid)
        .collect();
    loop {
        let before = found.len();
        for proc in procs {
            if proc.pid != me && found.contains(&proc.parent) {
                found.insert(proc.pid);
            }
        }
        if found.len() == before {
            break;
        }
    }
    procs
        .iter()
        .filter(|proc| !proc.zombie && found.contains(&proc.pid))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc(pid: u32, parent: u32, session: u32) -> Proc {
        Proc {
            pid,
            parent,
            group: session,
            session,
            start: 1,
            zombie: false,
        }
    }

    fn found(scope: &Scope) -> Vec<u32> {
        let procs = vec![
            proc(100_000, 1, 100_000),       // lbdev
            proc(100_010, 100_000, 100_010), // a leader
            proc(100_011, 100_010, 100_010), // its child
            proc(100_012, 100_011, 100_012), // its grandchild, in a session of its own
            proc(100_013, 1, 100_013),       // a daemon of it
            proc(100_014, 100_013, 100_014), // the daemon's child, its environment cleared
            Proc {
                zombie: true,
                ..proc(100_015, 100_010, 100_010)
            },
            proc(100_020, 100_000, 100_020), // another backend's leader
            proc(100_030, 1, 100_030),       // a stranger
        ];
        let environ = |pid| match pid {
            100_010 | 100_011 | 100_013 => "A=b\0LBDEV_INSTANCE=one\0LBDEV_RUN=7\0",
            100_020 => "LBDEV_INSTANCE=one\0LBDEV_RUN=77\0",
            100_030 => "X_LBDEV_INSTANCE=one\0LBDEV_INSTANCE=one2\0LBDEV_RUN=7\0",
            _ => "LBDEV_RUN=7\0",
        };
        let marks = procs.iter().filter_map(|proc| {
            let mark = Mark::read(environ(proc.pid).as_bytes())?;
            Some((proc.pid, mark))
        });
        let table = Table {
            marks: OnceLock::from(marks.collect::<HashMap<_, _>>()),
            procs,
        };
        members(scope, &table)
            .iter()
            .map(|proc| proc.pid - 100_000)
            .collect()
    }

    #[test]
    fn a_run_is_its_session_its_descendants_and_its_environment() {
        let run = Scope::Run {
            leader: 100_010,
            instance: "one".into(),
            run: "7".into(),
        };
        assert_eq!(found(&run), [10, 11, 12, 13, 14]);
        let instance = |instance: &str, known: &[Known]| Scope::Instance {
            instance: instance.into(),
            known: known.to_vec(),
        };
        assert_eq!(found(&instance("one", &[])), [10, 11, 12, 13, 14, 20]);
        assert_eq!(found(&instance("on", &[])), [0u32; 0]);
        // By its session, whatever the environment; not where the number has another process now.
        let leader = |start| Known {
            pid: 100_010,
            start,
        };
        assert_eq!(found(&instance("", &[leader(1)])), [10, 11, 12]);
        assert_eq!(found(&instance("", &[leader(2)])), [0u32; 0]);
        // What was found once stays found when its leader has gone.
        let kept = instance("", &[]).keeping(&[proc(100_011, 1, 100_010)]);
        assert_eq!(found(&kept), [11, 12]);
    }

    #[test]
    fn this_process_is_never_found() {
        let me = std::process::id();
        let scope = Scope::Run {
            leader: me,
            instance: String::new(),
            run: String::new(),
        };
        let table = Table::without_marks(vec![proc(me, 1, me)]);
        assert!(members(&scope, &table).is_empty());
    }

    #[test]
    fn a_look_does_for_all_who_asked_before_it_began() {
        let looks = Looks::new();
        let early = Instant::now();
        let first = looks.after(early, Vec::new);
        let same = looks.after(early, || unreachable!("the first began after the question"));
        assert!(Arc::ptr_eq(&first, &same));
        let late = Instant::now();
        let second = looks.after(late, Vec::new);
        assert!(!Arc::ptr_eq(&first, &second));
        let same = looks.after(early, || unreachable!("the second is newer still"));
        assert!(Arc::ptr_eq(&second, &same));
    }
}
