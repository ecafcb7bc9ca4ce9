//! The JSON body of an error as Anthropic's API sends it.
//!
//! Source: docs.anthropic.com, "Errors": `type`, `error` and `request_id` at the top.

use super::answer::Told;
use super::error_body::LimitBody;
use serde::Serialize;

/// The body of an error.
#[derive(Debug, Serialize)]
pub(super) struct AnthropicBody<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
    request_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<LimitBody>,
}

impl<'a> AnthropicBody<'a> {
    /// Returns the body of a refusal.
    pub fn of(told: &Told<'a>) -> Self {
        Self {
            r#type: "error",
            error: AnthropicError {
                r#type: kind(told.spec.status),
                message: told.message,
                code: told.spec.code,
                limit: told.limit(),
            },
            request_id: told.request_id,
        }
    }
}

/// Returns Anthropic's type of an error with this status. Overload has the type of other 429s: its
/// clients take `overloaded_error` for a failure of the service.
const fn kind(status: u32) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        _ => "overloaded_error",
    }
}
