//! The codes of refusals: the one table of statuses and error types.

use crate::limits::LimitKind;

/// `error.code` of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// No account, or more than one.
    AccountMissing,
    /// The account has no tier that is known.
    TierUnknown,
    /// The account is switched off.
    AccountDisabled,
    /// Less cumulative recharge than the first tier asks for.
    RechargeRequired,
    /// More tokens than the tier has in all.
    TokensExceedTier,
    /// Over a limit.
    Limited(LimitKind),
    /// Over a lowered limit, and under its base.
    Overloaded(LimitKind),
    /// The ledger or the directory can't be used.
    LimiterUnavailable,
}

/// The spelling of a code.
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
    /// The code's row of the table.
    pub const fn spec(self) -> Spec {
        let (status, grpc_status, kind, code) = match self {
            Self::AccountMissing => (401, 16, "invalid_authentication_error", "account_missing"),
            Self::TierUnknown => (403, 7, "permission_denied_error", "tier_unknown"),
            Self::AccountDisabled => (403, 7, "permission_denied_error", "account_disabled"),
            Self::RechargeRequired => (403, 7, "exceeded_current_quota_error", "recharge_required"),
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

    /// `error.code`.
    pub const fn as_str(self) -> &'static str {
        self.spec().code
    }

    /// Tells whether a lowered limit alone refuses.
    pub const fn is_overloaded(self) -> bool {
        matches!(self, Self::Overloaded(_))
    }
}
