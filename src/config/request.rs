//! What a person asked for on the command line, before any default: the input of [`super::resolve`].

use std::path::{Path, PathBuf};

use crate::wire::UpRequest;

/// The flags of `up` that shape the set-up, as plain values. `None` or empty is "not said".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The folder to look in (`-C`, else the current one), absolute.
    pub dir: PathBuf,
    /// `-f FILE`: this file instead of `lbdev.toml`.
    pub file: Option<PathBuf>,
    /// `lbdev demo`.
    pub demo: bool,
    /// `-c CMD`.
    pub command: Option<String>,
    /// `--from procfile|django|…`.
    pub from: Option<String>,
    /// `-n N`.
    pub replicas: Option<u32>,
    /// `--ports 8000-8003`, `8000`, `auto`.
    pub ports: Option<String>,
    /// `--listen ADDRESS`.
    pub listen: Option<String>,
    /// `--external 8000-8003,[::1]:7001`.
    pub external: Option<String>,
    /// `--algorithm NAME`.
    pub algorithm: Option<String>,
    /// `--sticky MODE`.
    pub sticky: Option<String>,
    /// `--detect MODE`.
    pub detect: Option<String>,
    /// `--engine NAME`.
    pub engine: Option<String>,
    /// `--workers N`.
    pub workers: Option<usize>,
    /// `--no-watch`: saved files restart nothing.
    pub no_watch: bool,
    /// `--no-dashboard`.
    pub no_dashboard: bool,
    /// `--dashboard-listen ADDRESS`.
    pub dashboard_listen: Option<String>,
    /// `--dashboard-host NAME[:PORT]`, as often as wanted.
    pub dashboard_hosts: Vec<String>,
    /// Only these services, and what they need.
    pub services: Vec<String>,
}

impl Request {
    /// The project's folder: the one asked for, or the one that holds the file of `-f`, as compose does it.
    pub fn project_dir(&self) -> PathBuf {
        let file = self.file.as_ref().map(|file| self.dir.join(file));
        let dir = file.as_deref().and_then(Path::parent).unwrap_or(&self.dir);
        let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        // `a/./b` is `a/b`; `..` stays, as a link may stand before it.
        absolute.components().collect()
    }
}

impl From<Request> for UpRequest {
    fn from(request: Request) -> Self {
        Self {
            dir: request.dir,
            file: request.file,
            demo: request.demo,
            command: request.command,
            from: request.from,
            replicas: request.replicas,
            ports: request.ports,
            listen: request.listen,
            external: request.external,
            algorithm: request.algorithm,
            sticky: request.sticky,
            detect: request.detect,
            engine: request.engine,
            workers: request.workers,
            no_watch: request.no_watch,
            no_dashboard: request.no_dashboard,
            dashboard_listen: request.dashboard_listen,
            dashboard_hosts: request.dashboard_hosts,
            services: request.services,
        }
    }
}

impl From<UpRequest> for Request {
    fn from(request: UpRequest) -> Self {
        Self {
            dir: request.dir,
            file: request.file,
            demo: request.demo,
            command: request.command,
            from: request.from,
            replicas: request.replicas,
            ports: request.ports,
            listen: request.listen,
            external: request.external,
            algorithm: request.algorithm,
            sticky: request.sticky,
            detect: request.detect,
            engine: request.engine,
            workers: request.workers,
            no_watch: request.no_watch,
            no_dashboard: request.no_dashboard,
            dashboard_listen: request.dashboard_listen,
            dashboard_hosts: request.dashboard_hosts,
            services: request.services,
        }
    }
}
