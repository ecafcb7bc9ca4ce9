//! JSON lines: one object in each line. Fields other than an event's are ignored.

use crate::event::{BadLine, ExportedEvent, quoted};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The fields as written, so that an amount is read from its digits and not from a float.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    account: &'a RawValue,
    #[serde(borrow)]
    amount: &'a RawValue,
    #[serde(borrow)]
    kind: &'a RawValue,
}

pub fn read(line: &str) -> Result<ExportedEvent<'_>, BadLine> {
    // Serde would accept a list of the fields in order.
    if !line.trim_start().starts_with('{') {
        return Err(BadLine::NotAnObject);
    }
    let raw: Raw<'_> = serde_json::from_str(line).map_err(|e| json(&e))?;
    let amount = match string(raw.amount)? {
        Some(amount) => amount,
        None => Cow::Borrowed(raw.amount.get()),
    };
    let kind = string(raw.kind)?.ok_or_else(|| BadLine::Kind(quoted(raw.kind.get())))?;
    ExportedEvent::new(
        name("id", raw.id)?,
        name("account", raw.account)?,
        &amount,
        &kind,
    )
}

/// Reads a name or a number: billing systems use both for accounts and events.
fn name<'a>(field: &'static str, raw: &'a RawValue) -> Result<Cow<'a, str>, BadLine> {
    if let Some(text) = string(raw)? {
        return Ok(text);
    }
    if raw.get().bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Cow::Borrowed(raw.get()));
    }
    Err(BadLine::NotText {
        field,
        quoted: quoted(raw.get()),
    })
}

/// Returns the text of a JSON string; `None` for another value.
fn string(raw: &RawValue) -> Result<Option<Cow<'_, str>>, BadLine> {
    let inner = raw.get().strip_prefix('"');
    let Some(inner) = inner.and_then(|rest| rest.strip_suffix('"')) else {
        return Ok(None);
    };
    if !inner.contains('\\') {
        return Ok(Some(Cow::Borrowed(inner)));
    }
    let text: String = serde_json::from_str(raw.get()).map_err(|e| json(&e))?;
    Ok(Some(Cow::Owned(text)))
}

/// Converts the parser's error. Its line is always the first, so only the column is kept.
fn json(error: &serde_json::Error) -> BadLine {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or_default();
    BadLine::Json(format!("{problem} at column {}", error.column()))
}
