//! The splice of a body that is no strict JSON, such as one with `NaN`, which lenient upstreams read.
//!
//! The options are added as the last member: of two equal names, most parsers take the last.

use super::splice::{Splice, is_true};
use crate::tokens::dialect::Dialects;
use crate::tokens::dialect::openai::{STREAM, STREAM_OPTIONS};
use crate::tokens::scan::{Scanner, Sink, Tree, Value};

const INSERT: &str = r#","stream_options":{"include_usage":true}"#;

/// The meaning of a value in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LooseLeaf {
    Stream,
    Usage,
    /// One of the names of a body whose stream takes the options.
    Completes,
}

#[derive(Debug, Default)]
struct LooseAsked {
    streams: bool,
    /// The number of times that usage is asked for, and of those that it is not.
    usage: (u64, u64),
    completes: bool,
}

impl Sink<LooseLeaf> for LooseAsked {
    fn value(&mut self, asks: &LooseLeaf, value: Value<'_>) {
        let is_true = match value {
            Value::Bare(bare) => str::from_utf8(bare).is_ok_and(is_true),
            Value::Text { start, .. } => {
                str::from_utf8(start).is_ok_and(|text| is_true(&format!("\"{text}\"")))
            }
            _ => false,
        };
        let (yes, no) = &mut self.usage;
        match asks {
            LooseLeaf::Stream => self.streams = is_true,
            LooseLeaf::Completes => self.completes = true,
            LooseLeaf::Usage if is_true => *yes = yes.saturating_add(1),
            LooseLeaf::Usage => *no = no.saturating_add(1),
        }
    }

    fn text_ends(&mut self) {}
}

/// Returns the splice that makes the stream of a body report usage; `None` when the body needs or
/// allows none, or is not one object.
pub(super) fn ask_for_usage(body: &[u8], dialects: &Dialects) -> Option<Splice> {
    super::read(body, dialects).asked?;
    let completes = dialects.completes.iter();
    let completes = completes.map(|name| (format!("/{name}"), LooseLeaf::Completes));
    let options = format!("/{STREAM_OPTIONS}/include_usage");
    let own = [
        (format!("/{STREAM}"), LooseLeaf::Stream),
        (options, LooseLeaf::Usage),
    ];
    let mut asked = LooseAsked::default();
    let tree = Tree::of(completes.chain(own));
    let end = body.trim_ascii_end();
    let open = end.strip_suffix(b"}")?;
    let mut scanner = Scanner::default();
    scanner.feed(&tree, open, &mut asked);
    let was_closed = scanner.is_outside();
    scanner.feed(&tree, b"}", &mut asked);
    if was_closed || !scanner.is_outside() {
        return None;
    }
    let asks_already = asked.usage == (1, 0) || open.ends_with(INSERT.as_bytes());
    if !asked.streams || !asked.completes || asks_already {
        return None;
    }
    Some(Splice {
        at: end.len().checked_sub(1)?,
        remove: 0,
        insert: INSERT,
    })
}

#[cfg(test)]
mod tests {
    use crate::tokens::dialect;
    use crate::tokens::request::ask_for_usage;

    #[test]
    fn a_lenient_upstreams_stream_is_made_to_say_its_usage() {
        for (body, is_spliced) in [
            (r#"{"x":NaN,"messages":[],"stream":true}"#, true),
            (
                r#"{"messages":[],"stream":true,"x":-Infinity,"stream_options":{}} "#,
                true,
            ),
            (
                r#"{"x":NaN,"messages":[],"stream":true,"stream_options":{"include_usage":false}}"#,
                true,
            ),
            (r#"{"\ud800":1,"prompt":"x","stream":"true"}"#, true),
            (
                r#"{"x":NaN,"messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
                false,
            ),
            (r#"{"x":NaN,"messages":[],"stream":false}"#, false),
            (r#"{"x":NaN,"input":[],"stream":true}"#, false),
            (r#"{"x":NaN,"messages":[],"stream":true"#, false),
            (r#"{"messages":[],"stream":true}}"#, false),
            (r#"{"messages":[],"stream":true}{}"#, false),
            (r#"{"x":NaN,"messages":[{}],"stream":true,"y":{}"#, false),
        ] {
            let splice = ask_for_usage(body.as_bytes(), &dialect::ALL);
            assert_eq!(splice.is_some(), is_spliced, "{body}");
            let Some(splice) = splice else { continue };
            let spliced = splice.apply(body.as_bytes());
            let ends = r#","stream_options":{"include_usage":true}}"#;
            assert!(spliced.trim_ascii_end().ends_with(ends.as_bytes()));
            assert_eq!(
                ask_for_usage(&spliced, &dialect::ALL),
                None,
                "once is enough"
            );
        }
    }
}
