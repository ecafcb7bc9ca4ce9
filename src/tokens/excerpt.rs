//! The start and the end of a JSON text that arrives in pieces, and the `usage` in them.
//!
//! Upstreams write `usage` first or last, around the long part. So at most [`HEAD_BYTES`] and
//! [`TAIL_BYTES`] are buffered, however long the text is. A completely buffered text is parsed by
//! its structure. In any other text, the last `"usage"` followed by an object is taken. Quotes
//! inside a JSON string are always escaped, so `"usage"` is a key, never text that a model wrote.

use crate::tokens::dialect::Dialects;
use crate::tokens::parse;
use crate::tokens::usage::Usage;
use memchr::memmem;

/// The bytes kept of a text's start.
pub const HEAD_BYTES: usize = 4096;
/// The bytes kept of a text's end.
pub const TAIL_BYTES: usize = 4096;

/// The start and the end of a text.
#[derive(Debug, Default)]
pub struct Excerpt {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// True when bytes between head and tail were not kept.
    gap: bool,
}

impl Excerpt {
    /// Returns the number of bytes of the next piece, from its start, that the head still needs.
    pub fn head_wanted(&self) -> usize {
        HEAD_BYTES.saturating_sub(self.head.len())
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        let (head, rest) = piece
            .split_at_checked(self.head_wanted())
            .unwrap_or((piece, &[]));
        self.head.extend_from_slice(head);
        if !rest.is_empty() {
            self.feed_tail(rest);
        }
    }

    /// Takes the end of a piece, at least [`TAIL_BYTES`] of it, whose middle was skipped.
    pub fn feed_after_gap(&mut self, end: &[u8]) {
        self.tail.clear();
        self.gap = true;
        self.feed_tail(end);
    }

    fn feed_tail(&mut self, rest: &[u8]) {
        let keep = rest.len().min(TAIL_BYTES);
        let fresh = rest.get(rest.len().saturating_sub(keep)..).unwrap_or(rest);
        let old = TAIL_BYTES.saturating_sub(keep).min(self.tail.len());
        let drop = self.tail.len().saturating_sub(old);
        self.gap |= drop > 0 || fresh.len() < rest.len();
        self.tail.drain(..drop);
        self.tail.extend_from_slice(fresh);
    }

    /// Returns the number of buffered bytes.
    pub fn buffered(&self) -> usize {
        self.head.len().saturating_add(self.tail.len())
    }

    /// True when no bytes were fed.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && !self.gap
    }

    /// True when the text starts with `start`.
    pub fn starts_with(&self, start: &[u8]) -> bool {
        self.head.starts_with(start)
    }

    /// Clears the text and keeps the memory for the next one.
    pub fn clear(&mut self) {
        self.head.clear();
        self.tail.clear();
        self.gap = false;
    }

    /// True when the text names an error, as a failure's body does. `"error": null` names none.
    pub fn names_error(&self) -> bool {
        const NAME: &[u8] = b"\"error\"";
        let names = |part: &[u8]| {
            memmem::find_iter(part, NAME).any(|at| {
                let behind = part.get(at.saturating_add(NAME.len())..);
                let behind = behind.unwrap_or_default().trim_ascii_start();
                let value = behind.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
                !value.is_some_and(|value| value.starts_with(b"null"))
            })
        };
        names(&self.head) || names(&self.tail)
    }

    /// Returns the usage in the text; `None` when the usage is absent or invalid.
    pub fn usage(&mut self, dialects: &Dialects) -> Option<Usage> {
        if self.gap {
            let last = |part: &[u8]| last_usage(part, dialects);
            return last(&self.tail).or_else(|| last(&self.head));
        }
        self.head.append(&mut self.tail);
        usage(&self.head, dialects)
    }
}

/// Reads the usage in a complete text, by its structure.
pub fn usage(json: &[u8], dialects: &Dialects) -> Option<Usage> {
    // Most chunks of a stream have no usage or a null one, and need no parsing.
    let has_object = |key: &Vec<u8>| objects(json, key).next().is_some();
    if !dialects.keys.iter().any(has_object) {
        return None;
    }
    parse::text(json, dialects)
}

/// Returns the text from the object after each `"usage":`, the last one first; `key` is `"usage"`.
fn objects<'a>(json: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::rfind_iter(json, key).filter_map(move |at| {
        let (before, rest) = json.split_at_checked(at)?;
        if before.last() == Some(&b'\\') {
            return None;
        }
        let value = rest.strip_prefix(key)?.trim_ascii_start();
        let value = value.strip_prefix(b":")?.trim_ascii_start();
        value.starts_with(b"{").then_some(value)
    })
}

/// Returns the last valid usage object.
fn last_usage(json: &[u8], dialects: &Dialects) -> Option<Usage> {
    let last = |key: &Vec<u8>| {
        let mut values = objects(json, key);
        values.find_map(|value| Some((value.len(), parse::object(value, dialects)?)))
    };
    // The object with the fewest bytes from its start to the end is the last one.
    let each = dialects.keys.iter().filter_map(last);
    each.min_by_key(|(left, _)| *left).map(|(_, usage)| usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::dialect;
    use crate::tokens::usage::UsageTotals;

    fn read(body: &str, piece: usize) -> Option<u64> {
        let mut excerpt = Excerpt::default();
        for piece in body.as_bytes().chunks(piece) {
            excerpt.feed(piece);
            assert!(excerpt.buffered() <= HEAD_BYTES + TAIL_BYTES);
        }
        let mut totals = UsageTotals::default();
        totals.update(&excerpt.usage(&dialect::ALL)?);
        totals.tokens()
    }

    fn reply(content: &str, usage: &str) -> String {
        format!(
            r#"{{"id":"x","choices":[{{"message":{{"content":{content:?}}}}}],"usage":{usage}}}"#
        )
    }

    #[test]
    fn usage_is_found_however_the_body_is_cut() {
        let long = "word ".repeat(10_000);
        for content in ["hi", &long, "she said \"usage\": {\"total_tokens\": 9}"] {
            let body = reply(
                content,
                r#"{"prompt_tokens":11,"completion_tokens":31,"total_tokens":42}"#,
            );
            for piece in [1, 7, 4096, 5000, 100_000] {
                assert_eq!(read(&body, piece), Some(42), "{piece}");
            }
        }
    }

    #[test]
    fn an_error_is_named_by_a_string_of_its_own() {
        for (body, names) in [
            (r#"{"error":{"message":"no"}}"#, true),
            (r#"{"object":"error","code":400}"#, true),
            (r#"{"error" : null,"detail":"error"}"#, true),
            (r#"{"error" : null}"#, false),
            (r#"{"content":"she said \"error\""}"#, false),
            (r#"{"errors":[]}"#, false),
        ] {
            let mut excerpt = Excerpt::default();
            excerpt.feed(body.as_bytes());
            assert_eq!(excerpt.names_error(), names, "{body}");
        }
    }

    #[test]
    fn usage_before_a_long_answer_is_found() {
        let body = format!(
            r#"{{"usage":{{"total_tokens":7}},"text":"{}"}}"#,
            "x".repeat(50_000)
        );
        assert_eq!(read(&body, 1000), Some(7));
    }

    #[test]
    fn usage_is_found_where_each_shape_has_it() {
        for body in [
            r#"{"object":"list","data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            r#"{"choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":3,"completion_tokens":5}}]}"#,
            r#"{"type":"response.completed","response":{"output":[],"usage":{"input_tokens":3,"output_tokens":5}}}"#,
            r#"{"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}"#,
            r#"{"type":"message_delta","delta":{},"usage":{"input_tokens":0,"output_tokens":8}}"#,
            r#"{"message":"ok","response":"hi","choices":7,"usage":{"total_tokens":8}}"#,
        ] {
            assert_eq!(read(body, 10), Some(8), "{body}");
        }
    }

    #[test]
    fn a_usage_that_a_model_wrote_is_not_the_responses() {
        let body = r#"{"content":[{"type":"tool_use","input":{"usage":{"total_tokens":9}}}],"usage":null}"#;
        assert_eq!(read(body, 50), None);
    }

    #[test]
    fn nonsense_is_not_believed() {
        for usage in [
            "null",
            "{}",
            r#"{"prompt_tokens":-1,"completion_tokens":5}"#,
            r#"{"total_tokens":1.5}"#,
            r#"{"total_tokens":"12"}"#,
            r#"{"total_tokens":NaN}"#,
            r#"{"total_tokens":18446744073709551616}"#,
            r#"{"total_tokens":9223372036854775808}"#,
            r#"{"total_tokens":1,"total_tokens":2}"#,
            r"[1, 2]",
        ] {
            assert_eq!(read(&reply("hi", usage), 64), None, "{usage}");
        }
        let deep = format!(r#"{{"a":{}"#, "[".repeat(10_000));
        assert_eq!(read(&reply("hi", &deep), 4096), None);
        assert_eq!(read(r#"{"usage":{"total_tokens":1"#, 5), None, "cut off");
        assert_eq!(read("", 1), None);
        assert_eq!(read("\"usage\"", 1), None);
    }
}
