//! The thin front of the library.

fn main() {}
