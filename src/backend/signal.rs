//! Signals and their names.

/// A signal as a person names it. Windows maps [`Signal::Term`] and [`Signal::Int`] to CTRL_BREAK, the rest to an end.
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
