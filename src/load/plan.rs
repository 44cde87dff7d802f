//! What is to be sent, where, and when.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::jar::Jars;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Uri, header};

/// Requests a second where nothing is said: four a backend hurt nobody, and a second of them shows who answers.
pub const DEFAULT_RPS: f64 = 100.0;
/// How long where nothing is said: long enough to kill one and see it come back.
pub const DEFAULT_FOR: Duration = Duration::from_secs(10);
/// A request that takes longer has failed: nobody waits for a page any longer.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections of an open loop at most, where nothing is said: below the 1,024 files that systems allow by default, with room
/// for a balancer that runs as the same user.
pub const MOST_CONNECTIONS: usize = 500;
/// What is due within this time after another is sent with it, so that the bell need not ring more often.
pub(super) const FINEST: Duration = Duration::from_micros(50);

/// The bell rings so early, and the rest is waited for awake: a processor that has slept is late by about that much, which would
/// be a part of every latency. Not at high rates, where it does not sleep.
pub(super) const EARLY: Duration = Duration::from_micros(120);
/// The highest rate at which waiting awake takes little (an eighth of a core).
pub(super) const EARLY_UP_TO: f64 = 1000.0;

/// A load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it goes.
    pub target: Target,
    /// What is sent, one after the other, again and again. Not empty.
    pub samples: Vec<Sample>,
    /// When.
    pub beat: Beat,
    /// Connections at most.
    pub connections: usize,
    /// How long requests are sent.
    pub lasts: Duration,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// So many requests at most; `None`: as many as fit into the time.
    pub requests: Option<u64>,
    /// What each virtual user sends once before anything else: a login. It is not counted.
    pub opening: Option<Sample>,
    /// Virtual users, who take turns: each has its own cookies. 0: nobody keeps cookies.
    pub users: usize,
    /// The cookies that they have already, from an earlier load.
    pub jars: Jars,
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Beat {
    /// So many a second, whatever becomes of them.
    Open(f64),
    /// Each connection sends the next when the one before was answered.
    Closed,
}

impl Plan {
    /// Requests a second; `None` in a closed loop.
    pub fn rps(&self) -> Option<f64> {
        match self.beat {
            Beat::Open(rps) => Some(rps),
            Beat::Closed => None,
        }
    }

    /// So many requests will have been due at its end; `None` where nobody can tell.
    pub fn total(&self) -> Option<u64> {
        match self.beat {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // a count, and never less than 0
            Beat::Open(rps) => {
                let fit = (rps * self.lasts.as_secs_f64()).round() as u64;
                Some(self.requests.map_or(fit, |most| most.min(fit)))
            }
            Beat::Closed => self.requests,
        }
    }

    /// When the request of this number, from 0, is due.
    pub(super) fn due(&self, number: u64) -> Duration {
        match self.beat {
            #[allow(clippy::cast_precision_loss)] // exact up to 2^53 requests
            Beat::Open(rps) => Duration::from_secs_f64(number as f64 / rps),
            Beat::Closed => Duration::ZERO,
        }
    }
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The method.
    pub method: Method,
    /// Path and query. In it, in values of fields and in the body `{n}` is the number of the request, from 1.
    pub path: String,
    /// Fields of its head, besides those that HTTP needs.
    pub fields: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Sample {
    /// A GET of this path.
    pub fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            fields: Vec::new(),
            body: String::new(),
        }
    }

    /// Reads `NAME: VALUE`, as `curl -H` does.
    ///
    /// # Errors
    /// When it is no field.
    pub fn field(line: &str) -> Result<(String, String), PlanError> {
        let wrong = || PlanError::Field {
            line: line.to_owned(),
        };
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let (name, value) = (name.trim(), value.trim());
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        HeaderValue::from_str(value).map_err(|_| wrong())?;
        Ok((name.to_owned(), value.to_owned()))
    }

    /// Whether each request of it differs from the others.
    fn is_numbered(&self) -> bool {
        let numbered = |text: &str| text.contains("{n}");
        numbered(&self.path)
            || numbered(&self.body)
            || self.fields.iter().any(|(_, value)| numbered(value))
    }

    /// The parts of request `number`.
    pub(super) fn parts(&self, target: &Target, number: u64) -> Result<Parts, PlanError> {
        let number = (number + 1).to_string();
        let fill = |text: &str| text.replace("{n}", &number);
        let path = fill(&self.path);
        let uri = path.parse::<Uri>().map_err(|_| PlanError::Path {
            path: self.path.clone(),
        })?;
        let mut head = HeaderMap::new();
        let host = HeaderValue::from_str(&target.authority).map_err(|_| PlanError::Url {
            url: target.authority.clone(),
        })?;
        head.insert(header::HOST, host);
        head.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("lbdev-load/", env!("CARGO_PKG_VERSION"))),
        );
        head.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in &self.fields {
            let wrong = || PlanError::Field {
                line: format!("{name}: {value}"),
            };
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = HeaderValue::from_str(&fill(value)).map_err(|_| wrong())?;
            head.insert(name, value);
        }
        Ok(Parts {
            method: self.method.clone(),
            uri,
            head,
            body: Bytes::from(fill(&self.body)),
        })
    }

    /// Those of every request, where they are alike.
    pub(super) fn parts_of_all(&self, target: &Target) -> Result<Option<Parts>, PlanError> {
        let first = self.parts(target, 0)?;
        Ok((!self.is_numbered()).then_some(first))
    }
}

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) head: HeaderMap,
    pub(super) body: Bytes,
}

/// Where a load goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host and port as the `Host` field has them.
    pub authority: String,
    /// Who is connected to, in this order, until one accepts.
    pub addresses: Vec<SocketAddr>,
}

impl Target {
    /// Reads `http://HOST[:PORT][/PATH]`, also without the scheme, or as `:8080`; gives the path, too.
    ///
    /// # Errors
    /// When it is no such URL, or the host cannot be resolved.
    pub fn parse(url: &str) -> Result<(Self, String), PlanError> {
        let wrong = || PlanError::Url {
            url: url.to_owned(),
        };
        if url.starts_with("https:") {
            return Err(PlanError::Https {
                url: url.to_owned(),
            });
        }
        let rest = url.strip_prefix("http://").unwrap_or(url);
        if rest.contains("://") {
            return Err(wrong());
        }
        let rest = match rest.starts_with(':') {
            true => format!("localhost{rest}"),
            false => rest.to_owned(),
        };
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong());
        }
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(80);
        let addresses = resolve(host, port).ok_or_else(|| PlanError::Host {
            host: host.to_owned(),
        })?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let target = Self {
            authority: authority.as_str().to_owned(),
            addresses,
        };
        Ok((target, path.to_owned()))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.addresses.first().map_or(80, SocketAddr::port)
    }

    /// All of its addresses are this machine's own.
    pub fn is_here(&self) -> bool {
        self.addresses.iter().all(|a| a.ip().is_loopback())
    }
}

/// `localhost` and what is below it are this machine (RFC 6761 §6.3), whatever resolvers know of them.
fn resolve(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let plain = host.trim_end_matches('.').to_ascii_lowercase();
    if plain == "localhost" || plain.ends_with(".localhost") {
        let both = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        return Some(both.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().ok()?.collect();
    (!found.is_empty()).then_some(found)
}

/// Why there cannot be such a load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No URL.
    #[error("`{url}` is not an address that a request could go to")]
    Url {
        /// What was said.
        url: String,
    },
    /// TLS.
    #[error("`{url}` asks for TLS; the load speaks plain HTTP")]
    Https {
        /// What was said.
        url: String,
    },
    /// A name that nobody knows.
    #[error("the host name `{host}` cannot be resolved")]
    Host {
        /// What was said.
        host: String,
    },
    /// No path.
    #[error("`{path}` is not a path that a request could ask for")]
    Path {
        /// What was said.
        path: String,
    },
    /// No field.
    #[error("`{line}` is not a header field; write for example `X-User: alice`")]
    Field {
        /// What was said.
        line: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |url: &str, expected: Result<(&str, u16, &str), &str>| {
            let got = Target::parse(url)
                .map(|(target, path)| (target.authority.clone(), target.port(), path))
                .map_err(|error| error.to_string());
            let expected = expected
                .map(|(authority, port, path)| (authority.to_owned(), port, path.to_owned()))
                .map_err(str::to_owned);
            assert_eq!(got, expected, "{url}");
        };
        check("http://localhost:8080/", Ok(("localhost:8080", 8080, "/")));
        check(
            "site.localhost:8080/a?b=c",
            Ok(("site.localhost:8080", 8080, "/a?b=c")),
        );
        check(":8080", Ok(("localhost:8080", 8080, "/")));
        check("http://127.0.0.1", Ok(("127.0.0.1", 80, "/")));
        check("[::1]:81", Ok(("[::1]:81", 81, "/")));
        check(
            "https://localhost",
            Err("`https://localhost` asks for TLS; the load speaks plain HTTP"),
        );
        check(
            "ftp://localhost",
            Err("`ftp://localhost` is not an address that a request could go to"),
        );
        check(
            "http://a b/",
            Err("`http://a b/` is not an address that a request could go to"),
        );
        check(
            "http://name.invalid/",
            Err("the host name `name.invalid` cannot be resolved"),
        );
    }

    #[test]
    fn each_request_has_its_number_where_that_is_wanted() {
        let (target, _) = Target::parse(":80").unwrap();
        let mut sample = Sample::get("/a?n={n}");
        sample.fields.push(("X-N".into(), "n{n}".into()));
        sample.body = "{n}".into();
        assert!(sample.parts_of_all(&target).unwrap().is_none());
        let parts = sample.parts(&target, 6).unwrap();
        assert_eq!(parts.uri, "/a?n=7");
        assert_eq!(parts.head["x-n"], "n7");
        assert_eq!(parts.body, "7");
        assert!(Sample::get("/").parts_of_all(&target).unwrap().is_some());
    }

    #[test]
    fn when_requests_are_due() {
        let (target, _) = Target::parse(":80").unwrap();
        let plan = Plan {
            target,
            samples: vec![Sample::get("/")],
            beat: Beat::Open(200.0),
            connections: 1,
            lasts: Duration::from_millis(1500),
            timeout: DEFAULT_TIMEOUT,
            users: 0,
            requests: None,
            opening: None,
            jars: Jars::default(),
        };
        assert_eq!(plan.total(), Some(300));
        assert_eq!(plan.due(0), Duration::ZERO);
        assert_eq!(plan.due(300), Duration::from_millis(1500));
    }
}
