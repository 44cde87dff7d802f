//! What lbdev changes in a message on its way, each with its reason. Everything else has to arrive as it was sent.

use super::message::{Field, Framing, Message, is};

/// Where a message goes.
pub struct Way {
    /// The client speaks HTTP/2.
    pub h2: bool,
    /// Where lbdev listens.
    pub listen: u16,
    /// What it calls the backend.
    pub backend: String,
    /// The client said that it ends the connection.
    pub closes: bool,
}

/// One change.
pub struct Rule {
    pub what: &'static str,
    pub why: &'static str,
    change: fn(&mut Message, &Way),
}

/// In the order in which what they add stands behind the fields.
pub const OF_REQUESTS: [Rule; 9] = [
    Rule {
        what: "over h2: names are lower-case, those of the same name stand together",
        why: "RFC 9113 §8.2.1; the order of different names means nothing (RFC 9110 §5.3), and hyper's map groups them",
        change: |m, way| {
            if way.h2 {
                as_map(&mut m.fields)
            }
        },
    },
    Rule {
        what: "over h2: crumbs of `cookie` are one field",
        why: "RFC 9113 §8.2.3",
        change: |m, way| {
            if way.h2 {
                join_cookies(m)
            }
        },
    },
    Rule {
        what: "an absolute target becomes its path, and its host the `Host`, behind the fields; so does `:authority`",
        why: "RFC 9112 §3.2.2, RFC 9113 §8.3.1",
        change: settle_host,
    },
    Rule {
        what: "what is for one hop goes; `TE: trailers` and an asked-for `Upgrade` are said anew (over h2 there is no `Upgrade`)",
        why: "RFC 9110 §7.6.1, §10.1.4, §7.8",
        change: |m, way| {
            let trailers = m
                .words("te")
                .iter()
                .any(|word| word.starts_with(b"trailers"));
            let upgrade = m.get("upgrade").map(<[u8]>::to_vec);
            let upgrade = upgrade.filter(|_| !way.h2 && m.says("connection", "upgrade"));
            strip(m);
            if trailers {
                m.push("TE", "trailers");
            }
            if let Some(token) = upgrade {
                m.push("Connection", "upgrade");
                m.push("Upgrade", token);
            }
        },
    },
    Rule {
        what: "what a client says of whom it asks for is replaced by what lbdev sees",
        why: "RFC 7239 §8.1: anybody can say it (`trust_forwarded` is off)",
        change: stamp,
    },
    Rule {
        what: "the framing is said anew, behind everything; an empty body only of methods that usually have one",
        why: "RFC 9112 §11.2: what is never passed through cannot be smuggled; RFC 9110 §8.6",
        change: |m, way| {
            m.remove("content-length");
            m.remove("transfer-encoding");
            if way.h2 && m.framing == Framing::Chunked && m.body.is_empty() && m.trailers.is_empty()
            {
                // Nothing is left of an empty chunked body where there are no chunks.
                m.framing = Framing::None;
            }
            let usual = matches!(&m.start[0][..], b"POST" | b"PUT" | b"PATCH");
            if m.framing != Framing::Chunked && m.body.is_empty() {
                m.framing = if usual {
                    Framing::Length
                } else {
                    Framing::None
                };
            }
            match m.framing {
                Framing::Length => m.push("Content-Length", m.body.len().to_string()),
                Framing::Chunked => m.push("Transfer-Encoding", "chunked"),
                Framing::None | Framing::UntilClose => {}
            }
        },
    },
    Rule {
        what: "over h2: `Expect` goes",
        why: "the leave that it asks for is an interim answer, for which hyper has no call (RFC 9110 §10.1.1)",
        change: |m, way| {
            if way.h2 {
                m.remove("expect");
            }
        },
    },
    Rule {
        what: "trailers that only a head may say go",
        why: "RFC 9110 §6.5.1; a backend that merges them into the head would believe them",
        change: |m, _| {
            let head_only = ["content-length", "x-forwarded-for"];
            m.trailers
                .retain(|(name, _)| !head_only.iter().any(|it| is(name, it)));
        },
    },
    LOWER_TRAILERS,
];

/// Likewise.
pub const OF_ANSWERS: [Rule; 9] = [
    Rule {
        what: "an answer in HTTP/1.0 becomes one in HTTP/1.1",
        why: "RFC 9110 §6.2: the version is of the hop",
        change: |m, _| m.start[0] = b"HTTP/1.1".to_vec(),
    },
    Rule {
        what: "what is for one hop goes",
        why: "RFC 9110 §7.6.1",
        change: |m, _| {
            strip(m);
            m.remove("transfer-encoding");
        },
    },
    Rule {
        what: "lbdev says who answered, and what another one said about that goes",
        why: "`X-Lbdev-Backend` is for the developer, and true",
        change: |m, way| {
            m.remove("x-lbdev-backend");
            m.remove("x-lbdev-attempts");
            m.push("X-Lbdev-Backend", &way.backend);
            m.push("X-Lbdev-Attempts", "1");
        },
    },
    Rule {
        what: "an answer without a `Date` gets one",
        why: "RFC 9110 §6.6.1",
        change: |m, _| {
            if m.get("date").is_none() {
                m.push("Date", NOW);
            }
        },
    },
    Rule {
        what: "a body until the end of the connection is in chunks; the coding is named behind everything, and not where no body comes",
        why: "the client keeps its connection (RFC 9112 §6.3); with HEAD, 304 it may be left out (§6.1)",
        change: |m, way| match m.framing {
            Framing::Chunked | Framing::UntilClose if !way.h2 => {
                m.framing = Framing::Chunked;
                m.push("Transfer-Encoding", "chunked");
            }
            _ => {}
        },
    },
    Rule {
        what: "`Connection: close` for who said so",
        why: "RFC 9112 §9.6: it is of the hop",
        change: |m, way| {
            if way.closes && !way.h2 {
                m.push("Connection", "close");
            }
        },
    },
    Rule {
        what: "over h2: names are lower-case and together, no version, no reason, no framing",
        why: "RFC 9113 §8.2.1, §8.3.2, §8.2.2",
        change: |m, way| {
            if way.h2 {
                as_map(&mut m.fields);
                m.start[0] = b"HTTP/2".to_vec();
                m.start[2].clear();
                m.framing = Framing::None;
            }
        },
    },
    Rule {
        what: "trailers that only a head may say go, and what lbdev itself says there",
        why: "RFC 9110 §6.5.1: the body has passed",
        change: |m, _| {
            let head_only = ["content-length", "x-lbdev-backend"];
            m.trailers
                .retain(|(name, _)| !head_only.iter().any(|it| is(name, it)));
        },
    },
    LOWER_TRAILERS,
];

const LOWER_TRAILERS: Rule = Rule {
    what: "trailers' names are lower-case, those of the same name stand together",
    why: "RFC 9110 §5.1, §5.3: neither means anything; they pass through a map",
    change: |m, _| {
        as_map(&mut m.trailers);
        m.trailers.sort_by(|a, b| a.0.cmp(&b.0));
    },
};

/// A `Date` that lbdev has set.
pub const NOW: &str = "(now)";

/// What is to arrive of `message`, and which rules had something to change.
pub fn changed(mut message: Message, rules: &'static [Rule], way: &Way) -> (Message, Vec<Said>) {
    let mut used = Vec::new();
    for rule in rules {
        let before = message.clone();
        (rule.change)(&mut message, way);
        if message != before {
            used.push((rule.what, rule.why));
        }
    }
    (message, used)
}

/// What a rule says: what, and why.
pub type Said = (&'static str, &'static str);

/// Those that never had anything to change, of those that concern this version.
pub fn idle(used: &[Said], h2: bool) -> Vec<Said> {
    let all = OF_REQUESTS.iter().chain(&OF_ANSWERS);
    all.filter(|rule| rule.what.starts_with("over h2") == h2)
        .map(|rule| (rule.what, rule.why))
        .filter(|rule| !used.contains(rule))
        .collect()
}

/// What is to arrive of an interim answer.
pub fn interim(mut message: Message) -> Message {
    strip(&mut message);
    message
}

fn strip(message: &mut Message) {
    for name in message.words("connection") {
        message
            .fields
            .retain(|(it, _)| !it.eq_ignore_ascii_case(&name) || name == b"upgrade");
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        message.remove(name);
    }
}

fn as_map(fields: &mut Vec<Field>) {
    let mut together: Vec<Field> = Vec::with_capacity(fields.len());
    let mut names: Vec<Vec<u8>> = Vec::new();
    for (name, _) in fields.iter() {
        let name = name.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let same = fields
            .iter()
            .filter(|(it, _)| it.eq_ignore_ascii_case(&name));
        together.extend(same.map(|(_, value)| (name.clone(), value.clone())));
    }
    *fields = together;
}

fn join_cookies(message: &mut Message) {
    let crumbs: Vec<Vec<u8>> = message.all("cookie").map(<[u8]>::to_vec).collect();
    let first = message
        .fields
        .iter()
        .position(|(name, _)| is(name, "cookie"));
    if let (Some(first), 2..) = (first, crumbs.len()) {
        // Crumbs may be empty, and a value does not end in a blank.
        message.fields[first].1 = crumbs.join(&b"; "[..]).trim_ascii().to_vec();
        let mut place = 0..;
        message
            .fields
            .retain(|(name, _)| place.next() == Some(first) || !is(name, "cookie"));
    }
}

fn settle_host(message: &mut Message, way: &Way) {
    let target = &message.start[1];
    let host = message.get("host").unwrap_or_default().to_vec();
    let (host, path, name) = match target.strip_prefix(b"http://") {
        Some(rest) => {
            let end = rest
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(rest.len());
            (rest[..end].to_vec(), rest[end..].to_vec(), "Host")
        }
        None => (host, target.clone(), "host"),
    };
    if way.h2 {
        message.remove("host");
        message.push("host", &host);
    } else if name == "Host" {
        message.remove("host");
        message.push("Host", &host);
    }
    message.start[1] = path;
}

fn stamp(message: &mut Message, way: &Way) {
    for name in [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
    ] {
        message.remove(name);
    }
    let host = message.get("host").unwrap_or_default().to_vec();
    let host = String::from_utf8(host).expect("it is ASCII");
    // What is no token is quoted (RFC 7239 §4).
    let quoted = match host.contains([':', '[']) {
        true => format!("\"{host}\""),
        false => host.clone(),
    };
    message.push("X-Forwarded-For", "127.0.0.1");
    message.push("X-Forwarded-Host", &host);
    message.push("X-Forwarded-Port", way.listen.to_string());
    message.push("X-Forwarded-Proto", "http");
    message.push(
        "Forwarded",
        format!("for=127.0.0.1;host={quoted};proto=http"),
    );
}
