//! Requests and lines for whoever looks at them.

use crate::backend::BackendId;
use crate::balance::Algorithm;
use crate::config::Live;
use crate::pool::{Access, Chosen};
use crate::process::output::Line;
use crate::process::strip_escapes;
use crate::wire::{EventAttempt, LogLine, SeenRequest};

use super::status::{ms, timestamp};

/// A longer line is cut for the page; the files have it whole.
const LINE_MAX: usize = 2048;

/// A request as the page has it. `live` are the settings that hold now.
pub(super) fn request(number: u64, access: Access, live: &Live) -> SeenRequest {
    let attempts = access.attempts.iter().map(|attempt| EventAttempt {
        backend: attempt.backend.to_string(),
        failure: attempt.failure.name().to_owned(),
        after_ms: ms(attempt.after),
    });
    SeenRequest {
        seq: number,
        at: timestamp(access.at),
        status: access.status,
        took_ms: ms(access.took),
        waited_ms: ms(access.waited),
        backend: access.backend.as_ref().map(BackendId::to_string),
        why: access.chosen.map(|chosen| why(chosen, live)),
        fault: access.fault,
        attempts: attempts.collect(),
        method: access.method,
        target: strip_escapes(&access.target).into_owned(),
    }
}

/// Why it went there, in words.
fn why(chosen: Chosen, live: &Live) -> String {
    match chosen {
        Chosen::By(algorithm) => by(algorithm, live),
        Chosen::Backup(algorithm) => {
            format!(
                "only backups take requests; of those {}",
                by(algorithm, live)
            )
        }
        Chosen::LikeItsPage => "its page came from there (sequence = pages)".to_owned(),
        Chosen::Stuck => match &live.debugged {
            Some(_) => "somebody debugs it".to_owned(),
            None => "its client sticks to it".to_owned(),
        },
    }
}

fn by(algorithm: Algorithm, live: &Live) -> String {
    match algorithm {
        Algorithm::RoundRobin => "it was its turn (round_robin)".to_owned(),
        Algorithm::LeastConn => "it had the fewest requests in flight (least_conn)".to_owned(),
        Algorithm::RandomTwo => "the less busy one of two by chance (random_two)".to_owned(),
        Algorithm::PeakEwma => "it was expected to answer first (peak_ewma)".to_owned(),
        Algorithm::IpHash => "the hash of the client's address (ip_hash)".to_owned(),
        Algorithm::Hash => format!("the hash of its {} (hash)", live.hash_key),
    }
}

/// A line as the page has it: text, whatever it was.
pub(super) fn line(line: &Line) -> LogLine {
    let text = strip_escapes(&line.text);
    let end = text.floor_char_boundary(LINE_MAX);
    let text = match end < text.len() {
        true => format!("{} … [cut; `lbdev logs` has it]", &text[..end]),
        false => text.into_owned(),
    };
    LogLine {
        at: line.at,
        backend: line.id.to_string(),
        err: line.err,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Slot;
    use crate::config::Balancer;

    #[test]
    fn each_choice_has_its_reason() {
        let live = Balancer::default().live;
        for (chosen, expected) in [
            (
                Chosen::By(Algorithm::RoundRobin),
                "it was its turn (round_robin)",
            ),
            (
                Chosen::Backup(Algorithm::Hash),
                "only backups take requests; of those the hash of its path (hash)",
            ),
            (
                Chosen::LikeItsPage,
                "its page came from there (sequence = pages)",
            ),
            (Chosen::Stuck, "its client sticks to it"),
        ] {
            assert_eq!(why(chosen, &live), expected);
        }
    }

    #[test]
    fn lines_are_text_and_not_too_long() {
        let of = |text: &str| {
            line(&Line {
                at: jiff::Timestamp::UNIX_EPOCH,
                id: BackendId::new("web", Slot::Port(8000)),
                err: false,
                text: text.into(),
            })
            .text
        };
        assert_eq!(of("\u{1b}[31m<script>\u{1b}[0m\u{7}"), "<script>");
        let long = of(&"ä".repeat(5000));
        assert!(long.len() < 2200 && long.ends_with("has it]"), "{long}");
    }
}
