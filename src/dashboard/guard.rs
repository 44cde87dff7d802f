//! Who is let in. Everything here is decided before a request reaches the router, from its head alone.
//!
//! 1. `Host` is literally one of ours, so that a name which leads here by DNS rebinding does not (RFC 9110 §7.2).
//! 2. `Origin`, where there is one, is literally one of ours (never compared with `Host`; `null` is none), and no browser says
//!    `Sec-Fetch-Site: cross-site` or `same-site`: another port of localhost is another site of somebody else.
//! 3. Everything but the page's own files needs the token, as `Authorization: Bearer`. No cookie: cookies ignore ports, and
//!    the application would get it.
//! 4. What changes something says that it is JSON, which no form can: the router sees to that, which knows what does.

use hyper::http::request::Parts;
use hyper::{StatusCode, header};

use crate::config::{Dashboard, ListenHost};
use crate::control::{Key, Refusal};
use crate::error::Report;

/// What requests are held to.
#[derive(Debug)]
pub(super) struct Guard {
    /// Every `Host` that is ours, lower-case.
    hosts: Vec<String>,
    port: u16,
}

impl Guard {
    /// For a dashboard that listens on `port`.
    pub(super) fn new(wanted: &Dashboard, port: u16) -> Self {
        let mut hosts = vec![
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ];
        // The address itself, where it is one of loopback's others: `127.0.0.2`.
        if let ListenHost::Address(ip) = wanted.listen.host
            && ip.is_loopback()
        {
            hosts.push(std::net::SocketAddr::new(ip, port).to_string());
        }
        for said in &wanted.hosts {
            let has_port = said
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
            hosts.push(match has_port && !said.ends_with(']') {
                true => said.clone(),
                false => format!("{said}:{port}"),
            });
        }
        // RFC 3986 §6.2.3: a browser leaves the scheme's own port out.
        let bare = hosts.iter().filter_map(|host| host.strip_suffix(":80"));
        let bare: Vec<String> = bare.map(str::to_owned).collect();
        hosts.extend(bare);
        Self { hosts, port }
    }

    /// Whether a request may ask for a file of the page.
    pub(super) fn site(&self, head: &Parts) -> Result<(), Refusal> {
        self.host(head)?;
        if let Some(origin) = one(head, header::ORIGIN.as_str(), "Origin")? {
            let ours = (origin.strip_prefix("http://"))
                .is_some_and(|host| self.hosts.iter().any(|known| known == host));
            if !ours {
                let message = format!("a page of `{}` may not ask the dashboard", shown(&origin));
                return Err(forbidden(message, "use the dashboard's own page"));
            }
        }
        if let Some(site) = one(head, "sec-fetch-site", "Sec-Fetch-Site")?
            && !matches!(site.as_str(), "same-origin" | "none")
        {
            let message = "another page asks, or a link on one leads here";
            let hint = "type the address that `lbdev open --print` prints, or run `lbdev open`";
            return Err(forbidden(message.to_owned(), hint));
        }
        Ok(())
    }

    /// Whether a request may go on to the router.
    pub(super) fn api(&self, head: &Parts, key: &Key) -> Result<(), Refusal> {
        let said = one(head, header::AUTHORIZATION.as_str(), "Authorization")?;
        // RFC 9110 §11.1: the scheme's name is of any case.
        let token = said.as_deref().and_then(|said| {
            let (scheme, token) = said.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then_some(token.trim())
        });
        let hint =
            "run `lbdev open` in the project's folder: the address that it opens has the token";
        let denied = |message: &str| {
            let report = Report::failed("LB040", message).hint(hint);
            Err(Refusal::new(StatusCode::UNAUTHORIZED, report))
        };
        match token {
            None => denied("the dashboard's token is missing"),
            Some(token) if !key.is(token.as_bytes()) => denied("this is not the dashboard's token"),
            Some(_) => Ok(()),
        }
    }

    fn host(&self, head: &Parts) -> Result<(), Refusal> {
        let said = one(head, header::HOST.as_str(), "Host")?;
        // A target in absolute form has a host of its own (RFC 9112 §3.2.2).
        let target = head.uri.authority().map(|authority| authority.to_string());
        let ours = |host: &String| self.hosts.contains(&host.to_ascii_lowercase());
        match said {
            Some(host) if ours(&host) && target.as_ref().is_none_or(ours) => Ok(()),
            Some(host) => {
                let host = shown(&host);
                let message = format!("`{host}` is not one of the dashboard's hosts");
                let hint = format!(
                    "open http://127.0.0.1:{}/, or start lbdev with `--dashboard-host {host}` if that name is yours",
                    self.port
                );
                Err(forbidden(message, hint))
            }
            None => Err(forbidden(
                "the request has no `Host`".to_owned(),
                "send one",
            )),
        }
    }
}

/// The value of a field that may be there once.
fn one(head: &Parts, name: &str, written: &str) -> Result<Option<String>, Refusal> {
    let mut all = head.headers.get_all(name).iter();
    let (first, second) = (all.next(), all.next());
    let value = first.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match second {
        None => Ok(value),
        Some(_) => Err(forbidden(
            format!("the request has `{written}` twice"),
            "send it once",
        )),
    }
}

fn forbidden(message: String, hint: impl Into<String>) -> Refusal {
    let report = Report::failed("LB040", message).hint(hint);
    Refusal::new(StatusCode::FORBIDDEN, report)
}

/// What a stranger wrote, short and on one line.
fn shown(text: &str) -> String {
    let plain = text
        .chars()
        .filter(|char| !char.is_control() && *char != '`');
    plain.take(80).collect()
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn guard() -> Guard {
        let wanted = Dashboard {
            hosts: vec!["laptop.local".into(), "tunnel.example:443".into()],
            ..Dashboard::default()
        };
        Guard::new(&wanted, 8090)
    }

    fn head(fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/v1/status");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_literal_hosts_are_ours() {
        for (host, fits) in [
            ("localhost:8090", true),
            ("LOCALHOST:8090", true),
            ("127.0.0.1:8090", true),
            ("[::1]:8090", true),
            ("laptop.local:8090", true),
            ("tunnel.example:443", true),
            ("tunnel.example:8090", false),
            ("localhost", false),
            ("localhost:8080", false),
            ("x.localhost:8090", false),
            ("localhost.:8090", false),
            ("127.0.0.2:8090", false),
            ("127.1:8090", false),
            ("0.0.0.0:8090", false),
            ("[::ffff:127.0.0.1]:8090", false),
            ("evil.example:8090", false),
            ("localhost:8090@evil.example", false),
            ("localhost:8090 ", false),
            ("", false),
        ] {
            let fits_now = guard().site(&head(&[("host", host)])).is_ok();
            assert_eq!(fits_now, fits, "{host}");
        }
        assert!(guard().site(&head(&[])).is_err(), "none");
        let twice = head(&[("host", "localhost:8090"), ("host", "localhost:8090")]);
        assert!(guard().site(&twice).is_err());
        let mut absolute = head(&[("host", "localhost:8090")]);
        absolute.uri = "http://evil.example/v1/status".parse().unwrap();
        assert!(guard().site(&absolute).is_err());
        absolute.uri = "http://localhost:8090/v1/status".parse().unwrap();
        assert!(guard().site(&absolute).is_ok());
        let eighty = Guard::new(&Dashboard::default(), 80);
        assert!(eighty.site(&head(&[("host", "localhost")])).is_ok());
    }

    #[test]
    fn only_our_own_page_asks() {
        for (name, value, fits) in [
            ("origin", "http://localhost:8090", true),
            ("origin", "http://127.0.0.1:8090", true),
            ("origin", "http://laptop.local:8090", true),
            ("origin", "null", false),
            ("origin", "https://localhost:8090", false),
            ("origin", "http://localhost:8080", false),
            ("origin", "http://localhost:8090.evil.example", false),
            ("origin", "http://evil.example", false),
            ("origin", "file://", false),
            ("origin", "", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "none", true),
            ("sec-fetch-site", "same-site", false),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "from-the-future", false),
        ] {
            let head = head(&[("host", "localhost:8090"), (name, value)]);
            assert_eq!(guard().site(&head).is_ok(), fits, "{name}: {value}");
        }
    }
}
