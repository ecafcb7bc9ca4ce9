//! The API that a request calls, for replies that its clients can read.

use crate::host::{Header, Request};
use crate::http::path::without_query;

/// The API that a request calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CalledApi {
    /// OpenAI's, and everything that no other API claims.
    #[default]
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
}

/// The path of Anthropic's API; others are below it.
const MESSAGES: &[u8] = b"/v1/messages";
/// The first segment of Gemini's paths.
const V1BETA: &[u8] = b"/v1beta/";
/// The ends of Gemini's paths, for gateways that put other segments first.
const METHODS: [&[u8]; 5] = [
    b":generateContent",
    b":streamGenerateContent",
    b":countTokens",
    b":embedContent",
    b":batchEmbedContents",
];

impl CalledApi {
    /// Returns the API by the request's path, as Envoy hands it over, or by `anthropic-version`.
    pub fn of(request: &dyn Request) -> Self {
        let path = match request.header(":path") {
            Header::Once(path) => path,
            Header::Absent | Header::Repeated => b"",
        };
        let path = without_query(path);
        let below = path.strip_prefix(MESSAGES);
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            || request.header("anthropic-version") != Header::Absent
        {
            Self::Anthropic
        } else if path.starts_with(V1BETA) || METHODS.iter().any(|method| path.ends_with(method)) {
            Self::Gemini
        } else {
            Self::OpenAi
        }
    }
}
