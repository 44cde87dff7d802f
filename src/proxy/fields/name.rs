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
        // The length tells nearly all of them apart.
        let candidates: &[(&[u8], Name)] = match name.len() {
            2 => &[(b"te", Te)],
            4 => &[(b"host", Host), (b"date", Date)],
            6 => &[
                (b"accept", Accept),
                (b"cookie", Cookie),
                (b"expect", Expect),
            ],
            7 => &[(b"upgrade", Upgrade), (b"trailer", Trailer)],
            9 => &[(b"forwarded", Forwarded)],
            10 => &[
                (b"user-agent", UserAgent),
                (b"connection", Connection),
                (b"keep-alive", KeepAlive),
            ],
            12 => &[(b"content-type", ContentType)],
            13 => &[
                (b"authorization", Authorization),
                (b"content-range", ContentRange),
            ],
            14 => &[
                (b"content-length", ContentLength),
                (b"content_length", FalseFraming),
                (b"sec-fetch-dest", SecFetchDest),
                (b"x-lbdev-timing", XLbdevTiming),
            ],
            15 => &[
                (b"x-forwarded-for", XForwardedFor),
                (b"x_forwarded_for", FalseForwarded),
                (b"idempotency-key", IdempotencyKey),
                (b"x-lbdev-backend", XLbdevBackend),
            ],
            16 => &[
                (b"content-encoding", ContentEncoding),
                (b"x-forwarded-host", XForwardedHost),
                (b"x_forwarded_host", FalseForwarded),
                (b"x_forwarded_port", FalseForwarded),
                (b"x-forwarded-port", XForwardedPort),
                (b"x-lbdev-attempts", XLbdevAttempts),
                (b"proxy-connection", ProxyConnection),
            ],
            17 => &[
                (b"transfer-encoding", TransferEncoding),
                (b"transfer_encoding", FalseFraming),
                (b"x-forwarded-proto", XForwardedProto),
                (b"x_forwarded_proto", FalseForwarded),
            ],
            _ => &[],
        };
        // Both ends first: hardly any other name has them both.
        let ends = |name: &[u8]| Some((name.first()? | 0x20, name.last()? | 0x20));
        let (here, is_same) = (ends(name), |known: &[u8]| name.eq_ignore_ascii_case(known));
        let is_it = |(known, _): &&(&[u8], Name)| ends(known) == here && is_same(known);
        candidates.iter().find(is_it).map_or(Other, |&(_, it)| it)
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
