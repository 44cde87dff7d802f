//! What the fuzzers try, without a fuzzer: every file of `tests/fuzz/corpus`, and what becomes of it when it is cut, joined
//! with others and spoilt. `tests/fuzz/run` goes much further, where a fuzzer can be had.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::wait::is_long;

#[path = "../fuzz/checks.rs"]
mod checks;

/// One thing that is done to some bytes. Places in them are drawn before it is known how many there are.
#[derive(Debug, Clone)]
enum Change {
    /// A bit is turned over.
    Flip(Index, u8),
    /// Everything from here on is gone.
    Cut(Index),
    /// A part is gone.
    Remove(Index, usize),
    /// A part stands there twice.
    Repeat(Index, usize),
    /// From here on it goes on as another file does from there on.
    Splice(Index, Index, Index),
    /// Bytes that mean something somewhere.
    Insert(Index, &'static [u8]),
}

/// What readers stumble over.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"=",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"$",
    b"0",
    b"+1",
    b"-1",
    b"0x",
    b"99999999999999999999",
    b"\xff",
    b"\xc3\xa9",
    b"chunked",
    b"Content-Length: 1\r\n",
];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 0..8u8).prop_map(|(place, bit)| Change::Flip(place, bit)),
        at().prop_map(Change::Cut),
        (at(), 1..20usize).prop_map(|(place, length)| Change::Remove(place, length)),
        (at(), 1..20usize).prop_map(|(place, length)| Change::Repeat(place, length)),
        (at(), at(), at()).prop_map(|(place, file, there)| Change::Splice(place, file, there)),
        (at(), prop::sample::select(WORDS)).prop_map(|(place, word)| Change::Insert(place, word)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change], files: &[Vec<u8>]) -> Vec<u8> {
    for change in changes {
        // One behind the last is a place too.
        let at = |place: &Index| place.index(bytes.len() + 1);
        let part = |place: &Index, length: &usize| {
            let from = at(place);
            from..(from + length).min(bytes.len())
        };
        match change {
            Change::Flip(place, bit) => {
                let at = at(place);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Change::Cut(place) => bytes.truncate(at(place)),
            Change::Remove(place, length) => drop(bytes.drain(part(place, length))),
            Change::Repeat(place, length) => {
                let part = part(place, length);
                let twice = bytes[part.clone()].to_vec();
                bytes.splice(part.end..part.end, twice);
            }
            Change::Splice(place, file, there) => {
                let other = file.get(files);
                bytes.truncate(at(place));
                bytes.extend_from_slice(&other[there.index(other.len() + 1)..]);
            }
            Change::Insert(place, word) => {
                let at = at(place);
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes
}

/// The files of a target, which are few and small.
fn files(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "{target} has next to no corpus");
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[track_caller]
fn holds(target: &str, check: fn(&[u8]) -> bool) {
    let files = files(target);
    let taken = files.iter().filter(|file| check(file)).count();
    // A corpus that is refused leads nowhere.
    assert!(taken >= 2, "only {taken} of {target} are taken");
    let cases = match is_long() {
        true => 100_000,
        false => 4_000,
    };
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    });
    let inputs = (any::<Index>(), prop::collection::vec(change(), 1..6))
        .prop_map(|(file, changes)| changed(file.get(&files).clone(), &changes, &files));
    let outcome = runner.run(&inputs, |bytes| {
        check(&bytes);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{target}: {failure}");
    }
}

#[test]
fn heads_of_requests() {
    holds("request_head", checks::request_head);
}

#[test]
fn heads_of_responses() {
    holds("response_head", checks::response_head);
}

#[test]
fn chunked_bodies() {
    holds("chunked", checks::chunked);
}

#[test]
fn cookies() {
    holds("cookie", checks::cookie);
}

#[test]
fn configurations() {
    holds("config", checks::config);
}

#[test]
fn hosts() {
    holds("host", checks::host);
}

/// Each fuzzer has a corpus, and each corpus is tried here.
#[test]
fn every_fuzzer_has_its_test() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let text = include_str!("corpus.rs");
    for entry in std::fs::read_dir(fuzz.join("targets")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            text.contains(&format!("holds(\"{name}\", checks::{name})")),
            "{name}"
        );
        assert!(fuzz.join("corpus").join(name).is_dir(), "{name}");
    }
}
