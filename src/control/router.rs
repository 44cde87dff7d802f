//! What each route does. GET changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::attach::{self, Unattached};
use super::bodies::{asked_events, body, json, object, percent_decode};
use super::history::history;
use super::journal::Journal;
use super::refusal::{Refusal, possible, problem_body, refused, unchanged, unfit};
use super::status::{Totals, backend_status, project_state, round};
use crate::backend::{BackendId, Signal};
use crate::config::{self, Config, Fault, LiveChange, read_weight};
use crate::error::Report;
use crate::pool::Pools;
use crate::process::Meter;
use crate::process::terminal::Terminals;
use crate::shutdown::{Reason, Shutdown};
use crate::supervisor::{BackendView, Handle, Refused, Verb, resolve_target};
use crate::wire::{
    Acted, BalancerStatus, Event, Events, Problem, ProblemBody, Reloaded, Settings, Status,
    UpRequest, VERSION,
};

/// What backends use is looked at for so long; then what was found before is told.
const LOOK_MAX: Duration = Duration::from_millis(50);

/// What is told of an instance as a whole.
#[derive(Debug, Clone)]
pub struct About {
    /// The project's name.
    pub project: String,
    /// Its folder.
    pub dir: PathBuf,
    /// When this instance began.
    pub started: Instant,
    /// The set-up that holds now.
    pub config: Arc<ArcSwap<Config>>,
}

/// A person wants another set-up to hold, by the same request as before if none is given.
#[derive(Debug)]
pub struct Reload {
    /// What was asked for.
    pub request: Option<config::Request>,
    /// What became of it.
    pub reply: oneshot::Sender<Result<Reloaded, Vec<Report>>>,
}

/// Everything the routes need.
pub struct Control {
    /// What does not change.
    pub about: About,
    /// The supervisor.
    pub supervisor: Handle,
    /// The counters.
    pub pools: Arc<Pools>,
    /// What happened.
    pub journal: Arc<Journal>,
    /// What the backends' processes use.
    pub meter: Meter,
    /// Terminals of backends that have one.
    pub terminals: Arc<Terminals>,
    /// To end lbdev.
    pub shutdown: Shutdown,
    /// Who changes the set-up.
    pub reloads: mpsc::Sender<Reload>,
}

/// The body of a `kill`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Kill {
    signal: Option<String>,
    restart: bool,
}

/// The body of a `scale`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scale {
    backends: Option<u32>,
}

/// The body of a `reload`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reloading {
    request: Option<UpRequest>,
}

/// The body of a `drain`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Drain {
    everyone: bool,
}

impl Control {
    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match self.route(request).await {
            Ok(response) => response,
            Err(Refusal {
                status,
                report,
                more,
            }) => {
                let error = problem_body(report);
                let mut errors: Vec<ProblemBody> = more.into_iter().map(problem_body).collect();
                if !errors.is_empty() {
                    errors.insert(0, error.clone());
                }
                let problem = Problem {
                    version: VERSION,
                    error,
                    errors,
                };
                json(status, &problem)
            }
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let method = request.method().clone();
        match (segments.as_slice(), &method) {
            (["v1", "status"], &Method::GET) => Ok(json(StatusCode::OK, &self.status().await)),
            (["v1", "history"], &Method::GET) => {
                let view = self.supervisor.view().borrow().clone();
                let history = history(&view, &self.pools, &self.journal, Instant::now());
                Ok(json(StatusCode::OK, &history))
            }
            (["v1", "events"], &Method::GET) => {
                let (after, wait) = asked_events(request.uri().query().unwrap_or_default())?;
                let (events, last) = self.journal.wait_after(after, wait).await;
                let events = Events {
                    version: VERSION,
                    events,
                    last,
                };
                Ok(json(StatusCode::OK, &events))
            }
            (["v1", "shutdown"], &Method::POST) => {
                self.shutdown.ask(Reason::Asked);
                Ok(json(
                    StatusCode::ACCEPTED,
                    &serde_json::json!({ "version": VERSION }),
                ))
            }
            (["v1", "reload"], &Method::POST) => {
                let Reloading { request } = body(request).await?;
                let request = request.map(config::Request::from);
                let (reply, answer) = oneshot::channel();
                let stopping = || refused(Refused::Stopping);
                let sent = self.reloads.send(Reload { request, reply }).await;
                sent.map_err(|_| stopping())?;
                let reloaded = answer.await.map_err(|_| stopping())?;
                let reloaded = reloaded.map_err(unchanged)?;
                Ok(json(StatusCode::OK, &reloaded))
            }
            (["v1", "backends", target], &Method::GET) => {
                let ids = self.targets(&percent_decode(target))?;
                let view = self.supervisor.view().borrow().clone();
                let named = view.backends.iter().filter(|b| ids.contains(&b.spec.id));
                Ok(json(StatusCode::OK, &self.acted(named)))
            }
            (["v1", "backends", target, verb @ ("attach" | "debug")], &Method::POST) => {
                let ids = self.targets(&percent_decode(target))?;
                let (supervisor, terminals) = (&self.supervisor, &self.terminals);
                let attached = match *verb {
                    "debug" => attach::debug(&ids, request, supervisor, terminals).await,
                    _ => attach::attach(&ids, request, supervisor, terminals).await,
                };
                attached.map_err(|why| match why {
                    Unattached::Refused(why) => refused(why),
                    Unattached::Because(report) => unfit(*report),
                })
            }
            (["v1", "backends", target, "fault"], &Method::POST) => {
                let mut said = object(request).await?;
                let off = said
                    .remove("off")
                    .is_some_and(|off| off == Value::Bool(true));
                let fault = match off && said.is_empty() {
                    true => None,
                    false => Some(Fault::read(&said).map_err(unfit)?),
                };
                let ids = self.targets(&percent_decode(target))?;
                let after = self.fault(&ids, fault.as_ref())?;
                Ok(json(StatusCode::OK, &after))
            }
            (["v1", "backends", target, verb], &Method::POST) => {
                let verb = self.verb(verb, request).await?;
                let ids = self.targets(&percent_decode(target))?;
                let after = self.supervisor.act(ids, verb).await.map_err(refused)?;
                Ok(json(StatusCode::OK, &self.acted(&after)))
            }
            (["v1", "services", service, "scale"], &Method::POST) => {
                let Scale { backends } = body(request).await?;
                let count = backends.ok_or_else(|| {
                    let message = "the number of `backends` is missing";
                    unfit(Report::usage("LB021", message).hint("send `{\"backends\": 4}`"))
                })?;
                let service = percent_decode(service);
                let scaled = self.supervisor.scale(service, count).await;
                Ok(json(StatusCode::OK, &self.acted(&scaled.map_err(refused)?)))
            }
            (["v1", "settings"], &Method::PATCH) => {
                let said = object(request).await?;
                let change = LiveChange::read(&said).map_err(unfit)?;
                let before = self.balancer();
                self.supervisor.set_live(change).await.map_err(refused)?;
                let document = Settings {
                    version: VERSION,
                    balancer: self.balancer(),
                };
                let keys = said.keys().map(String::as_str);
                self.tell_settings(keys, &before, &document.balancer);
                Ok(json(StatusCode::OK, &document))
            }
            (["v1", "backends", target], &Method::PATCH) => {
                let weight = read_weight(&object(request).await?).map_err(unfit)?;
                let ids = self.targets(&percent_decode(target))?;
                let after = self.supervisor.set_weight(ids, weight).await;
                let after = after.map_err(refused)?;
                for backend in &after {
                    let id = &backend.spec.id;
                    self.tell("settings", Some(id), format!("weight is {weight}"));
                }
                Ok(json(StatusCode::OK, &self.acted(&after)))
            }
            (
                [
                    "v1",
                    "status" | "shutdown" | "settings" | "reload" | "events" | "history",
                ]
                | ["v1", "backends", _]
                | ["v1", "backends", _, _]
                | ["v1", "services", _, "scale"],
                _,
            ) => {
                let report = Report::usage("LB021", format!("{method} is not for {path}"));
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, report))
            }
            _ => {
                let report = Report::usage("LB021", format!("there is nothing at {path}"));
                Err(Refusal::new(StatusCode::NOT_FOUND, report))
            }
        }
    }

    /// Puts a fault into what goes to these backends, or takes it out. Those that have no port get no requests, and are passed
    /// over unless there are no others.
    fn fault(&self, ids: &[BackendId], fault: Option<&Fault>) -> Result<Acted, Refusal> {
        let mut struck = Vec::new();
        for id in ids {
            let pool = self.pools.of(id.service());
            let snapshot = pool.map(|pool| pool.snapshot());
            let members = snapshot.iter().flat_map(|snapshot| &snapshot.members);
            for member in members.filter(|member| member.id == *id) {
                let before = member.tally.fault();
                if before.as_deref() != fault {
                    member.tally.set_fault(fault.cloned());
                    let text = match fault {
                        Some(fault) => format!("has a fault from now on: {fault}"),
                        None => "has no fault any more".to_owned(),
                    };
                    self.tell("fault", Some(id), text);
                }
                struck.push(id.clone());
            }
        }
        if let (true, Some(first)) = (struck.is_empty(), ids.first()) {
            return Err(refused(Refused::NotBalanced(first.clone())));
        }
        let view = self.supervisor.view().borrow().clone();
        let struck = |backend: &&BackendView| struck.contains(&backend.spec.id);
        Ok(self.acted(view.backends.iter().filter(struck)))
    }

    /// Writes something that was asked for into the journal.
    fn tell(&self, kind: &str, backend: Option<&BackendId>, text: String) {
        self.journal.push(Event {
            at: jiff::Timestamp::now(),
            kind: kind.to_owned(),
            backend: backend.map(BackendId::to_string),
            text,
            by: Some("operator".to_owned()),
            ..Event::default()
        });
    }

    fn tell_settings<'a>(
        &self,
        keys: impl Iterator<Item = &'a str>,
        before: &BalancerStatus,
        after: &BalancerStatus,
    ) {
        for key in keys {
            let (was, is) = (before.setting(key), after.setting(key));
            if was != is {
                let [was, is] = [was, is].map(Option::unwrap_or_default);
                self.tell("settings", None, format!("{key} {was} → {is}"));
            }
        }
    }

    async fn verb(&self, name: &str, request: Request<Incoming>) -> Result<Verb, Refusal> {
        match name {
            "start" => Ok(Verb::Start),
            "stop" => Ok(Verb::Stop),
            "restart" => Ok(Verb::Restart),
            "drain" => {
                let drain: Drain = body(request).await?;
                Ok(Verb::Drain {
                    everyone: drain.everyone,
                })
            }
            "undrain" => Ok(Verb::Undrain),
            "freeze" => possible(Signal::Stop).map(|_| Verb::Freeze),
            "thaw" => possible(Signal::Cont).map(|_| Verb::Thaw),
            "kill" => {
                let kill: Kill = body(request).await?;
                let text = kill.signal.as_deref().unwrap_or("KILL");
                let signal = Signal::parse(text).ok_or_else(|| {
                    let known: Vec<String> =
                        Signal::names().map(|name| format!("`{name}`")).collect();
                    let message =
                        format!("there is no signal `{text}`; known: {}", known.join(", "));
                    Refusal::new(StatusCode::BAD_REQUEST, Report::usage("LB021", message))
                })?;
                Ok(Verb::Kill {
                    signal: possible(signal)?,
                    restart: kill.restart,
                })
            }
            other => {
                let report = Report::usage(
                    "LB021",
                    format!("`{other}` is nothing that can be done to a backend"),
                );
                Err(Refusal::new(StatusCode::NOT_FOUND, report))
            }
        }
    }

    fn targets(&self, text: &str) -> Result<Vec<BackendId>, Refusal> {
        let view = self.supervisor.view().borrow().clone();
        let known = view.backends.iter().map(|backend| &backend.spec.id);
        resolve_target(text, known.clone()).map_err(|unknown| {
            let part = &unknown.part;
            let known: Vec<String> = known.map(|id| format!("`{}`", id.short())).collect();
            let known = known.join(", ");
            let report = if *part == self.about.config.load().balancer.listen.port.to_string() {
                Report::usage(
                    "LB030",
                    format!("{part} is the balancer, not a backend; known: {known}"),
                )
                .hint("run `lbdev down` to stop everything")
            } else {
                Report::usage("LB030", format!("{unknown}; known: {known}"))
                    .hint("name a port, a service, a comma list, or `all`")
            };
            Refusal::new(StatusCode::NOT_FOUND, report)
        })
    }

    fn acted<'a>(&self, backends: impl IntoIterator<Item = &'a BackendView>) -> Acted {
        // A verb waits for nothing but what it does.
        let (now, usages) = (Instant::now(), self.meter.last());
        let backends = backends
            .into_iter()
            .map(|backend| backend_status(backend, &self.pools, &usages, now))
            .collect();
        Acted {
            version: VERSION,
            backends,
        }
    }

    /// The balancer's part of it.
    fn balancer(&self) -> BalancerStatus {
        let (totals, live) = (Totals::of(&self.pools), self.pools.live());
        BalancerStatus {
            url: self.about.config.load().balancer.listen.url(),
            engine: "builtin".to_owned(),
            algorithm: live.algorithm.name().to_owned(),
            hash_key: live.hash_key.to_string(),
            sequence: live.sequence.name().to_owned(),
            sticky: live.sticky.name().to_owned(),
            detect: live.detect.name().to_owned(),
            retry_limit: live.retries,
            allow_hosts: live.allow_hosts.texts(),
            debugged: live.debugged.as_ref().map(BackendId::to_string),
            requests: totals.requests,
            retries: totals.retries,
            failures: totals.failures,
            waiting: totals.waiting,
        }
    }

    /// The whole document.
    pub async fn status(&self) -> Status {
        let usages = self.meter.now(LOOK_MAX).await;
        let now = Instant::now();
        let view = self.supervisor.view().borrow().clone();
        Status {
            version: VERSION,
            project: self.about.project.clone(),
            dir: self.about.dir.display().to_string(),
            pid: std::process::id(),
            state: project_state(&view).to_owned(),
            uptime_s: round(
                now.saturating_duration_since(self.about.started)
                    .as_secs_f64(),
                3,
            ),
            balancer: self.balancer(),
            backends: view
                .backends
                .iter()
                .map(|backend| backend_status(backend, &self.pools, &usages, now))
                .collect(),
        }
    }
}
