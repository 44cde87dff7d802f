//! Exact round robin, as seen from outside.

/// The port that a page's "Using port 8000" names.
pub fn port_in(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("Using port")?;
    let digits: String = rest
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// Asserts that `seen` goes round `ports` in their order, wherever it begins.
#[track_caller]
pub fn goes_round(seen: &[u16], ports: &[u16]) {
    let start = seen
        .first()
        .and_then(|first| ports.iter().position(|port| port == first));
    let Some(start) = start else {
        panic!("{seen:?} does not begin with one of {ports:?}");
    };
    let expected: Vec<u16> = ports
        .iter()
        .cycle()
        .skip(start)
        .take(seen.len())
        .copied()
        .collect();
    assert_eq!(seen, expected, "not the exact order of {ports:?}");
}
