//! One backend as pure data: what it is called, what state it is in, and what each event does to it.
//!
//! Nothing here does I/O, reads a clock or rolls dice: `now` and `dice` are arguments, so every path can be tested.

mod belief;
mod failures;
mod gap;
mod id;
mod policy;
mod signal;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use belief::{Belief, Seen};
pub use failures::Failures;
pub use id::{BackendId, RunId, Slot};
pub use policy::{
    Detect, HealthPolicy, PassivePolicy, Ready, RestartMode, RestartPolicy, StopPolicy, Timings,
};
pub use signal::{Intent, Signal, signal_name};
pub use state::{By, Effect, Event, Exit, ExitStatus, Kind, Moment, Next, Phase, State};
pub use step::Backend;
