//! What of a request decides under `algorithm = "hash"`.

use std::fmt;

/// Requests that are alike in this go to the same backend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HashKey {
    /// The path, without the query.
    #[default]
    Path,
    /// The first header field of this name, in lower case. A request without it has no key.
    Header(String),
    /// The cookie of this name. A request without it has no key.
    Cookie(String),
}

/// As `lbdev.toml` spells it: `path`, `header:x-user`, `cookie:sessionid`.
impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashKey::Path => f.write_str("path"),
            HashKey::Header(name) => write!(f, "header:{name}"),
            HashKey::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}
