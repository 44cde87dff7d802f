//! What is looked at in the fields of each request: the host, the fields for one hop, the sticky cookie.

// A bench may unwrap; criterion's macros write public functions without words.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lbdev::internals::{field_checks, host, sticky_cookies};

const CURL: &[(&str, &str)] = &[
    ("host", "localhost:8080"),
    ("user-agent", "curl/8.5.0"),
    ("accept", "*/*"),
];

const BROWSER: &[(&str, &str)] = &[
    ("host", "mysite.localhost:8080"),
    ("connection", "keep-alive"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ("accept", "text/html,*/*;q=0.8"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("referer", "http://mysite.localhost:8080/"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("cookie", "csrftoken=0123; sessionid=abcd"),
    ("cache-control", "max-age=0"),
];

fn fields(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("field checks");
    for (name, fields) in [("curl", CURL), ("Chromium", BROWSER)] {
        let mut check = field_checks(fields).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| black_box(check())));
    }
    group.finish();
    let mut group = criterion.benchmark_group("host");
    for value in ["localhost:8080", "MySite.localhost:8080", "[::1]:8080"] {
        group.bench_function(value, |bencher| {
            bencher.iter(|| host(black_box(value.as_bytes())).unwrap());
        });
    }
    group.finish();
}

fn cookies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sticky cookie");
    for count in [4, 64] {
        let (find, each) = sticky_cookies(count);
        let last = format!("sessionid=abcdefghijklmnop; {}", each[count - 1]);
        assert_eq!(find(last.as_bytes()), Some(count - 1));
        group.bench_function(format!("the last of {count}"), |bencher| {
            bencher.iter(|| find(black_box(last.as_bytes())));
        });
        let forged = format!("{}A", &each[0][..each[0].len() - 1]);
        group.bench_function(format!("forged, {count}"), |bencher| {
            bencher.iter(|| find(black_box(forged.as_bytes())));
        });
    }
    group.finish();
}

criterion_group!(benches, fields, cookies);
criterion_main!(benches);
