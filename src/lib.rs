//! lbdev: N copies of your project's server behind a load balancer, on your own machine.

pub mod backend;
pub mod balance;
pub mod config;
pub mod control;
pub mod error;
pub mod history;
pub mod pool;
pub mod probe;
pub mod process;
pub mod shutdown;
pub mod supervisor;
pub mod wire;
