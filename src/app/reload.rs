//! Another set-up for an instance that runs: everything that can be wrong is found out first, then it is taken over whole.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::order::{Order, comes_first};
use super::preflight;
use super::saves::{self, Tools, Watches};
use crate::backend::{BackendId, Kind};
use crate::config::{self, Config, Live, Request, WatchMode};
use crate::control::Reload;
use crate::error::Report;
use crate::instance::{self, Lock};
use crate::pool::Pools;
use crate::proxy::{self, Bound, Workers};
use crate::supervisor::{Adopted, Rolled, Wanted, roll_some};
use crate::wire;

/// Changes the set-up of an instance.
pub(super) struct Reloader {
    /// What holds.
    pub(super) current: Arc<ArcSwap<Config>>,
    /// What it was made from.
    pub(super) request: Request,
    pub(super) pools: Arc<Pools>,
    pub(super) workers: Workers,
    pub(super) order: Order,
    pub(super) lock: Arc<Lock>,
    pub(super) instance: wire::Instance,
    pub(super) watches: Arc<Mutex<Watches>>,
    pub(super) tools: Tools,
}

impl Reloader {
    /// Does what is asked, one after the other, until nobody can ask any more.
    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<Reload>) {
        // What goes on after an answer: aborted with this task.
        let mut aftermath = JoinSet::new();
        let mut rolls: HashMap<String, AbortHandle> = HashMap::new();
        loop {
            let Reload { request, reply } = tokio::select! {
                next = asked.recv() => match next {
                    Some(next) => next,
                    None => return,
                },
                Some(_) = aftermath.join_next() => continue,
            };
            let before = self.current.load_full();
            let done = self.reload(request, &before).await;
            let answer = done.map(|(adopted, reloaded)| {
                self.follow_up(&adopted, &before, &mut aftermath, &mut rolls);
                reloaded
            });
            // Who asked may have left.
            let _ = reply.send(answer);
        }
    }

    async fn reload(
        &mut self,
        request: Option<Request>,
        before: &Config,
    ) -> Result<(Adopted, wire::Reloaded), Vec<Report>> {
        let request = request.unwrap_or_else(|| self.request.clone());
        let asked = request.clone();
        let resolved = tokio::task::spawn_blocking(move || config::resolve(&asked));
        let resolved = resolved
            .await
            .map_err(|_| vec![Report::failed("LB008", "the set-up could not be read")])?;
        let mut config = resolved?;
        if same_folder(&config) != same_folder(before) {
            let message = format!(
                "lbdev runs here for {}, not for {}",
                before.dir.display(),
                config.dir.display()
            );
            return Err(vec![
                Report::failed("LB003", message).hint("run `lbdev down`, then `lbdev up` again"),
            ]);
        }
        if config.balancer.engine != before.balancer.engine {
            let message = format!(
                "`{}` balances here, and `{}` would in the new set-up",
                before.balancer.engine.name(),
                config.balancer.engine.name()
            );
            return Err(vec![
                Report::failed("LB003", message).hint("run `lbdev down`, then `lbdev up` again"),
            ]);
        }
        let moved = config.balancer.listen != before.balancer.listen;
        let bound = (self.check(&config, before, moved)).map_err(|report| vec![report])?;

        // From here on nothing is refused.
        let mut reloaded = wire::Reloaded {
            version: wire::VERSION,
            balancer: config.balancer != before.balancer,
            moved: moved.then(|| config.balancer.listen.url()),
            notes: later(before, &config),
            ..wire::Reloaded::default()
        };
        reloaded.notes.extend(config.notes.iter().cloned());
        if let Some(bound) = &bound {
            reloaded.notes.extend(bound.notes().iter().cloned());
        }
        config.balancer.workers = before.balancer.workers;
        self.pools.set_services(super::serve::routes(&config));
        let adopted = self.tools.supervisor.adopt(wanted(&config)).await;
        let adopted = match adopted {
            Ok(adopted) => adopted,
            Err(refused) => {
                self.pools.set_services(super::serve::routes(before));
                return Err(vec![
                    Report::failed("LB031", refused.to_string())
                        .hint("run `lbdev down`, then `lbdev up`"),
                ]);
            }
        };
        let live = over(
            &self.pools.live(),
            &before.balancer.live,
            &config.balancer.live,
        );
        // It is ending: then nothing matters any more.
        let _ = self.tools.supervisor.replace_live(live).await;
        self.workers.change(&config.balancer, bound);
        self.instance.url = config.balancer.listen.url();
        self.instance.setup = super::setup(&config, self.lock.folder());
        if let Err(error) = self.lock.write(&self.instance) {
            self.tools.notes.report(&error.into());
        }
        self.watches.lock().await.follow(&config, &self.tools).await;
        let texts = |ids: &[BackendId]| ids.iter().map(BackendId::to_string).collect();
        reloaded.added = texts(&adopted.added);
        reloaded.dropped = texts(&adopted.dropped);
        reloaded.outdated = texts(&adopted.outdated);
        reloaded.retuned = texts(&adopted.retuned);
        self.request = request;
        self.current.store(Arc::new(config));
        Ok((adopted, reloaded))
    }

    /// The ports that are new, and the sockets of another address.
    fn check(
        &self,
        config: &Config,
        before: &Config,
        moved: bool,
    ) -> Result<Option<Bound>, Report> {
        let view = self.tools.supervisor.view().borrow().clone();
        let mut new = Vec::new();
        let backends = config.services.iter().flat_map(|service| &service.backends);
        for spec in backends.filter(|spec| spec.kind == Kind::Managed) {
            let Some(port) = spec.id.port() else { continue };
            let ours = view
                .backends
                .iter()
                .find(|one| one.spec.id.port() == Some(port));
            match ours {
                None => new.push(port),
                Some(ours) if ours.spec.id == spec.id => {}
                Some(ours) => {
                    let message = format!(
                        "port {port} is still the one of `{}`, and is to be the one of `{}`",
                        ours.spec.id, spec.id
                    );
                    return Err(Report::failed("LB001", message)
                        .hint("give it another one, or run `lbdev down`, then `lbdev up`"));
                }
            }
        }
        preflight::free(&new)?;
        if !moved {
            return Ok(None);
        }
        // Somebody else may have it, or lbdev itself, on another host.
        let same_port = config.balancer.listen.port == before.balancer.listen.port;
        match proxy::bind(&config.balancer.listen, self.workers.count()) {
            Ok(bound) => Ok(Some(bound)),
            Err(proxy::BindError::InUse { address }) if same_port => {
                let message = format!(
                    "{address} cannot be added while lbdev listens on port {} already",
                    address.port()
                );
                Err(Report::failed("LB001", message)
                    .hint("choose another port, or run `lbdev down`, then `lbdev up`"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Starts what waits, and restarts what runs by an old command.
    fn follow_up(
        &self,
        adopted: &Adopted,
        before: &Config,
        aftermath: &mut JoinSet<()>,
        rolls: &mut HashMap<String, AbortHandle>,
    ) {
        let config = self.current.load_full();
        let was_there = |name: &str| before.services.iter().any(|service| service.name == name);
        let new: Vec<_> = (config.services.iter())
            .filter(|service| !was_there(&service.name))
            .cloned()
            .collect();
        if !new.is_empty() {
            let (order, notes) = (self.order.clone(), self.tools.notes.clone());
            aftermath.spawn(async move {
                for report in order.start(&new, &notes).await {
                    notes.report(&report);
                }
            });
        }
        for service in &config.services {
            let name = service.name.clone();
            let of_it = |id: &&BackendId| id.service() == name;
            let outdated: Vec<BackendId> = adopted.outdated.iter().filter(of_it).cloned().collect();
            if outdated.is_empty() {
                continue;
            }
            if let Some(older) = rolls.remove(&name) {
                older.abort();
            }
            let tools = self.tools.clone();
            let key = name.clone();
            let roll = aftermath.spawn(async move { restart(&tools, &name, &outdated).await });
            rolls.insert(key, roll);
        }
    }
}

/// Restarts those whose command is another, one after the other.
async fn restart(tools: &Tools, service: &str, outdated: &[BackendId]) {
    let Ok(first) = tools.supervisor.mark().await else {
        return;
    };
    let among = |id: &BackendId| outdated.contains(id);
    let rolled = roll_some(&tools.supervisor, service, WatchMode::Mixed, first, among).await;
    match rolled {
        Rolled::All { .. } | Rolled::Stopping => {}
        Rolled::Failed { failed, kept } => {
            let what = "the new set-up";
            for report in saves::not_started(what, service, &failed, &kept, &*tools.last_words) {
                tools.notes.report(&report);
            }
        }
    }
}

/// What the supervisor has to know of a set-up.
pub(super) fn wanted(config: &Config) -> Wanted {
    let services = || config.services.iter();
    let more = services().filter_map(|service| Some((service.name.clone(), service.more.clone()?)));
    let first = |service: &config::Service| Some((service.name.clone(), comes_first(service)?));
    Wanted {
        backends: services()
            .flat_map(|service| service.backends.clone())
            .collect(),
        more: more.collect(),
        waiting: services().filter_map(first).collect(),
        listen: config.balancer.listen.port,
        host: config
            .balancer
            .listen
            .url()
            .trim_start_matches("http://")
            .to_owned(),
        drain: config.balancer.timeouts.drain,
    }
}

/// The demo belongs to no folder.
fn same_folder(config: &Config) -> Option<(u64, u64)> {
    match config.project == "demo" {
        true => None,
        false => Some(instance::identity(&config.dir).unwrap_or_default()),
    }
}

/// What the file says by now, over what holds: what `lbdev set` changed and the file does not, stays.
fn over(now: &Live, old: &Live, new: &Live) -> Live {
    let mut live = now.clone();
    fn take<T: Clone + PartialEq>(setting: &mut T, old: &T, new: &T) {
        if old != new {
            setting.clone_from(new);
        }
    }
    take(&mut live.algorithm, &old.algorithm, &new.algorithm);
    take(&mut live.hash_key, &old.hash_key, &new.hash_key);
    take(&mut live.sequence, &old.sequence, &new.sequence);
    take(&mut live.sticky, &old.sticky, &new.sticky);
    take(&mut live.detect, &old.detect, &new.detect);
    take(&mut live.retries, &old.retries, &new.retries);
    // The hosts of routes are those of the file, always.
    let said = match old.allow_hosts.said() == new.allow_hosts.said() {
        true => now.allow_hosts.said(),
        false => new.allow_hosts.said(),
    };
    live.allow_hosts = new.allow_hosts.clone().with_said(said.to_vec());
    live
}

/// What holds only from the next start on, each as a note.
fn later(before: &Config, now: &Config) -> Vec<String> {
    let (old, new) = (&before.balancer, &now.balancer);
    let keys = [
        ("workers", old.workers != new.workers),
        ("passive", old.passive != new.passive),
        ("queue.max", old.queue_max != new.queue_max),
        ("retry.budget", old.retry.budget != new.retry.budget),
    ];
    let stays = |key: &str| format!("{key} stays as it is until `lbdev down` and `lbdev up`");
    let keys = keys.into_iter().filter(|(_, differs)| *differs);
    let mut notes: Vec<String> = keys
        .map(|(key, _)| stays(&format!("`{key}` of [balancer]")))
        .collect();
    if before.dashboard != now.dashboard {
        notes.push(stays("the dashboard"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Algorithm;
    use crate::config::Balancer;

    #[test]
    fn what_was_set_stays_unless_the_file_says_otherwise() {
        let file = Balancer::default().live;
        let now = Live {
            retries: 7,
            ..file.clone()
        };
        let changed = Live {
            algorithm: Algorithm::LeastConn,
            ..file.clone()
        };
        let live = over(&now, &file, &changed);
        assert_eq!((live.algorithm, live.retries), (Algorithm::LeastConn, 7));
        let reset = Live {
            retries: 1,
            ..file.clone()
        };
        assert_eq!(over(&now, &file, &reset).retries, 1);
    }
}
