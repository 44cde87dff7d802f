//! lbdev: N copies of your project's server behind a load balancer, on your own machine.

pub mod backend;
pub mod balance;
pub mod config;
pub mod error;
pub mod history;
pub mod pool;
pub mod process;
pub mod proxy;
pub mod supervisor;
pub mod wire;
