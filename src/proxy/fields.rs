//! The header fields of one message, as they came: in their order, with their names' case, in the bytes that they were read
//! from. What is to go is marked, what is added stands behind them; written they are again with as few copies as there are
//! gaps. Pure.

mod name;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) use name::{Name, Names};

/// Room for what is added to a response as a rule.
const ADDED: usize = 96;

/// The header fields of one message.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    /// What they were read from.
    bytes: Bytes,
    list: Vec<Field>,
    /// Which known ones are there.
    known: Names,
    /// Lines of our own: `Name: value`, CR LF.
    added: Vec<u8>,
}

/// One field: where its name and its value stand in the bytes.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
    known: Name,
    gone: bool,
}

impl Field {
    fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.name.0 as usize..self.name.1 as usize]
    }

    fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.value.0 as usize..self.value.1 as usize]
    }

    /// It stands there as it would be written: `Name: value`, CR LF.
    fn is_plain(&self, bytes: &[u8]) -> bool {
        let (from, to) = (self.name.1 as usize, self.value.1 as usize);
        self.value.0 == self.name.1 + 2
            && bytes.get(from..from + 2) == Some(b": ")
            && bytes.get(to..to + 2) == Some(b"\r\n")
    }
}

/// Notes the places of fields in a buffer that is still borrowed.
#[derive(Debug, Default)]
pub(super) struct Places {
    list: Vec<Field>,
    known: Names,
}

impl Places {
    /// Of the fields that httparse found in the buffer that starts at the address `start`.
    pub(super) fn of(start: usize, found: &[httparse::Header<'_>]) -> Self {
        let mut places = Self {
            list: Vec::with_capacity(found.len()),
            known: Names::default(),
        };
        for field in found {
            // An empty value has no bytes, and its place need not be in the buffer.
            let range = |part: &[u8]| match part.is_empty() {
                true => (0, 0),
                false => {
                    let from = part.as_ptr() as usize - start;
                    (from as u32, (from + part.len()) as u32)
                }
            };
            let known = Name::of(field.name.as_bytes());
            places.known.add(known);
            places.list.push(Field {
                name: range(field.name.as_bytes()),
                value: range(field.value),
                known,
                gone: false,
            });
        }
        places
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The fields, now that the bytes are nobody else's.
    pub(super) fn in_bytes(self, bytes: Bytes) -> Fields {
        Fields {
            bytes,
            list: self.list,
            known: self.known,
            added: Vec::new(),
        }
    }
}

impl Fields {
    fn here(&self) -> impl DoubleEndedIterator<Item = &Field> {
        self.list.iter().filter(|field| !field.gone)
    }

    /// Whether there is one that came with this name.
    pub(super) fn has(&self, name: Name) -> bool {
        self.known.has(name)
    }

    /// Whether there is one that came with one of these names.
    pub(super) fn has_any(&self, names: Names) -> bool {
        self.known.has_any(names)
    }

    /// The values of all that came with this name, in their order.
    pub(super) fn all(&self, name: Name) -> impl DoubleEndedIterator<Item = &[u8]> {
        let list = match self.has(name) {
            true => &self.list[..],
            false => &[],
        };
        list.iter()
            .filter(move |field| field.known == name && !field.gone)
            .map(|field| field.value(&self.bytes))
    }

    /// The value of the first that came with this name.
    pub(super) fn get(&self, name: Name) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The value of the first that came with a name that nobody foresaw.
    pub(super) fn named(&self, name: &[u8]) -> Option<&[u8]> {
        self.here()
            .find(|field| field.name(&self.bytes).eq_ignore_ascii_case(name))
            .map(|field| field.value(&self.bytes))
    }

    /// The words of the comma-separated lists of this name (RFC 9110 §5.6.1).
    pub(super) fn tokens(&self, name: Name) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !token.is_empty())
    }

    /// Whether the lists of this name have this word, in any case.
    pub(super) fn says(&self, name: Name, word: &[u8]) -> bool {
        self.tokens(name).any(|it| it.eq_ignore_ascii_case(word))
    }

    /// Takes those out that came with this name.
    pub(super) fn remove(&mut self, name: Name) {
        if self.has(name) {
            self.remove_all(Names::of(&[name]));
        }
    }

    /// Takes those out that came with one of these names.
    pub(super) fn remove_all(&mut self, names: Names) {
        if self.known.has_any(names) {
            for field in &mut self.list {
                field.gone |= names.has(field.known);
            }
            self.known = self.known.without(names);
        }
    }

    /// Takes those out that came with a name that nobody foresaw.
    pub(super) fn remove_named(&mut self, name: &[u8]) {
        for field in &mut self.list {
            if field.name(&self.bytes).eq_ignore_ascii_case(name) {
                field.gone = true;
                if field.known != Name::Other {
                    self.known.remove(field.known);
                }
            }
        }
    }

    /// Adds one of our own. `value` has no control characters but the tab.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        debug_assert!(!value.iter().any(|&byte| byte == b'\r' || byte == b'\n'));
        self.make_room(name.len() + value.len() + 4);
        self.added.extend_from_slice(name.as_bytes());
        self.added.extend_from_slice(b": ");
        self.added.extend_from_slice(value);
        self.added.extend_from_slice(b"\r\n");
    }

    /// Adds lines of our own, each ending in CR LF.
    pub(super) fn add_lines(&mut self, lines: &[u8]) {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        self.make_room(lines.len());
        self.added.extend_from_slice(lines);
    }

    /// Whoever adds one adds some more.
    fn make_room(&mut self, length: usize) {
        if self.added.capacity() == 0 {
            self.added.reserve(length.max(ADDED));
        }
    }

    /// All of them, in their order, those of our own last.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let came = self
            .here()
            .map(|field| (field.name(&self.bytes), field.value(&self.bytes)));
        came.chain(lines(&self.added))
    }

    /// Appends them to `out` as lines, without the empty one that ends a head.
    pub(super) fn write(&self, out: &mut BytesMut) {
        out.reserve(self.bytes.len() + self.added.len());
        // Lines that stand together are copied together.
        let mut run = 0..0;
        for field in &self.list {
            let starts = field.name.0 as usize;
            if field.gone {
                continue;
            }
            let plain = field.is_plain(&self.bytes);
            if plain && starts == run.end {
                run.end = field.value.1 as usize + 2;
                continue;
            }
            out.put_slice(&self.bytes[std::mem::replace(&mut run, 0..0)]);
            if plain {
                run = starts..field.value.1 as usize + 2;
                continue;
            }
            out.put_slice(field.name(&self.bytes));
            out.put_slice(b": ");
            out.put_slice(field.value(&self.bytes));
            out.put_slice(b"\r\n");
        }
        out.put_slice(&self.bytes[run]);
        out.put_slice(&self.added);
    }

    /// The fields of a message that did not come as text; `None` where they are too long to be a head.
    pub(super) fn from_map(map: &HeaderMap) -> Self {
        let mut bytes = BytesMut::with_capacity(map.len() * 48);
        let mut places = Places::default();
        for (name, value) in map {
            let from = bytes.len() as u32;
            bytes.put_slice(name.as_str().as_bytes());
            let named = bytes.len() as u32;
            bytes.put_slice(b": ");
            let at = bytes.len() as u32;
            bytes.put_slice(value.as_bytes());
            let known = Name::of(name.as_str().as_bytes());
            places.known.add(known);
            places.list.push(Field {
                name: (from, named),
                value: (at, bytes.len() as u32),
                known,
                gone: false,
            });
            bytes.put_slice(b"\r\n");
        }
        places.in_bytes(bytes.freeze())
    }

    /// The same for a protocol whose names are lower-case.
    pub(super) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.list.len() + 8);
        for (name, value) in self.iter() {
            // What was read as a field is one.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                map.append(name, value);
            }
        }
        map
    }
}

/// The fields in lines of our own.
fn lines(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split(|&byte| byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r")?;
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii_start()))
    })
}

#[cfg(test)]
pub(super) mod tests;
