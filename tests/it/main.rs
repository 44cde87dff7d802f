//! The tests that run the real `lbdev`, in one test binary. Each starts its own instance in a scratch home on ports of its
//! own, so that all of them can run at once; what they share is below "tools".

// They are made of signals, modes and `/proc`. For Windows there is `tests/windows.rs`.
#![cfg(unix)]
// A test may unwrap, print what it measured, and has no outside to be reached from.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
#![allow(unreachable_pub, dead_code, missing_docs)]

// Tools.
mod broken;
mod browser;
mod footprint;
mod harness;
mod http;
mod load;
mod need;
mod numbers;
mod output;
mod ports;
mod pty;
mod rotation;
mod scan;
mod small_disk;
mod tmux;
mod wait;

// Tests, by topic.
mod abuse;
mod algorithms;
mod bad_commands;
mod bad_input;
mod completions;
mod contract;
mod corpus;
mod dashboard;
mod detect;
mod differential;
mod docs;
mod doctor;
mod drills;
mod ending;
mod engine;
mod events;
mod examples;
mod export;
mod external;
mod failover;
mod faults;
mod files;
mod floors;
mod freeze;
mod hosts;
mod import;
mod json;
mod labs;
mod left_behind;
mod lines;
mod load_verb;
mod meeting;
mod pitfalls;
mod process;
mod projects;
mod reload;
mod restarts;
mod rolling;
mod saves;
mod scale;
mod screens;
mod set;
mod soak;
mod sticky;
mod streams;
mod terminal;
mod timing;
mod tools;
mod up_django;
mod usage;
mod websocket;
mod wrong_input;
