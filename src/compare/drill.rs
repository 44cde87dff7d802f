//! The drill: a server is killed and comes back, all are restarted at once, one hangs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hyper::Method;

use super::Pace;
use crate::config::Engine;
use crate::error::Report;
use crate::lab::{Place, Ports, Running};
use crate::load::{
    self, Beat, Caller, Driven, Jars, Limits, MOST_CONNECTIONS, Plan, RunError, Sample, Target,
    Verb,
};
use crate::process;
use crate::wire::{CompareCount, CompareEngine, Event, LoadReport};

/// What a person waits for at most, and what a server that hangs is given.
const PATIENCE: Duration = Duration::from_secs(1);
/// A request that took longer met the server that hangs.
const SLOW: Duration = Duration::from_millis(400);
/// Into the load, something happens.
const HAPPENS: Duration = Duration::from_secs(1);
/// How long a server needs to start: less than most frameworks.
const BOOT_MS: u64 = 500;
/// Until all servers answer by way of the balancer.
const WARM: Duration = Duration::from_secs(15);

/// Who looks on.
pub trait Onlooker {
    /// A part begins, and how long it takes.
    fn begins(&mut self, engine: Engine, part: &str, lasts: Duration);
}

/// Does the drill with one engine, before servers of this command (lines of a service of an `lbdev.toml`).
///
/// # Errors
/// When something cannot be started, or the load cannot be sent. Nothing is left running.
pub async fn measure(
    engine: Engine,
    server: &str,
    pace: &Pace,
    onlooker: &mut dyn Onlooker,
) -> Result<CompareEngine, Report> {
    let place = Place::new("compare")?;
    let ports = Ports::find()?;
    let [first, .., last] = ports.backends();
    // What only one of them could do is not in it.
    let setup = format!(
        "[balancer]\nlisten = \"127.0.0.1:{}\"\npassive = {{ failures = 3, window = \"2s\" }}\n\
         timeouts = {{ backend_head = \"1s\" }}\n\n[services.web]\n{server}\nports = \"{first}-{last}\"\n\
         env = {{ DEMO_BOOT_MS = \"{BOOT_MS}\" }}\nhealth = {{ path = \"/health\", interval = \"500ms\", timeout = \"500ms\" }}\n",
        ports.listen(),
    );
    onlooker.begins(engine, "starts", Duration::ZERO);
    let running = Running::start(&place, &setup, engine).await?;
    let drill = Drill {
        engine,
        pace,
        ports,
        running: &running,
        caller: Caller {
            dir: place.dir().to_owned(),
            project: None,
        },
    };
    let made = drill.all(onlooker).await;
    running.end().await;
    made
}

struct Drill<'a> {
    engine: Engine,
    pace: &'a Pace,
    ports: Ports,
    running: &'a Running,
    caller: Caller,
}

impl Drill<'_> {
    async fn all(&self, onlooker: &mut dyn Onlooker) -> Result<CompareEngine, Report> {
        self.warm().await?;
        let [one, two, ..] = self.ports.backends();
        let mut begins = |part: &str, lasts| onlooker.begins(self.engine, part, lasts);

        begins("undisturbed", self.pace.steady);
        // Nobody is at its best in the first second.
        let rps = self.pace.steady_rps;
        let first = self.plan(Method::GET, "/bytes/100", rps, self.pace.steady / 5);
        self.drive(&first, &[]).await?;
        let before = self.cpu().await;
        let plan = self.plan(
            Method::GET,
            "/bytes/100",
            self.pace.steady_rps,
            self.pace.steady,
        );
        let steady = self.drive(&plan, &[]).await?;
        let after = self.cpu().await;
        let steady = load::report(&plan, &steady, &Limits::default());

        let kill = [
            (HAPPENS, format!("kill {one}")),
            (self.pace.disturbed / 2, format!("start {one}")),
        ];
        begins("a server is killed, GET", self.pace.disturbed);
        let gets = self.disturbed(Method::GET, "/slow?ms=40", &kill).await?;
        begins("a server is killed, POST", self.pace.disturbed);
        let posts = self.disturbed(Method::POST, "/slow?ms=40", &kill).await?;

        begins("all servers are restarted", self.pace.disturbed);
        let restart = [(HAPPENS, "restart all".to_owned())];
        let restarted = self.disturbed(Method::GET, "/bytes/100", &restart).await?;
        self.warm().await?;

        begins("a server hangs", self.pace.disturbed);
        let hang = [
            (HAPPENS, format!("freeze {two}")),
            (
                self.pace.disturbed - Duration::from_millis(500),
                format!("thaw {two}"),
            ),
        ];
        let plan = self.plan(
            Method::GET,
            "/bytes/100",
            self.pace.rps,
            self.pace.disturbed,
        );
        let hung = self.drive(&plan, &hang).await?;
        let noticed = noticed(&hung, two);
        let hung = load::report(&plan, &hung, &Limits::default());

        let cpu = before
            .zip(after)
            .map(|(before, after)| after.saturating_sub(before));
        let latency = steady.latency_ms;
        #[allow(clippy::cast_precision_loss)] // of some thousands
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / steady.ok.max(1) as f64;
        Ok(CompareEngine {
            engine: self.engine.name().to_owned(),
            gets: count(&gets),
            posts: count(&posts),
            restarted: count(&restarted),
            hung: count(&hung),
            noticed_ms: noticed.map(|noticed| noticed.as_secs_f64() * 1e3),
            undisturbed: count(&steady),
            p50_ms: latency.map(|latency| latency.p50),
            p99_ms: latency.map(|latency| latency.p99),
            cpu_us: cpu.map(each),
        })
    }

    fn plan(&self, method: Method, path: &str, rps: f64, lasts: Duration) -> Plan {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.listen()));
        Plan {
            target: Target {
                addresses: vec![address],
                authority: address.to_string(),
            },
            samples: vec![Sample {
                body: match method == Method::POST {
                    true => "order=1".to_owned(),
                    false => String::new(),
                },
                method,
                path: path.to_owned(),
                fields: Vec::new(),
            }],
            beat: Beat::Open(rps),
            connections: MOST_CONNECTIONS,
            lasts,
            timeout: 10 * PATIENCE,
            requests: None,
            opening: None,
            users: 0,
            jars: Jars::default(),
        }
    }

    async fn disturbed(
        &self,
        method: Method,
        path: &str,
        verbs: &[(Duration, String)],
    ) -> Result<LoadReport, Report> {
        let plan = self.plan(method, path, self.pace.rps, self.pace.disturbed);
        let driven = self.drive(&plan, verbs).await?;
        Ok(load::report(&plan, &driven, &Limits::default()))
    }

    async fn drive(&self, plan: &Plan, verbs: &[(Duration, String)]) -> Result<Driven, Report> {
        let verbs: Vec<Verb> = (verbs.iter())
            .map(|(at, line)| Verb {
                at: *at,
                line: line.clone(),
                words: line.split(' ').map(str::to_owned).collect(),
            })
            .collect();
        let client = Some(&self.running.client);
        let stop = std::future::pending();
        let driven = load::drive(plan, &verbs, &self.caller, client, |_| {}, stop).await;
        let driven = driven.map_err(|error| {
            let why = match error {
                RunError::Machine(error) => error.to_string(),
                RunError::Plan(error) => error.to_string(),
            };
            Report::failed(
                "LB008",
                format!("the machine refuses what a load needs: {why}"),
            )
            .hint("raise the limit of open files: `ulimit -n 4096`")
        })?;
        match driven.acted.iter().find(|acted| acted.exit != Some(0)) {
            None => Ok(driven),
            Some(acted) => Err(acted.output.iter().fold(
                Report::failed(
                    "LB008",
                    format!("`lbdev {}` failed in the drill", acted.command),
                ),
                |report, line| report.detail(line),
            )),
        }
    }

    /// Waits until every server has answered by way of the balancer, and no request in a row fails.
    async fn warm(&self) -> Result<(), Report> {
        let until = Instant::now() + WARM;
        loop {
            let plan = self.plan(Method::GET, "/health", 100.0, Duration::from_millis(200));
            let driven = self.drive(&plan, &[]).await?;
            let report = load::report(&plan, &driven, &Limits::default());
            if report.failed == 0 && report.backends.len() == self.ports.backends().len() {
                return Ok(());
            }
            if Instant::now() >= until {
                let message = format!(
                    "with `{}` not all servers answered within {} s",
                    self.engine.name(),
                    WARM.as_secs()
                );
                return Err(Report::failed("LB011", message).hint("run it again"));
            }
        }
    }

    /// What the balancer's own processes have used of the processor.
    async fn cpu(&self) -> Option<Duration> {
        let status = self.running.client.status().await.ok()?;
        match self.engine {
            Engine::Builtin => process::spent(status.pid, false),
            _ => {
                let engine = status.backends.iter().find(|one| one.kind == "engine")?;
                process::spent(engine.pid?, true)
            }
        }
    }
}

fn count(report: &LoadReport) -> CompareCount {
    CompareCount {
        sent: report.requests,
        lost: report.failed,
    }
}

/// From the moment a server hung to the last request that was sent to it: that one failed, or was slow.
fn noticed(driven: &Driven, port: u16) -> Option<Duration> {
    let measured = &driven.measured;
    let began = measured.began.duration_since(std::time::UNIX_EPOCH).ok()?;
    let frozen = |event: &&Event| {
        let id = event.backend.as_deref().unwrap_or_default();
        event.to.as_deref() == Some("frozen") && id.ends_with(&format!(":{port}"))
    };
    let at = driven.events.iter().find(frozen)?.at.as_duration();
    let at = Duration::try_from(at).ok()?.checked_sub(began)?;
    let thawed = driven
        .acted
        .iter()
        .find(|acted| acted.command.starts_with("thaw"))?
        .at;
    let met = measured.tally.answers.iter().filter(|answer| {
        let slow = answer.failure.is_some() || answer.service() > SLOW;
        slow && answer.sent >= at && answer.sent < thawed
    });
    Some(met.map(|answer| answer.sent - at).max().unwrap_or_default())
}
