//! Wrong usage in our own words: what was typed, what is possible, what to type instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error};

use super::args::Args;
use crate::error::Report;

/// What other programs call it.
const ELSEWHERE: [(&str, &str); 17] = [
    ("list", "ls"),
    ("log", "logs"),
    ("exit", "down"),
    ("quit", "down"),
    ("rm", "down"),
    ("halt", "down"),
    ("stats", "top"),
    ("dashboard", "open"),
    ("resume", "thaw"),
    ("unfreeze", "thaw"),
    ("slow", "fault"),
    ("delay", "fault"),
    ("watch", "top"),
    ("info", "status"),
    ("check", "doctor"),
    ("serve", "up"),
    ("version", "--version"),
];

/// The report of what clap found.
pub(super) fn report(error: &Error, typed: &[String]) -> Report {
    let verb = verb(typed);
    let of_verb = || match &verb {
        Some(verb) => format!("`lbdev {verb}`"),
        None => "`lbdev`".to_owned(),
    };
    let see = || match &verb {
        Some(verb) => format!("run `lbdev {verb} --help` to see what it takes"),
        None => "run `lbdev --help` to see what it takes".to_owned(),
    };
    let typed = text(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let usage = |message: String| Report::usage("LB021", message);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let like = ELSEWHERE.iter().find(|(theirs, _)| *theirs == word);
            let like = like.map(|(_, ours)| (*ours).to_owned());
            let like = like.or_else(|| alike(&word));
            usage(format!("there is no verb `{word}`")).hint(match like {
                Some(like) => format!("did you mean `lbdev {like}`?"),
                None => "run `lbdev --help` to see all verbs".to_owned(),
            })
        }
        ErrorKind::UnknownArgument if typed.starts_with('-') => {
            let report = usage(format!("{} has no option `{typed}`", of_verb()));
            report.hint(match text(error, ContextKind::SuggestedArg) {
                Some(like) => format!("did you mean `{like}`?"),
                None => see(),
            })
        }
        ErrorKind::UnknownArgument => {
            usage(format!("`{typed}` is one word too many for {}", of_verb())).hint(see())
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            let report = usage(format!("`{typed}` needs a value")).hint(see());
            match list(error, ContextKind::ValidValue) {
                Some(known) => report.hint(format!("say one of {known}")),
                None => report,
            }
        }
        ErrorKind::InvalidValue => {
            let known = list(error, ContextKind::ValidValue).unwrap_or_default();
            let report = usage(format!(
                "`{value}` is not possible for `{typed}`; known: {known}"
            ));
            match text(error, ContextKind::SuggestedValue) {
                Some(like) => report.hint(format!("did you mean `{like}`?")),
                None => report.hint(see()),
            }
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(ToString::to_string);
            let why = why.unwrap_or_else(|| "it cannot be".to_owned());
            usage(format!("`{value}` is not possible for `{typed}`: {why}")).hint(see())
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = list(error, ContextKind::InvalidArg).unwrap_or_default();
            usage(format!("{} needs {missing}", of_verb())).hint(see())
        }
        ErrorKind::ArgumentConflict => {
            let other = list(error, ContextKind::PriorArg).unwrap_or_default();
            let message = match other.trim_matches('`') == typed {
                true => format!("`{typed}` is there twice"),
                false => format!("`{typed}` and {other} exclude each other"),
            };
            usage(message).hint("leave one of them out")
        }
        ErrorKind::MissingSubcommand => {
            usage("a verb is missing".to_owned()).hint("run `lbdev --help` to see all verbs")
        }
        ErrorKind::InvalidUtf8 => usage("what was typed is no UTF-8 text".to_owned()).hint(see()),
        _ => {
            let plain = error.render().to_string();
            let first = plain.lines().next().unwrap_or_default();
            let message = first.strip_prefix("error: ").unwrap_or(first);
            usage(message.to_owned()).hint(see())
        }
    }
}

/// The verb that is most like this word, if one is.
fn alike(word: &str) -> Option<String> {
    let command = Args::command();
    let verbs = command.get_subcommands();
    let names =
        verbs.flat_map(|verb| std::iter::once(verb.get_name()).chain(verb.get_visible_aliases()));
    let far = |name: &str| strsim::damerau_levenshtein(word, name);
    let near = names.filter(|name| far(name) * 3 <= name.len().max(3) + 1);
    near.min_by_key(|name| far(name)).map(str::to_owned)
}

/// The verb that was typed: the first word that is one.
fn verb(typed: &[String]) -> Option<String> {
    let command = Args::command();
    let verbs = || command.get_subcommands();
    let is_verb = |word: &&String| {
        verbs().any(|verb| verb.get_name() == **word || verb.get_all_aliases().any(|a| a == **word))
    };
    typed.iter().skip(1).find(is_verb).cloned()
}

fn strings(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(all)) => all.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        _ => Vec::new(),
    }
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    strings(error, kind).into_iter().next()
}

/// `` `a`, `b` or `c` ``.
fn list(error: &Error, kind: ContextKind) -> Option<String> {
    let all = strings(error, kind);
    let quoted: Vec<String> = all.iter().map(|one| format!("`{one}`")).collect();
    match quoted.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [most @ .., last] => Some(format!("{} or {last}", most.join(", "))),
    }
}
