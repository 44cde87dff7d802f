//! The tiny backends and the clients of `benches/side-by-side`: one thread each, and as little work of their own as can be,
//! so that what is measured is the proxy between them. Linux only: it goes by epoll and by /proc.
//!
//! ```text
//! load backend FIRST_PORT COUNT [FILE]    /b/N answers N bytes, any other path 100; the moment it listens is written to FILE
//! load clients --port P [--path /b/100] [--connections 64] [--seconds 1] [--warmup 0.2] [--close] [--pids 1,2]
//! load hold PORT COUNT                    COUNT connections with one request each, then idle until stdin ends
//! ```

#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod backend;
#[cfg(target_os = "linux")]
mod clients;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
mod hold;
#[cfg(target_os = "linux")]
mod message;

/// Prints what was measured as one line of JSON; exits with 1 where nothing could be.
#[allow(clippy::print_stdout, clippy::print_stderr)]
#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match arguments::run(&words) {
        Ok(line) => {
            println!("{line}");
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr)]
#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("load: this needs Linux's epoll");
    std::process::ExitCode::FAILURE
}
