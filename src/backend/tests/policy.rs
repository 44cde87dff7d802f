//! When a process that ended is started again, as a table, and by which signals it is told what.

use super::*;

#[test]
fn each_policy_for_each_end() {
    use Phase::{Backoff, Failed, Stopped};
    use RestartMode::{Always, Never, OnFailure};
    let (well, badly) = (ExitStatus::Code(0), ExitStatus::Code(3));
    for (mode, status, expected) in [
        (Never, well, Stopped),
        (Never, badly, Failed),
        (Never, KILLED, Failed),
        (OnFailure, well, Stopped),
        (OnFailure, badly, Backoff),
        (OnFailure, KILLED, Backoff),
        (Always, well, Backoff),
        (Always, badly, Backoff),
        (Always, KILLED, Backoff),
    ] {
        let mut world = World::new(Kind::Managed);
        world.backend = backend_with(Kind::Managed, mode);
        world.step(Event::Start).ready().exited(status);
        assert_eq!(world.backend.phase(), expected, "{mode:?} {status:?}");
    }
}

/// Half of the wait is by chance, so that four that fell together do not come back together.
#[test]
fn the_wait_doubles_up_to_its_limit_with_jitter() {
    for (dice, wait) in [(0.0, 100), (0.5, 150), (1.0, 200)] {
        let mut world = World::up();
        let (run, at) = (world.run(), SystemTime::UNIX_EPOCH);
        let moment = Moment { dice, ..world.at() };
        let status = KILLED;
        world
            .backend
            .step(Event::Exited { run, status, at }, moment);
        let due = world.backend.deadline().unwrap() - world.now;
        assert_eq!(due, Duration::from_millis(wait), "dice {dice}");
    }
    let long = RestartPolicy {
        mode: RestartMode::Always,
        backoff_min: Duration::from_millis(200),
        backoff_max: Duration::from_secs(10),
        max: 100,
    };
    let mut world = World::new(Kind::Managed);
    let stop = StopPolicy {
        signal: Signal::Term,
        timeout: Duration::from_secs(5),
    };
    let id = world.backend.id.clone();
    let timings = world.backend.timings.clone();
    world.backend = Backend::new(id, Kind::Managed, (1, 2), long, stop, timings);
    world.step(Event::Start).ready();
    let mut waits = Vec::new();
    for _ in 0..40 {
        world.exited(KILLED);
        let wait = world.backend.deadline().unwrap() - world.now;
        waits.push(wait.as_millis());
        world.later(10_000).ready();
    }
    assert_eq!(&waits[..7], [200, 400, 800, 1600, 3200, 6400, 10_000]);
    assert!(waits[7..].iter().all(|wait| *wait == 10_000), "{waits:?}");
}

#[test]
fn a_start_of_what_was_given_up_counts_anew() {
    let mut world = World::up();
    for _ in 0..3 {
        world.exited(KILLED).later(10_000);
    }
    world.exited(KILLED);
    assert_eq!(world.backend.phase(), Phase::Failed);
    world.step(Event::Start).ready().exited(KILLED);
    assert!(matches!(
        world.backend.state,
        State::Backoff { attempt: 1, .. }
    ));
}

#[test]
fn signals_by_what_they_mean() {
    let send = |world: &mut World, signal| {
        world.signals.clear();
        world.step(Event::Kill {
            signal,
            restart: false,
        });
        world.signals.clone()
    };
    // A message: it goes on as it was.
    for signal in [
        Signal::Hup,
        Signal::Usr1,
        Signal::Ttin,
        Signal::Winch,
        Signal::Chld,
    ] {
        let mut world = World::up();
        assert_eq!(send(&mut world, signal), [signal]);
        assert_eq!(
            (world.backend.phase(), world.backend.desired),
            (Phase::Up, true)
        );
    }
    // A crash that somebody wanted.
    for signal in [Signal::Segv, Signal::Abrt, Signal::Quit] {
        let mut world = World::up();
        assert_eq!(send(&mut world, signal), [signal]);
        world.exited(ExitStatus::Signal(signal.number()));
        assert_eq!(world.backend.phase(), Phase::Stopped, "{signal:?}");
        assert_eq!(world.backend.last_exit.unwrap().by, By::Operator);
    }
    // To hang and to go on are states, whoever asks for them.
    let mut world = World::up();
    assert_eq!(send(&mut world, Signal::Stop), [Signal::Stop]);
    assert_eq!(world.backend.phase(), Phase::Frozen);
    assert_eq!(send(&mut world, Signal::Term), [Signal::Term, Signal::Cont]);
    let mut world = World::up();
    send(&mut world, Signal::Stop);
    assert_eq!(send(&mut world, Signal::Cont), [Signal::Cont]);
    assert_eq!(world.backend.phase(), Phase::Up);
}
