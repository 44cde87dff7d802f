//! The names that a server on this machine answers to.
//!
//! A page of somebody else's site can have its own name point at 127.0.0.1 and then read what is there ("DNS rebinding"): the
//! browser sends that name as `Host`. So only names that can be nothing but this machine are answered without being asked for.

use std::fmt;
use std::net::Ipv4Addr;

use super::value::{ValueError, is_host_name};

/// Names that are answered to, besides `localhost`, `*.localhost` and IP addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostList(Vec<Pattern>);

/// One of them. Names are lower-case and have no dot at their end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// `*`: every name.
    Any,
    /// This name.
    Name(String),
    /// `*.app.test`: every name below it.
    Below(String),
    /// `.app.test`: the name and every name below it, as Django's `ALLOWED_HOSTS` has it.
    Under(String),
}

impl HostList {
    /// Whether `host` is answered to: a name in lower case without a port, an IPv6 address in brackets. A dot at its end says
    /// that it is whole, and is no part of the name.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        is_this_machine(host) || self.0.iter().any(|pattern| pattern.matches(host))
    }

    /// Reads names, one a word.
    pub(super) fn read<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, ValueError> {
        words.map(Pattern::read).collect::<Result<_, _>>().map(Self)
    }

    /// Each as it is written.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

/// Only this machine can be meant: names below `localhost` are its own (RFC 6761 §6.3), and nobody can point an address
/// elsewhere.
fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.starts_with('[')
        || host.parse::<Ipv4Addr>().is_ok()
}

impl Pattern {
    fn matches(&self, host: &str) -> bool {
        let is_below = |name: &str| {
            host.strip_suffix(name)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        };
        match self {
            Pattern::Any => true,
            Pattern::Name(name) => host == name,
            Pattern::Below(name) => is_below(name),
            Pattern::Under(name) => host == name || is_below(name),
        }
    }

    fn read(text: &str) -> Result<Self, ValueError> {
        let name = |name: &str| {
            let whole = name.strip_suffix('.').unwrap_or(name);
            match is_host_name(whole) {
                true => Ok(whole.to_ascii_lowercase()),
                false => Err(ValueError::Host {
                    text: text.to_owned(),
                }),
            }
        };
        if text == "*" {
            return Ok(Pattern::Any);
        }
        if let Some(below) = text.strip_prefix("*.") {
            return name(below).map(Pattern::Below);
        }
        match text.strip_prefix('.') {
            Some(under) => name(under).map(Pattern::Under),
            None => name(text).map(Pattern::Name),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Any => f.write_str("*"),
            Pattern::Name(name) => f.write_str(name),
            Pattern::Below(name) => write!(f, "*.{name}"),
            Pattern::Under(name) => write!(f, ".{name}"),
        }
    }
}

/// As `set` has it: the names with commas between them.
impl fmt::Display for HostList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.words().collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(words: &[&str]) -> HostList {
        HostList::read(words.iter().copied()).unwrap()
    }

    #[test]
    fn this_machine_needs_no_list() {
        for (host, allowed) in [
            ("localhost", true),
            ("localhost.", true),
            ("mysite.localhost", true),
            ("a.b.localhost", true),
            ("127.0.0.1", true),
            ("0.0.0.0", true),
            ("192.168.1.7", true),
            ("[::1]", true),
            ("mylocalhost", false),
            ("localhost.example", false),
            ("app.test", false),
            ("127.0.0.1.nip.io", false),
            ("127.1", false),
            ("1.2.3", false),
            ("", false),
            (".", false),
        ] {
            assert_eq!(HostList::default().allows(host), allowed, "{host}");
        }
    }

    #[test]
    fn lists() {
        for (words, host, allowed) in [
            (&["app.test"][..], "app.test", true),
            (&["App.Test."], "app.test", true),
            (&["app.test"], "app.test.", true),
            (&["app.test"], "x.app.test", false),
            (&["*.app.test"], "x.y.app.test", true),
            (&["*.app.test"], "app.test", false),
            (&["*.app.test"], ".app.test", false),
            (&["*.app.test"], "xapp.test", false),
            (&[".app.test"], "app.test", true),
            (&[".app.test"], "x.app.test", true),
            (&["a.test", "*"], "whatever.example", true),
            (&["box"], "box", true),
        ] {
            assert_eq!(list(words).allows(host), allowed, "{words:?} {host}");
        }
        assert_eq!(
            list(&["A.test", "*.b", ".c.d", "*"]).to_string(),
            "a.test,*.b,.c.d,*"
        );
    }

    #[test]
    fn what_is_no_name() {
        for word in [
            "",
            " ",
            "a b",
            "http://app.test",
            "app.test:8080",
            "app.test/",
            "*.",
            "a.*.test",
            "*a.test",
            "ä.test",
            "user@a",
            "..a",
            "-a.test",
        ] {
            let read = HostList::read(std::iter::once(word));
            assert!(matches!(read, Err(ValueError::Host { .. })), "{word:?}");
        }
    }

    proptest! {
        /// A longer list allows no less, whatever is asked.
        #[test]
        fn a_longer_list_allows_no_less(host in ".{0,20}", more in "[a-z.]{1,8}") {
            let short = list(&["app.test"]);
            let read = HostList::read(["app.test", more.as_str()].into_iter());
            if let Ok(long) = read {
                prop_assert!(long.allows(&host) || !short.allows(&host));
            }
        }
    }
}
