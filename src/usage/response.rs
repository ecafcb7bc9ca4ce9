//! Finds `usage` in a JSON response of which only the beginning and the end are kept.
//!
//! Upstreams write `usage` last or first, around the long part. So at most [`HEAD_BYTES`] and
//! [`TAIL_BYTES`] are held for a stream, however long the body is. Inside a JSON string a quote is
//! always escaped, so an unescaped `"usage"` with a colon after it is a key, never text that a
//! model wrote.

use memchr::memmem;
use serde::Deserialize;

/// Bytes kept of a response's beginning.
pub const HEAD_BYTES: usize = 4096;
/// Bytes kept of a response's end.
pub const TAIL_BYTES: usize = 4096;
/// More tokens than this in one response are not believed.
pub const MAX_TOKENS: u64 = 4_294_967_295;

const KEY: &[u8] = b"\"usage\"";

/// Takes a response body in pieces.
#[derive(Debug, Default)]
pub struct Reader {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Bytes lie between head and tail that were not kept.
    gap: bool,
}

/// The fields of `usage` that count; a value that is no whole number makes all of it void.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

impl Usage {
    fn tokens(&self) -> Option<u64> {
        match (self.prompt_tokens, self.completion_tokens) {
            (Some(prompt), Some(completion)) => prompt.checked_add(completion),
            (prompt, completion) => self.total_tokens.or(prompt).or(completion),
        }
        .filter(|n| *n <= MAX_TOKENS)
    }
}

impl Reader {
    /// How many bytes of the next piece, from its start, are still wanted for the head.
    pub fn head_wanted(&self) -> usize {
        HEAD_BYTES.saturating_sub(self.head.len())
    }

    /// Takes the next piece: of a piece longer than [`Reader::head_wanted`] and [`TAIL_BYTES`]
    /// together, only what those two need.
    pub fn feed(&mut self, piece: &[u8]) {
        let (head, rest) = piece
            .split_at_checked(self.head_wanted())
            .unwrap_or((piece, &[]));
        self.head.extend_from_slice(head);
        self.feed_tail(rest);
    }

    /// Takes the end of a piece, whose middle was passed over.
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

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.head.len().saturating_add(self.tail.len())
    }

    /// The tokens that the response says it used; `None` when it does not say, or nonsense.
    pub fn tokens(mut self) -> Option<u64> {
        if self.gap {
            return last_usage(&self.tail).or_else(|| last_usage(&self.head));
        }
        self.head.append(&mut self.tail);
        last_usage(&self.head)
    }
}

/// The last usage object that can be read.
fn last_usage(json: &[u8]) -> Option<u64> {
    memmem::rfind_iter(json, KEY).find_map(|at| {
        let (before, rest) = json.split_at_checked(at)?;
        if before.last() == Some(&b'\\') {
            return None;
        }
        let value = rest.strip_prefix(KEY)?.trim_ascii_start();
        let value = value.strip_prefix(b":")?.trim_ascii_start();
        // Serde would take a list for the fields in order.
        if value.first() != Some(&b'{') {
            return None;
        }
        // The stream reads one value and leaves what comes after it.
        let mut values = serde_json::Deserializer::from_slice(value).into_iter::<Usage>();
        values.next()?.ok()?.tokens()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, piece: usize) -> Option<u64> {
        let mut reader = Reader::default();
        for piece in body.as_bytes().chunks(piece) {
            reader.feed(piece);
            assert!(reader.held() <= HEAD_BYTES + TAIL_BYTES);
        }
        reader.tokens()
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
    fn usage_before_a_long_answer_is_found() {
        let body = format!(
            r#"{{"usage":{{"total_tokens":7}},"text":"{}"}}"#,
            "x".repeat(50_000)
        );
        assert_eq!(read(&body, 1000), Some(7));
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

    #[test]
    fn a_prompt_alone_counts() {
        assert_eq!(
            read(&reply("", r#"{"prompt_tokens":8,"total_tokens":8}"#), 9),
            Some(8)
        );
        assert_eq!(read(&reply("", r#"{"prompt_tokens":8}"#), 9), Some(8));
    }
}
