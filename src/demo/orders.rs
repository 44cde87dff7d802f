//! `/orders`: rows in a file that all processes share, as a database is; and a process that dies between the row and the answer.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};

use super::body::Body;
use super::form::Fields;
use super::page::{self, Refusal};
use super::site::Site;

/// The variable that names a folder that all processes share.
pub(super) const SHARED: &str = "DEMO_SHARED";
/// The file of all orders, one a line.
const FILE: &str = "orders.txt";
/// Letters of an order's name.
const NAME_LIMIT: usize = 60;

/// The folder that all processes share, where there is one.
pub(super) fn shared_folder() -> Option<PathBuf> {
    std::env::var_os(SHARED).map(PathBuf::from)
}

fn file() -> Result<PathBuf, Refusal> {
    let folder = shared_folder().ok_or_else(|| {
        Refusal::bad(format!(
            "there is nowhere to keep orders: set {SHARED} to a folder"
        ))
    })?;
    Ok(folder.join(FILE))
}

fn name(fields: &Fields) -> Result<String, Refusal> {
    let name = fields.get("id").unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    match !name.is_empty() && name.len() <= NAME_LIMIT && name.chars().all(plain) {
        true => Ok(name.to_owned()),
        false => Err(Refusal::bad("an order needs an `id` of letters and digits")),
    }
}

fn rows(file: &Path, name: &str) -> usize {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|line| *line == name).count()
}

/// How many rows an order has.
pub(super) fn show(parts: &Parts) -> Result<Response<Body>, Refusal> {
    let name = name(&Fields::query(&parts.uri))?;
    let rows = rows(&file()?, &name);
    Ok(page::text(StatusCode::OK, rows.to_string()))
}

/// Writes a row. With `?die=once` the process ends right after the first row of an order, before it answers.
pub(super) async fn add(
    site: &Arc<Site>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    let dies = Fields::query(&parts.uri).get("die") == Some("once");
    let name = name(&Fields::read(body).await?)?;
    let file = file()?;
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut open| open.write_all(format!("{name}\n").as_bytes()));
    written.map_err(|error| Refusal::bad(format!("the order cannot be written: {error}")))?;
    let rows = rows(&file, &name);
    (site.log)(&format!("order {name}: row {rows} is written"));
    if dies && rows == 1 {
        (site.log)("and the process ends before it has answered");
        (site.die)();
        // Only tests come here.
        std::future::pending::<()>().await;
    }
    Ok(page::text(
        StatusCode::CREATED,
        format!("order {name} has row {rows}"),
    ))
}
