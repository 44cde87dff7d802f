//! What is said about a port that cannot be had: who holds it, and a command that works.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::super::os;
use super::{Holder, PortError, holder, is_free};
use crate::error::Report;

/// What `up` wanted to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The command that wanted them: `lbdev up`.
    pub command: String,
    /// The ports of the backends.
    pub backends: Vec<u16>,
    /// The balancer's port.
    pub listen: Option<u16>,
}

/// The message for ports that are taken (LB001): who holds the first, and a command that works. `taken` is in the order
/// to be told. `home` shortens folders to `~`.
pub fn report(taken: &[u16], wanted: &Wanted, home: Option<&Path>) -> Report {
    report_with(taken, wanted, home, holder, is_free, SystemTime::now())
}

fn report_with(
    taken: &[u16],
    wanted: &Wanted,
    home: Option<&Path>,
    holder: impl Fn(u16) -> Option<Holder>,
    is_free: impl Fn(u16) -> bool,
    now: SystemTime,
) -> Report {
    let holders: Vec<(u16, Option<Holder>)> =
        taken.iter().map(|port| (*port, holder(*port))).collect();
    let mut lines = holders
        .iter()
        .map(|(port, holder)| format!("port {port} is in use{}", by(holder.as_ref(), home, now)));
    let mut report = Report::failed("LB001", lines.next().unwrap_or_default());
    for line in lines {
        report = report.detail(line);
    }
    let other = other_ports(taken, wanted, &is_free);
    let stop = holders
        .iter()
        .find_map(|(_, holder)| holder.as_ref())
        .map(|holder| match (&holder.cwd, holder.lbdev) {
            (Some(cwd), true) => format!("lbdev down -C {}", shell_path(cwd, home)),
            (None, true) => "lbdev down --all".to_owned(),
            (_, false) => os::end_command(holder.pid),
        });
    match (other, stop) {
        (Some(other), Some(stop)) => report.hint(format!("run `{other}`, or stop it: `{stop}`")),
        (Some(other), None) => report.hint(format!("run `{other}`")),
        (None, Some(stop)) => report.hint(format!("stop it: `{stop}`")),
        (None, None) => report,
    }
}

fn by(holder: Option<&Holder>, home: Option<&Path>, now: SystemTime) -> String {
    let Some(holder) = holder else {
        return " by a process of another user".to_owned();
    };
    let mut facts = vec![format!("pid {}", holder.pid)];
    let age = holder.started.and_then(|at| now.duration_since(at).ok());
    match (age, &holder.cwd) {
        (Some(age), Some(cwd)) => facts.push(format!(
            "started {} ago in {}",
            short_duration(age),
            tilde(cwd, home)
        )),
        (Some(age), None) => facts.push(format!("started {} ago", short_duration(age))),
        (None, Some(cwd)) => facts.push(format!("in {}", tilde(cwd, home))),
        (None, None) => {}
    }
    format!(" by `{}` ({})", holder.name, facts.join(", "))
}

/// One unit is enough to remember which server it was.
fn short_duration(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

fn tilde(path: &Path, home: Option<&Path>) -> String {
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

/// A path to be pasted into a shell: `~` is expanded only where nothing has to be quoted.
fn shell_path(path: &Path, home: Option<&Path>) -> String {
    let plain = |text: &str| {
        text.chars()
            .all(|char| char.is_alphanumeric() || "/._-~+@%".contains(char))
    };
    let short = tilde(path, home);
    if plain(&short) {
        return short;
    }
    let full = path.display().to_string();
    shlex::try_quote(&full).map_or_else(|_| full.clone(), |quoted| quoted.into_owned())
}

/// A command with other ports for what is taken, each found free just now.
fn other_ports(taken: &[u16], wanted: &Wanted, is_free: &impl Fn(u16) -> bool) -> Option<String> {
    let mut command = wanted.command.clone();
    if wanted.backends.iter().any(|port| taken.contains(port)) {
        let range = free_range(wanted.backends.len(), &wanted.listen, is_free)?;
        command += &match (range.start(), range.end()) {
            (first, last) if first == last => format!(" --ports {first}"),
            (first, last) => format!(" --ports {first}-{last}"),
        };
    }
    if let Some(listen) = wanted.listen
        && taken.contains(&listen)
    {
        let port = (1..=50)
            .map_while(|step| listen.max(1024).checked_add(step * 1000))
            .chain(listen.saturating_add(1)..=listen.saturating_add(100))
            .find(|port| !wanted.backends.contains(port) && is_free(*port))?;
        command += &format!(" --listen {port}");
    }
    (command != wanted.command).then_some(command)
}

/// `count` free ports in a row, from a round number.
fn free_range(
    count: usize,
    listen: &Option<u16>,
    is_free: &impl Fn(u16) -> bool,
) -> Option<RangeInclusive<u16>> {
    let more = u16::try_from(count).ok()?.checked_sub(1)?;
    (9000..60_000u16).step_by(100).find_map(|first| {
        let range = first..=first.checked_add(more)?;
        range
            .clone()
            .all(|port| Some(port) != *listen && is_free(port))
            .then_some(range)
    })
}

impl PortError {
    /// The message: LB001 for a port in use, LB008 for one that the system refuses.
    pub fn report(&self, wanted: &Wanted, home: Option<&Path>) -> Report {
        match self {
            PortError::Taken { port } => report(&[*port], wanted, home),
            PortError::Refused { address, source } => {
                let message = format!("`{address}` cannot be listened on: {source}");
                let report = Report::failed("LB008", message);
                if wanted.listen == Some(address.port()) && address.port() < 1024 {
                    report.hint(format!(
                        "run `{} --listen 8080`: ports below 1024 need privileges",
                        wanted.command
                    ))
                } else {
                    report
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_holder_and_a_way_out() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let held = |lbdev, cwd: &str| Holder {
            pid: 4242,
            name: "python3".into(),
            started: Some(now - Duration::from_secs(7300)),
            cwd: Some(cwd.into()),
            lbdev,
        };
        let check = |taken: &[u16], by: Option<Holder>, expected: &str| {
            let wanted = Wanted {
                command: "lbdev up".to_owned(),
                backends: vec![8000, 8001, 8002, 8003],
                listen: Some(8080),
            };
            let home = Some(Path::new("/home/ada"));
            let free = |port| !taken.contains(&port) && port != 9002;
            let report = report_with(taken, &wanted, home, |_| by.clone(), free, now);
            let expected = expected.replace("kill 4242", &os::end_command(4242));
            assert_eq!(report.to_string(), expected);
        };
        check(
            &[8000, 8080],
            Some(held(true, "/home/ada/old-site")),
            "error[LB001]: port 8000 is in use by `python3` (pid 4242, started 2 h ago in ~/old-site)\n  \
             port 8080 is in use by `python3` (pid 4242, started 2 h ago in ~/old-site)\n  \
             hint: run `lbdev up --ports 9100-9103 --listen 9080`, or stop it: `lbdev down -C ~/old-site`",
        );
        check(
            &[8000],
            Some(held(true, "/home/ada/old site")),
            "error[LB001]: port 8000 is in use by `python3` (pid 4242, started 2 h ago in ~/old site)\n  \
             hint: run `lbdev up --ports 9100-9103`, or stop it: `lbdev down -C '/home/ada/old site'`",
        );
        check(
            &[8080],
            Some(held(false, "/srv")),
            "error[LB001]: port 8080 is in use by `python3` (pid 4242, started 2 h ago in /srv)\n  \
             hint: run `lbdev up --listen 9080`, or stop it: `kill 4242`",
        );
        check(
            &[8001],
            None,
            "error[LB001]: port 8001 is in use by a process of another user\n  \
             hint: run `lbdev up --ports 9100-9103`",
        );
    }
}
