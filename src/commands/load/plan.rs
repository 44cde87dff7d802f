//! From what was typed to what is sent.

use std::time::Duration;

use crate::cli::LoadOptions;
use crate::error::Report;
use crate::load::{Beat, DEFAULT_RPS, Jars, MOST_CONNECTIONS, Plan, PlanError, Sample, Target};

/// A body is at most so long: each request has one of its own.
const BODY: u64 = 16 << 20;

/// Some of these are about the running project: none at all, or only a path.
pub(super) fn needs_instance(urls: &[String]) -> bool {
    urls.is_empty() || urls.iter().any(|url| url.starts_with('/'))
}

/// The load that was typed. `here` is where the running project answers.
pub(super) fn plan(options: &LoadOptions, here: Option<&str>) -> Result<Plan, Report> {
    let first_page = vec!["/".to_owned()];
    let urls = match options.urls.is_empty() {
        true => &first_page,
        false => &options.urls,
    };
    let body = match options.data.as_deref() {
        None => String::new(),
        Some(text) => body(text)?,
    };
    let method = match options.method.as_deref() {
        Some(method) => method,
        None if options.data.is_some() => "POST",
        None => "GET",
    };
    let mut fields = Vec::new();
    for line in &options.headers {
        fields.push(Sample::field(line).map_err(|error| report(&error))?);
    }
    let is_said = |name: &str| {
        let is = |(known, _): &(String, String)| known.eq_ignore_ascii_case(name);
        fields.iter().any(is)
    };
    if !body.is_empty() && !is_said("content-type") {
        // As curl and browsers' forms do.
        let kind = match body.trim_start().starts_with(['{', '[']) {
            true => "application/json",
            false => "application/x-www-form-urlencoded",
        };
        fields.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    let mut target: Option<Target> = None;
    let mut samples = Vec::new();
    for url in urls {
        let whole = match url.strip_prefix('/') {
            Some(path) => format!("{}/{path}", here.unwrap_or_default().trim_end_matches('/')),
            None => url.clone(),
        };
        let (of_this, path) = Target::parse(&whole).map_err(|error| report(&error))?;
        if let Some(target) = target.as_ref().filter(|target| **target != of_this) {
            let message = format!(
                "a load goes to one server, and these are two: `{}` and `{}`",
                target.authority, of_this.authority
            );
            return Err(Report::usage("LB021", message)
                .hint("run `lbdev load` twice, or name paths of one of them"));
        }
        target = Some(of_this);
        samples.push(Sample {
            method: method.parse().map_err(|_| {
                Report::usage("LB021", format!("`{method}` is not a method"))
                    .hint("say for example `-X POST`")
            })?,
            path,
            fields: fields.clone(),
            body: body.clone(),
        });
    }
    let Some(target) = target else {
        return Err(Report::usage("LB021", "it is not said where the load goes"));
    };
    let beat = match (options.rps, options.connections) {
        (Some(rps), _) => Beat::Open(rps),
        (None, Some(_)) => Beat::Closed,
        (None, None) => Beat::Open(DEFAULT_RPS),
    };
    Ok(Plan {
        target,
        samples,
        beat,
        connections: options.connections.unwrap_or(MOST_CONNECTIONS),
        lasts: options.lasts,
        timeout: options.timeout.max(Duration::from_millis(1)),
        users: options.users,
        requests: None,
        opening: None,
        jars: Jars::default(),
    })
}

/// The text itself, or of `@FILE` what is in it.
fn body(said: &str) -> Result<String, Report> {
    let Some(file) = said.strip_prefix('@') else {
        return Ok(said.to_owned());
    };
    let wrong = |why: String| {
        let message = format!("cannot send what is in `{file}`: {why}");
        Report::usage("LB021", message).hint("name a text file after the `@`, or leave it out")
    };
    let about = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if about.len() > BODY {
        return Err(wrong(format!("it is longer than {} MB", BODY >> 20)));
    }
    std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))
}

/// In a report's words.
pub(super) fn report(error: &PlanError) -> Report {
    let report = Report::usage("LB021", error.to_string());
    report.hint(match error {
        PlanError::Url { .. } | PlanError::Host { .. } => {
            "write for example `http://localhost:8080/`, or only a path of the running project: `/`"
        }
        PlanError::Https { .. } => "use the address with `http://`",
        PlanError::Path { .. } => "begin it with `/`, and write a space as `%20`",
        PlanError::Field { .. } => "say it as `-H 'NAME: VALUE'`",
    })
}
