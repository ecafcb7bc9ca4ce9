//! A refusal with its data for clients and operators, and its text.

use super::code::Code;
use super::error_body::{ErrorBody, LimitBody};
use crate::identity::{Account, IdentityError};
use crate::limits::units::Unit;
use crate::limits::{LimitKind, Limited};
use crate::models::ModelName;
use crate::reply::headers::{self, GoDuration, HeaderLine, HeaderStyle};
use crate::tiers::Cents;
use crate::time::Span;

/// The status of a limiter that can't decide.
const UNAVAILABLE: u32 = 503;
/// The parts of a window; an event leaves it up to one part late.
const PARTS: u64 = 60;
/// The maximum number of characters of a client's own value in a message.
const EXCERPT_CHARS: usize = 64;

/// The reason for a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account or its tier is unknown, or may not send requests.
    Identity(IdentityError, Cents),
    /// No family has the request's model, or it could not be read.
    ModelUnknown(ModelName),
    /// The request asks for more than a limit in all.
    TooLarge {
        /// The account of the request.
        account: Account,
        /// The tier's name.
        tier: String,
        /// What the request needs of the limit.
        need: u64,
        /// A limit on tokens or money.
        kind: LimitKind,
        /// The limit's size.
        limit: u64,
        /// True when the request asks for more completion than it has prompt.
        long_completion: bool,
    },
    /// The request is over a limit.
    Limited {
        /// The account of the request.
        account: Account,
        /// The tier's name.
        tier: String,
        /// The limit, its use and the wait.
        limited: Limited,
    },
    /// The ledger can't be used, and `on_fault` is `deny`.
    Unavailable,
}

/// A reply to send instead of a response of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u32,
    /// gRPC status, for gRPC requests.
    pub grpc_status: i32,
    /// `error.code`.
    pub code: &'static str,
    /// The headers, including content-type.
    pub headers: Vec<(&'static str, String)>,
    /// The sentence, for gRPC.
    pub message: String,
    /// The JSON body, for HTTP.
    pub body: Vec<u8>,
}

impl Reply {
    /// Creates the reply at `usage_path`.
    pub fn usage(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            grpc_status: 0,
            code: "usage",
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("cache-control", "no-store".to_owned()),
            ],
            message: String::new(),
            body,
        }
    }
}

impl Refusal {
    /// Returns the code of the reply.
    pub const fn code(&self) -> Code {
        match self {
            Self::Identity(error, _) => match error {
                IdentityError::AccountMissing | IdentityError::AccountRepeated(_) => {
                    Code::AccountMissing
                }
                IdentityError::RechargeRequired(_) => Code::RechargeRequired,
                IdentityError::AccountDisabled => Code::AccountDisabled,
                IdentityError::DirectoryUnready | IdentityError::DirectoryFault(_) => {
                    Code::LimiterUnavailable
                }
                IdentityError::TierMissing
                | IdentityError::TierRepeated(_)
                | IdentityError::TierUnknown(_)
                | IdentityError::StoredTierUnknown
                | IdentityError::AliasOfNothing
                | IdentityError::RechargeMalformed(_) => Code::TierUnknown,
            },
            Self::ModelUnknown(_) => Code::ModelUnknown,
            Self::TooLarge { .. } => Code::TokensExceedTier,
            Self::Limited { limited, .. } if limited.overloaded => Code::Overloaded(limited.kind),
            Self::Limited { limited, .. } => Code::Limited(limited.kind),
            Self::Unavailable => Code::LimiterUnavailable,
        }
    }

    /// Returns the reply, with rate-limit headers in the configured styles on a 429. `minute` is the
    /// length of the minute window.
    pub fn reply(&self, styles: &[HeaderStyle], minute: Span) -> Reply {
        let spec = self.code().spec();
        let message = self.message();
        let mut lines = vec![("content-type", "application/json".to_owned())];
        let mut limit = None;
        if let Self::Limited { limited, .. } = self {
            lines.extend(retry_headers(limited.wait, minute));
            lines.extend(set_only(headers::lines(styles, &limited.snapshot)));
            limit = Some(LimitBody {
                name: limited.kind.as_str(),
                limit: limited.kind.used(limited.limit),
                used: limited.kind.used(limited.used),
                retry_after_ms: limited.wait.as_millis(),
                model: limited.kind.model(),
            });
        }
        if spec.status == UNAVAILABLE {
            lines.push(("retry-after", "1".to_owned()));
        }
        let body = ErrorBody::new(&message, spec.kind, spec.code).limited(limit);
        Reply {
            status: spec.status,
            grpc_status: spec.grpc_status,
            code: spec.code,
            headers: lines,
            // Serialisation can't fail: the body has only strings and numbers.
            body: serde_json::to_vec(&body).unwrap_or_default(),
            message,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Identity(error, first) => identity_message(error, *first),
            Self::ModelUnknown(ModelName::Model(name)) => {
                format!("There is no model {:?}.", excerpt(name.as_bytes()))
            }
            Self::ModelUnknown(ModelName::Nothing) => "The request names no model.".to_owned(),
            Self::ModelUnknown(ModelName::Unreadable) => {
                "The request's model can't be read, or is named more than once.".to_owned()
            }
            Self::TooLarge {
                account,
                tier,
                need,
                kind,
                limit,
                long_completion,
            } => {
                let of_output = kind.counts(Unit::OutputTokens);
                let of_input = kind.counts(Unit::InputTokens);
                let remedy = match of_output || (*long_completion && !of_input) {
                    true => "Lower max_tokens or its equivalent.",
                    false => "Send a shorter prompt.",
                };
                format!(
                    "This request needs {}, and {} in {tier} has {} of {} in all. {remedy}",
                    kind.used(*need),
                    who(account),
                    kind.used(*limit),
                    subject(*kind),
                )
            }
            Self::Limited {
                account,
                tier,
                limited,
            } if limited.overloaded => format!(
                "The engine is overloaded, and the limit of {} in {tier} on {} is lowered for now: \
                 used {} of the {} that it has otherwise. Please try again in {}.",
                who(account),
                subject(limited.kind),
                limited.kind.used(limited.used),
                limited.kind.used(limited.limit),
                GoDuration::new(limited.wait),
            ),
            Self::Limited {
                account,
                tier,
                limited,
            } => format!(
                "Rate limit reached for {} in {tier} on {}: used {} of {}. Please try again in {}.",
                who(account),
                subject(limited.kind),
                limited.kind.used(limited.used),
                limited.kind.used(limited.limit),
                GoDuration::new(limited.wait),
            ),
            Self::Unavailable => "The rate limiter is unavailable. Please try again.".to_owned(),
        }
    }
}

fn identity_message(error: &IdentityError, first: Cents) -> String {
    match error {
        IdentityError::AccountMissing => "The request names no account.".to_owned(),
        IdentityError::AccountRepeated(place) => {
            format!("The request names more than one account in the {place}.")
        }
        IdentityError::TierMissing => "The account's tier is not known.".to_owned(),
        IdentityError::TierRepeated(place) => {
            format!("The request names more than one tier in the {place}.")
        }
        IdentityError::StoredTierUnknown => {
            "The tier that is stored for this account is none of the limiter's.".to_owned()
        }
        IdentityError::AliasOfNothing => {
            "The account that this key belongs to is not known.".to_owned()
        }
        IdentityError::TierUnknown(name) => format!("There is no tier {:?}.", excerpt(name)),
        IdentityError::RechargeMalformed(amount) => format!(
            "The account's recharge {:?} is not an amount in USD.",
            excerpt(amount)
        ),
        IdentityError::AccountDisabled => "The account is switched off.".to_owned(),
        IdentityError::DirectoryUnready | IdentityError::DirectoryFault(_) => {
            "The account directory is not loaded yet. Please try again.".to_owned()
        }
        IdentityError::RechargeRequired(recharge) => format!(
            "The account has recharged {recharge} in all; a cumulative recharge of {first} is \
             needed to start."
        ),
    }
}

/// Returns what a limit counts, and its name: "requests per minute (rpm) of k2 models".
fn subject(kind: LimitKind) -> String {
    let all = format!("{} ({})", kind.in_words(), kind.as_str());
    match kind.model() {
        Some(model) => format!("{all} of {model} models"),
        None => all,
    }
}

fn who(account: &Account) -> String {
    if account.is_hidden {
        "this account".to_owned()
    } else {
        format!("account {}", excerpt(&account.id))
    }
}

/// Converts a client's own value to text of limited length.
fn excerpt(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut chars = text.chars();
    let mut cut: String = chars.by_ref().take(EXCERPT_CHARS).collect();
    if chars.next().is_some() {
        cut.push('…');
    }
    cut
}

/// Returns the headers that tell a wait. A client should not retry by itself after more than a minute
/// window and one part of it.
fn retry_headers(wait: Span, minute: Span) -> Vec<(&'static str, String)> {
    let minute = minute.as_millis();
    let worth_retrying = minute.saturating_add(minute.div_euclid(PARTS));
    let mut lines = vec![
        ("retry-after", wait.as_secs_ceil().max(1).to_string()),
        ("retry-after-ms", wait.as_millis().to_string()),
    ];
    if wait.as_millis() > worth_retrying {
        lines.push(("x-should-retry", "false".to_owned()));
    }
    lines
}

fn set_only(lines: Vec<HeaderLine>) -> impl Iterator<Item = (&'static str, String)> {
    lines.into_iter().filter_map(|(name, v)| Some((name, v?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Snapshot;

    fn limited(id: &[u8], wait: Span) -> Refusal {
        Refusal::Limited {
            account: Account {
                id: id.to_vec(),
                is_hidden: false,
            },
            tier: "tier0".to_owned(),
            limited: Limited {
                kind: LimitKind::known("rpm").unwrap(),
                limit: 3,
                used: 3,
                wait,
                last: LimitKind::known("rpm").unwrap(),
                overloaded: false,
                snapshot: Snapshot::default(),
            },
        }
    }

    #[test]
    fn a_429_says_which_limit_how_full_and_when() {
        let reply = limited(b"acme", Span::from_millis(12_345)).reply(&[], Span::from_secs(60));
        assert_eq!((reply.status, reply.grpc_status), (429, 8));
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"error": {
                "message": "Rate limit reached for account acme in tier0 on requests per minute \
                            (rpm): used 3 of 3. Please try again in 12.345s.",
                "type": "rate_limit_reached_error",
                "code": "rpm",
                "param": null,
                "limit": {"name": "rpm", "limit": 3, "used": 3, "retry_after_ms": 12345}
            }})
        );
        assert!(reply.headers.contains(&("retry-after", "13".to_owned())));
        assert!(
            reply
                .headers
                .contains(&("retry-after-ms", "12345".to_owned()))
        );
        assert!(
            !reply
                .headers
                .iter()
                .any(|(name, _)| *name == "x-should-retry")
        );
    }

    #[test]
    fn a_wait_over_a_minute_and_a_part_is_not_worth_retrying() {
        for (wait, minute, is_worth) in [
            (61_000, 60, true),
            (61_001, 60, false),
            (5_000, 4, false),
            (4_001, 4, true),
        ] {
            let limited = limited(b"acme", Span::from_millis(wait));
            let reply = limited.reply(&[], Span::from_secs(minute));
            let line = ("x-should-retry", "false".to_owned());
            assert_eq!(
                !reply.headers.contains(&line),
                is_worth,
                "{wait} of {minute}"
            );
        }
    }

    #[test]
    fn a_503_says_when_to_come_again() {
        let reply = Refusal::Unavailable.reply(&[], Span::from_secs(60));
        assert!(reply.headers.contains(&("retry-after", "1".to_owned())));
    }

    #[test]
    fn awkward_ids_make_valid_json() {
        for id in [&b"\"\\\n<script>"[..], &[0xff, 0xfe, 0], &[b'x'; 60_000]] {
            let reply = limited(id, Span::from_secs(1)).reply(&[], Span::from_secs(60));
            assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_ok());
            assert!(reply.body.len() < 1000);
        }
    }
}
