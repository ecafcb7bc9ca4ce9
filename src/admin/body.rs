//! The bodies of account writes, fully validated.

use super::Problem;
use crate::directory::entry::TierBasis;
use crate::json::{self, Object};
use crate::limits::Overrides;
use crate::tiers::Cents;
use crate::tiers::money::SignedCents;
use crate::tiers::recharge::RechargeKind;
use serde::Deserialize;

/// The maximum size of a recharge's id, in bytes.
const LONGEST_EVENT_ID: usize = 1024;

/// `PUT accounts/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutAccountBody {
    recharge: Option<Cents>,
    tier: Option<String>,
    limits: Option<Overrides>,
    disabled: Option<bool>,
}

/// The validated body of an account write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The recharge or the tier.
    pub basis: TierBasis,
    /// The account's own limits.
    pub limits: Overrides,
    /// True when the account is disabled.
    pub disabled: bool,
}

/// `POST accounts/{id}/recharges`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RechargeBody {
    id: String,
    amount: SignedCents,
    kind: RechargeKind,
}

/// A validated recharge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recharge {
    /// The recharge's id.
    pub id: String,
    /// The signed amount.
    pub amount: SignedCents,
    /// The kind of recharge.
    pub kind: RechargeKind,
}

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let read: Result<Object<T>, _> = json::read(body);
    read.map(|Object(value)| value).map_err(Problem::BadBody)
}

/// Reads the body of a PUT.
///
/// # Errors
/// [`Problem::BadBody`] with the JSON path.
pub fn put(body: &[u8]) -> Result<Put, Problem> {
    let body: PutAccountBody = parse(body)?;
    let basis = match (body.recharge, body.tier) {
        (Some(recharge), None) => TierBasis::Recharge(recharge),
        (None, Some(tier)) => TierBasis::Tier(tier.into()),
        _ => return Err(Problem::body("$", "has exactly one of recharge and tier")),
    };
    Ok(Put {
        basis,
        limits: body.limits.unwrap_or_default(),
        disabled: body.disabled.unwrap_or(false),
    })
}

/// Reads the body of a recharge.
///
/// # Errors
/// [`Problem::BadBody`] with the JSON path.
pub fn recharge(body: &[u8]) -> Result<Recharge, Problem> {
    let body: RechargeBody = parse(body)?;
    if !(1..=LONGEST_EVENT_ID).contains(&body.id.len()) {
        let problem = format!("has 1 to {LONGEST_EVENT_ID} bytes");
        return Err(Problem::body("id", problem));
    }
    let amount = body.amount;
    if amount == SignedCents::default() {
        return Err(Problem::body("amount", "is nothing"));
    }
    if body.kind == RechargeKind::Voucher && amount < SignedCents::default() {
        return Err(Problem::body("amount", "of a voucher is over 0"));
    }
    Ok(Recharge {
        id: body.id,
        amount,
        kind: body.kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_body_is_said_with_its_path() {
        let said = |problem: Problem| problem.to_string();
        for (body, path, says) in [
            ("", "$", "EOF"),
            ("[]", "$", "object"),
            ("{", "$", "EOF"),
            (r#"{"tier": "a"} x"#, "$", "trailing"),
            ("{}", "$", "exactly one"),
            (r#"{"tier": "a", "recharge": "1"}"#, "$", "exactly one"),
            (r#"{"recharge": "1e3"}"#, "recharge", "two decimals"),
            (r#"{"recharge": "-1"}"#, "recharge", "two decimals"),
            (
                r#"{"tier": "a", "limits": {"rpm": 0}}"#,
                "limits.rpm",
                "from 1",
            ),
            (
                r#"{"tier": "a", "limits": {"x": {"unit": "bits", "per": "day", "limit": 1}}}"#,
                "limits.x.unit",
                "unknown variant",
            ),
            (r#"{"tier": "a", "off": true}"#, "off", "unknown field"),
        ] {
            let problem = said(put(body.as_bytes()).expect_err(body));
            assert!(
                problem.starts_with(&format!("body at {path}: ")),
                "{body}: {problem}"
            );
            assert!(problem.contains(says), "{body}: {problem}");
        }
        for (body, path) in [
            (
                r#"{"id": "e", "amount": "-0.001", "kind": "cash"}"#,
                "amount",
            ),
            (r#"{"id": "e", "amount": "NaN", "kind": "cash"}"#, "amount"),
            (r#"{"id": "e", "amount": "٣", "kind": "cash"}"#, "amount"),
            (r#"{"id": "e", "amount": "1e3", "kind": "cash"}"#, "amount"),
            (r#"{"id": "e", "amount": 0, "kind": "cash"}"#, "amount"),
            (r#"{"id": "e", "amount": -1, "kind": "voucher"}"#, "amount"),
            (r#"{"id": "e", "amount": 1, "kind": "gift"}"#, "kind"),
            (r#"{"id": "", "amount": 1, "kind": "cash"}"#, "id"),
            (r#"{"amount": 1, "kind": "cash"}"#, "$"),
        ] {
            let problem = said(recharge(body.as_bytes()).expect_err(body));
            assert!(
                problem.starts_with(&format!("body at {path}: ")),
                "{body}: {problem}"
            );
        }
        let refund = recharge(br#"{"id": "e", "amount": -4.99, "kind": "cash"}"#).unwrap();
        assert_eq!(refund.amount.decimal(), "-4.99");
    }
}
