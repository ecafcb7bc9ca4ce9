//! The JSON body of an error, with one order of its keys for clients and operators.

use crate::limits::Shown;
use serde::Serialize;

/// The body of an error.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Debug, Serialize)]
struct ErrorFields<'a> {
    message: &'a str,
    r#type: &'a str,
    code: &'a str,
    param: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<LimitBody>,
}

/// The limit that a request is over.
#[derive(Debug, Serialize)]
pub(super) struct LimitBody {
    pub name: &'static str,
    pub limit: Shown,
    pub used: Shown,
    pub retry_after_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'static str>,
}

impl<'a> ErrorBody<'a> {
    /// Creates the body with `error.message`, `error.type` and `error.code`.
    pub const fn new(message: &'a str, kind: &'a str, code: &'a str) -> Self {
        Self {
            error: ErrorFields {
                message,
                r#type: kind,
                code,
                param: None,
                limit: None,
            },
        }
    }

    /// Adds the limit that the request is over.
    pub(super) fn limited(mut self, limit: Option<LimitBody>) -> Self {
        self.error.limit = limit;
        self
    }
}
