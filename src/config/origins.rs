//! Where each value of a set-up comes from: a line of the file, an option, what was recognised, or a default.

use std::collections::BTreeMap;

use super::draft::{BalancerDraft, DashboardDraft, Draft, ServiceDraft};
use super::problem::{At, Source, Where};

/// By key (`balancer.listen`, `services.web.command`), where its value was said. What is not in it is a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, String>);

impl Origins {
    /// In words: `lbdev.toml:3`, `--listen`, `Django (manage.py)`, `default`.
    pub fn of(&self, key: &str) -> String {
        if let Some(origin) = self.0.get(key) {
            return origin.clone();
        }
        // A table of which some keys were said.
        let prefix = format!("{key}.");
        let parts = self
            .0
            .range(prefix.clone()..)
            .take_while(|(known, _)| known.starts_with(&prefix));
        let parts: Vec<String> = parts
            .map(|(known, origin)| format!("{}: {origin}", &known[prefix.len()..]))
            .collect();
        match parts.is_empty() {
            true => "default".to_owned(),
            false => format!("{}; else default", parts.join(", ")),
        }
    }

    /// All that was said.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, origin)| (key.as_str(), origin.as_str()))
    }

    /// Of all that the draft has. `recognised` is what values follow from that nobody said.
    pub(super) fn of_draft(draft: &Draft, source: Option<Source<'_>>, recognised: &str) -> Self {
        let mut all = Collector {
            source,
            recognised,
            origins: Self::default(),
        };
        all.balancer(&draft.balancer);
        let DashboardDraft {
            enabled,
            listen,
            hosts,
        } = &draft.dashboard;
        all.add("dashboard.enabled".to_owned(), enabled);
        all.add("dashboard.listen".to_owned(), listen);
        all.add("dashboard.hosts".to_owned(), hosts);
        for service in &draft.services {
            all.service(service);
        }
        all.origins
    }
}

struct Collector<'a> {
    source: Option<Source<'a>>,
    recognised: &'a str,
    origins: Origins,
}

impl Collector<'_> {
    fn add<T>(&mut self, key: String, said: &Option<At<T>>) {
        if let Some(said) = said {
            self.place(key, &said.at);
        }
    }

    fn place(&mut self, key: String, at: &Where) {
        let origin = match (at, self.source) {
            (Where::File(span), Some(source)) => {
                let before = &source.text.as_bytes()[..span.start.min(source.text.len())];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                format!("{}:{line}", source.name)
            }
            (Where::Option(option), _) => (*option).to_owned(),
            (Where::File(_) | Where::Nowhere, _) => self.recognised.to_owned(),
        };
        self.origins.0.insert(key, origin);
    }

    fn balancer(&mut self, said: &BalancerDraft) {
        // Each field by name, so that a new one is not forgotten.
        let BalancerDraft {
            listen,
            algorithm,
            hash_key,
            sequence,
            sticky,
            detect,
            retries,
            retry_body,
            retry_budget,
            retry_deadline,
            non_idempotent,
            retry_statuses,
            hold,
            passive_failures,
            passive_window,
            queue_max,
            queue_timeout,
            connect,
            client_head,
            backend_head,
            body,
            idle,
            drain,
            allow_hosts,
            trust_forwarded,
            workers,
            engine,
        } = said;
        let key = |name: &str| format!("balancer.{name}");
        self.add(key("listen"), listen);
        self.add(key("algorithm"), algorithm);
        self.add(key("hash_key"), hash_key);
        self.add(key("sequence"), sequence);
        self.add(key("sticky"), sticky);
        self.add(key("detect"), detect);
        self.add(key("retries"), retries);
        self.add(key("retry.body"), retry_body);
        self.add(key("retry.budget"), retry_budget);
        self.add(key("retry.deadline"), retry_deadline);
        self.add(key("retry.non_idempotent"), non_idempotent);
        self.add(key("retry.statuses"), retry_statuses);
        self.add(key("hold"), hold);
        self.add(key("passive.failures"), passive_failures);
        self.add(key("passive.window"), passive_window);
        self.add(key("queue.max"), queue_max);
        self.add(key("queue.timeout"), queue_timeout);
        self.add(key("timeouts.connect"), connect);
        self.add(key("timeouts.client_head"), client_head);
        self.add(key("timeouts.backend_head"), backend_head);
        self.add(key("timeouts.body"), body);
        self.add(key("timeouts.idle"), idle);
        self.add(key("timeouts.drain"), drain);
        self.add(key("allow_hosts"), allow_hosts);
        self.add(key("trust_forwarded"), trust_forwarded);
        self.add(key("workers"), workers);
        self.add(key("engine"), engine);
    }

    fn service(&mut self, said: &ServiceDraft) {
        let ServiceDraft {
            name,
            command,
            ports,
            replicas,
            env,
            env_file,
            cwd,
            routes,
            health,
            restart,
            stop,
            external,
            slow_start,
            max_connections,
            pty,
            ready,
            watch,
            watch_mode,
            before,
            after,
            needs,
            weights,
            unread: _,
        } = said;
        let key = |key: &str| format!("services.{}.{key}", name.value);
        self.add(key("command"), command);
        self.add(key("replicas"), replicas);
        self.add(key("ports"), ports);
        if let Some((first, _)) = env.first() {
            self.place(key("env"), &first.at);
        }
        self.add(key("env_file"), env_file);
        self.add(key("cwd"), cwd);
        self.add(key("routes"), routes);
        self.add(key("health"), health);
        self.add(key("restart"), restart);
        self.add(key("stop"), stop);
        self.add(key("external"), external);
        self.add(key("slow_start"), slow_start);
        self.add(key("max_connections"), max_connections);
        self.add(key("pty"), pty);
        self.add(key("ready"), ready);
        self.add(key("watch"), watch);
        self.add(key("watch_mode"), watch_mode);
        self.add(key("before"), before);
        self.add(key("after"), after);
        self.add(key("needs"), needs);
        for weight in weights {
            self.place(
                key(&format!("backends.{}", weight.port.value)),
                &weight.port.at,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Request, render_with_origins, resolve, resolve_with_origins};

    #[test]
    fn each_value_says_where_it_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lbdev.toml");
        let text = "[balancer]\nsticky = \"cookie\"\n\n[balancer.retry]\ndeadline = \"5s\"\n\n\
                    [services.web]\ncommand = \"./server {port}\"\nports = \"8000-8001\"\n\
                    backends.8001 = { weight = 3 }\n";
        std::fs::write(&file, text).unwrap();
        let request = Request {
            dir: dir.path().to_owned(),
            algorithm: Some("least_conn".into()),
            ..Request::default()
        };
        let (config, origins) = resolve_with_origins(&request).unwrap();
        for (key, expected) in [
            ("balancer.sticky", "lbdev.toml:2"),
            ("balancer.algorithm", "--algorithm"),
            ("balancer.listen", "default"),
            ("balancer.retry", "deadline: lbdev.toml:5; else default"),
            ("services.web.command", "lbdev.toml:8"),
            ("services.web.ports", "lbdev.toml:9"),
            ("services.web.routes", "default"),
            ("services.web.backends.8001", "lbdev.toml:10"),
        ] {
            assert_eq!(origins.of(key), expected, "{key}");
        }
        // With its comments it is still the same set-up.
        let shown = render_with_origins(&config, &origins);
        assert!(
            shown.contains("sticky = \"cookie\"  # lbdev.toml:2\n"),
            "{shown}"
        );
        std::fs::write(&file, &shown).unwrap();
        let again = resolve(&Request {
            dir: dir.path().to_owned(),
            ..Request::default()
        });
        let again = again.unwrap();
        assert_eq!(again.balancer, config.balancer);
        assert_eq!(again.services, config.services);
    }

    #[test]
    fn what_is_recognised_says_so() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("index.html"), "here").unwrap();
        let (config, origins) = resolve_with_origins(&Request {
            dir: dir.path().to_owned(),
            ..Request::default()
        })
        .unwrap();
        assert_eq!(origins.of("services.web.command"), config.origin);
    }
}
