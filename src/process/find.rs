//! One function that finds every process of a run or of an instance: for the supervisor, the guardian and the backstop.

use std::collections::HashSet;

use super::os::{self, Proc};
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
    fn has(&self, proc: &Proc, table: &[Proc], environ: &impl Fn(u32) -> Option<Vec<u8>>) -> bool {
        match self {
            Scope::Run { leader, .. } if proc.session == *leader || proc.pid == *leader => true,
            Scope::Run { instance, run, .. } => carries(
                environ(proc.pid),
                &[("LBDEV_INSTANCE", instance), ("LBDEV_RUN", run)],
            ),
            Scope::Instance { instance, known } => {
                known.iter().any(|known| known.covers(proc, table))
                    || carries(environ(proc.pid), &[("LBDEV_INSTANCE", instance)])
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

fn carries(environ: Option<Vec<u8>>, wanted: &[(&str, &String)]) -> bool {
    let Some(environ) = environ else {
        return false;
    };
    wanted.iter().all(|(name, value)| {
        environ.split(|byte| *byte == 0).any(|variable| {
            variable
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
                == Some(value.as_bytes())
        })
    })
}

/// The living processes in `scope`, out of the whole process table.
pub(super) fn everywhere(scope: &Scope) -> Vec<Proc> {
    members(scope, &os::snapshot(), &os::environ)
}

/// The living processes in `scope`; looks only below this process where the system gives us every orphan, which is a
/// hundred times less to read.
pub(super) fn below(scope: &Scope) -> Vec<Proc> {
    match os::descendants() {
        Some(table) => members(scope, &table, &os::environ),
        None => everywhere(scope),
    }
}

/// Picks the living members out of a table: those of the session, those with the environment, and what descends from
/// either. This process itself is never one: a test, or an lbdev that a backend of another one started, would end itself.
pub(super) fn members(
    scope: &Scope,
    table: &[Proc],
    environ: &impl Fn(u32) -> Option<Vec<u8>>,
) -> Vec<Proc> {
    let me = std::process::id();
    let mut found: HashSet<u32> = table
        .iter()
        .filter(|proc| proc.pid != me && scope.has(proc, table, environ))
        .map(|proc| proc.pid)
        .collect();
    loop {
        let before = found.len();
        for proc in table {
            if proc.pid != me && found.contains(&proc.parent) {
                found.insert(proc.pid);
            }
        }
        if found.len() == before {
            break;
        }
    }
    table
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
        let table = [
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
        members(scope, &table, &|pid| {
            let env = match pid {
                100_010 | 100_011 | 100_013 => "A=b\0LBDEV_INSTANCE=one\0LBDEV_RUN=7\0",
                100_020 => "LBDEV_INSTANCE=one\0LBDEV_RUN=77\0",
                100_030 => "LBDEV_INSTANCE=one2\0X_LBDEV_INSTANCE=one\0LBDEV_RUN=7\0",
                _ => return None,
            };
            Some(env.as_bytes().to_vec())
        })
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
        assert!(members(&scope, &[proc(me, 1, me)], &|_| None).is_empty());
    }
}
