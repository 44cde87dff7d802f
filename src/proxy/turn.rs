//! `sequence = "pages"`: is this request a page, something that a page loads, or neither?

use std::net::IpAddr;

use crate::pool::{ClientKey, Turn};

/// The turn of a request by its `Sec-Fetch-Dest` (Fetch Metadata, W3C) and its path. Clients that are no browsers send
/// no such field and get the next backend each time.
pub(super) fn of<'a>(
    dest: Option<&[u8]>,
    path: &str,
    peer: IpAddr,
    agent: impl FnOnce() -> Option<&'a [u8]>,
) -> Turn {
    let key = || ClientKey::new(peer, agent().unwrap_or_default());
    match dest {
        Some(b"document" | b"iframe" | b"frame") => Turn::Page(key()),
        Some(
            b"image" | b"embed" | b"object" | b"style" | b"script" | b"font" | b"manifest"
            | b"audio" | b"video" | b"track" | b"xslt" | b"json" | b"worker" | b"sharedworker"
            | b"serviceworker" | b"audioworklet" | b"paintworklet",
        ) => Turn::Asset(key()),
        _ if is_browsers_own(path) => Turn::Asset(key()),
        _ => Turn::Next,
    }
}

/// What browsers ask for by themselves beside a page. A client without a page gets it the normal way.
fn is_browsers_own(path: &str) -> bool {
    path == "/favicon.ico" || path.starts_with("/.well-known/appspecific/")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn turns() {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let key = ClientKey::new(peer, b"firefox");
        for (dest, path, turn) in [
            ("", "/", Turn::Next),
            ("", "/favicon.ico", Turn::Asset(key)),
            (
                "",
                "/.well-known/appspecific/com.chrome.devtools.json",
                Turn::Asset(key),
            ),
            ("", "/favicon.ico.html", Turn::Next),
            ("document", "/", Turn::Page(key)),
            ("iframe", "/frame", Turn::Page(key)),
            ("image", "/a.png", Turn::Asset(key)),
            ("style", "/a.css", Turn::Asset(key)),
            ("script", "/a.js", Turn::Asset(key)),
            ("font", "/a.woff2", Turn::Asset(key)),
            ("empty", "/api", Turn::Next),
            ("websocket", "/ws", Turn::Next),
            ("from-the-future", "/", Turn::Next),
        ] {
            let dest_bytes = (!dest.is_empty()).then_some(dest.as_bytes());
            assert_eq!(
                of(dest_bytes, path, peer, || Some(b"firefox")),
                turn,
                "{dest} {path}"
            );
        }
    }
}
