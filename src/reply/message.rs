//! The sentence of a refusal.

use super::go_duration::GoDuration;
use super::refusal::Refusal;
use crate::identity::{Account, IdentityError};
use crate::limits::units::Unit;
use crate::limits::{LimitKind, Limited};
use crate::models::ModelName;
use crate::tiers::Cents;
use crate::time::Span;

/// The maximum number of characters of a client's own value in a message.
const EXCERPT_CHARS: usize = 64;

impl Refusal {
    /// Returns the sentence; `wait` is the time that a refusal by a limit names.
    pub(super) fn message(&self, wait: Span) -> String {
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
                ..
            } if limited.overloaded => format!(
                "The engine is overloaded, and the limit of {} in {tier} on {} is lowered for now: \
                 used {} of the {} that it has otherwise. Please try again in {}.",
                who(account),
                subject(limited.kind),
                limited.kind.used(limited.used),
                limited.kind.used(limited.limit),
                GoDuration::new(wait),
            ),
            Self::Limited {
                account,
                tier,
                limited,
                ..
            } => format!(
                "Rate limit reached for {} in {tier} on {}: used {} of {}. Please try again in {}{}.",
                who(account),
                subject(limited.kind),
                limited.kind.used(limited.used),
                limited.kind.used(limited.limit),
                GoDuration::new(wait),
                longer(limited),
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

/// Returns the reason for a wait that is not that of the limit that is named.
fn longer(limited: &Limited) -> String {
    match limited.last == limited.kind {
        true => String::new(),
        false => format!(
            ": the limit on {} is lowered for now, and refuses for longer",
            subject(limited.last)
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
