//! lbdev: N copies of your project's server behind a load balancer, on your own machine.

pub mod backend;
pub mod balance;
pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod error;
pub mod history;
pub mod instance;
pub mod pool;
pub mod process;
pub mod recognise;
pub mod supervisor;
pub mod ui;
pub mod wire;
