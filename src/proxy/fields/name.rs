//! The names that the proxy knows. A field's name is looked at once, when it is read.

/// A field's name, if somebody here asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::proxy) enum Name {
    /// Any that nobody asks for by this type.
    Other,
    Accept,
    Authorization,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentRange,
    ContentType,
    Cookie,
    Date,
    Expect,
    /// What a CGI would take for a field of framing: it cannot tell `_` from `-` (RFC 3875 §4.1.18).
    FalseFraming,
    /// What a CGI would take for one of `X-Forwarded-*`.
    FalseForwarded,
    Forwarded,
    Host,
    IdempotencyKey,
    KeepAlive,
    ProxyConnection,
    SecFetchDest,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    XLbdevAttempts,
    XLbdevBackend,
    XLbdevTiming,
}

impl Name {
    /// Which one `name` is, in any case (RFC 9110 §5.1).
    pub(super) fn of(name: &[u8]) -> Self {
        use Name::*;
        let (Some(first), Some(last)) = (name.first(), name.last()) else {
            return Other;
        };
        // The length and both ends tell all of them apart, and nearly all others from them.
        let (known, it): (&[u8], Name) = match (name.len(), first | 0x20, last | 0x20) {
            (2, b't', b'e') => (b"te", Te),
            (4, b'd', b'e') => (b"date", Date),
            (4, b'h', b't') => (b"host", Host),
            (6, b'a', b't') => (b"accept", Accept),
            (6, b'c', b'e') => (b"cookie", Cookie),
            (6, b'e', b't') => (b"expect", Expect),
            (7, b't', b'r') => (b"trailer", Trailer),
            (7, b'u', b'e') => (b"upgrade", Upgrade),
            (9, b'f', b'd') => (b"forwarded", Forwarded),
            (10, b'c', b'n') => (b"connection", Connection),
            (10, b'k', b'e') => (b"keep-alive", KeepAlive),
            (10, b'u', b't') => (b"user-agent", UserAgent),
            (12, b'c', b'e') => (b"content-type", ContentType),
            (13, b'a', b'n') => (b"authorization", Authorization),
            (13, b'c', b'e') => (b"content-range", ContentRange),
            (14, b'c', b'h') => (b"content-length", ContentLength),
            (14, b's', b't') => (b"sec-fetch-dest", SecFetchDest),
            (14, b'x', b'g') => (b"x-lbdev-timing", XLbdevTiming),
            (15, b'i', b'y') => (b"idempotency-key", IdempotencyKey),
            (15, b'x', b'r') => (b"x-forwarded-for", XForwardedFor),
            (15, b'x', b'd') => (b"x-lbdev-backend", XLbdevBackend),
            (16, b'c', b'g') => (b"content-encoding", ContentEncoding),
            (16, b'p', b'n') => (b"proxy-connection", ProxyConnection),
            (16, b'x', b't') if name.get(12) == Some(&b'p') || name.get(12) == Some(&b'P') => {
                (b"x-forwarded-port", XForwardedPort)
            }
            (16, b'x', b't') => (b"x-forwarded-host", XForwardedHost),
            (16, b'x', b's') => (b"x-lbdev-attempts", XLbdevAttempts),
            (17, b't', b'g') => (b"transfer-encoding", TransferEncoding),
            (17, b'x', b'o') => (b"x-forwarded-proto", XForwardedProto),
            _ => return Other,
        };
        match name.eq_ignore_ascii_case(known) {
            true => it,
            false => Self::false_one(name, known, it),
        }
    }

    /// A name that becomes `known` where `_` is taken for `-`.
    fn false_one(name: &[u8], known: &[u8], it: Name) -> Self {
        let as_cgi = |&byte: &u8| match byte {
            b'_' => b'-',
            other => other.to_ascii_lowercase(),
        };
        if !name.iter().map(as_cgi).eq(known.iter().copied()) {
            return Name::Other;
        }
        match it {
            Name::ContentLength | Name::TransferEncoding => Name::FalseFraming,
            Name::XForwardedFor
            | Name::XForwardedHost
            | Name::XForwardedPort
            | Name::XForwardedProto => Name::FalseForwarded,
            _ => Name::Other,
        }
    }
}

/// A set of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct Names(u32);

impl Names {
    pub(in crate::proxy) const fn of(names: &[Name]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < names.len() {
            set |= 1 << names[at] as u32;
            at += 1;
        }
        Self(set)
    }

    pub(super) fn add(&mut self, name: Name) {
        self.0 |= 1 << name as u32;
    }

    pub(super) fn remove(&mut self, name: Name) {
        self.0 &= !(1 << name as u32);
    }

    pub(super) fn has(self, name: Name) -> bool {
        self.0 & (1 << name as u32) != 0
    }

    pub(super) fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    pub(super) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_no_relatives() {
        for (name, known) in [
            ("host", Name::Host),
            ("HOST", Name::Host),
            ("Content-Length", Name::ContentLength),
            ("Content_Length", Name::FalseFraming),
            ("Content-Lengthy", Name::Other),
            ("transfer_Encoding", Name::FalseFraming),
            ("X_Forwarded_For", Name::FalseForwarded),
            ("x-forwarded_host", Name::FalseForwarded),
            ("User_Agent", Name::Other),
            ("X-Forwarded-Port", Name::XForwardedPort),
            ("x-forwarded-host", Name::XForwardedHost),
            ("Keep-Alive", Name::KeepAlive),
            ("X-Forwarded-Proto", Name::XForwardedProto),
            ("X-Lbdev-Backend", Name::XLbdevBackend),
            ("tE", Name::Te),
            ("", Name::Other),
            ("hose", Name::Other),
        ] {
            assert_eq!(Name::of(name.as_bytes()), known, "{name}");
        }
        let mut set = Names::of(&[Name::Host, Name::XLbdevTiming]);
        assert!(set.has(Name::XLbdevTiming) && !set.has(Name::Te));
        set.remove(Name::Host);
        assert_eq!(set, Names::of(&[Name::XLbdevTiming]));
    }
}
