//! A Procfile: a line a process, as foreman, honcho and Heroku read them.

use super::ExportError;
use super::container::containers;
use super::loss::Losses;
use super::model::Model;
use super::quote::comment;
use crate::config::Config;

pub(super) fn text(
    config: &Config,
    model: &Model,
    losses: &mut Losses<'_>,
) -> Result<String, ExportError> {
    let containers = containers(config, "a Procfile", losses)?;
    losses.differs("who runs it says how many: `foreman start -m web=4`");
    let mut text = format!(
        "# {}: written by `lbdev export procfile`\n",
        comment(&model.project)
    );
    for what in &losses.lost {
        text.push_str(&format!("# not carried over: {}\n", comment(what)));
    }
    for one in &containers {
        let port = one.port.to_string();
        // Whoever starts it gives it a port; what else has that number is not it.
        let word = |word: &String| {
            let (before, own) = match word.strip_suffix(&port) {
                Some(before)
                    if one.port != 0 && (before.is_empty() || before.ends_with([':', '='])) =>
                {
                    (before, true)
                }
                _ => (word.as_str(), false),
            };
            let before = before.replace("0.0.0.0", "127.0.0.1");
            let quoted = shlex::try_quote(&before).map(Into::into).unwrap_or(before);
            match (own, quoted.as_str()) {
                (true, "''") => "$PORT".to_owned(),
                (true, quoted) => format!("{quoted}$PORT"),
                (false, quoted) => quoted.to_owned(),
            }
        };
        let words: Vec<String> = one.argv.iter().map(word).collect();
        let own = |name: &str| name == "PORT" || name == "PYTHONUNBUFFERED";
        let env = one.env.iter().filter(|(name, _)| !own(name));
        let env: String = env
            .filter_map(|(name, value)| Some(format!("{name}={} ", shlex::try_quote(value).ok()?)))
            .collect();
        let folder = match one.workdir.strip_prefix(super::container::HOME) {
            Some(below) if !below.is_empty() => {
                let below = below.trim_start_matches('/');
                let below = shlex::try_quote(below).unwrap_or_default();
                format!("cd {below} && ")
            }
            _ => String::new(),
        };
        let line = format!("{folder}{env}{}", words.join(" "));
        // A line ends where it ends.
        if line.contains(['\n', '\r']) {
            losses.lost(format!("the command of `{}` has several lines", one.name));
            continue;
        }
        text.push_str(&format!("{}: {line}\n", one.name));
    }
    Ok(text)
}
