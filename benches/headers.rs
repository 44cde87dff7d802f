//! What is looked at in the fields of each request: the host, the fields for one hop, the sticky cookie.

// A bench may unwrap; criterion's macros write public functions without words.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lbdev::internals::{field_checks, host, sticky_cookies};

const CURL: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";

const CHROMIUM: &[u8] = b"GET / HTTP/1.1\r\nHost: mysite.localhost:8080\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nReferer: http://mysite.localhost:8080/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: csrftoken=01; sessionid=ab\r\n\
    Cache-Control: max-age=0\r\n\r\n";

fn fields(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("field checks");
    for (name, bytes) in [("curl", CURL), ("Chromium", CHROMIUM)] {
        let check = field_checks(bytes).unwrap();
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
