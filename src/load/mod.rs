//! Load of our own: requests at times that were set beforehand, and what became of each.
//!
//! In an *open loop* requests are due by the clock, whatever became of those before, as those of many people are. Latency is
//! counted from the moment a request was due: where a server stalls, all that were due meanwhile are late, and a percentile that
//! left their wait out would hide the stall (Gil Tene calls that coordinated omission). In a *closed loop* each connection sends
//! the next request when the one before has been answered: that shows how much a server can do, not how long people wait.
//!
//! One thread does all of it; another one only rings when requests are due, since an event loop's timers have a resolution of a
//! millisecond.

mod answer;
mod ask;
mod client;
mod drive;
mod failover;
mod jar;
mod pacer;
mod plan;
mod report;
mod run;
mod tally;
mod verbs;

pub use answer::{Answer, Failure};
pub use ask::{Whole, ask};
pub use drive::{Driven, Seen, drive};
pub use jar::Jars;
pub use plan::{
    Beat, DEFAULT_FOR, DEFAULT_RPS, DEFAULT_TIMEOUT, MOST_CONNECTIONS, Plan, PlanError, Sample,
    Target,
};
pub use report::{Acted, ErrorLimit, Limits, report};
pub use run::{Control, Live, Measured, RunError, run};
pub use tally::Tally;
pub use verbs::{Caller, Verb};
