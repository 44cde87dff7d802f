use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;

use super::*;

mod model;
mod policy;

fn backend(kind: Kind) -> Backend {
    backend_with(kind, RestartMode::OnFailure)
}

fn backend_with(kind: Kind, mode: RestartMode) -> Backend {
    let restart = RestartPolicy {
        mode,
        backoff_min: Duration::from_millis(200),
        backoff_max: Duration::from_secs(10),
        max: 3,
    };
    let stop = StopPolicy {
        signal: Signal::Term,
        timeout: Duration::from_secs(5),
    };
    let timings = Timings {
        drain: Duration::from_secs(2),
        ready: None,
        long_life: Duration::from_secs(10),
    };
    Backend::new(
        BackendId::new("web", Slot::Port(8000)),
        kind,
        (1, 2),
        restart,
        stop,
        timings,
    )
}

/// A backend with a clock, a counter of runs, and the processes its effects would have made.
struct World {
    backend: Backend,
    now: Instant,
    fresh: RunId,
    alive: Vec<RunId>,
    signals: Vec<Signal>,
    /// How often streams were told to end.
    goodbyes: u32,
}

impl World {
    fn new(kind: Kind) -> Self {
        Self {
            backend: backend(kind),
            now: Instant::now(),
            fresh: RunId::FIRST,
            alive: Vec::new(),
            signals: Vec::new(),
            goodbyes: 0,
        }
    }

    fn at(&self) -> Moment {
        Moment {
            now: self.now,
            dice: 1.0,
            fresh: self.fresh,
        }
    }

    fn step(&mut self, event: Event) -> &mut Self {
        if let Event::Exited { run, .. } | Event::LaunchFailed { run } = event {
            self.alive.retain(|&alive| alive != run);
        }
        for effect in self.backend.step(event, self.at()) {
            match effect {
                Effect::Launch(run) => self.alive.push(run),
                Effect::Signal(_, signal) => self.signals.push(signal),
                Effect::EndStreams(_) => self.goodbyes += 1,
            }
        }
        self.fresh = self.fresh.next();
        self
    }

    fn later(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self.step(Event::Tick)
    }

    fn run(&self) -> RunId {
        self.backend.run().unwrap()
    }

    fn ready(&mut self) -> &mut Self {
        let run = self.run();
        self.step(Event::Ready { run })
    }

    fn exited(&mut self, status: ExitStatus) -> &mut Self {
        let run = self.run();
        self.step(Event::Exited {
            run,
            status,
            at: SystemTime::UNIX_EPOCH,
        })
    }

    /// A check over HTTP, of one among several.
    fn checked(&mut self, run: RunId, ok: bool) -> &mut Self {
        let began = self.now;
        let seen = Seen {
            ok,
            http: true,
            began,
        };
        let spare = true;
        self.step(Event::Checked { run, seen, spare })
    }

    fn up() -> Self {
        let mut world = World::new(Kind::Managed);
        world.step(Event::Start).ready();
        world
    }
}

const KILLED: ExitStatus = ExitStatus::Signal(9);

#[test]
fn a_stop_drains_then_asks_then_kills() {
    let mut world = World::up();
    assert!(world.backend.eligible());
    world.step(Event::Stop(By::Operator));
    assert_eq!(
        (world.backend.phase(), world.signals.len()),
        (Phase::Draining, 0)
    );
    world.later(1999);
    assert_eq!(world.backend.phase(), Phase::Draining);
    world.later(1);
    assert_eq!(
        (world.backend.phase(), &*world.signals),
        (Phase::Stopping, &[Signal::Term][..])
    );
    world.later(5000).later(1000);
    assert_eq!(world.signals, [Signal::Term, Signal::Kill, Signal::Kill]);
    world.exited(KILLED);
    let last = world.backend.last_exit.unwrap();
    assert_eq!(
        (world.backend.phase(), last.by),
        (Phase::Stopped, By::Operator)
    );
}

/// Streams hear of their end a little before the signal, once, and never in the first half of a drain.
#[test]
fn streams_are_told_before_the_signal() {
    for (drain, told) in [(2000, 1900), (200, 100), (100, 50)] {
        let mut world = World::up();
        world.backend.timings.drain = Duration::from_millis(drain);
        world.step(Event::Stop(By::Operator)).later(told - 1);
        assert_eq!(world.goodbyes, 0, "{drain}");
        world.later(1);
        let seen = (world.goodbyes, world.backend.phase(), world.signals.len());
        assert_eq!(seen, (1, Phase::Draining, 0), "{drain}");
        world.later(drain - told - 1);
        assert_eq!((world.goodbyes, world.signals.len()), (1, 0), "{drain}");
        world.later(1);
        assert_eq!((world.goodbyes, &*world.signals), (1, &[Signal::Term][..]));
    }
    // Nothing in flight, or no time left: no goodbye of its own.
    let mut world = World::up();
    world.step(Event::Restart);
    let run = world.run();
    world.step(Event::Drained { run });
    assert_eq!((world.goodbyes, &*world.signals), (0, &[Signal::Term][..]));
    let mut world = World::up();
    world.step(Event::Restart).later(60_000);
    assert_eq!((world.goodbyes, &*world.signals), (0, &[Signal::Term][..]));
}

/// Down is down for every signal that ends, also for what has no process at the moment.
#[test]
fn what_waits_for_its_restart_is_kept_down_by_a_kill() {
    for signal in [Signal::Kill, Signal::Term, Signal::Int, Signal::Quit] {
        let kill = |restart| Event::Kill { signal, restart };
        let mut world = World::up();
        world.exited(KILLED).step(kill(false)).later(60_000);
        assert_eq!(world.backend.phase(), Phase::Stopped, "{signal:?}");
        assert!(world.alive.is_empty() && !world.backend.desired);

        let mut world = World::up();
        world.exited(KILLED).step(kill(true));
        assert_eq!(world.backend.phase(), Phase::Backoff, "{signal:?}");
        world.later(60_000);
        assert_eq!(world.backend.phase(), Phase::Starting, "{signal:?}");

        let mut world = World::up();
        world.step(Event::Restart).step(kill(false));
        world.exited(ExitStatus::Code(0));
        assert_eq!(world.backend.phase(), Phase::Stopped, "{signal:?}");
    }
}

#[test]
fn a_restart_is_not_forgotten_when_the_launch_before_it_fails() {
    let mut world = World::new(Kind::Managed);
    world.step(Event::Start).step(Event::Restart);
    let run = world.run();
    world.step(Event::LaunchFailed { run });
    assert_eq!(world.backend.phase(), Phase::Starting);
    let run = world.run();
    world.step(Event::LaunchFailed { run });
    assert_eq!(world.backend.phase(), Phase::Failed);
}

#[test]
fn a_drain_ends_when_nothing_is_in_flight() {
    let mut world = World::up();
    world.step(Event::Stop(By::Operator));
    let run = world.run();
    world.step(Event::Drained { run });
    assert_eq!(world.signals, [Signal::Term]);
}

#[test]
fn a_kill_stays_down_and_a_start_brings_it_back() {
    let mut world = World::up();
    world.step(Event::Kill {
        signal: Signal::Kill,
        restart: false,
    });
    assert_eq!(
        (world.backend.phase(), &*world.signals),
        (Phase::Stopping, &[Signal::Kill][..])
    );
    world.exited(KILLED).later(60_000);
    assert_eq!(world.backend.phase(), Phase::Stopped);
    world.step(Event::Start).ready();
    assert_eq!(
        (world.backend.phase(), world.backend.restarts),
        (Phase::Up, 1)
    );
}

#[test]
fn a_kill_with_restart_leaves_it_to_the_policy() {
    let mut world = World::up();
    world
        .step(Event::Kill {
            signal: Signal::Kill,
            restart: true,
        })
        .exited(KILLED);
    assert_eq!(world.backend.phase(), Phase::Backoff);
    world.later(200);
    assert_eq!(world.backend.phase(), Phase::Starting);
}

#[test]
fn an_asked_for_term_that_ends_it_keeps_it_down() {
    let mut world = World::up();
    world.step(Event::Kill {
        signal: Signal::Term,
        restart: false,
    });
    assert_eq!(world.backend.phase(), Phase::Up, "it may refuse");
    world.exited(ExitStatus::Signal(15));
    assert_eq!(world.backend.phase(), Phase::Stopped);
    assert_eq!(world.backend.last_exit.unwrap().by, By::Operator);
}

#[test]
fn an_asked_for_term_with_restart_is_still_the_operators() {
    let mut world = World::up();
    let (signal, restart) = (Signal::Term, true);
    world
        .step(Event::Kill { signal, restart })
        .exited(ExitStatus::Signal(15));
    assert_eq!(
        (world.backend.phase(), world.backend.last_exit.unwrap().by),
        (Phase::Backoff, By::Operator)
    );
    world.later(200).ready().exited(KILLED);
    assert_eq!(
        world.backend.last_exit.unwrap().by,
        By::Outside,
        "the next life's end is its own"
    );
}

#[test]
fn killed_from_outside_it_comes_back_with_growing_waits_until_it_has_failed_too_often() {
    let mut world = World::up();
    for wait in [200, 400, 800] {
        world.exited(KILLED);
        assert_eq!(world.backend.last_exit.unwrap().by, By::Outside);
        world.later(wait - 1);
        assert_eq!(world.backend.phase(), Phase::Backoff, "after {wait} ms");
        world.later(1);
        assert_eq!(world.backend.phase(), Phase::Starting, "after {wait} ms");
    }
    world.ready().exited(KILLED);
    assert_eq!(world.backend.phase(), Phase::Failed);
}

#[test]
fn a_long_life_clears_the_count() {
    let mut world = World::up();
    for _ in 0..10 {
        world.exited(KILLED).later(200).ready().later(10_000);
        assert_eq!(world.backend.phase(), Phase::Up);
    }
}

#[test]
fn before_the_first_readiness_an_exit_is_final() {
    let mut world = World::new(Kind::Managed);
    world.step(Event::Start).exited(ExitStatus::Code(1));
    assert_eq!(world.backend.phase(), Phase::Failed);
    assert_eq!(world.backend.last_exit.unwrap().by, By::Itself);
}

#[test]
fn an_end_with_status_0_is_no_failure() {
    let mut world = World::up();
    world.exited(ExitStatus::Code(0));
    assert_eq!(world.backend.phase(), Phase::Stopped);
}

#[test]
fn checks_flip_health_after_rise_and_fall_and_a_refusal_at_once() {
    let mut world = World::up();
    let run = world.run();
    let mut check = |ok, phase| {
        world.checked(run, ok);
        assert_eq!(world.backend.phase(), phase);
    };
    check(false, Phase::Up);
    check(true, Phase::Up);
    check(false, Phase::Up);
    check(false, Phase::Unhealthy);
    check(true, Phase::Up);
    world.step(Event::Refused { run });
    assert_eq!(
        (world.backend.phase(), world.backend.eligible()),
        (Phase::Unhealthy, false)
    );
}

#[test]
fn a_frozen_one_is_thawed_so_that_it_can_end() {
    let mut world = World::up();
    world.step(Event::Freeze);
    assert_eq!(
        (world.backend.phase(), world.backend.eligible()),
        (Phase::Frozen, true)
    );
    world.step(Event::Stop(By::Lbdev));
    assert_eq!(world.signals, [Signal::Stop, Signal::Term, Signal::Cont]);
}

#[test]
fn a_start_during_a_stop_wins() {
    let mut world = World::up();
    world
        .step(Event::Stop(By::Operator))
        .step(Event::Start)
        .later(2000)
        .exited(ExitStatus::Signal(15));
    assert_eq!(world.backend.phase(), Phase::Starting);
}

#[test]
fn an_external_one_has_no_process() {
    let mut world = World::new(Kind::External);
    world.step(Event::Start).ready();
    assert!(world.backend.eligible() && world.alive.is_empty());
    world.step(Event::Kill {
        signal: Signal::Kill,
        restart: false,
    });
    assert_eq!(
        (world.backend.phase(), world.signals.len()),
        (Phase::Stopped, 0)
    );
}

/// What can happen, with the run it is about left open: the present one, or a stale one.
#[derive(Debug, Clone)]
enum Anything {
    Plain(Event),
    Present(fn(RunId) -> Event),
    Stale(fn(RunId) -> Event),
    Later(u64),
}

const WINDOW: Duration = Duration::from_secs(10);

/// A check that begins when nothing has happened yet proves nothing after a mark: it begins at the end of time instead.
fn check(run: RunId, ok: bool) -> Event {
    let seen = Seen {
        ok,
        http: true,
        began: Instant::now() + Duration::from_secs(1_000_000_000),
    };
    let spare = true;
    Event::Checked { run, seen, spare }
}

fn anything() -> impl Strategy<Value = Anything> {
    let plain = prop_oneof![
        Just(Event::Start),
        Just(Event::Stop(By::Operator)),
        Just(Event::Stop(By::Lbdev)),
        Just(Event::Restart),
        (
            prop_oneof![Just(Signal::Kill), Just(Signal::Term), Just(Signal::Hup)],
            any::<bool>()
        )
            .prop_map(|(signal, restart)| Event::Kill { signal, restart }),
        Just(Event::Abort),
        Just(Event::Freeze),
        Just(Event::Thaw),
        any::<bool>().prop_map(|everyone| Event::Disable { everyone }),
        Just(Event::Enable),
        Just(Event::Tick),
        proptest::sample::select(vec![Detect::Instant, Detect::Passive, Detect::Active]).prop_map(
            |detect| Event::Detect {
                detect,
                window: WINDOW
            }
        ),
    ];
    let of_run: Vec<fn(RunId) -> Event> = vec![
        |run| Event::LaunchFailed { run },
        |run| Event::Exited {
            run,
            status: ExitStatus::Code(1),
            at: SystemTime::UNIX_EPOCH,
        },
        |run| Event::Exited {
            run,
            status: ExitStatus::Code(0),
            at: SystemTime::UNIX_EPOCH,
        },
        |run| Event::Exited {
            run,
            status: ExitStatus::Signal(9),
            at: SystemTime::UNIX_EPOCH,
        },
        |run| Event::Ready { run },
        |run| check(run, true),
        |run| check(run, false),
        |run| Event::Failing {
            run,
            spare: true,
            window: WINDOW,
        },
        |run| Event::Refused { run },
        |run| Event::Drained { run },
    ];
    let of_run = proptest::sample::select(of_run);
    prop_oneof![
        4 => plain.prop_map(Anything::Plain),
        4 => of_run.clone().prop_map(Anything::Present),
        1 => of_run.prop_map(Anything::Stale),
        2 => (0..20_000u64).prop_map(Anything::Later),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold(
        external in any::<bool>(),
        events in proptest::collection::vec(anything(), 0..80),
    ) {
        let kind = if external { Kind::External } else { Kind::Managed };
        let mut world = World::new(kind);
        for event in events {
            match event {
                Anything::Plain(event) => { world.step(event); }
                Anything::Later(ms) => { world.later(ms); }
                Anything::Present(make) => if let Some(run) = world.backend.run() {
                    // Somebody else's process cannot end here: lbdev never launched it.
                    let event = make(run);
                    if !(external && matches!(event, Event::Exited { .. } | Event::LaunchFailed { .. })) {
                        world.step(event);
                    }
                },
                Anything::Stale(make) => {
                    let stale = world.fresh.next().next();
                    let before = format!("{:?}", world.backend);
                    let effects = world.backend.step(make(stale), world.at());
                    prop_assert!(effects.is_empty(), "a stale run did something");
                    prop_assert_eq!(before, format!("{:?}", world.backend), "a stale run changed something");
                }
            }
            prop_assert!(world.alive.len() <= 1, "two live runs");
            if !external {
                prop_assert_eq!(world.backend.run(), world.alive.first().copied(), "state and process differ");
            }
            let eligible = world.backend.eligible();
            match world.backend.belief.detect() {
                Detect::Instant => prop_assert!(
                    !eligible || matches!(world.backend.phase(), Phase::Up | Phase::Frozen)
                ),
                Detect::Passive | Detect::Active => {
                    prop_assert!(!eligible || world.backend.listed(), "in rotation, but taken out");
                    let draining = matches!(world.backend.state, State::Draining { .. });
                    prop_assert!(!draining || !eligible, "about to stop, but eligible");
                }
            }
            prop_assert!(world.backend.enabled || !eligible, "drained, but eligible");
            if let Some(until) = world.backend.belief.until() {
                prop_assert!(!eligible, "its fail time runs");
                prop_assert!(until <= world.now + WINDOW, "its fail time is too long");
                prop_assert!(world.backend.deadline().is_some_and(|due| due <= until), "nothing would end it");
            }
            if let State::Stopping { .. } = world.backend.state {
                prop_assert!(world.backend.deadline().is_some(), "nothing would end it");
            }
        }
        // Wherever it is: a mark by time ends, and whoever was taken out by it is back.
        if let Some(until) = world.backend.belief.until() {
            let mut after = world.backend.clone();
            let at = Moment { now: until, ..world.at() };
            after.step(Event::Tick, at);
            prop_assert!(!after.belief.failing());
            prop_assert_eq!(after.eligible(), after.listed());
        }
        // Wherever it is: told to end, it ends, with KILL at the latest.
        world.step(Event::Stop(By::Lbdev));
        world.signals.clear();
        for _ in 0..3 {
            world.later(10_000);
        }
        if world.backend.run().is_some() {
            prop_assert!(world.signals.contains(&Signal::Kill), "{:?}", world.backend.state);
            world.exited(KILLED);
        }
        prop_assert!(matches!(world.backend.state, State::Stopped { .. }), "{:?}", world.backend.state);
        prop_assert!(world.alive.is_empty());
    }
}
