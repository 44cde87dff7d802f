//! The cookies of one virtual user: what a browser would send back (RFC 6265 §5), for a load that knows one host and every path.

use std::fmt::Write;

/// The cookies of all virtual users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jars(pub(super) Vec<Jar>);

/// Name and value of each cookie, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Jar {
    cookies: Vec<(String, String)>,
}

impl Jar {
    /// Takes up the value of one `Set-Cookie`. What is no cookie is none here either.
    pub(super) fn set(&mut self, line: &str) {
        let mut parts = line.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return;
        }
        // RFC 6265 §5.2.2: an age of zero or less ends it. `Expires` in the past does too; nobody who ends a cookie sets
        // another date than one of long ago.
        let ended = parts.any(|attribute| {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "max-age" => value.parse::<i64>().is_ok_and(|age| age <= 0),
                "expires" => httpdate::parse_http_date(value)
                    .is_ok_and(|date| date <= std::time::SystemTime::UNIX_EPOCH),
                _ => false,
            }
        });
        let place = self.cookies.iter().position(|(known, _)| known == name);
        match (place, ended) {
            (Some(place), true) => drop(self.cookies.remove(place)),
            (None, true) => {}
            (Some(place), false) => value.clone_into(&mut self.cookies[place].1),
            (None, false) => self.cookies.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The value of `Cookie`; `None` where there is no cookie.
    pub(super) fn header(&self) -> Option<String> {
        let mut text = String::new();
        for (name, value) in &self.cookies {
            let gap = if text.is_empty() { "" } else { "; " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}{name}={value}");
        }
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_back() {
        let check = |lines: &[&str], expected: Option<&str>| {
            let mut jar = Jar::default();
            lines.iter().for_each(|line| jar.set(line));
            assert_eq!(jar.header().as_deref(), expected, "{lines:?}");
        };
        check(&[], None);
        check(&["a=1; Path=/; HttpOnly", "b=2"], Some("a=1; b=2"));
        check(&["a=1", "a=2"], Some("a=2"));
        check(&["a=1", "b=2", "a=; Max-Age=0"], Some("b=2"));
        check(&["a=1", "a=x; expires=Thu, 01 Jan 1970 00:00:00 GMT"], None);
        check(&["a=1; Max-Age=60"], Some("a=1"));
        check(&["a=b=c"], Some("a=b=c"));
        check(&["nonsense", "=1", ""], None);
    }
}
