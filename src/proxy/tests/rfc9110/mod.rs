//! What messages mean, section by section of RFC 9110. How they are framed is in `rfc9112`.

mod bodiless;
mod expect;
mod fields;
mod upgrades;

use super::taking::{Taker, taking};
use super::*;

fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}
