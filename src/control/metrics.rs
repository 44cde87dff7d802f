//! `/metrics`: Prometheus' text format, version 0.0.4 (its documentation, "Exposition formats"). The numbers are those of
//! `status --json`.

use std::fmt::{Display, Write};

use super::router::Control;
use crate::backend::Phase;
use crate::pool::{AttemptFailure, BOUNDS, Member};
use crate::wire::Status;

/// What a scraper is told that it gets.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted, now.
pub(super) fn metrics(control: &Control, status: &Status) -> String {
    let mut text = Text::default();
    let balancer = &status.balancer;
    text.begin(
        "lbdev_info",
        "gauge",
        "The project, and the version of lbdev.",
    );
    let labels = [
        ("project", status.project.as_str()),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    text.sample("lbdev_info", &labels, 1);
    for (name, kind, help, value) in [
        (
            "lbdev_requests_total",
            "counter",
            "Requests that a backend answered, or that nobody did.",
            balancer.requests,
        ),
        (
            "lbdev_retries_total",
            "counter",
            "Further tries of requests at another backend.",
            balancer.retries,
        ),
        (
            "lbdev_lost_total",
            "counter",
            "Requests that no backend answered.",
            balancer.failures,
        ),
        (
            "lbdev_waiting",
            "gauge",
            "Requests that wait for a backend now.",
            balancer.waiting,
        ),
    ] {
        text.begin(name, kind, help);
        text.sample(name, &[], value.unwrap_or(0));
    }
    let name = "lbdev_uptime_seconds";
    text.begin(name, "gauge", "Since lbdev was started.");
    text.sample(name, &[], status.uptime_s);

    type Read = fn(&crate::wire::BackendStatus) -> f64;
    let each: [(&str, &str, &str, Read); 9] = [
        (
            "lbdev_backend_requests_total",
            "counter",
            "Requests that it answered.",
            |one| one.requests.unwrap_or(0) as f64,
        ),
        (
            "lbdev_backend_errors_total",
            "counter",
            "Of those, with a status from 500 on.",
            |one| one.errors.unwrap_or(0) as f64,
        ),
        (
            "lbdev_backend_retried_elsewhere_total",
            "counter",
            "Attempts at it that came to nothing, and went on to another backend.",
            |one| one.retried_elsewhere.unwrap_or(0) as f64,
        ),
        (
            "lbdev_backend_restarts_total",
            "counter",
            "How often it was started again.",
            |one| f64::from(one.restarts),
        ),
        (
            "lbdev_backend_in_flight",
            "gauge",
            "Requests that it has now.",
            |one| one.in_flight.unwrap_or(0) as f64,
        ),
        (
            "lbdev_backend_eligible",
            "gauge",
            "1 where it may get requests.",
            |one| f64::from(u8::from(one.eligible)),
        ),
        (
            "lbdev_backend_weight",
            "gauge",
            "Its weight, as it was set.",
            |one| f64::from(one.weight),
        ),
        (
            "lbdev_backend_cpu_percent",
            "gauge",
            "Processor time of all its processes, in percent of one core.",
            |one| one.cpu_pct,
        ),
        (
            "lbdev_backend_resident_bytes",
            "gauge",
            "Memory of all its processes.",
            |one| one.rss_bytes as f64,
        ),
    ];
    for (name, kind, help, read) in each {
        text.begin(name, kind, help);
        for one in &status.backends {
            text.sample(name, &of(&one.id, &one.service), read(one));
        }
    }

    let name = "lbdev_backend_failures_total";
    text.begin(
        name,
        "counter",
        "Attempts at it that came to nothing, by reason.",
    );
    for one in &status.backends {
        for reason in AttemptFailure::NAMES {
            let count = one.failures_by.get(reason).copied().unwrap_or_default();
            let [backend, service] = of(&one.id, &one.service);
            text.sample(name, &[backend, service, ("reason", reason)], count);
        }
    }

    let name = "lbdev_backend_state";
    text.begin(name, "gauge", "1 for the state that it is in.");
    for one in &status.backends {
        for phase in Phase::ALL {
            let is = u8::from(phase.word() == one.state);
            let [backend, service] = of(&one.id, &one.service);
            text.sample(name, &[backend, service, ("state", phase.word())], is);
        }
    }

    let name = "lbdev_backend_response_seconds";
    text.begin(
        name,
        "histogram",
        "From the choice of it to the head of its answer.",
    );
    for pool in control.pools.all().iter() {
        for member in &pool.snapshot().members {
            text.histogram(name, member);
        }
    }
    text.0
}

fn of<'a>(id: &'a str, service: &'a str) -> [(&'static str, &'a str); 2] {
    [("backend", id), ("service", service)]
}

#[derive(Default)]
struct Text(String);

/// Writing to a String cannot fail.
impl Text {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn histogram(&mut self, name: &str, member: &Member) {
        let id = member.id.to_string();
        let [backend, service] = of(&id, member.id.service());
        let took = member.tally.took();
        let up_to = took.up_to();
        let bounds = BOUNDS.iter().map(|bound| bound.as_secs_f64().to_string());
        let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
        for (bound, count) in bounds.zip(up_to) {
            let labels = [backend, service, ("le", bound.as_str())];
            self.sample(&format!("{name}_bucket"), &labels, count);
        }
        let labels = [backend, service];
        self.sample(&format!("{name}_sum"), &labels, took.sum().as_secs_f64());
        let all = up_to.last().copied().unwrap_or_default();
        self.sample(&format!("{name}_count"), &labels, all);
    }
}

/// A label's value: backslash, quote and line feed are escaped.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_labels_and_escapes() {
        let mut text = Text::default();
        text.begin("a_total", "counter", "Some.");
        text.sample("a_total", &[], 3);
        text.sample("a_total", &[("x", "a\"b\\c\nd"), ("y", "1")], 0.5);
        insta::assert_snapshot!(text.0, @r#"
        # HELP a_total Some.
        # TYPE a_total counter
        a_total 3
        a_total{x="a\"b\\c\nd",y="1"} 0.5
        "#);
    }
}
