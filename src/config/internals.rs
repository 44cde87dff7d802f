//! What of the configuration fuzzers reach: see `crate::internals`.

use std::path::{Path, PathBuf};

use super::defaults::FILE;
use super::problem::{Source, reports};
use super::resolve::make;
use super::surroundings::Surroundings;
use super::{Config, Request, render};
use crate::error::Report;

/// Resolves the text of an `lbdev.toml` that lies in the root folder of a machine on which nothing is installed, and no host
/// name is known. What comes out is rendered and resolved once more.
///
/// # Errors
/// What a person would be told.
///
/// # Panics
/// When what was rendered is not the same set-up: `lbdev config` promises that.
pub fn config(text: &str) -> Result<(), Vec<Report>> {
    let first = resolve_text(text)?;
    let rendered = render(&first);
    match resolve_text(&rendered) {
        Ok(second) => assert_eq!(
            (first.balancer, first.services),
            (second.balancer, second.services),
            "{rendered}"
        ),
        Err(told) => panic!("what was rendered is wrong: {told:#?}\n{rendered}"),
    }
    Ok(())
}

fn resolve_text(text: &str) -> Result<Config, Vec<Report>> {
    let around = Surroundings {
        var: &|_| None,
        lbdev: PathBuf::from("lbdev"),
        poetry: &|_| None,
        imports: &|_, _, _| true,
        lookup: &|_, _| Vec::new(),
    };
    let dir = Path::new("/");
    let request = Request {
        dir: dir.to_owned(),
        ..Request::default()
    };
    let source = Some(Source { name: FILE, text });
    let mut faults = Vec::new();
    let (made, _) = make(&request, dir, source, &around, &mut faults);
    match faults.is_empty() {
        true => Ok(made),
        false => Err(reports(faults, source)),
    }
}
