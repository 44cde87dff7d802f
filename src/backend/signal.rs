//! Signals, their names and their numbers.

/// A signal as a person names it: all that a Unix has a name for (signal(7)). Windows has three things to send:
/// [`Signal::Term`] is CTRL_BREAK there, [`Signal::Int`] CTRL_C, and [`Signal::Kill`] ends the process. As a backend's stop
/// signal any other is CTRL_BREAK, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the system's documentation explains the others
pub enum Signal {
    /// SIGTERM: please end.
    Term,
    /// SIGINT: what Ctrl-C sends.
    Int,
    Quit,
    /// SIGHUP: the terminal is gone; for many servers: read the configuration again.
    Hup,
    Usr1,
    Usr2,
    /// SIGKILL: cannot be refused.
    Kill,
    /// SIGSTOP: hangs until [`Signal::Cont`].
    Stop,
    /// SIGCONT: goes on.
    Cont,
    Abrt,
    Alrm,
    Bus,
    Chld,
    Fpe,
    Ill,
    Io,
    Pipe,
    Prof,
    Pwr,
    Segv,
    Sys,
    Trap,
    Tstp,
    Ttin,
    Ttou,
    Urg,
    Vtalrm,
    Winch,
    Xcpu,
    Xfsz,
}

/// What somebody wants who sends a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Its end, now: it cannot be refused.
    Kill,
    /// Its end, by its own doing, or as a crash.
    End,
    /// That it hangs.
    Freeze,
    /// That it goes on.
    Thaw,
    /// Something else, which the program knows.
    Tell,
}

/// By which numbers signals go here: those of Linux on x86 and ARM, or those of the BSDs (macOS).
const LINUX: bool = cfg!(target_os = "linux");

/// Name, then number on Linux and on the BSDs; 0 where there is none. The order is that of lists in messages.
const TABLE: &[(Signal, &str, i32, i32)] = &[
    (Signal::Term, "SIGTERM", 15, 15),
    (Signal::Int, "SIGINT", 2, 2),
    (Signal::Quit, "SIGQUIT", 3, 3),
    (Signal::Hup, "SIGHUP", 1, 1),
    (Signal::Usr1, "SIGUSR1", 10, 30),
    (Signal::Usr2, "SIGUSR2", 12, 31),
    (Signal::Kill, "SIGKILL", 9, 9),
    (Signal::Stop, "SIGSTOP", 19, 17),
    (Signal::Cont, "SIGCONT", 18, 19),
    (Signal::Abrt, "SIGABRT", 6, 6),
    (Signal::Alrm, "SIGALRM", 14, 14),
    (Signal::Bus, "SIGBUS", 7, 10),
    (Signal::Chld, "SIGCHLD", 17, 20),
    (Signal::Fpe, "SIGFPE", 8, 8),
    (Signal::Ill, "SIGILL", 4, 4),
    (Signal::Io, "SIGIO", 29, 23),
    (Signal::Pipe, "SIGPIPE", 13, 13),
    (Signal::Prof, "SIGPROF", 27, 27),
    (Signal::Pwr, "SIGPWR", 30, 0),
    (Signal::Segv, "SIGSEGV", 11, 11),
    (Signal::Sys, "SIGSYS", 31, 12),
    (Signal::Trap, "SIGTRAP", 5, 5),
    (Signal::Tstp, "SIGTSTP", 20, 18),
    (Signal::Ttin, "SIGTTIN", 21, 21),
    (Signal::Ttou, "SIGTTOU", 22, 22),
    (Signal::Urg, "SIGURG", 23, 16),
    (Signal::Vtalrm, "SIGVTALRM", 26, 26),
    (Signal::Winch, "SIGWINCH", 28, 28),
    (Signal::Xcpu, "SIGXCPU", 24, 24),
    (Signal::Xfsz, "SIGXFSZ", 25, 25),
];

/// What Windows can send just as it is.
const ON_WINDOWS: [Signal; 3] = [Signal::Term, Signal::Int, Signal::Kill];

impl Signal {
    /// Every one that this system has.
    pub fn all() -> impl Iterator<Item = Signal> {
        let all = TABLE.iter().map(|&(signal, ..)| signal);
        all.filter(|signal| signal.number() != 0)
    }

    /// Every name that [`Signal::parse`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::all().map(Signal::name)
    }

    /// Reads `SIGTERM`, `TERM`, `term` or `15`.
    pub fn parse(text: &str) -> Option<Signal> {
        let upper = text.trim().to_ascii_uppercase();
        if let Ok(number) = upper.parse() {
            return Self::of_number(number);
        }
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        Self::all().find(|signal| signal.name() == name)
    }

    /// The one with this number, here.
    pub fn of_number(number: i32) -> Option<Signal> {
        Self::all().find(|signal| signal.number() == number)
    }

    /// Whether it can be sent on this system just as it is.
    pub fn is_possible(self) -> bool {
        !cfg!(windows) || ON_WINDOWS.contains(&self)
    }

    /// Its number here; 0 where this system has none.
    pub fn number(self) -> i32 {
        let (_, _, linux, bsd) = self.row();
        if LINUX { linux } else { bsd }
    }

    /// Its name: `TERM`.
    pub fn name(self) -> &'static str {
        self.full_name().trim_start_matches("SIG")
    }

    /// Its name as the system has it: `SIGTERM`.
    pub fn full_name(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (Signal, &'static str, i32, i32) {
        let row = TABLE.iter().find(|row| row.0 == self);
        // A test holds that there is a row for each.
        row.copied().unwrap_or((self, "SIG", 0, 0))
    }

    /// What somebody wants who sends it. What ends a program unless it is handled asks for its end, but for those that
    /// servers take for a message (signal(7); gunicorn's and nginx's documentation).
    pub fn intent(self) -> Intent {
        match self {
            Signal::Kill => Intent::Kill,
            Signal::Term
            | Signal::Int
            | Signal::Quit
            | Signal::Abrt
            | Signal::Alrm
            | Signal::Bus
            | Signal::Fpe
            | Signal::Ill
            | Signal::Pipe
            | Signal::Prof
            | Signal::Segv
            | Signal::Sys
            | Signal::Trap
            | Signal::Vtalrm
            | Signal::Xcpu
            | Signal::Xfsz => Intent::End,
            Signal::Stop => Intent::Freeze,
            Signal::Cont => Intent::Thaw,
            Signal::Hup
            | Signal::Usr1
            | Signal::Usr2
            | Signal::Chld
            | Signal::Io
            | Signal::Pwr
            | Signal::Tstp
            | Signal::Ttin
            | Signal::Ttou
            | Signal::Urg
            | Signal::Winch => Intent::Tell,
        }
    }
}

/// What the signal with this number is called here: `SIGKILL`, or `signal 40` for one without a name.
pub fn signal_name(number: i32) -> String {
    let known = Signal::of_number(number);
    known.map_or_else(
        || format!("signal {number}"),
        |known| known.full_name().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_numbers_are_read_as_people_write_them() {
        for (text, signal) in [
            ("SIGTERM", Some(Signal::Term)),
            ("kill", Some(Signal::Kill)),
            ("sigusr1", Some(Signal::Usr1)),
            ("9", Some(Signal::Kill)),
            (" 15 ", Some(Signal::Term)),
            ("winch", Some(Signal::Winch)),
            ("SIG", None),
            ("0", None),
            ("-9", None),
            ("64", None),
            ("", None),
        ] {
            assert_eq!(Signal::parse(text), signal, "{text}");
        }
        for signal in Signal::all() {
            assert_eq!(Signal::parse(signal.name()), Some(signal));
            assert_eq!(Signal::parse(signal.full_name()), Some(signal));
            assert_eq!(Signal::parse(&signal.number().to_string()), Some(signal));
        }
        let numbers: HashSet<i32> = Signal::all().map(Signal::number).collect();
        assert_eq!(numbers.len(), Signal::all().count(), "each has its own");
        assert_eq!(
            (signal_name(9), signal_name(40)),
            ("SIGKILL".to_owned(), "signal 40".to_owned())
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn numbers_are_the_systems() {
        for (signal, system) in [
            (Signal::Usr1, rustix::process::Signal::USR1),
            (Signal::Stop, rustix::process::Signal::STOP),
            (Signal::Cont, rustix::process::Signal::CONT),
            (Signal::Pwr, rustix::process::Signal::POWER),
            (Signal::Io, rustix::process::Signal::IO),
            (Signal::Sys, rustix::process::Signal::SYS),
            (Signal::Tstp, rustix::process::Signal::TSTP),
        ] {
            assert_eq!(signal.number(), system.as_raw());
        }
    }
}
