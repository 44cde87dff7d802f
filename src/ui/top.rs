//! `lbdev top`: the live screen. What a key does and how it all looks is decided by pure functions; the terminal is in
//! [`screen`].

mod draw;
mod model;
pub mod screen;

pub use draw::draw;
pub use model::{Key, Model, Order};
