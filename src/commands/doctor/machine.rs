//! The machine: limits, what earlier ones left, variables of the environment.

use crate::instance;
use crate::process::{self, ports};
use crate::wire::Finding;

/// With fewer open files a busy balancer refuses clients.
const FILES: u64 = 1024;
/// Variables that send requests of clients somewhere else.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

pub(super) fn all() -> Vec<Finding> {
    let mut found = vec![files(), loopback()];
    found.extend(watches());
    found.extend(instances());
    found.extend(proxies(|name| std::env::var(name).ok()));
    found
}

fn files() -> Finding {
    // lbdev raises its own limit as far as it may.
    let _ = process::raise_files();
    match process::most_files() {
        Some(most) if most < FILES => {
            Finding::note("limits", format!("only {most} files may be open at once"))
                .hint("run `ulimit -n 4096` before `lbdev up`")
                .code("LB008")
        }
        Some(most) => Finding::ok("limits", format!("{most} files may be open at once")),
        None => Finding::ok("limits", "the system has no limit on open files"),
    }
}

fn loopback() -> Finding {
    let has = |address: &std::net::SocketAddr| std::net::TcpListener::bind(address).is_ok();
    match ports::loopback(0).each_ref().map(has) {
        [true, true] => Finding::ok("limits", "127.0.0.1 and ::1 can be listened on"),
        [true, false] => Finding::note(
            "limits",
            "this machine has no ::1: lbdev listens on 127.0.0.1 only",
        ),
        [false, true] => Finding::note(
            "limits",
            "this machine has no 127.0.0.1: lbdev listens on ::1 only",
        ),
        [false, false] => Finding::problem(
            "limits",
            "nothing can be listened on: the loopback interface is down",
        )
        .hint("run `ip link set lo up` as root"),
    }
}

/// How many files may be watched, where the system says.
fn watches() -> Option<Finding> {
    let text = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?;
    let most: u64 = text.trim().parse().ok()?;
    Some(match most < 8192 {
        true => Finding::note("limits", format!("only {most} files and folders can be watched for saves"))
            .hint("run `sudo sysctl fs.inotify.max_user_watches=524288`; until then lbdev looks at them every second"),
        false => Finding::ok("limits", format!("{most} files and folders can be watched for saves")),
    })
}

fn instances() -> Vec<Finding> {
    let mut found = Vec::new();
    match instance::all_running() {
        Ok(running) if running.is_empty() => {}
        Ok(running) => {
            let each = running.iter().map(|one| {
                let (project, url) = (&one.instance.project, &one.instance.url);
                format!("{project} ({url})")
            });
            let each: Vec<String> = each.collect();
            found.push(Finding::ok(
                "instances",
                format!("running: {}", each.join(", ")),
            ));
        }
        Err(error) => found.push(Finding::problem("instances", error.to_string()).code("LB007")),
    }
    let stale = instance::left_over(None).unwrap_or_default();
    if stale.is_empty() {
        found.push(Finding::ok(
            "instances",
            "no earlier lbdev has left anything behind",
        ));
    } else {
        let many = crate::ui::plural(stale.len(), "earlier lbdev was", "earlier lbdevs were");
        let text = format!("{many} killed and may have left processes behind");
        found.push(Finding::note("instances", text).hint("run `lbdev down --all` to end them"));
    }
    found
}

/// Tools that obey these ask a proxy for loopback too, unless they are told otherwise.
fn proxies(var: impl Fn(&str) -> Option<String>) -> Option<Finding> {
    let set = PROXIES
        .iter()
        .find(|name| var(name).is_some_and(|value| !value.is_empty()))?;
    let excepted = ["NO_PROXY", "no_proxy"].iter().any(|name| {
        let value = var(name).unwrap_or_default();
        value == "*" || value.contains("localhost")
    });
    let text = format!("{set} is set: curl and others ask that proxy for localhost, too");
    (!excepted).then(|| {
        Finding::note("environment", text)
            .hint("run `export NO_PROXY=localhost,.localhost,127.0.0.1,::1`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_takes_loopback_is_told_of() {
        let with = |set: &'static [(&str, &str)]| {
            proxies(move |name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[]).is_none());
        assert!(with(&[("HTTP_PROXY", "")]).is_none());
        assert!(with(&[("HTTP_PROXY", "http://p")]).is_some());
        assert!(with(&[("http_proxy", "http://p"), ("no_proxy", "localhost")]).is_none());
        assert!(with(&[("ALL_PROXY", "http://p"), ("NO_PROXY", "example.org")]).is_some());
    }
}
