//! The texts of one response: what each says of tokens, and what all of them say.

use super::base64::Base64Reader;
use crate::tokens::dialect::{Dialects, Fact, Leaf, TextKind};
use crate::tokens::scan::{Scanner, Sink, Value};
use crate::tokens::usage::{MAX_TOKENS, Usage, UsageTotals};
use std::sync::Arc;

/// The usage that one text says.
#[derive(Clone, Copy, Debug, Default)]
struct TextFacts {
    usage: Usage,
    /// True when the usage has a count; most texts have none.
    has_counts: bool,
    /// True when counts say the output, and are the last ones.
    has_output: bool,
    ends: bool,
    ends_choice: bool,
    fails: bool,
    is_silent: bool,
}

/// The usage that the texts of a response have said so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseFacts {
    /// The sum of the counts.
    pub totals: UsageTotals,
    /// The number of texts.
    pub texts: u64,
    /// The number of texts that may be output: no errors, and none before or beside it.
    pub outputs: u64,
    /// True when counts said the output, and were the last ones.
    pub has_output: bool,
    /// True when a text was the last one of its stream.
    pub ends: bool,
    /// True when a text was the last one of a choice.
    pub ends_choice: bool,
    /// The number of texts that are errors.
    pub errors: u64,
}

/// The reader of the texts of one response.
#[derive(Debug)]
pub struct TextReader {
    dialects: Arc<Dialects>,
    scanner: Scanner,
    notes: Notes,
}

/// The facts that were read.
#[derive(Debug, Default)]
struct Notes {
    text: TextFacts,
    response: ResponseFacts,
    /// The reader of a text in base64 inside of the text.
    wrapped: Option<Box<Wrapped>>,
}

impl TextReader {
    /// Starts to read a response.
    pub fn new(dialects: Arc<Dialects>) -> Self {
        Self {
            dialects,
            scanner: Scanner::default(),
            notes: Notes::default(),
        }
    }

    /// Returns the dialects.
    pub fn dialects(&self) -> &Dialects {
        &self.dialects
    }

    /// Reads the next piece of a text, or of several in a row.
    pub fn feed(&mut self, piece: &[u8]) {
        let mut sink = Reading {
            dialects: &self.dialects,
            notes: &mut self.notes,
        };
        self.scanner.feed(&self.dialects.response, piece, &mut sink);
    }

    /// Drops a text that has begun and does not end.
    pub fn drop_text(&mut self) {
        if !self.scanner.is_outside() {
            self.scanner = Scanner::default();
            self.notes.text = TextFacts::default();
            self.notes.wrapped = None;
        }
    }

    /// True between texts.
    pub fn is_between(&self) -> bool {
        self.scanner.is_outside()
    }

    /// Returns what the texts say that have ended.
    pub fn facts(&self) -> &ResponseFacts {
        &self.notes.response
    }
}

struct Reading<'a> {
    dialects: &'a Dialects,
    notes: &'a mut Notes,
}

impl Sink<Leaf> for Reading<'_> {
    fn value(&mut self, leaf: &Leaf, value: Value<'_>) {
        self.notes.text.take(leaf, value, self.dialects);
        if *leaf == Leaf::Fact(Fact::Wrapped)
            && let Some(mut wrapped) = self.notes.wrapped.take()
        {
            wrapped.end(self.dialects, &mut self.notes.text);
        }
    }

    fn piece(&mut self, leaf: &Leaf, raw: &[u8]) {
        if *leaf == Leaf::Fact(Fact::Wrapped) {
            let wrapped = self.notes.wrapped.get_or_insert_default();
            wrapped.feed(raw, self.dialects, &mut self.notes.text);
        }
    }

    fn text_ends(&mut self) {
        self.notes.response.add(&self.notes.text);
        self.notes.text.clear();
    }
}

/// A text in base64, whose values are those of the text around it.
#[derive(Debug, Default)]
struct Wrapped {
    scanner: Scanner,
    unwrapper: Base64Reader,
}

impl Wrapped {
    fn feed(&mut self, raw: &[u8], dialects: &Dialects, text: &mut TextFacts) {
        let mut inside = Inside { dialects, text };
        self.unwrapper.feed(raw, |bytes| {
            self.scanner.feed(&dialects.response, bytes, &mut inside);
        });
    }

    fn end(&mut self, dialects: &Dialects, text: &mut TextFacts) {
        let mut inside = Inside { dialects, text };
        self.unwrapper.end(|bytes| {
            self.scanner.feed(&dialects.response, bytes, &mut inside);
        });
    }
}

struct Inside<'a> {
    dialects: &'a Dialects,
    text: &'a mut TextFacts,
}

impl Sink<Leaf> for Inside<'_> {
    fn value(&mut self, leaf: &Leaf, value: Value<'_>) {
        self.text.take(leaf, value, self.dialects);
    }

    fn text_ends(&mut self) {}
}

impl TextFacts {
    /// Begins the next text. The counts are large, so they are cleared where there are any.
    fn clear(&mut self) {
        if self.has_counts {
            self.usage = Usage::default();
        }
        *self = Self {
            usage: self.usage,
            ..Self::default()
        };
    }

    fn take(&mut self, leaf: &Leaf, value: Value<'_>, dialects: &Dialects) {
        match *leaf {
            Leaf::Count {
                field,
                rank,
                is_early,
            } => {
                if let Some(tokens) = count(value) {
                    self.has_counts = true;
                    self.usage.offer(field, rank, tokens);
                    self.has_output |= !is_early;
                }
            }
            Leaf::Part(field) => {
                if let Some(tokens) = count(value) {
                    self.has_counts = true;
                    self.usage.add(field, tokens);
                }
            }
            Leaf::Fact(fact) => self.note(fact, value, dialects),
        }
    }

    fn note(&mut self, fact: Fact, value: Value<'_>, dialects: &Dialects) {
        let is_nothing = matches!(
            value,
            Value::Null | Value::Bare(b"false" | b"0") | Value::Text { length: 0, .. }
        );
        let is_something = !is_nothing;
        match fact {
            Fact::Ends => self.ends |= is_something,
            Fact::EndsChoice => self.ends_choice |= is_something,
            Fact::Fails => self.fails |= is_something,
            Fact::Kind => {
                let Value::Text { start, .. } = value else {
                    return;
                };
                match dialects.kind(start) {
                    Some(TextKind::Last) => self.ends = true,
                    Some(TextKind::Error) => self.fails = true,
                    Some(TextKind::Silent) => self.is_silent = true,
                    None => {}
                }
            }
            Fact::Wrapped => {}
        }
    }
}

impl ResponseFacts {
    fn add(&mut self, text: &TextFacts) {
        if text.has_counts {
            self.totals.update(&text.usage);
        }
        self.texts = self.texts.saturating_add(1);
        let is_output = !(text.fails || text.is_silent);
        self.outputs = self.outputs.saturating_add(u64::from(is_output));
        self.has_output |= text.has_output && text.usage.says_output();
        self.ends |= text.ends;
        self.ends_choice |= text.ends_choice;
        self.errors = self.errors.saturating_add(u64::from(text.fails));
    }
}

/// Reads a number of tokens, rounded up; `None` for anything else, and for more than a response can
/// have.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the float is a whole number within the bound"
)]
fn count(value: Value<'_>) -> Option<u64> {
    let Value::Bare(bare) = value else {
        return None;
    };
    let text = str::from_utf8(bare).ok()?;
    let tokens = match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().ok()?,
        false => {
            let number: f64 = serde_json::from_str(text).ok()?;
            let bound = 0.0..=f64::from(u32::MAX);
            bound.contains(&number).then(|| number.ceil() as u64)?
        }
    };
    (tokens <= MAX_TOKENS).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::event_stream::EventStream;
    use crate::tokens::response::UsageReader;
    use crate::tokens::sse::Events;

    #[test]
    fn the_state_of_a_response_is_bounded() {
        let base = size_of::<UsageReader>();
        let events = base + size_of::<Events>();
        assert!(events <= 1_024, "{events}");
        // A chunk in base64 has a second scanner.
        let messages = base + size_of::<EventStream>() + size_of::<Wrapped>();
        assert!(messages <= 1_024, "{messages}");
    }

    #[test]
    fn a_count_is_a_number_and_is_rounded_up() {
        for (bare, tokens) in [
            ("0", Some(0)),
            ("42", Some(42)),
            ("6.2", Some(7)),
            ("1000.0", Some(1000)),
            ("1e3", Some(1000)),
            ("4294967295", Some(MAX_TOKENS)),
            ("4294967296", None),
            ("18446744073709551616", None),
            ("1e999", None),
            ("-1", None),
            ("-0", Some(0)),
            ("NaN", None),
            ("Infinity", None),
            ("true", None),
            ("1.", None),
            ("12abc", None),
            ("+1", None),
            ("", None),
        ] {
            assert_eq!(count(Value::Bare(bare.as_bytes())), tokens, "{bare}");
        }
    }
}
