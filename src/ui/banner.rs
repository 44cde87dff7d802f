//! The first and the last lines of a start: what is started, where it answers, what to try.

use super::Paint;
use super::units::plural;
use crate::backend::Kind;
use crate::config::{Config, Engine};

/// What is said of a set-up before and after it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The project's name.
    pub project: String,
    /// What the set-up was taken from: `Django (manage.py)`.
    pub origin: String,
    /// The balancer that runs in the place of lbdev's own.
    pub engine: Option<String>,
    /// The name of the algorithm, as `lbdev.toml` spells it.
    pub algorithm: String,
    /// How many backends lbdev launches.
    pub managed: usize,
    /// How many it only routes to.
    pub external: usize,
    /// How many services they belong to.
    pub services: usize,
    /// Where the balancer listens, as [`Listen::url`](crate::config::Listen::url) gives it.
    pub url: String,
    /// The dashboard, where there is one.
    pub dashboard: Option<PageLink>,
    /// Keys work: one of them opens it.
    pub keys: bool,
    /// What was checked before anything started: `ports 8000-8003, 8080 are free · .venv/bin/python`.
    pub preflight: Option<String>,
    /// Notes of the configuration.
    pub notes: Vec<String>,
    /// Its servers are built in: there is nothing to edit.
    pub demo: bool,
    /// A saved file restarts some of them.
    pub watched: bool,
    /// Lines of frameworks about requests are shown, although lbdev shows the requests.
    pub raw_logs: bool,
    /// A backend as a person types it, for the example of a kill.
    pub first: Option<String>,
}

/// How to get to the dashboard.
#[derive(Clone, PartialEq, Eq)]
pub struct PageLink {
    /// Where it is.
    pub url: String,
    /// What it asks for, where a terminal shows this: it becomes a part of the link, and is not seen.
    pub token: Option<String>,
    /// Other machines can reach it.
    pub wide: bool,
}

/// Not its token.
impl std::fmt::Debug for PageLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

impl PageLink {
    fn render(&self, paint: Paint) -> String {
        let shown = paint.link(&self.url);
        match &self.token {
            Some(token) => paint.leads_to(&shown, &format!("{}#{token}", self.url)),
            None => shown,
        }
    }
}

impl About {
    /// Of a resolved set-up. `preflight` is what was checked before anything started.
    pub fn new(config: &Config, preflight: Option<String>) -> Self {
        let all = || config.services.iter().flat_map(|service| &service.backends);
        let backends = || all().filter(|one| !one.id.is_engine());
        let managed = || backends().filter(|one| one.kind == Kind::Managed);
        let with_port = managed().find(|one| one.id.port().is_some());
        Self {
            project: config.project.clone(),
            origin: config.origin.clone(),
            engine: (config.balancer.engine.is_foreign())
                .then(|| config.balancer.engine.name().to_owned()),
            algorithm: match config.balancer.engine {
                Engine::Builtin => config.balancer.live.algorithm.name().to_owned(),
                engine => engine.name().to_owned(),
            },
            managed: managed().count(),
            services: config.services.len() - (all().count() - backends().count()),
            external: backends().count() - managed().count(),
            url: config.balancer.listen.url(),
            dashboard: None,
            keys: false,
            preflight,
            demo: config.project == "demo",
            notes: config.notes.clone(),
            raw_logs: false,
            watched: config.services.iter().any(|one| one.watch.is_some()),
            first: with_port.map(|one| one.id.short()),
        }
    }
}

/// The headline, the preflight and the notes.
pub fn opening(about: &About, paint: Paint) -> String {
    let mut kinds = Vec::new();
    if about.managed > 0 {
        let copies = match about.managed {
            1 => "1 backend (your server)".to_owned(),
            n if about.services > 1 => format!("{n} backends of {} services", about.services),
            n => format!("{n} backends (copies of your server)"),
        };
        kinds.push(copies);
    }
    if about.external > 0 {
        let servers = plural(about.external, "backend", "backends");
        kinds.push(format!("{servers} (not started by lbdev)"));
    }
    let mut text = format!(
        "  {} {}   {} · {} · {} · {}\n\n",
        paint.strong("lbdev"),
        env!("CARGO_PKG_VERSION"),
        paint.strong(&about.project),
        about.origin,
        kinds.join(" · "),
        about.algorithm.replace('_', " "),
    );
    for note in &about.notes {
        text.push_str(&format!("  {} {note}\n", paint.attention("!")));
    }
    if let Some(preflight) = &about.preflight {
        text.push_str(&format!("  {} {preflight}\n", paint.good("✓")));
    }
    text
}

/// Where it answers and what to try. The last line is stable: editors wait for it.
pub fn ready(about: &About, serving: usize, paint: Paint) -> String {
    let mut text = next(about, paint);
    let total = about.managed + about.external;
    text.push_str(&format!(
        "\nlbdev: ready {} ({serving}/{total})\n",
        about.url
    ));
    text
}

/// Where it answers, or will in a moment, and what to try.
pub(super) fn next(about: &About, paint: Paint) -> String {
    let arrow = paint.good("➜");
    let app = paint.link(&app_url(&about.url, &about.project));
    let mut text = format!("\n  {arrow} app        {app}\n");
    if let Some(page) = &about.dashboard {
        let link = page.render(paint);
        let how = match about.keys {
            true => "o opens it",
            false => "lbdev open",
        };
        text.push_str(&format!(
            "  {arrow} dashboard  {link}   {}\n",
            paint.dim(how)
        ));
        if page.wide {
            let warning = "  ! other machines can reach the dashboard: whoever has its token starts and ends processes here";
            text.push_str(&format!("{}\n", paint.bad(warning)));
        }
    }
    if let Some(first) = &about.first
        && about.managed > 1
    {
        text.push_str(&format!(
            "  {arrow} try        lbdev kill {first}   ·   lbdev {}   ·   lbdev lab failover{}\n",
            match &about.engine {
                None => "top",
                Some(_) => "load",
            },
            match &about.engine {
                None => String::new(),
                Some(engine) => format!(" --engine {engine}"),
            }
        ));
    }
    if about.managed > 0 && !about.demo {
        let how = match about.watched {
            true => "save a file: its backends restart one by one",
            false => "lbdev restart all --rolling  takes up what you saved",
        };
        text.push_str(&format!("  {arrow} edit       {how}\n"));
    }
    text
}

/// What a browser is given: `http://mysite.localhost:8080/` where the name allows it. Cookies ignore ports, so two projects
/// on `localhost` would overwrite each other's session.
pub fn app_url(url: &str, project: &str) -> String {
    let named = url.strip_prefix("http://localhost").and_then(|rest| {
        let label = host_label(project)?;
        Some(format!("http://{label}.localhost{rest}/"))
    });
    named.unwrap_or_else(|| format!("{url}/"))
}

/// A project's name as a label of a host name (RFC 1123, section 2.1), if it is one.
fn host_label(project: &str) -> Option<String> {
    let label = project.to_ascii_lowercase();
    let fits = (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-');
    fits.then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            engine: None,
            project: "mysite".into(),
            origin: "Django (manage.py)".into(),
            algorithm: "round_robin".into(),
            managed: 4,
            external: 0,
            services: 1,
            demo: false,
            watched: false,
            raw_logs: false,
            url: "http://localhost:8080".into(),
            keys: false,
            dashboard: Some(PageLink {
                url: "http://127.0.0.1:8090/".into(),
                token: Some("secret".into()),
                wide: false,
            }),
            preflight: Some("ports 8000-8003, 8080 are free".into()),
            notes: vec!["`Procfile` is here too: `lbdev up --from procfile`".into()],
            first: Some("8000".into()),
        }
    }

    #[test]
    fn the_first_and_the_last_lines() {
        let paint = Paint::new(false);
        insta::assert_snapshot!(format!("{}{}", opening(&about(), paint), ready(&about(), 4, paint)), @r"
          lbdev 0.1.0   mysite · Django (manage.py) · 4 backends (copies of your server) · round robin

          ! `Procfile` is here too: `lbdev up --from procfile`
          ✓ ports 8000-8003, 8080 are free

          ➜ app        http://mysite.localhost:8080/
          ➜ dashboard  http://127.0.0.1:8090/   lbdev open
          ➜ try        lbdev kill 8000   ·   lbdev top   ·   lbdev lab failover
          ➜ edit       lbdev restart all --rolling  takes up what you saved

        lbdev: ready http://localhost:8080 (4/4)
        ");
        let external = About {
            dashboard: None,
            managed: 0,
            external: 2,
            notes: vec![],
            preflight: None,
            ..about()
        };
        insta::assert_snapshot!(format!("{}{}", opening(&external, paint), ready(&external, 1, paint)), @r"
          lbdev 0.1.0   mysite · Django (manage.py) · 2 backends (not started by lbdev) · round robin


          ➜ app        http://mysite.localhost:8080/

        lbdev: ready http://localhost:8080 (1/2)
        ");
    }

    #[test]
    fn the_address_a_browser_is_given() {
        let long = "x".repeat(64);
        for (url, project, expected) in [
            (
                "http://localhost:8080",
                "mysite",
                "http://mysite.localhost:8080/",
            ),
            ("http://localhost", "MySite", "http://mysite.localhost/"),
            ("http://localhost:8080", "my_site", "http://localhost:8080/"),
            ("http://localhost:8080", "-x", "http://localhost:8080/"),
            ("http://localhost:8080", "", "http://localhost:8080/"),
            ("http://localhost:8080", &long, "http://localhost:8080/"),
            ("http://127.0.0.1:80", "mysite", "http://127.0.0.1:80/"),
            ("http://[::1]:9000", "mysite", "http://[::1]:9000/"),
        ] {
            assert_eq!(app_url(url, project), expected);
        }
    }
}
