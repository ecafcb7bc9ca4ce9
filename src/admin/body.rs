//! The bodies of account writes, fully validated.

use super::Problem;
use crate::directory::written::{CheckedEntry, WrittenEntry};
use crate::json::{self, Invalid, Object};
use crate::tiers::money::SignedCents;
use crate::tiers::recharge::RechargeKind;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The maximum size of a recharge's id, in bytes.
const LONGEST_EVENT_ID: usize = 1024;
/// The maximum number of accounts in one bulk write: they are written in one callback.
pub const MOST_AT_ONCE: usize = 1_000;

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
pub fn put(body: &[u8]) -> Result<CheckedEntry, Problem> {
    let written: WrittenEntry = parse(body)?;
    if written.id.is_some() {
        return Err(Problem::body("id", "stands in the path"));
    }
    written.check().map_err(Problem::BadBody)
}

/// Reads an item of a bulk write: the account's id, and what to write.
///
/// # Errors
/// The id where it could be read, and [`Problem::BadBody`] with the JSON path.
pub fn item(item: &[u8]) -> Result<(String, CheckedEntry), (Option<String>, Problem)> {
    let mut written: WrittenEntry = parse(item).map_err(|problem| (None, problem))?;
    let Some(id) = written.id.take().filter(|id| !id.is_empty()) else {
        return Err((None, Problem::body("id", "missing or empty")));
    };
    match written.check() {
        Ok(entry) => Ok((id, entry)),
        Err(error) => Err((Some(id), Problem::BadBody(error))),
    }
}

/// Splits the body of a bulk write into its items: those of one array, or one JSON text for each. Of
/// JSON lines, a broken one is an item too.
///
/// # Errors
/// [`Problem::BadBody`] for a body that is neither.
pub fn items(body: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let is_array = body.trim_ascii_start().first() == Some(&b'[');
    let items: Result<Vec<&[u8]>, Invalid> = match is_array {
        true => json::read::<Vec<&RawValue>>(body).map(|items| texts(&items)),
        false => {
            let values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
            let read = values.collect::<Result<Vec<_>, _>>();
            let read = read.map_err(|error| Invalid::new("$", error.to_string()));
            let read = read.map(|items| texts(&items));
            read.or_else(|error| lines(body).ok_or(error))
        }
    };
    let items = items.map_err(Problem::BadBody)?;
    match items.len() {
        0 => Err(Problem::body("$", "no account: an array, or JSON lines")),
        n if n > MOST_AT_ONCE => {
            let problem = format!("{n} accounts: at most {MOST_AT_ONCE} in one call");
            Err(Problem::body("$", problem))
        }
        _ => Ok(items),
    }
}

fn texts<'a>(items: &[&'a RawValue]) -> Vec<&'a [u8]> {
    items.iter().map(|item| item.get().as_bytes()).collect()
}

/// Splits JSON lines of which some are broken; `None` where no line is JSON.
fn lines(body: &[u8]) -> Option<Vec<&[u8]>> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    let is_json = |line: &&[u8]| json::read::<&RawValue>(line).is_ok();
    lines.iter().any(is_json).then_some(lines)
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
