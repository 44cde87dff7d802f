//! A table of the file being read: every key that is asked for is known, every other one is an error, and nothing stops at
//! the first.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::defaults::SHORTEST;
use super::problem::{At, Fault, Problem, Where};
use super::schema::{Keys, Shape};
use super::value::{self, ValueError, alike};

/// Where faults are gathered.
pub(super) type Sink = RefCell<Vec<Fault>>;

/// One table.
pub(super) struct Table<'a> {
    /// As a person names it: `[balancer]`.
    name: String,
    entries: &'a DeTable<'a>,
    sink: &'a Sink,
    known: RefCell<Vec<&'static str>>,
    /// Where what is asked for is written down, instead of read.
    keys: Option<Keys>,
}

impl<'a> Table<'a> {
    pub(super) fn new(name: impl Into<String>, entries: &'a DeTable<'a>, sink: &'a Sink) -> Self {
        Self {
            name: name.into(),
            entries,
            sink,
            known: RefCell::default(),
            keys: None,
        }
    }

    /// A table of which nothing is read: what is asked for goes to `keys`.
    pub(super) fn describing(entries: &'a DeTable<'a>, sink: &'a Sink, keys: Keys) -> Self {
        Self {
            keys: Some(keys),
            ..Self::new("the file", entries, sink)
        }
    }

    /// What the value of a key may be.
    pub(super) fn shape(&self, key: &'static str, shape: impl FnOnce() -> Shape) {
        if let Some(keys) = &self.keys {
            let mut keys = keys.borrow_mut();
            keys.retain(|(known, _)| known != key);
            keys.push((key.to_owned(), shape()));
        }
    }

    /// The same for a table whose keys a person chooses; `inner` reads one of its values.
    pub(super) fn shape_each(&self, key: &'static str, inner: impl FnOnce(&Table<'a>)) {
        if self.keys.is_none() {
            return;
        }
        let keys = Keys::default();
        inner(&Table::describing(self.entries, self.sink, keys.clone()));
        self.shape(key, || Shape::Map(Box::new(Shape::Table(keys))));
    }

    /// Whether anything is read at all.
    pub(super) fn is_description(&self) -> bool {
        self.keys.is_some()
    }

    /// Each key with its value, for tables whose keys a person chooses.
    pub(super) fn each(&self) -> impl Iterator<Item = (At<String>, &'a Spanned<DeValue<'a>>)> {
        let entries: &'a DeTable<'a> = self.entries;
        entries.iter().map(|(key, value)| {
            let at = At {
                value: key.get_ref().to_string(),
                at: Where::File(key.span()),
            };
            (at, value)
        })
    }

    /// A value by its key, which is known from now on.
    pub(super) fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        if self.keys.is_some() {
            return None;
        }
        self.entries.get(key)
    }

    pub(super) fn fault(&self, at: Where, problem: Problem) {
        self.sink.borrow_mut().push(Fault { at, problem });
    }

    /// The value is of another type than it should be.
    pub(super) fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &'static str) {
        self.fault(
            place(value),
            Problem::WrongType {
                key: key.to_owned(),
                wanted,
                found: kind(value).to_owned(),
            },
        );
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        wanted: &'static str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<At<T>> {
        self.shape(key, || Shape::Text);
        let value = self.get(key)?;
        self.parse_value(key, value, wanted, parse)
    }

    pub(super) fn parse_value<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &'static str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<At<T>> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(key, value, wanted);
            return None;
        };
        self.parse_text(key, place(value), text, parse)
    }

    /// A value that stands `at` a place, as text.
    pub(super) fn parse_text<T>(
        &self,
        key: &str,
        at: Where,
        text: &str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<At<T>> {
        match parse(text) {
            Ok(value) => Some(At { value, at }),
            Err(source) => {
                let key = key.to_owned();
                self.fault(at, Problem::Value { key, source });
                None
            }
        }
    }

    pub(super) fn string(&self, key: &'static str) -> Option<At<String>> {
        self.parsed(key, "a string", |text| Ok(text.to_owned()))
    }

    /// A duration of at least `least`.
    pub(super) fn duration(&self, key: &'static str, least: Duration) -> Option<At<Duration>> {
        let found = self.parsed(key, "a duration such as \"5s\"", value::duration)?;
        if found.value < least {
            self.fault(
                found.at,
                Problem::TooShort {
                    key: key.to_owned(),
                    least: value::duration_text(least),
                },
            );
            return None;
        }
        Some(found)
    }

    /// A duration of at least [`SHORTEST`], or `off`.
    pub(super) fn limit(&self, key: &'static str) -> Option<At<Option<Duration>>> {
        let found = self.parsed(key, "a duration such as \"60s\", or \"off\"", value::limit)?;
        if found.value.is_some_and(|limit| limit < SHORTEST) {
            self.fault(
                found.at,
                Problem::TooShort {
                    key: key.to_owned(),
                    least: value::duration_text(SHORTEST),
                },
            );
            return None;
        }
        Some(found)
    }

    /// A list of strings, each read by `parse`. Every wrong one is told.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        wanted: &'static str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<At<Vec<At<T>>>> {
        self.shape(key, || Shape::List(Box::new(Shape::Text)));
        let found = self.get(key)?;
        let DeValue::Array(entries) = found.get_ref() else {
            self.wrong_type(key, found, wanted);
            return None;
        };
        let read = |entry| self.parse_value(key, entry, "a string", &parse);
        let all: Vec<Option<At<T>>> = entries.iter().map(read).collect();
        Some(At {
            value: all.into_iter().collect::<Option<_>>()?,
            at: place(found),
        })
    }

    /// One of a list of names.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        names: &[(&'static str, T)],
    ) -> Option<At<T>> {
        let found = self.parsed(key, "a string", |text| value::choice(text, names));
        self.shape(key, || {
            Shape::Choice(names.iter().map(|(name, _)| *name).collect())
        });
        found
    }

    /// A number of bytes, `"16kb"` or a whole number, of at most `most`.
    pub(super) fn size(&self, key: &'static str, most: u64) -> Option<At<u64>> {
        self.shape(key, || Shape::Size);
        let found = self.get(key)?;
        let at = place(found);
        let read = match found.get_ref() {
            // A number with its sign, however it is written; one too large for the type is too large here as well.
            DeValue::Integer(number) => {
                match u64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(bytes) => Ok(bytes),
                    Err(_) => value::size(&number.to_string()),
                }
            }
            DeValue::String(text) => value::size(text),
            _ => {
                self.wrong_type(key, found, "a size such as \"16kb\"");
                return None;
            }
        };
        match read.and_then(|bytes| value::at_most(bytes, most)) {
            Ok(value) => Some(At { value, at }),
            Err(source) => {
                let key = key.to_owned();
                self.fault(at, Problem::Value { key, source });
                None
            }
        }
    }

    /// True or false.
    pub(super) fn boolean(&self, key: &'static str) -> Option<At<bool>> {
        self.shape(key, || Shape::Boolean);
        let value = self.get(key)?;
        if let DeValue::Boolean(is) = value.get_ref() {
            return Some(At {
                value: *is,
                at: place(value),
            });
        }
        self.wrong_type(key, value, "true or false");
        None
    }

    /// A whole number.
    pub(super) fn integer(
        &self,
        key: &'static str,
        range: &RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        self.shape(key, || Shape::Integer(*range.start(), *range.end()));
        let value = self.get(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        // A number too large for the type is out of the range as well.
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if range.contains(&number) => Some(At {
                value: number,
                at: place(value),
            }),
            _ => {
                self.fault(
                    place(value),
                    Problem::OutOfRange {
                        key: key.to_owned(),
                        least: *range.start(),
                        most: *range.end(),
                        found: number.to_string(),
                    },
                );
                None
            }
        }
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &'static str) -> Option<At<Table<'a>>> {
        if self.is_description() {
            let keys = Keys::default();
            self.shape(key, || Shape::Table(keys.clone()));
            return Some(At::nowhere(Table::describing(
                self.entries,
                self.sink,
                keys,
            )));
        }
        let value = self.get(key)?;
        self.as_table(key, key, value)
    }

    /// A list of tables, `[[key]]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<At<Table<'a>>> {
        let Some(found) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(entries) = found.get_ref() else {
            self.wrong_type(key, found, "a list of tables");
            return Vec::new();
        };
        let tables = entries.iter().filter_map(|entry| {
            let table = self.as_table(key, key, entry)?;
            Some(At {
                value: Table {
                    name: format!("[[{key}]]"),
                    ..table.value
                },
                at: table.at,
            })
        });
        tables.collect()
    }

    /// A text of one or many lines that says something.
    pub(super) fn text(&self, key: &'static str) -> Option<At<String>> {
        self.parsed(key, "a text", |text| match text.trim().is_empty() {
            true => Err(ValueError::Blank),
            false => Ok(text.to_owned()),
        })
    }

    /// A number, or a text that becomes one when its time comes.
    pub(super) fn number_or_text(&self, key: &'static str) -> Option<At<String>> {
        let value = self.get(key)?;
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => {
                self.wrong_type(key, value, "a number, or a text that becomes one");
                return None;
            }
        };
        Some(At {
            value: text,
            at: place(value),
        })
    }

    /// The same `value` of `key`; where the key is not there at all, that is a fault of the table that begins `at`.
    pub(super) fn needed<T>(&self, key: &'static str, at: &Where, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.entries.contains_key(key) {
            let table = self.name.clone();
            self.fault(at.clone(), Problem::Missing { key, table });
        }
        value
    }

    /// A value that should be a table.
    pub(super) fn as_table(
        &self,
        key: &str,
        name: &str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Option<At<Table<'a>>> {
        let DeValue::Table(entries) = value.get_ref() else {
            self.wrong_type(key, value, "a table");
            return None;
        };
        let inner = match self.name.strip_suffix(']') {
            Some(outer) => format!("{outer}.{name}]"),
            None => format!("[{name}]"),
        };
        Some(At {
            value: Table::new(inner, entries, self.sink),
            at: place(value),
        })
    }

    /// Says what else is in the table.
    pub(super) fn close(self) {
        if self.is_description() {
            return;
        }
        let known = self.known.into_inner();
        for (key, _) in self.entries.iter() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let problem = Problem::UnknownKey {
                like: alike(name, known.iter().copied()).map(str::to_owned),
                key: name.to_owned(),
                table: self.name.clone(),
            };
            self.sink.borrow_mut().push(Fault {
                at: Where::File(key.span()),
                problem,
            });
        }
    }
}

/// Where a value stands.
pub(super) fn place(value: &Spanned<DeValue<'_>>) -> Where {
    Where::File(value.span())
}

/// A value's type, in words.
fn kind(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
