//! lbdev: N copies of your project's server behind a load balancer, on your own machine.
//!
//! This page is the map of the code. `main.rs` is a thin front; everything is here.
//!
//! # Floors
//!
//! A module uses only floors below its own (`tests/it/floors.rs` holds it).
//!
//! | floor | modules | what they are |
//! |---|---|---|
//! | 5 | [`app`] | composes an instance, ends it in order, decides the exit code (and `internals`: doors for benches and fuzzers) |
//! | 4 | [`cli`], [`commands`], [`ui`] | what a person types and sees; only `ui` prints |
//! | 3 | [`proxy`], [`supervisor`], [`control`], [`dashboard`], [`demo`], [`tomcat`], [`load`], [`lab`], [`compare`], [`engine`] | the running parts |
//! | 2 | [`pool`], [`process`], [`probe`], [`watch`], [`instance`], [`shutdown`], [`export`], [`import`] | the resources they share |
//! | 1 | [`config`], [`recognise`], [`error`], [`wire`] | data; no I/O beyond reading a file |
//! | 0 | [`backend`], [`balance`], [`history`] | pure: no I/O, no clock, no dice of their own |
//!
//! `proxy` and `supervisor` never import each other: they meet in [`pool`].
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | **backend** | one server that lbdev launches (or that is *external*) and routes to; it survives restarts. `web:8000`, or `worker.1` without a port |
//! | **run** ([`backend::RunId`]) | one life of its process. Every process and check event carries it, so a late one is inert |
//! | **service** | a named group of backends with one command; balanced if it has ports |
//! | **pool** | a service's backends with their routing facts; a [`pool::Snapshot`] is its immutable view |
//! | **algorithm / picker** | what the user chose (an enum) / the object that chooses |
//! | **attempt / failover** | one try at one backend / a later attempt elsewhere |
//! | **ready, healthy, enabled** | its first check passed / recent checks and traffic pass / the operator allows it. **eligible** is all three |
//! | **belief** ([`backend::Belief`]) | what the balancer takes a backend for; unless `detect` is `instant`, its process may be dead meanwhile |
//! | **engine** ([`config::Engine`]) | who balances: lbdev itself, or a program of somebody else's in its place |
//! | **listed** | was ready, and nobody took it out on purpose: a balancer that is not told of deaths would send it requests |
//! | **rise, fall** | how many checks in a row flip health |
//! | **weight / share** | what was set / what pickers go by now, smaller during a slow start |
//! | **spared** | requests that would have gone to a backend whose death is known |
//! | **roll** | new code, one backend after the other |
//! | **on trial** | the first run of new code: if it is not ready, that is final |
//! | **task** | what runs once before or after a service; no backend |
//! | **fault** ([`config::Fault`]) | what the balancer does on purpose to requests for one backend |
//! | **incident** | a request that was not answered at its first try, or not at all |
//! | **sample** | requests that are kept to be looked at: all while they are few, of a flood some, and all that had trouble |
//! | **journal** ([`control::Journal`]) | the last events, and who was in which state during the last minute |
//! | **due** | when a request of a load was to be sent; its latency begins there, whenever it was sent |
//! | **sample** (of a load) | one kind of request among those that take turns |
//! | **set-up** (of a lab) | the `lbdev.toml` that the lab's own lbdev runs with |
//! | **drain** | no new requests, those in flight finish; by itself it is about requests only, and holds until `undrain` |
//! | **stop / kill / freeze** | drain, then TERM, then KILL / KILL now / the process hangs, but its port accepts |
//!
//! # One request
//!
//! [`proxy`] accepts, reads a request strictly in an HTTP/1 codec of our own (`proxy::h1`; hyper reads HTTP/2), routes to a
//! [`pool::Pool`], takes a [`pool::Lease`] on the next backend (it counts as in flight until the
//! response's *body* has ended), forwards over an idle or a fresh connection in the same codec, and
//! streams the answer back. What failed is tried at the next backend where that is safe: a request's body is kept on a tape while
//! it is short enough, a short response is held until it is whole, and a budget bounds the tries. While nobody is eligible, or
//! all are full, requests wait in order; whoever makes room hands them their leases.
//!
//! # A backend that fails
//!
//! Three ways lead out of the rotation. The [`supervisor`] sees a process end and publishes it at once. Failed attempts are
//! counted in [`pool`], which takes a backend out by itself and tells the supervisor. Checks ([`probe`]) report to the supervisor.
//! What each of them may say is decided in one place, [`backend::Belief`], by `detect`. Back in comes a backend by checks or by
//! time, never by a user's request, but for `passive`, where that is the point.
//!
//! # What changes while it serves
//!
//! `config::Live` is swapped whole in [`pool::Pools`], and an algorithm's state with the snapshot that it picks from, so that a
//! request sees one set-up from its pick to its end. Weights and the number of backends are the supervisor's, and come with the
//! next snapshot.
//!
//! # One command
//!
//! `lbdev kill 8000` finds the running instance ([`instance`]), posts to its socket ([`control`]); the [`supervisor`] applies
//! [`backend::Backend::step`], publishes to the pool *before* it signals, and replies when the process is gone.
//! `restart --rolling` is led by the command, one backend after the other; each step is whole on the server's side, so that a
//! command that is cut short leaves no half.
//!
//! # What is seen
//!
//! Each backend has its last minute in seconds ([`history::Minute`]): counts and a histogram each, so that percentiles of any
//! span are read from counts. The data path reports incidents to the access log, whoever reads the other requests; [`app`] tells
//! them and the supervisor's changes to the journal, [`control`] adds what somebody changed. `status`, `history` and `events` are
//! documents of the socket ([`wire`]); `lbdev top` draws them ([`ui`]), `lbdev events` prints them.
//!
//! In the foreground of `up` single keys come one by one (`ui::terminal`), while lbdev is in front; what they ask for is decided
//! without a terminal (`ui::keys`) and done over our own socket, as the verbs do it. `t` starts `lbdev top` as a process of its
//! own and lends it the terminal. Whatever ends the process, the terminal is made as it was.
//!
//! # Two doors
//!
//! One router ([`control::Control`]) answers what can be asked, through two doors. The socket's lets in whoever may open the file.
//! [`dashboard`]'s is TCP for browsers: its guard decides by a request's head alone who is let in, and what only the command line may ask
//! for (an end, another set-up, a terminal) is not there. The page is TypeScript (`src/dashboard/web`), built into `src/dashboard/assets`
//! and embedded. It reads one stream (`control::feed`): a snapshot, then what changes, from one producer for all who read; a reader that
//! is too slow is let go, and nobody waits for it. What the page draws comes from counters, not from the sample of requests.
//!
//! # Load, and lessons
//!
//! [`load`] sends requests at times that were set beforehand, on a thread of its own; latency counts from those times
//! ([`load::Plan`], [`load::drive`]). What was measured is one document ([`wire::LoadReport`]), from which the text, the page and the
//! exit code are made. What became of backends comes from the events of the running lbdev, held against the load's own answers.
//!
//! A lab is a file ([`config::lab`]) with every name in it checked when it is read; [`lab`] does what it says with an lbdev of its
//! own, which is a child that ends with it ([`lab::HOLD`]). Texts and checks are filled in with what was measured, by the same rules.
//! Result files are drawn, written and graded there too.
//!
//! # Hand-over
//!
//! [`export`] writes a set-up in the words of something else: a [`export::Target`] has a template (`templates/export`) and a file that
//! says what it cannot do. Everything that a template fills in is quoted by its format's rules by default, so that forgetting it is
//! not possible; what a format cannot hold is left out and said. [`import`] is the way back: nginx's files as a tree, what they mean,
//! text of `lbdev.toml`; what is not understood is told with its line.
//!
//! [`engine`] is `--engine`: another balancer as one more backend of the supervisor, called by [`backend::Slot::Engine`], in no pool, not
//! meant by `all`. lbdev's data path then has no sockets, its counters are `null`, and [`control`] refuses what only it does. [`compare`] does
//! one drill with each, by an lbdev of a lab's kind; what it tells was seen by its own load, from outside.
//!
//! # Messages
//!
//! Each module's errors become an [`error::Report`] with a code at the edge; wrong usage too, in our own words and not clap's
//! (`cli::usage`). `templates/codes.toml` says what each code means. Only [`ui`] prints, in words or under `--json` as objects.
//!
//! # New code, and another set-up
//!
//! [`watch`] hears of saved files; [`app`] has requests wait where that is wanted ([`supervisor::Handle::only_from`]), and leads
//! [`supervisor::roll`]: one backend after the other gets a run on trial, and the first that is not ready ends it. A reload
//! resolves the file again, finds out everything that can be wrong, then has pools, supervisor and data path take it over
//! ([`supervisor::Handle::adopt`], [`pool::Pools::set_services`], [`proxy::Workers::change`]); a pool keeps its place for ever, so that
//! who is on the way to it finds it. Services start in the order of their needs, after what runs once before them: until then
//! their backends are shown as starting, and wait.
//!
//! # What backends write
//!
//! Each run's pipes, or its terminal, are emptied by a thread of its own ([`process`]), whatever becomes of the lines: they go to
//! the last lines in memory, to whoever listens, and to one thread that writes the files. Whoever is too slow loses lines, and
//! the number of them is said. A terminal's bytes also go as they are to those who are attached, over a connection of the
//! control socket that becomes one ([`control`]); a debugging lasts exactly as long as such a connection.
//!
//! # Invariants
//!
//! - A backend has at most one live run; an event of another run changes nothing; a stopped backend has no process.
//! - Time and chance are arguments of the pure floor. Deadlines live in the states: there are no timers to cancel.
//! - The pool is published before a signal is sent, so nobody is routed to what is about to end.
//! - A lease taken while a drain began is given back: a stop never touches a request it did not count.
//! - Nothing of ours outlives us: sessions, a parent-death signal, a guardian that holds a pipe and is replaced when it is
//!   ended, and a list of sessions with start times for the next `up` or `down` where both were ended
//!   ([`process`]). On Windows a Job object for each run.
//! - A gap in time (a laptop that was shut, lbdev stopped) puts off what is due and counts against nobody.
//!
//! # Systems
//!
//! What differs between Linux, macOS and Windows is in `process::os`, `instance::os`, `control::socket` and
//! `config::platform`: one file for each, with the same functions. On Windows `exec_windows.rs` and `pump_windows.rs` stand for
//! [`process`]'s `exec` and `pump`: a run is a Job object that its first process, our `__exec`, holds, and that one is held to
//! lbdev by a pipe. `terminal_windows.rs` stands for `ui::terminal`. `unsafe` is in `process/os/windows/calls.rs` and nowhere else.

pub mod app;
pub mod backend;
pub mod balance;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod config;
pub mod control;
pub mod dashboard;
pub mod demo;
pub mod engine;
pub mod error;
pub mod export;
pub mod history;
pub mod import;
pub mod instance;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
pub mod lab;
pub mod load;
pub mod pool;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod recognise;
pub mod shutdown;
pub mod supervisor;
pub mod tomcat;
pub mod ui;
pub mod watch;
pub mod wire;
