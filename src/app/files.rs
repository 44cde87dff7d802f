//! The limit of open files: what a set-up needs of them, said before anything starts.

use super::Start;
use crate::backend::Kind;
use crate::config::Config;
use crate::error::Report;
use crate::process;

/// What lbdev has open by itself: its streams, event loops, lock, sockets and guardian, a look at the table of processes,
/// and commands that ask at the same time.
const ITSELF: u64 = 40;
/// Listeners and event loop of a thread of the data path.
const WORKER: u64 = 6;
/// Two pipes that a backend writes to (while it is launched with both their ends), one that tells of its end, its log.
const MANAGED: u64 = 5;
/// A check of a backend, and one request to it.
const BALANCED: u64 = 2;
/// A request has a connection to its client and one to its backend.
const REQUEST: u64 = 2;
/// The least that is worth asking for.
const WORTH: u64 = 1024;

/// Makes sure that the system allows as many open files as this set-up needs. The note says for how many requests there is
/// room, where that is for fewer than may wait.
///
/// # Errors
/// When not even the backends can be had with what it allows.
pub(super) fn check(start: &Start) -> Result<Option<String>, Vec<Report>> {
    let Some(most) = process::most_files() else {
        return Ok(None);
    };
    let typed = || start.typed_without(&["-n", "--replicas"]);
    judge(&start.config, most, typed).map_err(|report| vec![report])
}

fn judge(config: &Config, most: u64, typed: impl Fn() -> String) -> Result<Option<String>, Report> {
    let need = Need::of(config);
    let clients = most - process::kept_from_clients(most);
    let Some(room) = clients.checked_sub(need.used()) else {
        let one_service = config.services.len() == 1;
        return Err(need.report(most, one_service.then(typed)));
    };
    let waiting = u64::try_from(config.balancer.queue_max).unwrap_or(u64::MAX);
    let requests = room / REQUEST;
    Ok((requests < waiting).then(|| {
        format!(
            "room for {requests} requests at once: the system allows {most} open files (`ulimit -Hn`)"
        )
    }))
}

/// Files that have to be open at once.
struct Need {
    itself: u64,
    backends: u64,
    count: u64,
}

impl Need {
    fn of(config: &Config) -> Need {
        let services = config.services.iter();
        let each = services.flat_map(|service| &service.backends);
        let each: Vec<u64> = each
            .map(|backend| {
                let managed = match backend.kind {
                    Kind::Managed => MANAGED,
                    Kind::External => 0,
                };
                let balanced = match backend.addresses.is_empty() {
                    true => 0,
                    false => BALANCED,
                };
                managed + balanced
            })
            .collect();
        Need {
            itself: ITSELF + WORKER * config.balancer.workers as u64,
            backends: each.iter().sum(),
            count: each.len() as u64,
        }
    }

    /// Those that have to be open before there is room for a client.
    fn used(&self) -> u64 {
        self.itself + self.backends
    }

    /// The smallest limit that leaves so many beside what is kept from clients.
    fn limit(&self) -> u64 {
        let used = self.used();
        used + (used.saturating_sub(1) / 3).min(process::kept_from_clients(u64::MAX))
    }

    /// What is said where `most` are too few; `typed` is the command to which `-n` can be added, if it can.
    fn report(&self, most: u64, typed: Option<String>) -> Report {
        let need = self.limit();
        let backends = match self.count {
            1 => "1 backend needs".to_owned(),
            count => format!("{count} backends need"),
        };
        let message =
            format!("{backends} {need} open files, and the system allows {most} (`ulimit -Hn`)");
        let raise = format!("ulimit -n {}", need.next_power_of_two().max(WORTH));
        let one = self.backends.div_ceil(self.count.max(1)).max(1);
        let clients = most - process::kept_from_clients(most);
        let fit = clients.saturating_sub(self.itself) / one;
        Report::failed("LB008", message).hint(match typed.filter(|_| fit > 0) {
            Some(typed) => format!("run `{typed} -n {fit}`, or as root `{raise}` before it"),
            None => format!("run `{raise}` first, as root"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Request, resolve};

    fn config(request: Request) -> Config {
        resolve(&Request {
            dir: std::env::temp_dir(),
            ports: request.ports.clone().or(Some("40000".to_owned())),
            ..request
        })
        .unwrap()
    }

    #[test]
    fn too_few_files_are_said_before_the_start() {
        let demo = |count| {
            config(Request {
                demo: true,
                replicas: Some(count),
                ..Request::default()
            })
        };
        let judge = |config: &Config, most| {
            judge(config, most, || "lbdev demo".to_owned()).map_err(|report| report.to_string())
        };
        let four = Need::of(&demo(4)).used();
        assert_eq!(four, ITSELF + WORKER + 4 * (MANAGED + BALANCED));
        let hundred = demo(100);
        let need = Need::of(&hundred).limit();
        insta::assert_snapshot!(judge(&hundred, need - 1).unwrap_err(), @r"
        error[LB008]: 100 backends need 994 open files, and the system allows 993 (`ulimit -Hn`)
          hint: run `lbdev demo -n 99`, or as root `ulimit -n 1024` before it
        ");
        insta::assert_snapshot!(judge(&demo(1), 10).unwrap_err(), @r"
        error[LB008]: 1 backend needs 70 open files, and the system allows 10 (`ulimit -Hn`)
          hint: run `ulimit -n 1024` first, as root
        ");
        let note = judge(&hundred, 1024).unwrap();
        insta::assert_snapshot!(note.unwrap(), @"room for 11 requests at once: the system allows 1024 open files (`ulimit -Hn`)");
        let enough = Need::of(&hundred).used() + 2048 + process::kept_from_clients(u64::MAX);
        assert!(judge(&hundred, enough - 1).unwrap().is_some());
        assert_eq!(judge(&hundred, enough), Ok(None));
        for count in 1..256 {
            let config = demo(count);
            let need = Need::of(&config).limit();
            assert!(judge(&config, need).is_ok() && judge(&config, need - 1).is_err());
        }
    }
}
