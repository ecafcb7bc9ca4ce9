//! A recharge event from one line, and the errors of such a line.

use crate::lines::LONGEST;
use std::borrow::Cow;
use tiergate::tiers::Cents;
use tiergate::tiers::money::{NotAnAmount, SignedCents};
use tiergate::tiers::recharge::RechargeKind;

/// The fields of an event, in the order of [`ExportedEvent::new`].
pub const FIELDS: [&str; 4] = ["id", "account", "amount", "kind"];

/// A well-formed event.
#[derive(Debug)]
pub struct ExportedEvent<'a> {
    pub id: Cow<'a, str>,
    pub account: Cow<'a, str>,
    pub amount: SignedCents,
    pub kind: RechargeKind,
}

/// The problem of a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    #[error("not UTF-8 at byte {0}")]
    NotUtf8(usize),
    #[error("a quoted field that does not end on its line")]
    OpenQuote,
    #[error("a quote within a field: put the field in quotes, and double the quote")]
    StrayQuote,
    #[error("{found} fields, and the header line has {expected}")]
    FieldCount { found: usize, expected: usize },
    #[error("not an object such as {{\"id\": …, \"account\": …, \"amount\": …, \"kind\": …}}")]
    NotAnObject,
    #[error("not an event: {0}")]
    Json(String),
    #[error("{field} {quoted} is neither text nor a whole number")]
    NotText { field: &'static str, quoted: String },
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("account {0} begins or ends with a space, as no header can")]
    Spaced(String),
    #[error("amount {0} is {NotAnAmount}, or -20 for a refund")]
    Amount(String),
    #[error("kind {0} is neither cash nor voucher")]
    Kind(String),
    #[error(
        "cumulative recharge would be over {}: is the amount in cents?",
        Cents::MAX
    )]
    TooMuch,
}

impl<'a> ExportedEvent<'a> {
    /// Checks the fields of an event.
    pub fn new(
        id: Cow<'a, str>,
        account: Cow<'a, str>,
        amount: &str,
        kind: &str,
    ) -> Result<Self, BadLine> {
        for (field, value) in [("id", &id), ("account", &account)] {
            if value.is_empty() {
                return Err(BadLine::Empty(field));
            }
        }
        if account.trim_matches([' ', '\t']) != account {
            return Err(BadLine::Spaced(quoted(&account)));
        }
        let kind = match kind {
            "cash" => RechargeKind::Cash,
            "voucher" => RechargeKind::Voucher,
            other => return Err(BadLine::Kind(quoted(other))),
        };
        let amount =
            SignedCents::parse(amount.as_bytes()).map_err(|_| BadLine::Amount(quoted(amount)))?;
        Ok(Self {
            id,
            account,
            amount,
            kind,
        })
    }
}

/// Quotes text of any length and content for one line of a report.
///
/// An excerpt in a refusal has `…` inside the quotes. Here it is outside, since the text has none.
pub fn quoted(text: &str) -> String {
    let mut rest = text.char_indices();
    match rest.nth(40) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
