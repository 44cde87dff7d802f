//! The page's own files. `src/dashboard/web/build` makes them from their sources; nobody needs Node to build lbdev.

/// One of them.
pub(super) struct Asset {
    pub(super) kind: &'static str,
    pub(super) bytes: &'static [u8],
}

/// The file that a path names.
pub(super) fn asset(path: &str) -> Option<Asset> {
    let (kind, bytes): (_, &'static [u8]) = match path {
        "/" => (
            "text/html; charset=utf-8",
            include_bytes!("assets/index.html"),
        ),
        "/app.js" => (
            "text/javascript; charset=utf-8",
            include_bytes!("assets/app.js"),
        ),
        "/app.css" => ("text/css; charset=utf-8", include_bytes!("assets/app.css")),
        "/icon.svg" => ("image/svg+xml", include_bytes!("assets/icon.svg")),
        _ => return None,
    };
    Some(Asset { kind, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_small() {
        let all = ["/", "/app.js", "/app.css", "/icon.svg"];
        let bytes: usize = all
            .iter()
            .map(|path| asset(path).unwrap().bytes.len())
            .sum();
        assert!(bytes < 100 * 1024, "{bytes} bytes");
        assert!(asset("/../mod.rs").is_none());
    }
}
