//! Labs: lessons that are shown, measured and graded.
//!
//! A lab is a file ([`config::lab`](crate::config::lab)); this module does what it says. It runs an lbdev of its own, in a folder
//! of its own, on ports of its own, as a child that holds a pipe from here: whatever ends this process, that one ends too. Every
//! text and every check of a lab is filled in with what was measured, never with what should have been.

mod ask;
mod draw;
mod grade;
mod instance;
mod library;
mod perform;
mod record;
mod values;

pub use draw::draw;
pub use grade::{Flag, Grade, grade, names_of_roster};
pub use instance::{HOLD, Place, Ports, Running, hidden};
pub use library::{Library, Source};
pub use perform::{Audience, Done, Setting, Verdict, perform};
pub use record::{CheckRecord, Record, RecordState, file_name};
