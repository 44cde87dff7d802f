//! What happened: the last events, and who was in which state during the last minute.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::backend::{BackendId, Phase};
use crate::history::SECONDS;
use crate::wire::{Event, VERSION};

/// So many of the last events are kept.
const KEPT: usize = 2000;
/// So many changes of state of one backend are kept; one that has more in a minute is not watched by eye.
const SPANS: usize = 256;
/// Events that a slow reader may be behind before it misses some.
const BEHIND: usize = 1024;

/// The last events and states. Whoever learns of one pushes it.
#[derive(Debug)]
pub struct Journal {
    kept: Mutex<Kept>,
    last: watch::Sender<u64>,
    new: broadcast::Sender<Event>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    last: u64,
    /// Since when it is in which phase.
    states: HashMap<BackendId, VecDeque<(Duration, Phase)>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            last: watch::Sender::default(),
            new: broadcast::channel(BEHIND).0,
        }
    }
}

impl Journal {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one; its number and version are given here.
    pub fn push(&self, event: Event) {
        let mut kept = self.kept();
        kept.last += 1;
        let event = Event {
            version: VERSION,
            seq: kept.last,
            count: event.count.max(1),
            ..event
        };
        if kept.events.len() >= KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(event.clone());
        let last = kept.last;
        drop(kept);
        self.last.send_replace(last);
        // Nobody may be listening.
        let _ = self.new.send(event);
    }

    /// Every event from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.new.subscribe()
    }

    /// Those that are kept after this number, and the number of the last one there is.
    pub fn after(&self, seq: u64) -> (Vec<Event>, u64) {
        let kept = self.kept();
        let events = kept.events.iter().filter(|event| event.seq > seq);
        (events.cloned().collect(), kept.last)
    }

    /// The same, when there is one at least, or `limit` has passed.
    pub async fn wait_after(&self, seq: u64, limit: Duration) -> (Vec<Event>, u64) {
        let mut last = self.last.subscribe();
        let _ = tokio::time::timeout(limit, last.wait_for(|last| *last > seq)).await;
        self.after(seq)
    }

    /// From `at` on this backend is in this phase.
    pub fn state(&self, id: &BackendId, phase: Phase, at: Duration) {
        let mut kept = self.kept();
        let spans = kept.states.entry(id.clone()).or_default();
        if spans.back().is_some_and(|(_, last)| *last == phase) {
            return;
        }
        let old = at.saturating_sub(Duration::from_secs(SECONDS as u64 + 2));
        while spans.len() >= SPANS || spans.get(1).is_some_and(|(since, _)| *since < old) {
            spans.pop_front();
        }
        spans.push_back((at, phase));
    }

    /// The state in each of the last `count` whole seconds before `now`; of several the least good one. `None` before
    /// anything was known of it.
    pub fn states(&self, id: &BackendId, count: usize, now: Duration) -> Vec<Option<Phase>> {
        let kept = self.kept();
        let spans = kept.states.get(id);
        let end = now.as_secs();
        let of = |second: u64| {
            let spans = spans?;
            let (begin, end) = (second, second + 1);
            let ends = spans.iter().skip(1).map(|(since, _)| *since);
            let ends = ends.chain(std::iter::once(Duration::MAX));
            spans
                .iter()
                .zip(ends)
                .filter(|((since, _), until)| {
                    *since < Duration::from_secs(end) && *until > Duration::from_secs(begin)
                })
                .map(|((_, phase), _)| *phase)
                .max_by_key(|phase| badness(*phase))
        };
        let seconds = (0..count).map(|back| end.checked_sub((count - back) as u64));
        seconds.map(|second| of(second?)).collect()
    }
}

/// How far from serving.
fn badness(phase: Phase) -> u8 {
    match phase {
        Phase::Up => 0,
        Phase::Draining => 1,
        Phase::Stopping => 2,
        Phase::Starting => 3,
        Phase::Unhealthy => 4,
        Phase::Frozen => 5,
        Phase::Backoff => 6,
        Phase::Stopped => 7,
        Phase::Failed => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Slot;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_last_are_kept_and_numbered() {
        let journal = Journal::default();
        for n in 0..KEPT + 5 {
            journal.push(Event {
                text: n.to_string(),
                ..Event::default()
            });
        }
        let (all, last) = journal.after(0);
        assert_eq!((all.len(), last), (KEPT, KEPT as u64 + 5));
        assert_eq!((all[0].seq, all[0].text.as_str()), (6, "5"));
        assert_eq!(journal.after(last - 1).0.len(), 1);
        assert_eq!(journal.after(last).0, []);
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_one() {
        let journal = Journal::default();
        let wait = journal.wait_after(0, Duration::from_secs(60));
        let push = async { journal.push(Event::default()) };
        let ((events, last), ()) = tokio::join!(wait, push);
        assert_eq!((events.len(), last), (1, 1));
        let (none, _) = journal.wait_after(1, Duration::ZERO).await;
        assert_eq!(none, []);
    }

    #[test]
    fn a_second_shows_its_least_good_state() {
        let journal = Journal::default();
        let id = BackendId::new("web", Slot::Port(8000));
        for (at, phase) in [
            (1500, Phase::Starting),
            (2200, Phase::Up),
            (4100, Phase::Stopped),
            (4200, Phase::Starting),
            (4900, Phase::Up),
        ] {
            journal.state(&id, phase, ms(at));
        }
        let states = journal.states(&id, 7, ms(7900));
        use Phase::{Starting, Stopped, Up};
        let expected = [
            None,
            Some(Starting),
            Some(Starting),
            Some(Up),
            Some(Stopped),
        ];
        assert_eq!(states[..5], expected);
        assert_eq!(states[5..], [Some(Up), Some(Up)]);
        let other = BackendId::new("web", Slot::Port(8001));
        assert_eq!(journal.states(&other, 2, ms(7900)), [None, None]);
    }

    #[test]
    fn old_states_leave_but_the_last_of_them() {
        let journal = Journal::default();
        let id = BackendId::new("web", Slot::Port(8000));
        for second in 0..1000u64 {
            let phase = if second % 2 == 0 {
                Phase::Up
            } else {
                Phase::Stopped
            };
            journal.state(&id, phase, Duration::from_secs(second));
        }
        assert!(journal.kept().states[&id].len() < 70);
        assert_eq!(
            journal
                .states(&id, 60, ms(999_500))
                .iter()
                .flatten()
                .count(),
            60
        );
    }
}
