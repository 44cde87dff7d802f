//! What each route does. GET changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::attach::{self, Unattached};
use super::bodies::{
    Body, EventsAsked, asked_events, asked_logs, asked_requests, body, json, object,
    percent_decode, whole,
};
use super::caller::{Caller, is_for_the_socket, is_json, methods, wants_stream};
use super::feed::{self, Feed};
use super::history::history;
use super::journal::Journal;
use super::key::Key;
use super::refusal::{Refusal, possible, refused, unchanged, unfit};
use super::status::{Totals, backend_status, project_state, round};
use super::timeline::Timeline;
use super::{metrics, openapi};
use crate::backend::{BackendId, Signal};
use crate::config::{self, Config, Engine, Fault, LiveChange, read_weight};
use crate::engine::not_with;
use crate::error::Report;
use crate::pool::{AccessLog, Pools};
use crate::process::output::Store;
use crate::process::terminal::Terminals;
use crate::process::{Meter, Usages};
use crate::shutdown::{Reason, Shutdown};
use crate::supervisor::{BackendView, Handle, Refused, Verb, resolve_target};
use crate::wire::{
    Acted, BalancerStatus, DashboardStatus, Event, Events, Reloaded, Settings, Status, UpRequest,
    VERSION,
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
    /// The last ten minutes.
    pub timeline: Arc<Timeline>,
    /// What became of requests.
    pub access: Arc<AccessLog>,
    /// What the backends wrote.
    pub output: Arc<Store>,
    /// Who reads events.
    pub feed: Feed,
    /// The dashboard, where there is one.
    pub page: Option<Page>,
    /// What the backends' processes use.
    pub meter: Meter,
    /// Terminals of backends that have one.
    pub terminals: Arc<Terminals>,
    /// To end lbdev.
    pub shutdown: Shutdown,
    /// Who changes the set-up.
    pub reloads: mpsc::Sender<Reload>,
}

/// The dashboard of an instance.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it is, without its key.
    pub url: String,
    /// What it asks for.
    pub key: Arc<Key>,
}

fn nothing_at(path: &str) -> Refusal {
    let report = Report::usage("LB021", format!("there is nothing at {path}"));
    Refusal::new(StatusCode::NOT_FOUND, report)
}

/// What only lbdev's own balancer does or knows, in words.
fn only_builtin(segments: &[&str], method: &Method) -> Option<&'static str> {
    Some(match (segments, method) {
        (["v1", "backends", _, "drain" | "undrain"], _) => "draining",
        (["v1", "backends", _, "fault"], _) => "putting faults in",
        (["v1", "backends", _, "debug"], _) => "sending one backend every request",
        (["v1", "backends", _], &Method::PATCH) => "changing weights",
        (["v1", "settings"], &Method::PATCH) => "changing settings while requests come",
        (["v1", "services", _, "scale"], _) => "changing how many backends there are",
        (["v1", "reload"], _) => "taking over another set-up without losing a request",
        (["v1", "history" | "timeline" | "requests"] | ["metrics"], _) => "counting requests",
        _ => return None,
    })
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
    backends: Option<serde_json::Number>,
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
    /// Produces what event streams tell, while anybody reads one and lbdev lives.
    pub fn produce(self: &Arc<Self>) {
        tokio::spawn(feed::produce(self.clone()));
    }

    /// Answers one request.
    pub async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        caller: Caller,
    ) -> Response<Body> {
        let answer = self.route(request, caller).await;
        answer.unwrap_or_else(Refusal::into_response)
    }

    async fn route(
        self: &Arc<Self>,
        request: Request<Incoming>,
        caller: Caller,
    ) -> Result<Response<Body>, Refusal> {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let method = request.method().clone();
        let query = request.uri().query().unwrap_or_default();
        if caller == Caller::Browser && is_for_the_socket(&segments) {
            return Err(nothing_at(&path));
        }
        let changes = matches!(method, Method::POST | Method::PATCH)
            && methods(&segments).is_some_and(|known| known.contains(method.as_str()));
        if caller == Caller::Browser && changes && !is_json(&request) {
            let report = Report::failed("LB040", "a change has to be `application/json`")
                .hint("send `Content-Type: application/json`");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, report));
        }
        if let Some(what) = only_builtin(&segments, &method).filter(|_| self.engine().is_foreign())
        {
            let report = not_with(what, self.engine());
            return Err(Refusal::new(StatusCode::CONFLICT, report));
        }
        match (segments.as_slice(), &method) {
            (["v1", "status"], &Method::GET) => Ok(json(StatusCode::OK, &self.status().await)),
            (["v1", "history"], &Method::GET) => {
                let view = self.supervisor.view().borrow().clone();
                let history = history(&view, &self.pools, &self.journal, Instant::now());
                Ok(json(StatusCode::OK, &history))
            }
            (["v1", "timeline"], &Method::GET) => {
                Ok(json(StatusCode::OK, &self.timeline.document()))
            }
            (["v1", "requests"], &Method::GET) => {
                let after = asked_requests(query)?;
                Ok(json(StatusCode::OK, &feed::requests(self, after)))
            }
            (["v1", "logs"], &Method::GET) => {
                let (target, lines) = asked_logs(query)?;
                let ids = target.map(|target| self.targets(&target)).transpose()?;
                let logs = feed::tails(self, ids.as_deref(), lines);
                Ok(json(StatusCode::OK, &logs))
            }
            (["v1", "openapi.json"], &Method::GET) => Ok(json(StatusCode::OK, openapi::document())),
            (["metrics"], &Method::GET) => {
                let text = metrics::metrics(self, &self.status().await);
                Ok(whole(StatusCode::OK, metrics::CONTENT_TYPE, text))
            }
            (["v1", "dashboard", "token"], &Method::POST) => self.renew_key(),
            (["v1", "events"], &Method::GET) if wants_stream(&request) => {
                let mut asked = asked_events(query)?;
                // A browser's own reader says where it was when it comes again.
                let seen = request.headers().get("last-event-id");
                let seen = seen.and_then(|seen| seen.to_str().ok()?.parse().ok());
                asked.after = seen.unwrap_or(asked.after);
                feed::stream(self, asked).await
            }
            (["v1", "events"], &Method::GET) => {
                let EventsAsked { after, wait, .. } = asked_events(query)?;
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
                let count = backends.as_ref().and_then(config::whole_number);
                let count = count.and_then(|count| u32::try_from(count).ok());
                let count = count.ok_or_else(|| {
                    let message = "the number of `backends` is missing, or is none";
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
            (other, _) => Err(match methods(other) {
                Some(allowed) => {
                    let report = Report::usage("LB021", format!("{method} is not for {path}"));
                    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, report).allow(allowed)
                }
                None => nothing_at(&path),
            }),
        }
    }

    /// Another key for the dashboard: whoever had the one before has to get it anew.
    fn renew_key(&self) -> Result<Response<Body>, Refusal> {
        let Some(page) = &self.page else {
            let report = Report::failed("LB040", "this lbdev has no dashboard")
                .hint("run `lbdev down`, then `lbdev up` without `--no-dashboard`");
            return Err(Refusal::new(StatusCode::CONFLICT, report));
        };
        page.key.renew().map_err(|error| {
            let message = format!("the dashboard's key cannot be changed: {error}");
            Refusal::new(StatusCode::CONFLICT, Report::failed("LB007", message))
        })?;
        Ok(json(
            StatusCode::OK,
            &serde_json::json!({ "version": VERSION }),
        ))
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

    /// Who balances.
    fn engine(&self) -> Engine {
        self.about.config.load().balancer.engine
    }

    /// The balancer's part of it.
    fn balancer(&self) -> BalancerStatus {
        let (totals, live) = (Totals::of(&self.pools), self.pools.live());
        let counted = |number| self.pools.count().then_some(number);
        BalancerStatus {
            url: self.about.config.load().balancer.listen.url(),
            engine: self.engine().name().to_owned(),
            algorithm: live.algorithm.name().to_owned(),
            hash_key: live.hash_key.to_string(),
            sequence: live.sequence.name().to_owned(),
            sticky: live.sticky.name().to_owned(),
            detect: live.detect.name().to_owned(),
            retry_limit: live.retries,
            allow_hosts: live.allow_hosts.texts(),
            debugged: live.debugged.as_ref().map(BackendId::to_string),
            requests: counted(totals.requests),
            retries: counted(totals.retries),
            failures: counted(totals.failures),
            waiting: counted(totals.waiting),
        }
    }

    /// The whole document.
    pub async fn status(&self) -> Status {
        self.status_with(&self.meter.now(LOOK_MAX).await)
    }

    /// With what the backends use as it was found last, some seconds ago at most: a look at all processes costs more than all
    /// the rest.
    pub(super) fn quick_status(&self) -> Status {
        self.status_with(&self.meter.last())
    }

    fn status_with(&self, usages: &Usages) -> Status {
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
            dashboard: self.page.as_ref().map(|page| DashboardStatus {
                url: page.url.clone(),
            }),
            backends: view
                .backends
                .iter()
                .map(|backend| backend_status(backend, &self.pools, usages, now))
                .collect(),
        }
    }
}
