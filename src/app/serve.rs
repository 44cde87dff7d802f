//! One instance: composed here, and ended here in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::ending::exit_code;
use super::last_words::{last_lines, last_words};
use super::notes::Notes;
use super::order::Order;
use super::reload::{self, Reloader};
use super::run::Then;
use super::saves::{self, Watches};
use super::tasks::Tasks;
use super::{Start, files, given_up, guard, keys, pitfalls, preflight, recorder, sessions};
use crate::config::{Config, Request, Route};
use crate::control::{
    self, About, Client, Control, Door, Feed, Journal, Key, Page, Reload, Timeline,
};
use crate::dashboard;
use crate::engine;
use crate::error::Report;
use crate::instance::{self, Folder, Lock};
use crate::pool::{AccessLog, Pools};
use crate::probe::Network;
use crate::process::{Guardians, Launcher, output};
use crate::proxy::{self, Bound, LastLines, Lent, Proxy, StickyKey};
use crate::shutdown::{Level, Reason, Shutdown};
use crate::supervisor::{self, BackendView, Handle, Parts};
use crate::ui::{self, Ui};
use crate::{commands, process, wire};

/// How a background process ends when another one was faster: its parent then looks at that one.
pub(super) const LOST_THE_RACE: u8 = 75;
/// How long a terminal that takes nothing more may hold up the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// `up` in this process. Returns when everything has ended.
pub(super) fn up(start: Start, background: bool) -> Result<u8, Vec<Report>> {
    let lock = loop {
        match Lock::try_take(&start.folder).map_err(|error| vec![error.into()])? {
            Some(lock) => break lock,
            None if background => return Ok(LOST_THE_RACE),
            None => {
                if let Some(code) = super::again::already_running(&start)? {
                    return Ok(code);
                }
            }
        }
    };
    if let Some(said) = files::check(&start)?
        && !background
    {
        start.ui.note(&said);
    }
    // Where the system refuses, it goes on with what it has.
    let _ = process::raise_files();
    let typed = start.typed_without(&["--ports", "--listen"]);
    let typed_page = start.typed_without(&["--dashboard-listen", "--dashboard-host"]);
    let Start {
        mut config,
        folder,
        ui,
        options,
    } = start;
    // An earlier lbdev of this folder may have been ended so hard that even its guardian could not finish. Until its files
    // are written anew, nobody is to read there where it was.
    let ended = commands::end_left_over(&lock).map_err(|error| vec![error.into()])?;
    if let Some(said) = ended {
        ui.note(&said);
    }
    if !background {
        config.notes.extend(pitfalls::news(&config, &folder));
        // What an earlier one said in the background would be taken for the reasons of this one.
        let _ = std::fs::remove_file(folder.boot_log());
    }
    let mut bound = preflight::ports(&config, typed)?;
    if config.balancer.engine.is_foreign() {
        engage(&mut config, &folder, &mut bound).map_err(|report| vec![report])?;
    }
    let page = preflight::page(&config, &typed_page).map_err(|report| vec![report])?;
    config.notes.extend(page.note);
    let bound = Sockets {
        balancer: bound,
        page: page.bound,
    };
    let runtime = commands::runtime().map_err(|report| vec![report])?;
    let then = options.then.clone().map(|words| Then {
        words,
        patience: options.wait_timeout,
    });
    runtime.block_on(async {
        let mut running = Running::start(config, options.request, lock, bound, background, ui)
            .await
            .map_err(|report| vec![report])?;
        running.raw_logs = options.raw_logs;
        running.until_ended(then).await
    })
}

/// Has another balancer take lbdev's place: on its addresses, with the same set-up.
fn engage(config: &mut Config, folder: &Folder, bound: &mut Bound) -> Result<(), Report> {
    let engaged = engine::engage(config, &folder.engine_dir(), bound.addresses())?;
    config.notes.extend(engaged.notes);
    config.services.push(engaged.service);
    if config.dashboard.enabled && config.dashboard.named {
        let note = "there is no dashboard with `--engine`: what it draws is lbdev's own traffic";
        config.notes.push(note.to_owned());
    }
    config.dashboard.enabled = false;
    bound.let_go();
    Ok(())
}

/// What listens before anything starts.
struct Sockets {
    balancer: Bound,
    page: Option<dashboard::Bound>,
}

/// The parts of a running instance.
pub(super) struct Running {
    /// The set-up that holds.
    pub(super) current: Arc<ArcSwap<Config>>,
    /// What changes it, until it runs by itself.
    pub(super) reloading: Option<(mpsc::Receiver<Reload>, Reloading)>,
    pub(super) shutdown: Shutdown,
    pub(super) order: Order,
    pub(super) supervisor: Handle,
    pub(super) loop_task: JoinHandle<()>,
    pub(super) proxy: Proxy,
    pub(super) access: Arc<AccessLog>,
    pub(super) journal: Arc<Journal>,
    pub(super) output: Arc<output::Store>,
    /// What backends write, from the first line on, for whoever shows it.
    lines: Option<broadcast::Receiver<output::Line>>,
    pub(super) guardian: Guardians,
    /// Ends when the guardian is dismissed.
    pub(super) sessions: Option<JoinHandle<()>>,
    /// What the parts of it have to say that run by themselves.
    pub(super) troubles: mpsc::UnboundedReceiver<Report>,
    pub(super) door: Door,
    /// The one for browsers.
    pub(super) page_door: Option<dashboard::Door>,
    /// Where the dashboard is.
    page: Option<String>,
    pub(super) lock: Arc<Lock>,
    pub(super) background: bool,
    /// Lines of frameworks about requests are shown as well.
    raw_logs: bool,
    pub(super) ui: Ui,
}

/// What a [`Reloader`] is made of, besides what [`Running`] has.
pub(super) struct Reloading {
    request: Request,
    pools: Arc<Pools>,
    instance: wire::Instance,
}

/// Which requests go to which service.
pub(super) fn routes(config: &Config) -> Vec<(Arc<str>, Vec<Route>)> {
    let services = config.services.iter();
    let balanced = services.filter(|service| !service.routes.is_empty());
    let routes = balanced.map(|service| (Arc::from(service.name.as_str()), service.routes.clone()));
    routes.collect()
}

impl Running {
    async fn start(
        mut config: Config,
        request: Request,
        lock: Lock,
        sockets: Sockets,
        background: bool,
        ui: Ui,
    ) -> Result<Self, Report> {
        let Sockets {
            balancer: bound,
            page,
        } = sockets;
        let shutdown = Shutdown::default();
        shutdown
            .listen()
            .map_err(|error| machine("listen to signals", &error))?;
        process::adopt_orphans()
            .map_err(|error| machine("adopt the orphans of its backends", &error))?;
        let id = Uuid::new_v4().to_string();
        let output = output::Store::open(lock.folder().logs_dir())
            .map_err(|error| machine("write its logs", &error))?;
        let lines = output.subscribe();
        let (troubles_to, troubles) = mpsc::unbounded_channel();
        let lock = Arc::new(lock);
        let (guardian, on_guard) = guard::start(&id, &lock, troubles_to.clone())
            .map_err(|error| machine("start its guardian", &error))?;
        let (news_to, news) = mpsc::unbounded_channel();
        let color = !background && ui.out.on();
        let launcher = Arc::new(Launcher::new(id.clone(), news_to, output.clone(), color));
        let tasks = Arc::new(Tasks::new(id.clone(), output.clone(), color));
        let meter = launcher.meter();

        let terminals = launcher.terminals();
        config.notes.extend(bound.notes().iter().cloned());
        let page = page.and_then(|bound| match Key::of(lock.clone()) {
            Ok(key) => Some((bound, Arc::new(key))),
            Err(error) => {
                let note =
                    format!("there is no dashboard this time: its key cannot be kept ({error})");
                config.notes.push(note);
                None
            }
        });
        let balancer = Arc::new(config.balancer.clone());
        let pools = Arc::new(Pools::new(routes(&config), &config.balancer));
        let access = Arc::new(AccessLog::default());
        let prober =
            Network::new().map_err(|error| machine("make a client for its checks", &error))?;
        let url = config.balancer.listen.url();
        let wanted = reload::wanted(&config);
        let (supervisor, loop_task) = supervisor::start(Parts {
            backends: wanted.backends,
            launcher,
            news,
            prober: Arc::new(prober),
            pools: pools.clone(),
            drain: wanted.drain,
            host: wanted.host,
            listen: wanted.listen,
            more: wanted.more,
        });
        let journal = Arc::new(Journal::default());
        let ours = !config.balancer.engine.is_foreign();
        recorder::start(&journal, &supervisor, &access, ours);
        let current = Arc::new(ArcSwap::from_pointee(config.clone()));
        let (reloads, asked) = mpsc::channel(1);
        let about = About {
            project: config.project.clone(),
            dir: config.dir.clone(),
            started: Instant::now(),
            config: current.clone(),
        };
        let page_url = page.as_ref().map(|(bound, _)| bound.url());
        let timeline = Timeline::start(supervisor.view(), pools.clone(), journal.clone());
        let control = Arc::new(Control {
            about,
            timeline,
            access: access.clone(),
            output: output.clone(),
            feed: Feed::default(),
            page: page.as_ref().map(|(bound, key)| Page {
                url: bound.url(),
                key: key.clone(),
            }),
            supervisor: supervisor.clone(),
            pools: pools.clone(),
            journal: journal.clone(),
            meter,
            terminals,
            shutdown: shutdown.clone(),
            reloads,
        });
        control.produce();
        let door = control::open(lock.folder().socket(), control.clone())
            .map_err(|error| machine("open its control socket", &error))?;
        let page_door = match page {
            None => None,
            Some((bound, key)) => Some(
                dashboard::open(bound, &config.dashboard, control, key)
                    .map_err(|error| machine("open its dashboard", &error))?,
            ),
        };
        let sticky_key = lock
            .cookie_key()
            .map_err(|error| machine("get random bytes", &error))?;
        let tails = output.clone();
        let lent = Lent {
            project: config.project.clone(),
            sticky_key: StickyKey::new(&sticky_key),
            last_lines: Some(LastLines::new(move |id, most| {
                let lines = tails.tail(id, most);
                lines.iter().map(|line| line.text.to_string()).collect()
            })),
        };
        let proxy = proxy::start(balancer, bound, pools.clone(), access.clone(), lent)?;
        let identity = instance::identity(&config.dir).unwrap_or_default();
        let instance = wire::Instance {
            version: wire::VERSION,
            id: id.clone(),
            project: config.project.clone(),
            dir: config.dir.display().to_string(),
            pid: std::process::id(),
            url,
            socket: lock.folder().socket().display().to_string(),
            started: jiff::Timestamp::now(),
            dashboard: page_url.clone(),
            setup: super::setup(&config, lock.folder()),
            device: identity.0,
            inode: identity.1,
        };
        lock.write(&instance)?;
        let source = sessions::Source {
            instance: id,
            view: supervisor.view(),
            guardian: on_guard,
        };
        let sessions = sessions::keep(lock.clone(), source, troubles_to);
        let order = Order {
            supervisor: supervisor.clone(),
            tasks,
            shutdown: shutdown.clone(),
        };
        order.prepare(&config.services).await;
        supervisor.start_all().await;
        let reloading = (
            asked,
            Reloading {
                request,
                pools,
                instance,
            },
        );
        Ok(Self {
            current,
            reloading: Some(reloading),
            order,
            shutdown,
            supervisor,
            loop_task,
            proxy,
            access,
            journal,
            output,
            lines: Some(lines),
            guardian,
            sessions,
            troubles,
            door,
            page_door,
            page: page_url,
            lock,
            background,
            raw_logs: false,
            ui,
        })
    }

    /// Shows what happens until somebody asks for the end, or the start comes to nothing; then ends everything.
    async fn until_ended(mut self, then: Option<Then>) -> Result<u8, Vec<Report>> {
        let (notes_to, notes) = mpsc::unbounded_channel();
        let said = Notes::new(notes_to, self.ui, self.journal.clone());
        let config = self.current.load_full();
        let mut screen = None;
        let (orders_to, orders) = mpsc::unbounded_channel();
        let lines = self.lines.take();
        if let Some(lines) = lines.filter(|_| !self.background && then.is_none()) {
            let feeds = ui::Feeds {
                view: self.supervisor.view(),
                changes: self.supervisor.changes(),
                access: self.access.clone(),
                output: lines,
                events: self.journal.subscribe(),
                orders: Some(orders_to),
                notes,
            };
            let display = ui::Serving::new(
                self.ui,
                ui::About {
                    raw_logs: self.raw_logs,
                    dashboard: page_link(
                        &config,
                        self.page.as_deref(),
                        self.lock.folder(),
                        &self.ui,
                    ),
                    ..ui::About::new(&config, Some(preflight::said(&config)))
                },
                feeds,
            )
            .spawn();
            screen = Some(display.map_err(|error| vec![machine("start its display", &error)])?);
        } else {
            // Notes go to the log of the background.
            drop(notes);
        }
        if let Ok(client) = Client::new(self.lock.folder().socket()) {
            let obeyer = keys::Obeyer {
                client,
                notes: said.clone(),
                shutdown: self.shutdown.clone(),
                lock: self.lock.clone(),
                url: keys::app_url(&config),
                dashboard: self.page.clone(),
                dir: config.dir.clone(),
            };
            tokio::spawn(obeyer.run(orders));
        }
        // Until the end, and beyond it: it goes when all who could say something have gone.
        let mut troubles = std::mem::replace(&mut self.troubles, mpsc::unbounded_channel().1);
        let told = said.clone();
        tokio::spawn(async move {
            while let Some(trouble) = troubles.recv().await {
                told.report(&trouble);
            }
        });
        let output = self.output.clone();
        tokio::spawn(given_up::tell(
            self.supervisor.clone(),
            said.clone(),
            move |backend| last_lines(&output, backend),
        ));
        let mut gaps = self.supervisor.gaps();
        let told = said.clone();
        tokio::spawn(async move {
            while let Ok(gap) = gaps.recv().await {
                told.slept(gap);
            }
        });
        let tools = saves::Tools {
            supervisor: self.supervisor.clone(),
            notes: said.clone(),
            last_words: {
                let output = self.output.clone();
                Arc::new(move |backend: &BackendView| last_words(&output, backend))
            },
        };
        let watches = Arc::new(tokio::sync::Mutex::new(Watches::default()));
        watches.lock().await.follow(&config, &tools).await;
        let reloader = self.reloading.take().map(|(asked, parts)| {
            let reloader = Reloader {
                current: self.current.clone(),
                request: parts.request,
                pools: parts.pools,
                workers: self.proxy.workers(),
                order: self.order.clone(),
                lock: self.lock.clone(),
                instance: parts.instance,
                watches: watches.clone(),
                tools: tools.clone(),
            };
            tokio::spawn(reloader.run(asked))
        });
        let (order, services) = (self.order.clone(), config.services.clone());
        let notes = said.clone();
        let mut ordered = tokio::spawn(async move { order.start(&services, &notes).await });
        let mut unordered = None;
        let not_started = async {
            match (&mut ordered).await {
                Ok(reports) if !reports.is_empty() => reports,
                // All is under way, or the end has begun.
                Ok(_) | Err(_) => {
                    unordered = Some(());
                    std::future::pending().await
                }
            }
        };
        if !self.background && then.is_none() {
            let (config, order) = (config.clone(), self.order.clone());
            let (supervisor, notes) = (self.supervisor.clone(), said.clone());
            tokio::spawn(async move {
                let (tasks, shutdown) = (&order.tasks, &order.shutdown);
                pitfalls::migrations(&config, supervisor, tasks, shutdown, notes).await;
            });
        }
        let reader_gone = async {
            match &mut screen {
                Some(screen) => screen.ended().await,
                None => std::future::pending().await,
            }
        };
        let mut code = None;
        let ui = self.ui;
        let command = async {
            match &then {
                Some(then) => self.run_then(then, ui).await,
                None => std::future::pending().await,
            }
        };
        let failed = tokio::select! {
            biased;
            // The command is told of the end by itself.
            done = command => match done {
                Ok(status) => {
                    code = Some(status);
                    Vec::new()
                }
                Err(reports) => reports,
            },
            _ = self.shutdown.reached(Level::Drain), if then.is_none() => Vec::new(),
            reports = not_started => reports,
            reports = self.watch_start(&said) => reports,
            _ = reader_gone => Vec::new(),
        };
        let view = self.supervisor.view().borrow().clone();
        let was_ready = view.backends.iter().any(|backend| backend.was_ready);
        drop(view);
        self.shutdown.ask(Reason::Asked);
        if let Some(reloader) = reloader {
            reloader.abort();
        }
        watches.lock().await.end();
        if unordered.is_none() && !ordered.is_finished() {
            // What runs before a service is told to end by now.
            tokio::select! {
                _ = &mut ordered => {}
                _ = self.shutdown.reached(Level::Exit) => {}
            }
        }
        let (level, reason) = self.end(&said).await;
        said.over();
        if let Some(screen) = screen {
            screen.close(LAST_WORDS).await;
        }
        if let Some(code) = code.filter(|_| reason == Some(Reason::Asked)) {
            Ok(code)
        } else if failed.is_empty() {
            Ok(exit_code(level, reason, was_ready && then.is_none()))
        } else {
            Err(failed)
        }
    }
}

/// How a banner shows the dashboard. Its token goes to a terminal only.
pub(super) fn page_link(
    config: &Config,
    url: Option<&str>,
    folder: &Folder,
    ui: &Ui,
) -> Option<ui::PageLink> {
    Some(ui::PageLink {
        url: url?.to_owned(),
        token: folder.dashboard_token().filter(|_| ui.err_terminal),
        wide: config.dashboard.is_wide(),
    })
}

fn machine(what: &str, error: &dyn std::error::Error) -> Report {
    Report::failed("LB008", format!("lbdev cannot {what}: {error}"))
}
