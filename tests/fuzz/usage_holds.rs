//! What holds of the usage readers for any bytes: shared by the fuzz target and the bounded
//! property test that runs with all others.

use tiergate::tokens::dialect::{self, Dialects};
use tiergate::tokens::redact::Hide;
use tiergate::tokens::request::{self, ModelName};
use tiergate::tokens::response::{ReadOptions, UsageReader};
use tiergate::tokens::{Used, usage};

/// Checks all of it; the first byte says how the rest is cut.
pub fn usage_holds(input: &[u8]) {
    let Some((cut, bytes)) = input.split_first() else {
        return;
    };
    let size = usize::from(*cut).max(1);
    let cut = response(bytes.chunks(size));
    assert_eq!(cut, response([bytes]), "the same, however it is cut");
    if let Used::Tokens(tokens) = cut {
        assert!(tokens <= usage::MAX_TOKENS);
    }
    hides_nothing_else(bytes, size);
    requests(bytes);
    if let Some(splice) = request::ask_for_usage(bytes, &dialect::ALL) {
        let spliced = splice.apply(bytes);
        assert_eq!(
            spliced.len() + splice.remove,
            bytes.len() + splice.insert.len()
        );
        let again = request::ask_for_usage(&spliced, &dialect::ALL);
        assert_eq!(again, None, "once is enough");
        assert!(request::read(&spliced, &dialect::ALL).asked.is_some());
    }
}

fn requests(bytes: &[u8]) {
    let mut dialects = Dialects::of(dialect::TABLE);
    assert!(dialects.add_model("/model"));
    let whole = request::read(bytes, &dialects);
    let start = request::read_start(bytes, &dialects);
    if let Some(asked) = whole.asked {
        assert!(asked.media.bytes <= asked.bytes);
        assert!((1..=128).contains(&asked.choices) && asked.prompts >= 1);
        assert_eq!((whole.models.len(), start.models.len()), (1, 1));
        if let ModelName::Model(name) = &whole.models[0] {
            assert_eq!(whole.models, start.models, "{name}");
        }
    }
}

fn response<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Used {
    let mut response = UsageReader::without_headers(false, &ReadOptions::default());
    for piece in pieces {
        response.feed(piece);
    }
    response.used(true, || None).used
}

fn hides_nothing_else(bytes: &[u8], size: usize) {
    let mut hide = Hide::default();
    let mut out = Vec::new();
    for piece in bytes.chunks(size) {
        out.extend(hide.feed(piece, false));
    }
    out.extend(hide.feed(&[], true));
    assert!(out.len() <= bytes.len());
    let has_usage = bytes.windows(7).any(|w| w == b"\"usage\"");
    assert!(has_usage || out == bytes, "byte for byte");
}
