use std::time::{Duration, Instant};

use super::*;

const WINDOW: Duration = Duration::from_secs(10);
const COUNTS: (u32, u32) = (2, 3);

/// A belief with a clock.
struct World {
    belief: Belief,
    alive: bool,
    now: Instant,
}

impl World {
    /// Ready, under `detect` from the start.
    fn ready(detect: Detect) -> Self {
        let mut world = Self {
            belief: Belief::default(),
            alive: false,
            now: Instant::now(),
        };
        world.switch(detect);
        world.alive = true;
        world.belief.ready(RunId::FIRST);
        world
    }

    fn switch(&mut self, detect: Detect) -> &mut Self {
        self.belief.set_detect(detect, self.alive, WINDOW, self.now);
        self
    }

    /// Whether it may get requests.
    fn holds(&self) -> bool {
        self.belief.holds(self.alive)
    }

    fn check(&mut self, ok: bool, http: bool) -> bool {
        let began = self.now;
        self.belief.checked(Seen { ok, http, began }, true, COUNTS);
        self.holds()
    }

    fn fail(&mut self, spare: bool) -> bool {
        self.belief.fail(spare, WINDOW, self.now);
        self.holds()
    }

    fn later(&mut self, seconds: u64) -> bool {
        self.now += Duration::from_secs(seconds);
        self.belief.tick(self.now);
        self.holds()
    }
}

#[test]
fn a_death_is_known_at_once_or_not_at_all() {
    for (detect, still_in) in [
        (Detect::Instant, false),
        (Detect::Passive, true),
        (Detect::Active, true),
    ] {
        let mut world = World::ready(detect);
        world.alive = false;
        assert_eq!(world.holds(), still_in, "{detect:?}");
        world.belief.take_out();
        assert!(!world.holds(), "{detect:?}");
        world.alive = true;
        world.belief.ready(RunId::FIRST.next());
        assert!(world.holds(), "{detect:?}: it joins again");
        assert_eq!(world.belief.run(), Some(RunId::FIRST.next()));
    }
}

#[test]
fn checks_count_in_a_row_where_they_count() {
    for (detect, counts) in [
        (Detect::Instant, true),
        (Detect::Active, true),
        (Detect::Passive, false),
    ] {
        let mut world = World::ready(detect);
        assert!(world.check(false, true));
        assert!(world.check(false, true));
        assert!(world.check(true, true), "a pass clears the count");
        assert!(world.check(false, true));
        assert!(world.check(false, true));
        assert_eq!(world.check(false, true), !counts, "{detect:?}: the third");
        assert_eq!(world.check(true, true), !counts, "{detect:?}: one passed");
        assert!(world.check(true, true), "{detect:?}: two passed");
    }
}

#[test]
fn a_refusal_is_at_once_only_where_the_balancer_is_told() {
    for (detect, still_in) in [
        (Detect::Instant, false),
        (Detect::Passive, true),
        (Detect::Active, true),
    ] {
        let mut world = World::ready(detect);
        world.belief.refused();
        assert_eq!(world.holds(), still_in, "{detect:?}");
    }
}

#[test]
fn failing_requests_are_proved_wrong_only_by_answers_that_came_after() {
    let mut world = World::ready(Detect::Instant);
    let before = world.now;
    world.later(1);
    assert!(!world.fail(true));
    assert!(world.belief.failing());
    assert!(!world.later(60), "it does not end by time");
    assert!(!world.check(true, false) && !world.check(true, false) && !world.check(true, false));
    let old = Seen {
        ok: true,
        http: true,
        began: before,
    };
    for _ in 0..5 {
        world.belief.checked(old, true, COUNTS);
    }
    assert!(!world.holds(), "they began before");
    assert!(!world.check(true, true));
    assert!(!world.check(false, true), "the row is broken");
    assert!(!world.check(true, true));
    world.belief.refused();
    assert!(!world.check(true, true), "so it is by a refusal");
    assert!(world.check(true, true));
}

#[test]
fn the_last_one_stays_but_for_a_refusal() {
    let mut world = World::ready(Detect::Instant);
    assert!(world.fail(false), "by failing requests");
    let seen = Seen {
        ok: false,
        http: true,
        began: world.now,
    };
    for _ in 0..10 {
        world.belief.checked(seen, false, COUNTS);
    }
    assert!(world.holds(), "by checks");
    world.belief.checked(seen, true, COUNTS);
    assert!(!world.holds(), "as soon as there is another");
    let mut world = World::ready(Detect::Instant);
    world.belief.refused();
    assert!(!world.holds());
    // Only checks tell, and what they tell holds.
    let mut world = World::ready(Detect::Active);
    for _ in 0..3 {
        world.belief.checked(seen, false, COUNTS);
    }
    assert!(!world.holds());
}

#[test]
fn passive_a_mark_lasts_for_the_window() {
    let mut world = World::ready(Detect::Passive);
    assert!(!world.fail(false), "the pool knows whether it has another");
    assert_eq!(world.belief.until(), Some(world.now + WINDOW));
    assert!(!world.later(4));
    world.fail(true);
    assert!(!world.later(5), "what fails meanwhile makes it no longer");
    world.belief.ready(RunId::FIRST.next());
    assert!(!world.holds(), "a new run is not told");
    assert!(world.later(1));
    assert_eq!(world.belief.until(), None);
    assert!(!world.fail(true), "and again");
}

#[test]
fn active_failing_requests_say_nothing_and_a_new_run_is_not_told() {
    let mut world = World::ready(Detect::Active);
    assert!(world.fail(true));
    for _ in 0..3 {
        world.check(false, true);
    }
    assert!(!world.holds());
    world.belief.ready(RunId::FIRST.next());
    assert!(!world.holds());
    world.check(true, true);
    assert!(world.check(true, true));
}

#[test]
fn a_switch_takes_effect_at_once() {
    type Before = fn(&mut World);
    let well: Before = |_| {};
    let dead: Before = |world| world.alive = false;
    let bad: Before = |world| {
        for _ in 0..3 {
            world.check(false, true);
        }
    };
    let failing: Before = |world| {
        world.fail(true);
    };
    use Detect::{Active, Instant, Passive};
    for (name, from, before, to, holds) in [
        ("well", Instant, well, Passive, true),
        ("well", Passive, well, Active, true),
        ("well", Active, well, Instant, true),
        ("dead and known", Instant, dead, Passive, false),
        ("dead and known", Instant, dead, Active, false),
        ("dead and believed", Passive, dead, Instant, false),
        ("dead and believed", Active, dead, Instant, false),
        ("dead and believed", Passive, dead, Active, true),
        ("checked bad", Instant, bad, Passive, false),
        ("checked bad", Instant, bad, Active, false),
        ("checked bad", Active, bad, Instant, false),
        ("failing", Instant, failing, Passive, false),
        ("failing", Instant, failing, Active, false),
        ("failing", Passive, failing, Instant, false),
        ("failing", Passive, failing, Active, false),
    ] {
        let mut world = World::ready(from);
        before(&mut world);
        world.switch(to);
        assert_eq!(world.holds(), holds, "{name}, {from:?} to {to:?}");
        if !holds && world.alive {
            // There is a way back from everywhere.
            world.check(true, true);
            world.check(true, true);
            assert!(world.later(10), "{name}, {from:?} to {to:?}: back");
        }
        if to == Passive {
            assert!(world.later(10), "{name}: requests try it again");
        }
    }
}
