//! The codes of refusals, in one table with their statuses and error types.

use crate::limits::LimitKind;

/// The `error.code` of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// No account, or more than one.
    AccountMissing,
    /// The account has no known tier.
    TierUnknown,
    /// The account is disabled.
    AccountDisabled,
    /// The cumulative recharge is below that of the first tier.
    RechargeRequired,
    /// No family has the request's model, or it could not be read.
    ModelUnknown,
    /// The request asks for more tokens, or more money, than a limit in all.
    TokensExceedTier,
    /// Over a limit.
    Limited(LimitKind),
    /// Over a lowered limit, but under its base limit.
    Overloaded(LimitKind),
    /// The ledger or the directory can't be used.
    LimiterUnavailable,
}

/// The spelling and the statuses of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// HTTP status.
    pub status: u32,
    /// gRPC status (google.golang.org/grpc/codes).
    pub grpc_status: i32,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.code`.
    pub code: &'static str,
}

impl Code {
    /// Returns the code's row of the table.
    pub fn spec(self) -> Spec {
        let (status, grpc_status, kind, code) = match self {
            Self::AccountMissing => (401, 16, "invalid_authentication_error", "account_missing"),
            Self::TierUnknown => (403, 7, "permission_denied_error", "tier_unknown"),
            Self::AccountDisabled => (403, 7, "permission_denied_error", "account_disabled"),
            Self::RechargeRequired => (403, 7, "exceeded_current_quota_error", "recharge_required"),
            Self::ModelUnknown => (404, 5, "not_found_error", "model_unknown"),
            Self::TokensExceedTier => (400, 3, "invalid_request_error", "tokens_exceed_tier"),
            Self::Limited(limit) => (429, 8, "rate_limit_reached_error", limit.as_str()),
            Self::Overloaded(limit) => (429, 8, "engine_overloaded_error", limit.as_str()),
            Self::LimiterUnavailable => (503, 14, "server_error", "limiter_unavailable"),
        };
        Spec {
            status,
            grpc_status,
            kind,
            code,
        }
    }

    /// Returns `error.code`.
    pub fn as_str(self) -> &'static str {
        self.spec().code
    }

    /// Returns the family of the limit that refuses, if it is one on a family of models.
    pub fn model(self) -> Option<&'static str> {
        match self {
            Self::Limited(limit) | Self::Overloaded(limit) => limit.model(),
            _ => None,
        }
    }

    /// True when only a lowered limit refuses.
    pub const fn is_overloaded(self) -> bool {
        matches!(self, Self::Overloaded(_))
    }
}
