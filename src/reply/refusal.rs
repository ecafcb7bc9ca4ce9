//! A refusal, with its data for clients and operators.

use super::code::Code;
use crate::identity::{Account, IdentityError};
use crate::limits::{LimitKind, Limited};
use crate::models::ModelName;
use crate::tiers::Cents;

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
        /// The amount that the request needs of the limit.
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
        limited: Box<Limited>,
        /// The value of [`WARNING`](super::WARNING), if the account is at a share of a limit.
        warning: Option<String>,
    },
    /// The ledger can't be used, and `on_fault` is `deny`.
    Unavailable,
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
}
