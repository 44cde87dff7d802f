//! A second, simple-minded account of one backend's life, written from the documentation: whatever happens, in whatever
//! order, both have to agree on what a person can see.

use super::*;

/// What a person can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// No process, and none will come by itself.
    Down,
    /// It fell over, and is started again in a while.
    Waiting,
    /// It was given up.
    GivenUp,
    Starting,
    Up,
    Frozen,
    /// It gets no new requests, and is told to end when it has none.
    Draining,
    /// It was told to end.
    Ending,
}

/// What comes after an end that somebody wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    Another,
    ThePolicy,
}

/// The account itself.
#[derive(Debug, Clone)]
struct Model {
    seen: Seen,
    wanted: bool,
    after: After,
    /// When something happens by itself: a new try, the end of a drain, KILL.
    due: Option<Instant>,
    up_since: Option<Instant>,
    ever_ready: bool,
    /// What was launched last, or comes next, is new code.
    trial: bool,
    /// Restarts in a row.
    tries: u32,
    /// By the restart policy.
    mode: RestartMode,
}

const MAX: u32 = 3;

impl Model {
    fn has_process(&self) -> bool {
        match self.seen {
            Seen::Down | Seen::Waiting | Seen::GivenUp => false,
            Seen::Starting | Seen::Up | Seen::Frozen | Seen::Draining | Seen::Ending => true,
        }
    }

    fn launch(&mut self) {
        self.seen = Seen::Starting;
        self.due = None;
    }

    fn tell_to_end(&mut self, now: Instant) {
        self.seen = Seen::Ending;
        self.due = Some(now + Duration::from_secs(5));
    }

    fn kill(&mut self, now: Instant) {
        self.seen = Seen::Ending;
        self.due = Some(now + Duration::from_secs(1));
    }

    fn no_process(&mut self, seen: Seen) {
        self.seen = seen;
        self.due = None;
    }

    fn start(&mut self) {
        self.wanted = true;
        self.trial = false;
        match self.seen {
            Seen::Down | Seen::Waiting | Seen::GivenUp => {
                self.tries = 0;
                self.launch();
            }
            Seen::Draining | Seen::Ending => self.after = After::Another,
            Seen::Starting | Seen::Up | Seen::Frozen => {}
        }
    }

    fn stop(&mut self, after: After, now: Instant) {
        match self.seen {
            Seen::Down | Seen::Waiting | Seen::GivenUp => self.no_process(Seen::Down),
            Seen::Starting | Seen::Frozen => self.tell_to_end(now),
            Seen::Up => {
                self.seen = Seen::Draining;
                self.due = Some(now + Duration::from_secs(2));
            }
            Seen::Draining | Seen::Ending => {}
        }
        self.after = after;
    }

    fn policy(&mut self, code_0: bool, now: Instant) {
        let again = match self.mode {
            RestartMode::Never => false,
            RestartMode::OnFailure => !code_0,
            RestartMode::Always => true,
        };
        if !self.wanted || (code_0 && !again) {
            self.no_process(Seen::Down);
        } else if !again || self.tries == MAX {
            self.no_process(Seen::GivenUp);
        } else {
            self.tries += 1;
            self.seen = Seen::Waiting;
            // 0.2 s, 0.4 s, 0.8 s: the dice of these tests say the whole of it.
            self.due = Some(now + Duration::from_millis(100 << self.tries));
        }
    }

    fn exited(&mut self, code_0: bool, now: Instant) {
        match (self.seen, self.after) {
            (Seen::Draining | Seen::Ending, After::Nothing) => self.no_process(Seen::Down),
            (Seen::Draining | Seen::Ending, After::Another) => {
                self.tries = 0;
                self.launch();
            }
            (Seen::Draining | Seen::Ending, After::ThePolicy) => self.policy(code_0, now),
            (Seen::Starting, _) if !self.ever_ready || self.trial => self.no_process(Seen::GivenUp),
            (Seen::Starting, _) => self.policy(code_0, now),
            (Seen::Up | Seen::Frozen, _) => {
                if self
                    .up_since
                    .is_some_and(|since| now - since >= Duration::from_secs(10))
                {
                    self.tries = 0;
                }
                self.policy(code_0, now);
            }
            (Seen::Down | Seen::Waiting | Seen::GivenUp, _) => {}
        }
    }

    fn launch_failed(&mut self) {
        match (self.seen, self.after) {
            (Seen::Ending, After::Another) => self.launch(),
            (Seen::Ending, _) => self.no_process(Seen::Down),
            _ => self.no_process(Seen::GivenUp),
        }
    }

    /// Time has passed; whether KILL is due.
    fn time(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| now < due) {
            return false;
        }
        match self.seen {
            Seen::Waiting => self.launch(),
            Seen::Draining => self.tell_to_end(now),
            Seen::Ending => {
                self.kill(now);
                return true;
            }
            Seen::Down | Seen::GivenUp | Seen::Starting | Seen::Up | Seen::Frozen => {}
        }
        false
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Start,
    Stop,
    Restart,
    Renew,
    Kill {
        restart: bool,
    },
    Term {
        restart: bool,
    },
    Hup,
    SignalStop,
    SignalCont,
    CtrlCTwice,
    Freeze,
    Thaw,
    Drain,
    Undrain,
    Ready,
    Idle,
    LaunchFailed,
    Exit {
        code_0: bool,
    },
    /// Of a life that is long over.
    LateExit,
    LateReady,
    Time {
        ms: u64,
    },
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens::*;
    prop_oneof![
        3 => Just(Start),
        2 => Just(Stop),
        2 => Just(Restart),
        2 => Just(Renew),
        2 => any::<bool>().prop_map(|restart| Kill { restart }),
        1 => any::<bool>().prop_map(|restart| Term { restart }),
        1 => prop_oneof![Just(Hup), Just(SignalStop), Just(SignalCont), Just(CtrlCTwice)],
        2 => prop_oneof![Just(Freeze), Just(Thaw), Just(Drain), Just(Undrain)],
        5 => Just(Ready),
        1 => Just(Idle),
        1 => Just(LaunchFailed),
        5 => any::<bool>().prop_map(|code_0| Exit { code_0 }),
        1 => prop_oneof![Just(LateExit), Just(LateReady)],
        4 => (1..15_000u64).prop_map(|ms| Time { ms }),
    ]
}

/// What the real one shows.
fn seen(backend: &Backend) -> Seen {
    match backend.state {
        State::Stopped { .. } => Seen::Down,
        State::Starting { .. } => Seen::Starting,
        State::Up { .. } => Seen::Up,
        State::Frozen { .. } => Seen::Frozen,
        State::Draining { .. } => Seen::Draining,
        State::Stopping { .. } => Seen::Ending,
        State::Backoff { .. } => Seen::Waiting,
        State::Failed { .. } => Seen::GivenUp,
    }
}

fn both(world: &mut World, model: &mut Model, what: Happens) {
    let now = world.now;
    let run = world.backend.run();
    let late = world.fresh.next().next();
    match what {
        Happens::Start => {
            world.step(Event::Start);
            model.start();
        }
        Happens::Stop => {
            world.step(Event::Stop(By::Operator));
            model.wanted = false;
            model.stop(After::Nothing, now);
        }
        Happens::Restart => {
            world.step(Event::Restart);
            match model.seen {
                Seen::Starting | Seen::Up | Seen::Frozen => {
                    model.wanted = true;
                    model.stop(After::Another, now);
                }
                _ => model.start(),
            }
        }
        Happens::Renew => {
            world.step(Event::Renew);
            if model.wanted {
                match model.seen {
                    Seen::Starting | Seen::Up | Seen::Frozen => model.stop(After::Another, now),
                    _ => model.start(),
                }
                model.trial = true;
            }
        }
        Happens::Kill { restart } => {
            let signal = Signal::Kill;
            world.step(Event::Kill { signal, restart });
            if model.has_process() {
                model.wanted &= restart;
                model.kill(now);
                model.after = if restart {
                    After::ThePolicy
                } else {
                    After::Nothing
                };
            } else if !restart {
                model.wanted = false;
                model.no_process(Seen::Down);
            }
        }
        Happens::Term { restart } => {
            let signal = Signal::Term;
            world.step(Event::Kill { signal, restart });
            if model.has_process() {
                model.wanted &= restart;
                if model.seen == Seen::Frozen {
                    model.seen = Seen::Up;
                }
                if !restart && matches!(model.seen, Seen::Draining | Seen::Ending) {
                    model.after = After::Nothing;
                }
            } else if !restart {
                model.wanted = false;
                model.no_process(Seen::Down);
            }
        }
        Happens::Hup => {
            let signal = Signal::Hup;
            world.step(Event::Kill {
                signal,
                restart: false,
            });
        }
        Happens::SignalStop | Happens::Freeze => {
            let signal = Signal::Stop;
            world.step(match what {
                Happens::Freeze => Event::Freeze,
                _ => Event::Kill {
                    signal,
                    restart: false,
                },
            });
            if model.seen == Seen::Up {
                model.seen = Seen::Frozen;
                // How long it lived counts anew: nobody can say when it began to answer again.
                model.up_since = Some(now);
            }
        }
        Happens::SignalCont | Happens::Thaw => {
            let signal = Signal::Cont;
            world.step(match what {
                Happens::Thaw => Event::Thaw,
                _ => Event::Kill {
                    signal,
                    restart: false,
                },
            });
            if model.seen == Seen::Frozen {
                model.seen = Seen::Up;
            }
        }
        Happens::CtrlCTwice => {
            world.step(Event::Abort);
            model.wanted = false;
            model.after = After::Nothing;
            match model.has_process() {
                true => model.kill(now),
                false => model.no_process(Seen::Down),
            }
        }
        // Who gets requests is no matter of its life.
        Happens::Drain => {
            world.step(Event::Disable { everyone: true });
        }
        Happens::Undrain => {
            world.step(Event::Enable);
        }
        Happens::Ready => {
            let Some(run) = run else { return };
            world.step(Event::Ready { run });
            if model.seen == Seen::Starting {
                model.seen = Seen::Up;
                model.up_since = Some(now);
                model.ever_ready = true;
                model.trial = false;
            }
        }
        Happens::Idle => {
            let Some(run) = run else { return };
            world.step(Event::Drained { run });
            if model.seen == Seen::Draining {
                model.tell_to_end(now);
            }
        }
        Happens::LaunchFailed => {
            // What was up was launched.
            let launching = matches!(model.seen, Seen::Starting | Seen::Ending);
            let Some(run) = run.filter(|_| launching) else {
                return;
            };
            world.step(Event::LaunchFailed { run });
            model.launch_failed();
        }
        Happens::Exit { code_0 } => {
            if run.is_some() {
                world.exited(ExitStatus::Code(i32::from(!code_0)));
                model.exited(code_0, now);
            }
        }
        Happens::LateExit => {
            let (status, at) = (KILLED, SystemTime::UNIX_EPOCH);
            world.step(Event::Exited {
                run: late,
                status,
                at,
            });
        }
        Happens::LateReady => {
            world.step(Event::Ready { run: late });
        }
        Happens::Time { ms } => {
            world.signals.clear();
            world.later(ms);
            let kills = model.time(world.now);
            assert_eq!(world.signals.contains(&Signal::Kill), kills, "KILL in time");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_does_what_its_documentation_says(
        mode in proptest::sample::select(vec![RestartMode::Never, RestartMode::OnFailure, RestartMode::Always]),
        story in proptest::collection::vec(happens(), 0..60),
    ) {
        let mut world = World::new(Kind::Managed);
        world.backend = backend_with(Kind::Managed, mode);
        let mut model = Model {
            seen: Seen::Down,
            wanted: false,
            after: After::Nothing,
            due: None,
            up_since: None,
            ever_ready: false,
            trial: false,
            tries: 0,
            mode,
        };
        for what in story {
            let frozen = model.seen == Seen::Frozen;
            world.signals.clear();
            both(&mut world, &mut model, what);
            prop_assert_eq!(seen(&world.backend), model.seen, "after {:?}", what);
            prop_assert_eq!(world.backend.desired, model.wanted, "wanted, after {:?}", what);
            prop_assert_eq!(world.alive.len(), usize::from(model.has_process()), "after {:?}", what);
            // Nobody is told to end in a state in which nothing can be heard.
            if let Some(told) = world.signals.iter().position(|signal| *signal == Signal::Term)
                && frozen
            {
                prop_assert!(world.signals[told..].contains(&Signal::Cont), "after {:?}", what);
            }
            prop_assert!(model.tries <= MAX);
        }
        // Whatever has happened: what waits is started by itself, and what is told to end ends.
        if model.seen == Seen::Waiting {
            both(&mut world, &mut model, Happens::Time { ms: 20_000 });
            prop_assert_eq!(seen(&world.backend), Seen::Starting);
        }
        both(&mut world, &mut model, Happens::Stop);
        for _ in 0..3 {
            both(&mut world, &mut model, Happens::Time { ms: 10_000 });
        }
        both(&mut world, &mut model, Happens::Exit { code_0: false });
        prop_assert_eq!(seen(&world.backend), Seen::Down);
        prop_assert!(world.alive.is_empty());
    }
}
