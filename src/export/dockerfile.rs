//! A Dockerfile by framework.

use serde::Serialize;

use super::container::{Container, containers};
use super::fill::fill;
use super::loss::Losses;
use super::model::Model;
use super::quote::Format;
use super::{ExportError, Target};
use crate::config::Config;
use crate::recognise;

const TEMPLATE: &str = include_str!("../../templates/export/Dockerfile");

#[derive(Serialize)]
struct Dockerfile {
    #[serde(flatten)]
    model: Model,
    /// `python`, `node`, `rails`, `php`, `java`, `go`, `rust`, `tomcat`, `static`, `other`.
    kind: &'static str,
    /// What its dependencies are read from.
    manifest: String,
    /// A build step of the project's own.
    build: Vec<String>,
    /// For Rust and Go: the program that is built.
    program: String,
    one: Container,
}

pub(super) fn text(
    config: &Config,
    model: &Model,
    losses: &mut Losses<'_>,
) -> Result<String, ExportError> {
    let target = Target::Dockerfile;
    let has = |file: &str| config.dir.join(file).exists();
    let framework = recognise::recognise(&config.dir).into_iter().next();
    let id = framework
        .as_ref()
        .map_or("", |found| found.framework.id.as_str());
    // Steps of a build belong into the image; what else runs before is told.
    let builds: Vec<String> = match &framework {
        Some(found) => (found.framework.before.iter())
            .filter_map(|line| found.fill(line).ok())
            .collect(),
        None => Vec::new(),
    };
    let mut all = containers(config, target.called(), losses)?;
    losses
        .lost
        .retain(|what| !builds.iter().any(|line| what.contains(line.as_str())));
    let many = all.len() > 1;
    let one = all.remove(0);
    if many {
        losses.differs(format!(
            "the image is one for all services: its command is that of `{}`, and compose.yaml says the others",
            one.name
        ));
    }
    let first = one.argv.first().map(String::as_str).unwrap_or_default();
    let kind = match id {
        "static" => "static",
        "tomcat" => "tomcat",
        "rails" => "ruby",
        "laravel" => "php",
        "spring-boot" => "java",
        "go" => "go",
        "rust" => "rust",
        _ if first == "python" || has("manage.py") => "python",
        _ if matches!(first, "node" | "bun")
            || first.contains("node_modules/")
            || has("package.json") =>
        {
            "node"
        }
        _ => "other",
    };
    if matches!(kind, "static" | "tomcat") {
        // The image's own program serves it.
        losses.lost.retain(|what| !what.contains("lbdev's own"));
    }
    if kind == "other" {
        losses.differs(format!(
            "`{first}` has to be installed in the image: the file says where"
        ));
    }
    let manifest = [
        "requirements.txt",
        "uv.lock",
        "poetry.lock",
        "pyproject.toml",
    ]
    .into_iter()
    .find(|file| has(file))
    .unwrap_or("");
    if kind == "python" && manifest.is_empty() {
        losses.differs("there is no requirements.txt and no pyproject.toml: what the server imports has to be installed");
    }
    if id == "django" {
        losses.differs("runserver is for development: gunicorn or uvicorn serves a Django project elsewhere, with DEBUG off and its ALLOWED_HOSTS");
    }
    let program = match (id, &framework) {
        ("rust", Some(found)) => found.fill("{bin}").unwrap_or_default(),
        _ => "server".to_owned(),
    };
    fill(
        target,
        Format::Dockerfile,
        TEMPLATE,
        Dockerfile {
            model: model.with(losses),
            kind,
            manifest: manifest.to_owned(),
            build: builds,
            program,
            one,
        },
    )
}
