//! The JSON body of an error as Gemini's API sends it.
//!
//! Source: google.rpc.Status and its details (googleapis, google/rpc/error_details.proto) in the JSON
//! form of protocol buffers: a duration is "12.345s", a 64-bit number a string.

use super::answer::Told;
use crate::limits::kinds::{Counted, Per};
use crate::limits::units::Unit;
use crate::limits::{LimitKind, Limited, Shown};
use crate::time::Span;
use serde::Serialize;
use std::collections::BTreeMap;

/// The service that the details name.
const DOMAIN: &str = "tiergate";

/// The body of an error.
#[derive(Debug, Serialize)]
pub(super) struct GeminiBody<'a> {
    error: GeminiError<'a>,
}

#[derive(Debug, Serialize)]
struct GeminiError<'a> {
    code: u32,
    message: &'a str,
    status: &'static str,
    details: Vec<GeminiDetail>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "@type")]
enum GeminiDetail {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo {
        reason: String,
        domain: &'static str,
        metadata: BTreeMap<&'static str, String>,
    },
    #[serde(rename = "type.googleapis.com/google.rpc.QuotaFailure")]
    QuotaFailure { violations: [QuotaViolation; 1] },
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo")]
    RetryInfo {
        #[serde(rename = "retryDelay")]
        retry_delay: String,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct QuotaViolation {
    quota_metric: String,
    quota_id: String,
    quota_dimensions: BTreeMap<&'static str, &'static str>,
    /// `None` for money: the field is a whole number.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_value: Option<String>,
}

impl<'a> GeminiBody<'a> {
    /// Returns the body of a refusal.
    pub fn of(told: &Told<'a>) -> Self {
        let mut details = vec![error_info(told)];
        if let Some(limited) = told.limited {
            details.push(GeminiDetail::QuotaFailure {
                violations: [violation(limited)],
            });
            details.push(GeminiDetail::RetryInfo {
                retry_delay: duration(told.wait),
            });
        }
        Self {
            error: GeminiError {
                code: told.spec.status,
                message: told.message,
                status: status(told.spec.status),
                details,
            },
        }
    }
}

fn error_info(told: &Told<'_>) -> GeminiDetail {
    let mut metadata = BTreeMap::from([
        ("code", told.spec.code.to_owned()),
        ("type", told.spec.kind.to_owned()),
    ]);
    let reason = match told.limited {
        None => told.spec.code.to_ascii_uppercase(),
        Some(limited) => {
            let kind = limited.kind;
            metadata.insert("limit", kind.used(limited.limit).to_string());
            metadata.insert("used", kind.used(limited.used).to_string());
            metadata.insert("retry_after_ms", told.wait.as_millis().to_string());
            if let Some(model) = kind.model() {
                metadata.insert("model", model.to_owned());
            }
            match limited.overloaded {
                true => "ENGINE_OVERLOADED".to_owned(),
                false => "RATE_LIMIT_EXCEEDED".to_owned(),
            }
        }
    };
    GeminiDetail::ErrorInfo {
        reason,
        domain: DOMAIN,
        metadata,
    }
}

fn violation(limited: &Limited) -> QuotaViolation {
    let kind = limited.kind;
    let model = kind.model().map(|model| ("model", model));
    QuotaViolation {
        quota_metric: format!("{DOMAIN}/{}", metric(kind)),
        quota_id: match limited.overloaded {
            // "PerDay" would have clients stop for the day.
            true => format!("{}LoweredForLoad", unit_of(kind)),
            false => quota_id(kind),
        },
        quota_dimensions: model.into_iter().collect(),
        quota_value: match kind.used(limited.limit) {
            Shown::Count(n) => Some(n.to_string()),
            Shown::Cents(_) | Shown::Unlimited => None,
        },
    }
}

const fn metric(kind: LimitKind) -> &'static str {
    match kind.counted() {
        Counted::Leases => "concurrent_requests",
        Counted::Sum(unit, _) => match unit {
            Unit::Requests => "requests",
            Unit::Tokens => "tokens",
            Unit::InputTokens => "input_tokens",
            Unit::OutputTokens => "output_tokens",
            Unit::Usd => "usd",
        },
    }
}

/// Returns the quota's id, such as "RequestsPerMinute". Clients of Gemini tell from "PerMinute" and
/// "PerDay" whether a retry is worth while.
fn quota_id(kind: LimitKind) -> String {
    let Counted::Sum(_, per) = kind.counted() else {
        return "ConcurrentRequests".to_owned();
    };
    let unit = unit_of(kind);
    match per {
        Per::Second => format!("{unit}PerSecond"),
        Per::Minute => format!("{unit}PerMinute"),
        Per::Hour => format!("{unit}PerHour"),
        Per::Day => format!("{unit}PerDay"),
        Per::Week => format!("{unit}PerWeek"),
        Per::Month => format!("{unit}PerMonth"),
        Per::Custom(length) => format!("{unit}Per{length}"),
    }
}

/// Returns what a quota counts, in the words of its id.
const fn unit_of(kind: LimitKind) -> &'static str {
    match kind.counted() {
        Counted::Leases => "ConcurrentRequests",
        Counted::Sum(unit, _) => match unit {
            Unit::Requests => "Requests",
            Unit::Tokens => "Tokens",
            Unit::InputTokens => "InputTokens",
            Unit::OutputTokens => "OutputTokens",
            Unit::Usd => "Usd",
        },
    }
}

/// Returns the status that Google's APIs have for an HTTP status.
const fn status(status: u32) -> &'static str {
    match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        _ => "UNAVAILABLE",
    }
}

/// Returns a span in the JSON form of google.protobuf.Duration: three decimals, or none.
fn duration(span: Span) -> String {
    let millis = span.as_millis().rem_euclid(1000);
    match millis {
        0 => format!("{}s", span.as_secs_floor()),
        _ => format!("{}.{millis:03}s", span.as_secs_floor()),
    }
}
