//! From what was said about a service to its backends, every default filled in.

use std::path::{Path, PathBuf};

use super::defaults::FIRST_PORT;
use super::draft::{CommandDraft, PortsDraft, ServiceDraft};
use super::env_file;
use super::environment::{RESERVED, Recipe};
use super::more::More;
use super::problem::{At, Fault, Problem, Where};
use super::python::Python;
use super::surroundings::Surroundings;
use super::value::{self, loopback};
use super::words::{Line, Piece, SplitError, split};
use super::{BackendSpec, Command, Route, Service, ports};
use crate::backend::{BackendId, Kind, Ready, Slot};

/// What all services share.
pub(super) struct Kitchen<'a> {
    pub dir: &'a Path,
    pub python: Option<&'a Python>,
    /// PATH for every command, where it differs from lbdev's own.
    pub path: Option<&'a str>,
    pub around: &'a Surroundings<'a>,
    /// Ports that are not to be chosen.
    pub avoid: &'a [u16],
}

/// A service as it is being made.
pub(super) struct Maker<'a> {
    kitchen: &'a Kitchen<'a>,
    pub(super) draft: &'a ServiceDraft,
    pub(super) faults: &'a mut Vec<Fault>,
    notes: &'a mut Vec<String>,
}

/// Makes a service; its faults and notes go to the lists. What is faulty is left out of it.
pub(super) fn make(
    kitchen: &Kitchen<'_>,
    draft: &ServiceDraft,
    faults: &mut Vec<Fault>,
    notes: &mut Vec<String>,
) -> Service {
    let mut maker = Maker {
        kitchen,
        draft,
        faults,
        notes,
    };
    let mut backends = match &draft.external {
        Some(servers) => maker.external(servers),
        None if draft.is_unread("external") => Vec::new(),
        None => maker.managed(),
    };
    maker.weights(&mut backends);
    let balanced = draft.external.is_some() || draft.is_unread("external") || has_ports(draft);
    maker.check_ready(balanced);
    Service {
        name: draft.name.value.clone(),
        routes: maker.routes(balanced),
        more: draft.external.is_none().then(|| More::new(kitchen, draft)),
        backends,
        watch: maker.watching(),
        before: maker.tasks(draft.before.as_ref(), "before", Slot::Before),
        after: maker.tasks(draft.after.as_ref(), "after", Slot::After),
        needs: maker.needs(),
    }
}

/// One more backend of a service that was made before.
pub(super) fn further(
    kitchen: &Kitchen<'_>,
    draft: &ServiceDraft,
    slot: (u32, Slot),
    faults: &mut Vec<Fault>,
) -> Option<BackendSpec> {
    let mut maker = Maker {
        kitchen,
        draft,
        faults,
        notes: &mut Vec::new(),
    };
    let mut made = maker.backends(std::iter::once(slot)).pop();
    if let Some(backend) = &mut made {
        maker.own_words_of(backend);
    }
    made
}

/// Whether its backends are to have ports, readable or not.
fn has_ports(draft: &ServiceDraft) -> bool {
    draft.ports.is_some() || draft.is_unread("ports")
}

impl Maker<'_> {
    pub(super) fn name(&self) -> String {
        self.draft.name.value.clone()
    }

    pub(super) fn fault(&mut self, at: &Where, problem: Problem) {
        self.faults.push(Fault {
            at: at.clone(),
            problem,
        });
    }

    fn external(&mut self, servers: &At<Vec<At<value::Server>>>) -> Vec<BackendSpec> {
        let draft = self.draft;
        let managed_only = [
            ("command", draft.command.as_ref().map(|x| &x.at)),
            ("ports", draft.ports.as_ref().map(|x| &x.at)),
            ("replicas", draft.replicas.as_ref().map(|x| &x.at)),
            ("env", draft.env.first().map(|(name, _)| &name.at)),
            ("env_file", draft.env_file.as_ref().map(|x| &x.at)),
            ("cwd", draft.cwd.as_ref().map(|x| &x.at)),
            ("restart", draft.restart.as_ref().map(|x| &x.at)),
            ("stop", draft.stop.as_ref().map(|x| &x.at)),
            ("pty", draft.pty.as_ref().map(|x| &x.at)),
            ("ready", draft.ready.as_ref().map(|x| &x.at)),
            ("watch", draft.watch.as_ref().map(|x| &x.at)),
            ("watch_mode", draft.watch_mode.as_ref().map(|x| &x.at)),
            ("before", draft.before.as_ref().map(|x| &x.at)),
            ("after", draft.after.as_ref().map(|x| &x.at)),
            ("needs", draft.needs.as_ref().map(|x| &x.at)),
        ];
        for (key, at) in managed_only {
            if let Some(at) = at {
                let service = self.name();
                self.fault(at, Problem::OnlyManaged { service, key });
            }
        }
        if servers.value.is_empty() {
            let service = self.name();
            self.fault(&servers.at, Problem::NoServers { service });
        }
        let mut backends: Vec<BackendSpec> = Vec::new();
        for (index, server) in (1..).zip(&servers.value) {
            let id = BackendId::new(self.name(), Slot::Port(server.value.port));
            if backends.iter().any(|known| known.id == id) {
                let problem = Problem::SameServer {
                    service: self.name(),
                    port: server.value.port,
                };
                self.fault(&server.at, problem);
                continue;
            }
            let addresses = server.value.addresses.clone();
            let spec = self.spec(id, index, Kind::External, addresses);
            backends.push(spec);
        }
        backends
    }

    fn managed(&mut self) -> Vec<BackendSpec> {
        let slots = self.slots();
        // Without ports that could be read, a stand-in still shows what else is wrong.
        let stand_in = slots.is_empty();
        let slots = match stand_in {
            true => vec![Slot::Port(FIRST_PORT)],
            false => slots,
        };
        let mut backends = self.backends((1..).zip(slots));
        if stand_in {
            backends.clear();
        }
        backends
    }

    fn backends(&mut self, slots: impl Iterator<Item = (u32, Slot)>) -> Vec<BackendSpec> {
        if !has_ports(self.draft) {
            self.only_balanced();
        }
        let line = self.line();
        let env_file = self.env_file();
        self.check_names();
        let mut backends = Vec::new();
        for (index, slot) in slots {
            let id = BackendId::new(self.name(), slot);
            let addresses = id.port().map(loopback).unwrap_or_default();
            let mut spec = self.spec(id.clone(), index, Kind::Managed, addresses);
            if let (Some(line), Some(command)) = (&line, &self.draft.command) {
                match (self.recipe(line, &command.at, &env_file)).cook(&id, index) {
                    Ok(cooked) => {
                        let awaits = match &spec.ready {
                            Ready::Log(text) => Some(text.clone()),
                            Ready::Http | Ready::Tcp | Ready::Exit => None,
                        };
                        let command = cooked.command;
                        spec.command = Some(Command { awaits, ..command });
                        self.note_unset(&cooked.unset);
                    }
                    Err(faults) => self.faults.extend(faults),
                }
            }
            backends.push(spec);
        }
        backends
    }

    /// What is about requests says nothing about a service that gets none.
    fn only_balanced(&mut self) {
        let draft = self.draft;
        let keys = [
            ("health", draft.health.as_ref().map(|x| &x.at)),
            ("slow_start", draft.slow_start.as_ref().map(|x| &x.at)),
            (
                "max_connections",
                draft.max_connections.as_ref().map(|x| &x.at),
            ),
        ];
        for (key, at) in keys {
            if let Some(at) = at {
                let service = self.name();
                self.fault(at, Problem::OnlyBalanced { service, key });
            }
        }
    }

    pub(super) fn note_unset(&mut self, unset: &[String]) {
        for variable in unset {
            let note = format!(
                "`${variable}` in the command of `{}` is not set, and taken as empty",
                self.draft.name.value
            );
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// What tells the backends apart, in order.
    fn slots(&mut self) -> Vec<Slot> {
        let wanted = self.draft.replicas.as_ref();
        let count = wanted.and_then(|count| usize::try_from(count.value).ok());
        if self.draft.is_unread("ports") {
            return Vec::new();
        }
        let Some(declared) = &self.draft.ports else {
            let count = u32::try_from(count.unwrap_or(1)).unwrap_or(u32::MAX);
            return (1..=count).map(Slot::Number).collect();
        };
        let ports = match &declared.value {
            PortsDraft::List(list) => ports::first(list, count.unwrap_or(list.len())),
            PortsDraft::Auto => {
                let count = count.unwrap_or(1);
                ports::free(count, self.kitchen.avoid).ok_or(Problem::NoFreePorts { count })
            }
        };
        match ports {
            Ok(ports) => ports.into_iter().map(Slot::Port).collect(),
            Err(problem) => {
                let at = wanted.map_or(&declared.at, |count| &count.at);
                self.fault(at, problem);
                Vec::new()
            }
        }
    }

    /// The command, split once for all backends.
    fn line(&mut self) -> Option<Line> {
        let service = self.name();
        if self.draft.is_unread("command") {
            return None;
        }
        let Some(command) = &self.draft.command else {
            self.fault(&self.draft.name.at, Problem::NoCommand { service });
            return None;
        };
        let line = match &command.value {
            CommandDraft::Line(text) => split(text),
            CommandDraft::Words(words) if words.iter().any(|word| word.contains('\0')) => {
                Err(SplitError::Nul)
            }
            CommandDraft::Words(words) => Ok(Line::Words {
                assigns: Vec::new(),
                words: words
                    .iter()
                    .map(|word| vec![Piece::Text(word.clone())])
                    .collect(),
            }),
        };
        let line = match line {
            Ok(line) => line,
            Err(source) => {
                self.fault(&command.at, Problem::Split { service, source });
                return None;
            }
        };
        let text = match &command.value {
            CommandDraft::Line(text) => text.clone(),
            CommandDraft::Words(words) => words.join(" "),
        };
        if text.trim().is_empty() {
            self.fault(&command.at, Problem::EmptyCommand { service });
            return None;
        }
        let says_port = |text: &str| {
            ["{port}", "$PORT", "${PORT", "$LBDEV_PORT", "${LBDEV_PORT"]
                .iter()
                .any(|way| text.contains(way))
        };
        let anywhere = says_port(&text)
            || self
                .draft
                .env
                .iter()
                .any(|(_, value)| says_port(&value.value))
            || self
                .draft
                .cwd
                .as_ref()
                .is_some_and(|cwd| says_port(&cwd.value));
        if self.draft.ports.is_some() && !anywhere {
            self.notes.push(format!(
                "`{{port}}` is not in the command of `{service}`: it has to read its port from `PORT`"
            ));
        }
        Some(line)
    }

    /// What a command of the service is made of.
    pub(super) fn recipe<'b>(
        &'b self,
        line: &'b Line,
        said: &'b Where,
        env_file: &'b [(String, String)],
    ) -> Recipe<'b> {
        Recipe {
            service: &self.draft.name.value,
            line,
            python: self.kitchen.python.and_then(|python| python.path.to_str()),
            lbdev: self.kitchen.around.lbdev.to_str().unwrap_or("lbdev"),
            path: self.kitchen.path,
            env: &self.draft.env,
            env_file,
            cwd: self.draft.cwd.as_ref(),
            pty: self.draft.pty.as_ref().is_some_and(|pty| pty.value),
            command: said,
            key: "command",
            dir: self.kitchen.dir,
            inherited: self.kitchen.around.var,
        }
    }

    /// The folder of the service, where it can be told without a backend.
    pub(super) fn folder(&self) -> PathBuf {
        match &self.draft.cwd {
            Some(cwd) if !cwd.value.contains('{') => {
                self.kitchen.dir.join(&cwd.value).components().collect()
            }
            Some(_) | None => self.kitchen.dir.to_owned(),
        }
    }

    pub(super) fn env_file(&mut self) -> Vec<(String, String)> {
        let Some(file) = &self.draft.env_file else {
            return Vec::new();
        };
        let (service, name) = (self.name(), file.value.clone());
        let text = match std::fs::read(self.kitchen.dir.join(&name)).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                let (file_name, why) = (name, "is not UTF-8 text".to_owned());
                let problem = Problem::EnvFile {
                    service,
                    file: file_name,
                    why,
                };
                self.fault(&file.at, problem);
                return Vec::new();
            }
            Err(error) => {
                let why = super::resolve::cannot_read(&error);
                let problem = Problem::EnvFile {
                    service,
                    file: name,
                    why,
                };
                self.fault(&file.at, problem);
                return Vec::new();
            }
        };
        let (mut variables, errors) = env_file::parse(&text);
        for (line, source) in errors {
            let problem = Problem::EnvFileLine {
                service: service.clone(),
                file: name.clone(),
                line,
                source,
            };
            self.fault(&file.at, problem);
        }
        // One PORT for all backends, written for a single server, would have them all on one port.
        let ours = |known: &str| known == "PORT" || RESERVED.contains(&known);
        for (known, _) in variables.iter().filter(|(known, _)| ours(known)) {
            if known != "PORT" || self.draft.ports.is_some() {
                self.notes.push(format!(
                    "`{known}` in `{name}` is left out: lbdev sets it for each backend"
                ));
            }
        }
        let balanced = self.draft.ports.is_some();
        variables.retain(|(known, _)| !ours(known) || (known == "PORT" && !balanced));
        variables
    }

    fn check_names(&mut self) {
        for (name, value) in &self.draft.env {
            let reserved = RESERVED.contains(&name.value.as_str());
            let (at, problem) = if reserved {
                let name_text = name.value.clone();
                (&name.at, Problem::Reserved { name: name_text })
            } else if !env_file::is_name(&name.value) {
                let name_text = name.value.clone();
                (&name.at, Problem::VariableName { name: name_text })
            } else if value.value.contains('\0') {
                (&value.at, Problem::Nul)
            } else {
                continue;
            };
            self.fault(at, problem);
        }
    }

    fn routes(&mut self, balanced: bool) -> Vec<Route> {
        let Some(routes) = &self.draft.routes else {
            return match balanced && !self.draft.is_unread("routes") {
                true => vec![Route::Prefix("/".to_owned())],
                false => Vec::new(),
            };
        };
        let service = self.name();
        if !balanced {
            let key = "routes";
            self.fault(&routes.at, Problem::OnlyBalanced { service, key });
            return Vec::new();
        }
        if routes.value.is_empty() {
            self.fault(&routes.at, Problem::NoRoutes { service });
        }
        routes
            .value
            .iter()
            .map(|route| route.value.clone())
            .collect()
    }
}

/// A number that was said, or the default.
pub(super) fn number(said: Option<&At<u64>>, default: u32) -> u32 {
    said.and_then(|said| u32::try_from(said.value).ok())
        .unwrap_or(default)
}
