//! What surrounds a service's backends: what runs before and after them, what they need, which saved files restart them.

use super::problem::{At, Fault, Problem};
use super::service::Maker;
use super::words::{Line, split};
use super::{Need, Task, Watching};
use crate::backend::{BackendId, Ready, Slot};

impl Maker<'_> {
    /// Commands that run once; the faulty ones are left out.
    pub(super) fn tasks(
        &mut self,
        said: Option<&At<Vec<At<String>>>>,
        key: &str,
        slot: Slot,
    ) -> Vec<Task> {
        let Some(lines) = said else {
            return Vec::new();
        };
        // What is wrong with the file was told for the backends.
        let known = self.faults.len();
        let env_file = self.env_file();
        self.faults.truncate(known);
        // It is no backend, and has no port.
        let without_port = |(_, value): &&(At<String>, At<String>)| !value.value.contains("{port}");
        let env: Vec<_> = (self.draft.env.iter().filter(without_port))
            .cloned()
            .collect();
        let id = BackendId::new(self.name(), slot);
        let mut tasks = Vec::new();
        for said in &lines.value {
            let line = match self.task_line(said, key) {
                Ok(line) => line,
                Err(problem) => {
                    self.fault(&said.at, problem);
                    continue;
                }
            };
            let mut recipe = self.recipe(&line, &said.at, &env_file);
            recipe.key = key;
            recipe.pty = false;
            recipe.env = &env;
            match recipe.cook(&id, 0) {
                Ok(cooked) => {
                    self.note_unset(&cooked.unset);
                    tasks.push(Task {
                        line: said.value.clone(),
                        command: cooked.command,
                    });
                }
                Err(faults) => {
                    // The variables and the folder are those of the backends, and told for them.
                    let of_it = |fault: &Fault| fault.at == said.at;
                    self.faults.extend(faults.into_iter().filter(of_it));
                }
            }
        }
        tasks
    }

    fn task_line(&self, said: &At<String>, key: &str) -> Result<Line, Problem> {
        let (service, key) = (self.name(), key.to_owned());
        if said.value.trim().is_empty() {
            return Err(Problem::EmptyTask { service, key });
        }
        split(&said.value).map_err(|source| Problem::SplitTask {
            service,
            key,
            source,
        })
    }

    /// What the service needs; whether those services are there is seen when all are known.
    pub(super) fn needs(&self) -> Vec<Need> {
        let said = self.draft.needs.iter().flat_map(|needs| &needs.value);
        said.map(|need| need.value.clone()).collect()
    }

    /// Which saved files restart its backends.
    pub(super) fn watching(&mut self) -> Option<Watching> {
        let patterns = self.draft.watch.as_ref().map(|watch| &watch.value);
        let patterns: Vec<String> = (patterns.into_iter().flatten())
            .map(|pattern| pattern.value.clone())
            .collect();
        if patterns.is_empty() {
            if let Some(mode) = &self.draft.watch_mode
                && !self.draft.is_unread("watch")
                && self.draft.watch.is_none()
            {
                let service = self.name();
                self.fault(&mode.at, Problem::NeedsWatch { service });
            }
            return None;
        }
        Some(Watching {
            patterns,
            dir: self.folder(),
            mode: (self.draft.watch_mode.as_ref())
                .map(|mode| mode.value)
                .unwrap_or_default(),
        })
    }

    /// A way to be ready that the service cannot show.
    pub(super) fn check_ready(&mut self, balanced: bool) {
        let Some(ready) = &self.draft.ready else {
            return;
        };
        let service = self.name();
        let problem = match (&ready.value, balanced) {
            (Ready::Http | Ready::Tcp, false) => Problem::ReadyNeedsPort { service },
            (Ready::Exit, true) => Problem::ReadyExit { service },
            (Ready::Http | Ready::Tcp, true) | (Ready::Exit, false) | (Ready::Log(_), _) => return,
        };
        self.fault(&ready.at, problem);
    }
}
