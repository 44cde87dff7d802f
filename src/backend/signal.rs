//! Signals and their names.

/// A signal as a person names it. Windows has three things to send: [`Signal::Term`] is CTRL_BREAK there, [`Signal::Int`]
/// CTRL_C, and [`Signal::Kill`] ends the process. As a backend's stop signal any other that asks is CTRL_BREAK, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGTERM: please end.
    Term,
    /// SIGINT: what Ctrl-C sends.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGKILL: cannot be refused.
    Kill,
    /// SIGSTOP: hangs until [`Signal::Cont`].
    Stop,
    /// SIGCONT: goes on.
    Cont,
}

impl Signal {
    /// Every one there is.
    pub const ALL: [Signal; 9] = [
        Signal::Term,
        Signal::Int,
        Signal::Quit,
        Signal::Hup,
        Signal::Usr1,
        Signal::Usr2,
        Signal::Kill,
        Signal::Stop,
        Signal::Cont,
    ];

    /// Every name that [`Signal::parse`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Signal::name)
    }

    /// Whether it can be sent on this system just as it is.
    pub fn is_possible(self) -> bool {
        self.is_known_to(cfg!(windows))
    }

    fn is_known_to(self, windows: bool) -> bool {
        match self {
            Signal::Term | Signal::Int | Signal::Kill => true,
            Signal::Quit
            | Signal::Hup
            | Signal::Usr1
            | Signal::Usr2
            | Signal::Stop
            | Signal::Cont => !windows,
        }
    }

    /// Reads `SIGTERM`, `TERM` or `term`.
    pub fn parse(text: &str) -> Option<Signal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }

    /// Its name: `TERM`.
    pub fn name(self) -> &'static str {
        self.full_name().trim_start_matches("SIG")
    }

    /// Its name as the system has it: `SIGTERM`.
    pub fn full_name(self) -> &'static str {
        match self {
            Signal::Term => "SIGTERM",
            Signal::Int => "SIGINT",
            Signal::Quit => "SIGQUIT",
            Signal::Hup => "SIGHUP",
            Signal::Usr1 => "SIGUSR1",
            Signal::Usr2 => "SIGUSR2",
            Signal::Kill => "SIGKILL",
            Signal::Stop => "SIGSTOP",
            Signal::Cont => "SIGCONT",
        }
    }
}

/// What the signal with this number is called: `SIGKILL`, or `signal 40` for one without a common name. Numbers up to 15
/// are the same on every Unix.
pub fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_can_ask_and_end_and_nothing_else() {
        let possible = Signal::ALL.into_iter().filter(|s| s.is_known_to(true));
        let names: Vec<_> = possible.map(Signal::name).collect();
        assert_eq!(names, ["TERM", "INT", "KILL"]);
        assert!(Signal::ALL.into_iter().all(|s| s.is_known_to(false)));
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        for (text, signal) in [
            ("SIGTERM", Some(Signal::Term)),
            ("kill", Some(Signal::Kill)),
            ("sigusr1", Some(Signal::Usr1)),
            ("9", None),
            ("SIG", None),
        ] {
            assert_eq!(Signal::parse(text), signal, "{text}");
        }
        assert!(
            Signal::names()
                .all(|name| Signal::parse(name).is_some_and(|signal| signal.name() == name))
        );
        assert_eq!(
            (signal_name(9), signal_name(40)),
            ("SIGKILL".to_owned(), "signal 40".to_owned())
        );
    }
}
