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
    const NAMES: &[(&str, Signal)] = &[
        ("TERM", Signal::Term),
        ("INT", Signal::Int),
        ("QUIT", Signal::Quit),
        ("HUP", Signal::Hup),
        ("USR1", Signal::Usr1),
        ("USR2", Signal::Usr2),
        ("KILL", Signal::Kill),
        ("STOP", Signal::Stop),
        ("CONT", Signal::Cont),
    ];

    /// Every name that [`Signal::parse`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(name, _)| *name)
    }

    /// Reads `SIGTERM`, `TERM` or `term`.
    pub fn parse(text: &str) -> Option<Signal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, signal)| signal)
    }

    /// Its name, without `SIG`.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Term => "TERM",
            Signal::Int => "INT",
            Signal::Quit => "QUIT",
            Signal::Hup => "HUP",
            Signal::Usr1 => "USR1",
            Signal::Usr2 => "USR2",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
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
