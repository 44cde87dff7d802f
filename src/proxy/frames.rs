//! Where the frames of a WebSocket end (RFC 6455 §5.2), as its bytes pass by: nothing is decoded or kept. Pure.

/// The longest head of a frame: two bytes, a 64-bit length, a masking key.
const HEAD_MAX: usize = 14;
/// The opcode of a close frame (RFC 6455 §5.5.1).
const CLOSE: u8 = 0x8;
/// "Going away", as a server says when it ends (RFC 6455 §7.4.1).
const GOING_AWAY: u16 = 1001;

/// One direction of a WebSocket, followed from its first byte on.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Frames {
    /// The head of the present frame as far as it has come.
    head: [u8; HEAD_MAX],
    have: usize,
    /// Bytes of the present frame's payload that are still to come.
    left: u64,
    closed: bool,
}

impl Frames {
    /// These bytes have passed; they may begin and end anywhere.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let taken = usize::try_from(self.left).map_or(bytes.len(), |n| n.min(bytes.len()));
                self.left -= taken as u64;
                bytes = &bytes[taken..];
                continue;
            }
            self.head[self.have] = first;
            self.have += 1;
            bytes = rest;
            if self.have == self.head_len() {
                self.left = self.payload_len();
                self.closed |= self.head[0] & 0x0f == CLOSE;
                self.have = 0;
            }
        }
    }

    /// Nothing has passed since the end of a frame, or nothing at all. A control frame may follow, within a message of
    /// several frames too (RFC 6455 §5.4).
    pub(super) fn at_boundary(&self) -> bool {
        self.wants() == 0
    }

    /// So many bytes have to pass, at least, until the present frame has ended.
    pub(super) fn wants(&self) -> u64 {
        match self.have {
            0 => self.left,
            have => (self.head_len() - have) as u64,
        }
    }

    /// A close frame has begun to pass: nothing may follow it (RFC 6455 §5.5.1).
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The length of the present head, as far as its first bytes say it.
    fn head_len(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let extended = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = usize::from(self.head[1] >> 7) * 4;
        2 + extended + mask
    }

    /// The length of the payload that a whole head announces.
    fn payload_len(&self) -> u64 {
        let extended = |bytes: &[u8]| {
            let add = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
            bytes.iter().fold(0, add)
        };
        match self.head[1] & 0x7f {
            126 => extended(&self.head[2..4]),
            127 => extended(&self.head[2..10]),
            short => u64::from(short),
        }
    }
}

/// The close frame that says "going away", as a server sends it; with a `mask`, as a client must (RFC 6455 §5.3).
pub(super) fn going_away(mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = vec![0x80 | CLOSE, 2];
    let mut code = GOING_AWAY.to_be_bytes();
    if let Some(mask) = mask {
        frame[1] |= 0x80;
        frame.extend(mask);
        code = [code[0] ^ mask[0], code[1] ^ mask[1]];
    }
    frame.extend(code);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as RFC 6455 §5.2 draws it; `form` is the length of its length: 0, 2 or 8 bytes.
    fn frame(first: u8, form: usize, payload: usize, masked: bool) -> Vec<u8> {
        let mask = u8::from(masked) << 7;
        let mut bytes = vec![first];
        match form {
            0 => bytes.push(mask | u8::try_from(payload).unwrap()),
            2 => {
                bytes.push(mask | 126);
                bytes.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend([1, 2, 3, 4]);
        }
        // What a payload holds must not matter: this looks like the head of a close frame.
        bytes.extend(std::iter::repeat_n(0x88, payload));
        bytes
    }

    #[test]
    fn boundaries() {
        for (name, bytes, wants, closed) in [
            ("nothing", vec![], 0, false),
            ("text", frame(0x81, 0, 5, false), 0, false),
            ("empty", frame(0x81, 0, 0, false), 0, false),
            ("empty, masked", frame(0x81, 0, 0, true), 0, false),
            ("16 bits", frame(0x82, 2, 300, true), 0, false),
            ("64 bits", frame(0x82, 8, 70_000, false), 0, false),
            ("part of a message", frame(0x01, 0, 3, false), 0, false),
            ("ping", frame(0x89, 0, 2, false), 0, false),
            ("close", frame(0x88, 0, 2, true), 0, true),
            ("first byte", vec![0x81], 1, false),
            ("masked, two bytes", vec![0x81, 0x85], 4, false),
            ("16 bits, half of it", vec![0x81, 126, 1], 1, false),
            ("64 bits, none of it", vec![0x81, 255], 12, false),
            ("payload to come", vec![0x81, 5, b'a'], 4, false),
            (
                "next one begun",
                [frame(0x81, 0, 1, false), vec![0x89]].concat(),
                1,
                false,
            ),
            (
                "absurd",
                [vec![0x82, 127], vec![0xff; 8]].concat(),
                u64::MAX,
                false,
            ),
        ] {
            let mut frames = Frames::default();
            frames.pass(&bytes);
            assert_eq!(frames.wants(), wants, "{name}");
            assert_eq!(frames.at_boundary(), wants == 0, "{name}");
            assert_eq!(frames.is_closed(), closed, "{name}");
        }
    }

    #[test]
    fn the_close_frame() {
        assert_eq!(going_away(None), [0x88, 2, 0x03, 0xe9]);
        let masked = going_away(Some([1, 2, 3, 4]));
        assert_eq!(masked, [0x88, 0x82, 1, 2, 3, 4, 0x02, 0xeb]);
        let mut frames = Frames::default();
        frames.pass(&masked);
        assert!(frames.at_boundary() && frames.is_closed());
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let one = (any::<bool>(), 0..3usize, 0..600usize, 0..8u8);
        let one = one.prop_map(|(masked, form, payload, opcode)| match form {
            0 => frame(0x80 | opcode, 0, payload % 126, masked),
            1 => frame(opcode, 2, payload, masked),
            _ => frame(0x80 | opcode, 8, payload, masked),
        });
        proptest::collection::vec(one, 1..6)
    }

    proptest! {
        /// Byte by byte it is at a boundary exactly where a frame ends, and never wants more than there is to come.
        #[test]
        fn boundaries_are_where_frames_end(list in frames()) {
            let mut seen = Frames::default();
            for frame in &list {
                for at in 0..frame.len() {
                    seen.pass(&frame[at..=at]);
                    let to_come = frame.len() - at - 1;
                    prop_assert_eq!(seen.at_boundary(), to_come == 0);
                    prop_assert!(seen.wants() <= to_come as u64);
                }
            }
        }

        /// Wherever the bytes are cut, what is known after them is the same.
        #[test]
        fn pieces_do_not_matter(list in frames(), cuts in proptest::collection::vec(0..4000usize, 0..8), end in 0..4000usize) {
            let mut bytes = list.concat();
            bytes.truncate(end);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let (mut whole, mut pieces) = (Frames::default(), Frames::default());
            whole.pass(&bytes);
            for pair in cuts.windows(2) {
                pieces.pass(&bytes[pair[0]..pair[1]]);
            }
            prop_assert_eq!(whole.wants(), pieces.wants());
            prop_assert_eq!(whole.is_closed(), pieces.is_closed());
        }

        /// What is no WebSocket at all does no harm.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Frames::default().pass(&bytes);
        }
    }
}
