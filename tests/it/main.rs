//! The tests that run the real binary, in one test binary.

mod process;
