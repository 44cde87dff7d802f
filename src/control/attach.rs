//! A connection that becomes a backend's terminal, and the debugging of one, which lasts as long as the connection.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::bodies::Body;
use super::frames::{Frame, PROTOCOL};
use crate::backend::{BackendId, Kind};
use crate::error::Report;
use crate::process::terminal::{Scene, Terminal, Terminals};
use crate::supervisor::{Handle, Refused, Verb};

/// A program that does not read what is typed has so long to begin again; then what was typed is left out.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(5);

/// Why a terminal is not to be had.
#[derive(Debug)]
pub(super) enum Unattached {
    /// The supervisor says so.
    Refused(Refused),
    /// Another reason.
    Because(Box<Report>),
}

impl From<Refused> for Unattached {
    fn from(refused: Refused) -> Self {
        Unattached::Refused(refused)
    }
}

fn because(report: Report) -> Unattached {
    Unattached::Because(Box::new(report))
}

/// Answers a request that wants to become the terminal of the one backend in `ids`.
pub(super) async fn attach(
    ids: &[BackendId],
    request: Request<Incoming>,
    supervisor: &Handle,
    terminals: &Arc<Terminals>,
) -> Result<Response<Body>, Unattached> {
    let id = one(ids, &request)?;
    let view = supervisor.view().borrow().clone();
    let backend = view.backends.iter().find(|backend| backend.spec.id == *id);
    let command = backend.and_then(|backend| backend.spec.command.as_ref());
    let wants = command.is_some_and(|command| command.pty) || terminals.is_forced(id);
    let terminal = wants.then(|| terminals.for_attaching(id)).flatten();
    let Some(terminal) = terminal else {
        let report = Report::usage("LB034", format!("`{id}` has no terminal"));
        let hint = format!(
            "write `pty = true` below `[services.{}]`, or run `lbdev debug {}`",
            id.service(),
            id.short()
        );
        return Err(because(report.hint(hint)));
    };
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move { serve(upgrade, &terminal).await });
    Ok(switching())
}

/// The same for one that is to be debugged: it is started anew with a terminal, and gets every request of its service, until
/// the connection ends.
pub(super) async fn debug(
    ids: &[BackendId],
    request: Request<Incoming>,
    supervisor: &Handle,
    terminals: &Arc<Terminals>,
) -> Result<Response<Body>, Unattached> {
    let id = one(ids, &request)?.clone();
    let view = supervisor.view().borrow().clone();
    let external = |kind: Kind| kind == Kind::External;
    if (view.backends.iter()).any(|backend| backend.spec.id == id && external(backend.spec.kind)) {
        return Err(Refused::External(id).into());
    }
    let Some(terminal) = terminals.for_attaching(&id) else {
        let message = "a backend cannot have a terminal on Windows yet";
        return Err(because(Report::failed("LB034", message)));
    };
    let mut session = Session::begin(id, supervisor.clone(), terminals.clone()).await?;
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        serve(upgrade, &terminal).await;
        session.end().await;
    });
    Ok(switching())
}

fn one<'a>(ids: &'a [BackendId], request: &Request<Incoming>) -> Result<&'a BackendId, Unattached> {
    let wanted = request.headers().get(UPGRADE);
    if wanted.is_none_or(|wanted| wanted != PROTOCOL) {
        let message = format!("a terminal needs `Upgrade: {PROTOCOL}`");
        return Err(because(Report::usage("LB021", message)));
    }
    match ids {
        [id] => Ok(id),
        all => {
            let message = format!("one terminal shows one backend, not {}", all.len());
            let hint = "name one, as in `lbdev attach 8000`";
            Err(because(Report::usage("LB034", message).hint(hint)))
        }
    }
}

fn switching() -> Response<Body> {
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

/// Somebody debugs a backend.
struct Session {
    id: BackendId,
    supervisor: Handle,
    terminals: Arc<Terminals>,
}

impl Session {
    async fn begin(
        id: BackendId,
        supervisor: Handle,
        terminals: Arc<Terminals>,
    ) -> Result<Session, Refused> {
        supervisor.debug(Some(id.clone())).await?;
        terminals.force(&id, true);
        let mut session = Session {
            id,
            supervisor,
            terminals,
        };
        match session.restart().await {
            Ok(()) => Ok(session),
            Err(refused) => {
                session.undo().await;
                Err(refused)
            }
        }
    }

    async fn restart(&self) -> Result<(), Refused> {
        let ids = vec![self.id.clone()];
        self.supervisor.act(ids, Verb::Restart).await.map(drop)
    }

    async fn undo(&mut self) {
        self.terminals.force(&self.id, false);
        // An lbdev that is ending has nothing to undo.
        let _ = self.supervisor.debug(None).await;
    }

    async fn end(&mut self) {
        self.undo().await;
        // One that a person has stopped meanwhile stays so.
        let view = self.supervisor.view().borrow().clone();
        let wanted = |id: &BackendId| {
            let mut all = view.backends.iter();
            all.any(|backend| backend.spec.id == *id && backend.desired)
        };
        if wanted(&self.id) {
            let _ = self.restart().await;
        }
    }
}

async fn serve(upgrade: OnUpgrade, terminal: &Terminal) {
    // A client that leaves at once has seen enough.
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let (recent, scenes) = terminal.attach();
    let (read, write) = tokio::io::split(TokioIo::new(upgraded));
    tokio::select! {
        _ = show(write, recent, scenes, terminal) => {}
        () = listen(read, terminal) => {}
    }
}

async fn show(
    mut to: impl AsyncWrite + Unpin,
    recent: Vec<u8>,
    mut scenes: broadcast::Receiver<Scene>,
    terminal: &Terminal,
) -> std::io::Result<()> {
    if !recent.is_empty() {
        Frame::Data(recent).write(&mut to).await?;
    }
    let note = |text: &str| Frame::Note(text.to_owned());
    if !terminal.is_live() {
        let text = "no program has this terminal now; the next one that is started does";
        note(text).write(&mut to).await?;
    }
    loop {
        let frame = match scenes.recv().await {
            Ok(Scene::Output(bytes)) => Frame::Data(bytes.to_vec()),
            Ok(Scene::Begins) => note("the program is started"),
            Ok(Scene::Ends) => {
                note("the program has ended; the next one that is started is shown here")
            }
            Err(RecvError::Lagged(_)) => {
                note("too much at once: some of it is left out here; `lbdev logs` has it")
            }
            Err(RecvError::Closed) => return Ok(()),
        };
        frame.write(&mut to).await?;
    }
}

async fn listen(mut from: impl AsyncRead + Unpin, terminal: &Terminal) {
    while let Some(frame) = Frame::read(&mut from).await {
        match frame {
            Frame::Data(bytes) => type_in(&bytes, terminal).await,
            Frame::Size(size) => terminal.resize(size),
            // Nobody sends one here.
            Frame::Note(_) => {}
        }
    }
}

async fn type_in(bytes: &[u8], terminal: &Terminal) {
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut rest = bytes;
    while !rest.is_empty() && tokio::time::Instant::now() < until {
        match terminal.type_in(rest) {
            Ok(0) => tokio::time::sleep(AGAIN).await,
            Ok(taken) => rest = &rest[taken..],
            // The program has just ended.
            Err(_) => return,
        }
    }
}
