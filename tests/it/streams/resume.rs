//! A download that is cut off, and taken up again where it was: the file is the same whichever backend goes on with it.

use anyhow::{Context, Result};

use crate::harness::Lbdev;
use crate::wait::{s, until};

use super::{Answer, in_flight};

const LENGTH: usize = 24_000_000;
/// What is read before each cut: no multiple of anything.
const CUTS: [usize; 5] = [1_234_567, 1, 5_000_003, 65_536, 7_654_321];

#[test]
fn a_cut_download_goes_on_at_another_backend() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.write("index.html", "<h1>Files</h1>");
    let mut file = vec![0; LENGTH];
    fastrand::Rng::with_seed(4).fill(&mut file);
    std::fs::write(lbdev.dir.join("film.bin"), &file)?;
    lbdev.up(&[]);
    let port = lbdev.ports.listen();
    let ask = |more: &str| {
        let request = format!("GET /film.bin HTTP/1.1\r\nHost: localhost:{port}\r\n{more}\r\n");
        Answer::to(port, &request)
    };

    let mut answer = ask("")?;
    assert_eq!((answer.status, answer.length()?), (200, LENGTH as u64));
    let version = answer
        .field("last-modified")
        .context("no version")?
        .to_owned();
    let mut joined = Vec::new();
    let mut backends = Vec::new();
    for cut in CUTS {
        backends.push(
            answer
                .field("x-lbdev-backend")
                .context("nobody named")?
                .to_owned(),
        );
        joined.extend(answer.take(cut)?);
        // The rest is on its way when the connection goes.
        drop(answer);
        let at = joined.len();
        // The fields' values came in lower case, and a date is read in any.
        answer = ask(&format!("Range: bytes={at}-\r\n"))?;
        assert_eq!(answer.status, 206, "{:?}", answer.head);
        let range = format!("bytes {at}-{}/{LENGTH}", LENGTH - 1);
        assert_eq!(answer.field("content-range"), Some(range.as_str()));
        assert_eq!(answer.field("last-modified"), Some(version.as_str()));
        assert_eq!(answer.length()?, (LENGTH - at) as u64);
    }
    joined.extend(answer.take(LENGTH - joined.len())?);
    assert!(joined == file, "the parts are not the file");
    backends.dedup();
    assert_eq!(backends.len(), CUTS.len(), "each by another: {backends:?}");

    // Those that were cut are over, and nobody is blamed for them.
    drop(answer);
    until(s(20), "nothing is in flight", || in_flight(&lbdev) == 0);
    let status = lbdev.status();
    assert_eq!(status["balancer"]["retries"], 0, "{status:#}");
    assert_eq!(status["balancer"]["failures"], 0, "{status:#}");
    Ok(())
}

/// The version that is asked for with `If-Range` is gone: the whole new file comes.
#[test]
fn a_file_that_has_changed_comes_whole() -> Result<()> {
    let lbdev = Lbdev::new();
    lbdev.write("index.html", "<h1>Files</h1>");
    lbdev.write("notes.txt", "the second version");
    lbdev.up(&[]);
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let fields = [("Range", "bytes=4-9"), ("If-Range", old)];
    let answer = crate::http::send(lbdev.ports.listen(), "GET", "/notes.txt", &fields, b"")?;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "the second version")
    );
    let now = answer.header("last-modified").context("no version")?;
    let fields = [("Range", "bytes=4-9"), ("If-Range", now)];
    let answer = crate::http::send(lbdev.ports.listen(), "GET", "/notes.txt", &fields, b"")?;
    assert_eq!((answer.status, answer.text().as_str()), (206, "second"));
    Ok(())
}
