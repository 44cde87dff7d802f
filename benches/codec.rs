//! HTTP/1 as bytes: heads read and written, the chunked coding.

// A bench may unwrap; criterion's macros write public functions without words.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lbdev::internals::{chunked, request_head, request_head_writer, response_head};

const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";

/// What Django answers with.
const DJANGO: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 07:00:00 GMT\r\nServer: WSGIServer/0.2 CPython/3.12.4\r\n\
    Content-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nVary: Cookie\r\nContent-Length: 2048\r\n\
    X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n\
    Set-Cookie: csrftoken=zQJ0oDq8G9R1tYw3sC5vN7mK2pX4hL6b; expires=Sun, 21 Nov 2027 07:00:00 GMT; Max-Age=31449600; \
    Path=/; SameSite=Lax\r\n\r\n";

/// What curl asks with.
const CURL: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";

/// What Chromium asks with.
const CHROMIUM: &[u8] = b"GET /notes/?page=2 HTTP/1.1\r\nHost: mysite.localhost:8080\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\
    Referer: http://mysite.localhost:8080/notes/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\nCookie: csrftoken=0123456789abcdef; sessionid=abcdefghijklmnop\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("response head read");
    for (name, bytes) in [("2 fields", SHORT), ("10 fields, Django", DJANGO)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| response_head(black_box(bytes), "GET").unwrap().unwrap());
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("request head read");
    for (name, bytes) in [("curl", CURL), ("Chromium", CHROMIUM)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| request_head(black_box(bytes)).unwrap().unwrap());
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("request head written");
    for (name, bytes) in [("curl", CURL), ("Chromium", CHROMIUM)] {
        let mut write = request_head_writer(bytes).unwrap();
        group.throughput(Throughput::Bytes(write() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(write())));
    }
    group.finish();
}

/// A body in chunks of this size.
fn coded(length: usize, chunk: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for part in vec![b'x'; length].chunks(chunk) {
        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked read");
    for (name, length, chunk) in [
        ("64 KiB in 16 KiB", 65536, 16384),
        ("64 KiB in 64 B", 65536, 64),
    ] {
        let bytes = coded(length, chunk);
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| chunked(black_box(&[&bytes])).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, heads, bodies);
criterion_main!(benches);
