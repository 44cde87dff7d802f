use std::collections::VecDeque;
use std::task::Waker;

use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;

/// A client's body that comes as it is told.
#[derive(Debug, Clone)]
enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Nothing has come yet; the next look finds more.
    Nothing,
    Torn,
}

#[derive(Debug)]
struct Scripted {
    parts: VecDeque<Part>,
    length: Option<u64>,
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    /// Like hyper's: after an error there is nothing more, as if it were the end.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.parts.pop_front() {
            None => Poll::Ready(None),
            Some(Part::Nothing) => Poll::Pending,
            Some(Part::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Part::Trailers(fields)) => Poll::Ready(Some(Ok(Frame::trailers(fields)))),
            Some(Part::Torn) => Poll::Ready(Some(Err("torn"))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn tape(parts: impl IntoIterator<Item = Part>, limit: u64) -> Rc<RefCell<Tape<Scripted>>> {
    let parts = parts.into_iter().collect();
    Tape::new(
        Scripted {
            parts,
            length: None,
        },
        limit,
    )
}

/// What one backend gets, how it ends, and whether trailers came; after `looks` it is cut off (its connection died).
#[derive(Debug, PartialEq, Eq)]
struct Got {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Whole,
    Torn,
    CutOff,
}

fn play(tape: &Rc<RefCell<Tape<Scripted>>>, looks: usize) -> Got {
    let mut body = Outgoing::of(tape);
    let mut got = Got {
        data: Vec::new(),
        trailers: None,
        end: End::CutOff,
    };
    for _ in 0..looks {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Pending => {}
            Poll::Ready(None) => {
                got.end = End::Whole;
                break;
            }
            Poll::Ready(Some(Err(_))) => {
                got.end = End::Torn;
                break;
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => got.data.extend_from_slice(&data),
                Err(frame) => got.trailers = frame.into_trailers().ok(),
            },
        }
    }
    got
}

fn data(text: &'static str) -> Part {
    Part::Data(Bytes::from_static(text.as_bytes()))
}

#[test]
fn what_is_torn_is_torn_for_everybody_and_nobody_gets_it_again() {
    let tape = tape([data("hello"), Part::Torn], 100);
    for expected in [&b"hello"[..], b"", b""] {
        let got = play(&tape, 100);
        assert_eq!((got.data.as_slice(), got.end), (expected, End::Torn));
        assert!(!tape.borrow().is_replayable() && tape.borrow().is_torn());
    }
}

#[test]
fn what_is_too_long_is_let_go() {
    for (limit, replayable) in [(10, true), (9, false), (0, false)] {
        let tape = tape([data("hello"), data("world")], limit);
        assert_eq!(play(&tape, 100).data, b"helloworld", "{limit}");
        assert_eq!(tape.borrow().is_replayable(), replayable, "{limit}");
    }
    // By its length: not a byte of it is kept.
    for (length, replayable) in [(5, true), (6, false)] {
        let parts = VecDeque::from([data("hell")]);
        let length = Some(length);
        let tape = Tape::new(Scripted { parts, length }, 5);
        assert_eq!(tape.borrow().is_replayable(), replayable);
        assert_eq!(tape.borrow().stays_replayable(), replayable);
    }
    // Without a length it may yet turn out to be too long.
    let unsaid = tape([data("hell")], 5);
    assert!(unsaid.borrow().is_replayable() && !unsaid.borrow().stays_replayable());
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20).prop_map(|data| Part::Data(data.into())),
        1 => Just(Part::Nothing),
    ];
    prop::collection::vec(part, 0..12)
}

proptest! {
    /// However often and wherever backends die under it, the one that lives gets all of it once.
    #[test]
    fn each_backend_gets_it_from_the_start(parts in parts(), cuts in prop::collection::vec(0usize..16, 0..5), with_trailers: bool) {
        let mut whole = Vec::new();
        for part in &parts {
            if let Part::Data(data) = part {
                whole.extend_from_slice(data);
            }
        }
        let mut fields = HeaderMap::new();
        fields.insert("x-sum", HeaderValue::from_static("7"));
        let trailers = with_trailers.then_some(fields);
        let tape = tape(parts.into_iter().chain(trailers.clone().map(Part::Trailers)), 1000);
        for cut in cuts {
            let got = play(&tape, cut);
            prop_assert!(whole.starts_with(&got.data));
        }
        let got = play(&tape, 1000);
        prop_assert_eq!(got, Got { data: whole, trailers, end: End::Whole });
    }
}
