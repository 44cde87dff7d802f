//! What the balancer believes of one backend. It is kept apart from the process's state: where `detect` is not `instant`,
//! nobody tells the balancer of a death, and what it believes outlives the process.

use std::time::{Duration, Instant};

use super::{Detect, RunId};

/// One check of a backend that was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// It passed.
    pub ok: bool,
    /// It asked over HTTP: an open port alone does not say that the server still answers.
    pub http: bool,
    /// When it began.
    pub began: Instant,
}

/// Whether it is believed to answer, and what speaks against that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It answers.
    In {
        /// Checks in a row that failed.
        failed: u32,
    },
    /// Checks failed, or its port refused.
    Out {
        /// Checks in a row that passed.
        passed: u32,
    },
    /// Users' requests failed too often.
    Failing {
        /// When they had.
        since: Instant,
        /// When requests may try it again; `None`: when checks that began after `since` were answered over HTTP.
        until: Option<Instant>,
        /// Such checks in a row.
        passed: u32,
    },
}

/// What the balancer believes of one backend, by [`Detect`]:
///
/// - `instant`: the process's state decides first; what is up is in until its port refuses, `fall` checks fail, or users'
///   requests fail too often. The last two never take out the last backend of a pool.
/// - `passive`: in from its first readiness on, whatever becomes of the process, but for the time after users' requests
///   failed too often (nginx's `max_fails` and `fail_timeout`).
/// - `active`: in from its first readiness on; checks alone flip it (HAProxy's `rise` and `fall`).
#[derive(Debug, Clone)]
pub struct Belief {
    detect: Detect,
    listed: bool,
    run: Option<RunId>,
    standing: Standing,
}

impl Default for Belief {
    fn default() -> Self {
        Self {
            detect: Detect::default(),
            listed: false,
            run: None,
            standing: Standing::In { failed: 0 },
        }
    }
}

impl Belief {
    /// How a death is noticed.
    pub fn detect(&self) -> Detect {
        self.detect
    }

    /// It was ready once, and nobody took it out on purpose since.
    pub fn listed(&self) -> bool {
        self.listed
    }

    /// The run that was ready last.
    pub fn run(&self) -> Option<RunId> {
        self.run
    }

    /// Nothing speaks against it.
    pub fn good(&self) -> bool {
        matches!(self.standing, Standing::In { .. })
    }

    /// Users' requests took it out.
    pub fn failing(&self) -> bool {
        matches!(self.standing, Standing::Failing { .. })
    }

    /// When requests may try it again, where that is by time.
    pub fn until(&self) -> Option<Instant> {
        match self.standing {
            Standing::Failing { until, .. } => until,
            Standing::In { .. } | Standing::Out { .. } => None,
        }
    }

    /// Whether it may get requests, as far as the operator allows it. `alive`: its process was ready and lives.
    pub(super) fn holds(&self, alive: bool) -> bool {
        self.good()
            && match self.detect {
                Detect::Instant => alive,
                Detect::Passive | Detect::Active => self.listed,
            }
    }

    /// A run was ready. Where a death is not told, neither is a return: what is in stays in, and what is out comes back
    /// by time or by checks.
    pub(super) fn ready(&mut self, run: RunId) {
        if self.detect == Detect::Instant || !self.listed {
            self.standing = Standing::In { failed: 0 };
        }
        self.listed = true;
        self.run = Some(run);
    }

    /// The operator, or lbdev's end, takes it out: nginx's `down`.
    pub(super) fn take_out(&mut self) {
        self.listed = false;
        self.standing = Standing::In { failed: 0 };
    }

    /// A check. `spare`: another backend of its pool may get requests.
    pub(super) fn checked(&mut self, seen: Seen, spare: bool, (rise, fall): (u32, u32)) {
        if self.detect == Detect::Passive {
            return;
        }
        match &mut self.standing {
            Standing::In { failed } if seen.ok => *failed = 0,
            Standing::In { failed } => {
                *failed = failed.saturating_add(1);
                // With nobody else to ask, a slow answer is better than none.
                if *failed >= fall && (spare || self.detect == Detect::Active) {
                    self.standing = Standing::Out { passed: 0 };
                }
            }
            Standing::Out { passed } | Standing::Failing { passed, .. } if !seen.ok => *passed = 0,
            // An open port does not disprove what requests met with.
            Standing::Failing { since, .. } if !seen.http || seen.began < *since => {}
            Standing::Out { passed } | Standing::Failing { passed, .. } => {
                *passed += 1;
                if *passed >= rise {
                    self.standing = Standing::In { failed: 0 };
                }
            }
        }
    }

    /// Its port refused.
    pub(super) fn refused(&mut self) {
        match &mut self.standing {
            _ if self.detect != Detect::Instant => {}
            Standing::Failing { passed, .. } => *passed = 0,
            Standing::In { .. } | Standing::Out { .. } => {
                self.standing = Standing::Out { passed: 0 };
            }
        }
    }

    /// Users' requests failed too often. `window` is for how long it gets none in `passive`.
    pub(super) fn fail(&mut self, spare: bool, window: Duration, now: Instant) {
        let until = match self.detect {
            _ if !self.good() => return,
            Detect::Instant if spare => None,
            Detect::Passive => Some(now + window),
            Detect::Instant | Detect::Active => return,
        };
        self.standing = Standing::Failing {
            since: now,
            until,
            passed: 0,
        };
    }

    /// Nobody lived through this time: what ends by time ends so much later.
    pub(super) fn put_off(&mut self, gap: Duration) {
        if let Standing::Failing {
            until: Some(until), ..
        } = &mut self.standing
        {
            *until += gap;
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.until().is_some_and(|until| until <= now) {
            self.standing = Standing::In { failed: 0 };
        }
    }

    /// From now on a death is noticed in another way. What may get requests now is believed; what may not has to prove
    /// itself in the new way, except that with `instant` the process's state decides at once.
    pub(super) fn set_detect(
        &mut self,
        detect: Detect,
        alive: bool,
        window: Duration,
        now: Instant,
    ) {
        if self.detect == detect {
            return;
        }
        let held = self.holds(alive);
        self.detect = detect;
        let failing = |until| Standing::Failing {
            since: now,
            until,
            passed: 0,
        };
        self.standing = match (detect, self.standing) {
            _ if held => Standing::In { failed: 0 },
            (Detect::Instant, Standing::Failing { .. }) => failing(None),
            (Detect::Instant, standing) => standing,
            (Detect::Passive, _) => failing(Some(now + window)),
            (Detect::Active, _) => Standing::Out { passed: 0 },
        };
    }
}

#[cfg(test)]
mod tests;
