//! The tokens that a request's JSON body asks for, and its model.
//!
//! A body is read once, along the pointers of all dialects. What is no JSON has no values or wrong
//! ones; no form of body takes more than one pass.

mod loose_splice;
mod model;
mod splice;
#[cfg(test)]
mod tests;

pub use model::{LONGEST_MODEL, ModelName};
pub use splice::{Splice, ask_for_usage};

use crate::host::{Header, Request};
use crate::tokens::dialect::{Dialects, MediaForm, RequestLeaf};
use crate::tokens::scan::{Scanner, Sink, Value};
use model::ModelReader;

/// The maximum number of choices that is counted.
const MOST_CHOICES: u64 = 128;
/// The longest picture or file that counts as text, in bytes.
const SMALL_MEDIA: u64 = 1024;

/// The facts that were read of a request's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadBody {
    /// The tokens that it asks for; `None` when it was not read to its end, or is no JSON object.
    pub asked: Option<Asked>,
    /// The models at the pointers of the config, in order; empty when it was not read.
    pub models: Vec<ModelName>,
    /// The bytes that have come of the body, at least; 0 when it was not read.
    pub seen: u64,
}

impl ReadBody {
    /// Returns a body of `seen` bytes so far that was not read.
    pub fn unread(seen: u64) -> Self {
        Self {
            seen,
            ..Self::default()
        }
    }
}

/// The token-related fields of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The length of the body, in bytes.
    pub bytes: u64,
    /// The maximum of completion tokens of one choice, if the body has one.
    pub completion: Option<u64>,
    /// The number of choices, at least 1.
    pub choices: u64,
    /// The number of prompts, at least 1.
    pub prompts: u64,
    /// The pictures and files inside the body.
    pub media: Media,
}

/// The pictures and files inside a body, each longer than 1 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Their number.
    pub count: u64,
    /// Their length, in bytes.
    pub bytes: u64,
}

/// Reads a whole body.
pub fn read(body: &[u8], dialects: &Dialects) -> ReadBody {
    let seen = length(body);
    let Some(reader) = scan(body, dialects).filter(BodyReader::is_one_text) else {
        return ReadBody::unread(seen);
    };
    ReadBody {
        asked: Some(reader.asked(seen)),
        models: reader
            .models
            .into_iter()
            .map(ModelReader::of_whole)
            .collect(),
        seen,
    }
}

/// Reads the model in the start of a longer body.
pub fn read_start(start: &[u8], dialects: &Dialects) -> ReadBody {
    let seen = length(start);
    let Some(reader) = scan(start, dialects) else {
        return ReadBody::unread(seen);
    };
    ReadBody {
        asked: None,
        models: reader
            .models
            .into_iter()
            .map(ModelReader::of_start)
            .collect(),
        seen,
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn scan(body: &[u8], dialects: &Dialects) -> Option<BodyReader> {
    // Some upstreams take zero bytes for UTF-16, and read another text.
    let is_utf8 = memchr::memchr(0, body).is_none();
    if body.trim_ascii_start().first() != Some(&b'{') || !is_utf8 {
        return None;
    }
    let mut reader = BodyReader::default();
    reader
        .models
        .resize_with(dialects.models, ModelReader::default);
    let mut scanner: Scanner = Scanner::default();
    scanner.feed(&dialects.request, body, &mut reader);
    reader.has_ended = scanner.is_outside();
    Some(reader)
}

/// The values of one body.
#[derive(Debug, Default)]
struct BodyReader {
    completion: Option<u64>,
    choices: Option<u64>,
    prompts: u64,
    /// True in a list of prompts; an object in its place is one prompt.
    lists_prompts: bool,
    media: Media,
    models: Vec<ModelReader>,
    texts: u64,
    has_ended: bool,
}

impl BodyReader {
    fn is_one_text(&self) -> bool {
        self.has_ended && self.texts == 1
    }

    fn asked(&self, length: u64) -> Asked {
        Asked {
            bytes: length,
            completion: self.completion,
            choices: self.choices.unwrap_or(1).min(MOST_CHOICES),
            prompts: self.prompts.max(1),
            media: self.media,
        }
    }
}

impl Sink<RequestLeaf> for BodyReader {
    fn value(&mut self, leaf: &RequestLeaf, value: Value<'_>) {
        match *leaf {
            // The upstream's dialect is unknown, so the largest value of all dialects counts.
            RequestLeaf::Completion => self.completion = self.completion.max(positive(value)),
            RequestLeaf::Choices => self.choices = self.choices.max(positive(value)),
            RequestLeaf::PromptList => self.lists_prompts = value == Value::Array,
            RequestLeaf::Prompt => {
                // A number is a token of the one prompt.
                let is_prompt = matches!(value, Value::Text { .. } | Value::Array);
                let counts = is_prompt && self.lists_prompts;
                self.prompts = self.prompts.saturating_add(counts.into());
            }
            RequestLeaf::Media(form) => self.media.take(form, value),
            RequestLeaf::Model(at) => {
                if let Some(model) = self.models.get_mut(at) {
                    model.value(value);
                }
            }
            RequestLeaf::ModelInOtherCase(at) => {
                if let Some(model) = self.models.get_mut(at) {
                    model.doubt();
                }
            }
        }
    }

    fn piece(&mut self, leaf: &RequestLeaf, raw: &[u8]) {
        if let RequestLeaf::Model(at) = *leaf
            && let Some(model) = self.models.get_mut(at)
        {
            model.piece(raw);
        }
    }

    fn text_ends(&mut self) {
        self.texts = self.texts.saturating_add(1);
    }
}

impl Media {
    fn take(&mut self, form: MediaForm, value: Value<'_>) {
        let Value::Text { start, length, .. } = value else {
            return;
        };
        if length > SMALL_MEDIA && is_media(form, start) {
            self.count = self.count.saturating_add(1);
            self.bytes = self.bytes.saturating_add(length);
        }
    }
}

/// True when a string starts as a picture or a file does.
fn is_media(form: MediaForm, start: &[u8]) -> bool {
    let is_data_url = start
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"));
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(byte);
    is_data_url || (form == MediaForm::Bytes && start.iter().all(is_base64))
}

/// Reads a positive whole number, also as 1e5 or 100.0, capped at the maximum of a response.
/// Anything else counts as absent.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the float is a whole number within the bound"
)]
fn positive(value: Value<'_>) -> Option<u64> {
    let Value::Bare(bare) = value else {
        return None;
    };
    let text = str::from_utf8(bare).ok()?;
    let bound = f64::from(u32::MAX);
    let number: f64 = match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => text.parse().ok()?,
        false => return None,
    };
    (number >= 1.0 && number.fract() == 0.0).then(|| number.min(bound) as u64)
}

/// True when a request's headers allow reading its body.
///
/// Not read: a body that is encoded, multipart or gRPC, and a tunnel.
pub fn is_readable(request: &dyn Request) -> bool {
    let is_absent = |name| matches!(request.header(name), Header::Absent);
    let kind_fits = match request.header("content-type") {
        Header::Absent => true,
        Header::Once(value) => !is_kind(value, &["multipart/", "application/grpc"]),
        Header::Repeated => false,
    };
    let is_tunnel =
        !is_absent("upgrade") || matches!(request.header(":method"), Header::Once(b"CONNECT"));
    kind_fits && is_absent("content-encoding") && !is_tunnel
}

/// True when a request's headers do not say that its body is longer than `limit` bytes.
pub fn fits(request: &dyn Request, limit: u64) -> bool {
    match request.header("content-length") {
        Header::Absent => true,
        Header::Once(value) => str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
            .is_some_and(|length| length <= limit),
        Header::Repeated => false,
    }
}

/// True when a request's headers say that its body is a picture, a file, or a form with files.
pub fn is_media_upload(request: &dyn Request) -> bool {
    let kinds = [
        "multipart/",
        "image/",
        "audio/",
        "video/",
        "application/octet-stream",
    ];
    match request.header("content-type") {
        Header::Once(value) => is_kind(value, &kinds),
        Header::Absent | Header::Repeated => false,
    }
}

/// True when a content type begins with one of these texts, in any case.
fn is_kind(content_type: &[u8], starts: &[&str]) -> bool {
    let content_type = content_type.trim_ascii_start();
    starts.iter().any(|start| {
        let kind = content_type.get(..start.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(start.as_bytes()))
    })
}
