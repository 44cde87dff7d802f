use proptest::prelude::*;

use super::*;

/// Fields as they stand in a head.
pub(in crate::proxy) fn fields(text: &str) -> Fields {
    let mut found = [httparse::EMPTY_HEADER; 64];
    let bytes = Bytes::from(format!("{text}\r\n"));
    let places = match httparse::parse_headers(&bytes, &mut found).unwrap() {
        httparse::Status::Complete((_, found)) => Places::of(bytes.as_ptr() as usize, found),
        httparse::Status::Partial => panic!("not whole: {text:?}"),
    };
    places.in_bytes(bytes)
}

fn written(fields: &Fields) -> String {
    let mut out = BytesMut::new();
    fields.write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn order_and_case_stay_and_odd_blanks_go() {
    let text = "Host: a\r\nX-b:  two blanks \r\nACCEPT:*/*\r\nempty:\r\nx-B: again\r\n";
    let mut fields = fields(text);
    assert_eq!(
        written(&fields),
        "Host: a\r\nX-b: two blanks\r\nACCEPT: */*\r\nempty: \r\nx-B: again\r\n"
    );
    assert_eq!(fields.get(Name::Accept), Some(&b"*/*"[..]));
    assert_eq!(fields.named(b"X-B"), Some(&b"two blanks"[..]));
    fields.remove(Name::Accept);
    fields.remove_named(b"x-b");
    fields.add("X-Own", b"1");
    fields.add_lines(b"A: 1\r\nB: 2\r\n");
    assert!(!fields.has(Name::Accept));
    assert_eq!(
        written(&fields),
        "Host: a\r\nempty: \r\nX-Own: 1\r\nA: 1\r\nB: 2\r\n"
    );
    let all: Vec<_> = fields.iter().collect();
    assert_eq!(
        all,
        [
            (&b"Host"[..], &b"a"[..]),
            (b"empty", b""),
            (b"X-Own", b"1"),
            (b"A", b"1"),
            (b"B", b"2")
        ]
    );
}

#[test]
fn words_of_lists() {
    let fields = fields("Connection: close , X\r\nTE: \r\nconnection: y\r\n");
    let tokens: Vec<_> = fields.tokens(Name::Connection).collect();
    assert_eq!(tokens, [&b"close"[..], b"X", b"y"]);
    assert!(fields.says(Name::Connection, b"CLOSE"));
    assert!(!fields.says(Name::Te, b""));
}

#[test]
fn maps_there_and_back() {
    let map = fields("Cookie: a\r\nX: 1\r\nx: 2\r\n").to_map();
    assert_eq!(map.get_all("x").iter().count(), 2);
    let back = Fields::from_map(&map);
    assert_eq!(written(&back), "cookie: a\r\nx: 1\r\nx: 2\r\n");
    assert!(back.has(Name::Cookie));
}

proptest! {
    /// Whatever is taken out, the rest is written as it came.
    #[test]
    fn what_stays_is_written_in_order(
        all in prop::collection::vec(("[A-Za-z]{1,4}", " {0,2}", "[a-z,é]{0,5}"), 0..12),
        gone in "[a-z]{1,4}",
    ) {
        let text: String = all.iter().map(|(name, blank, value)| format!("{name}:{blank}{value}\r\n")).collect();
        let mut fields = fields(&text);
        fields.remove_named(gone.as_bytes());
        let expected: String = all
            .iter()
            .filter(|(name, ..)| !name.eq_ignore_ascii_case(&gone))
            .map(|(name, _, value)| format!("{name}: {value}\r\n"))
            .collect();
        prop_assert_eq!(written(&fields), expected);
    }
}
