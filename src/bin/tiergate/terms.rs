//! TermsById of accounts beside their recharge, from a file of JSON lines: own limits, a switch, a tier, an
//! alias. They go into the feed as they are.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tiergate::directory::feed::page::PageReader;
use tiergate::json::Invalid;

/// The terms of the accounts, by id.
pub type TermsById = BTreeMap<String, Map<String, Value>>;

#[derive(Debug, thiserror::Error)]
pub enum TermsError {
    #[error("can't read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}, line {line}: {problem}")]
    Line {
        path: PathBuf,
        line: usize,
        problem: String,
    },
}

/// Reads a file of terms. Each line is an account as the feed has it, but for its recharge.
pub fn read(path: &Path) -> Result<TermsById, TermsError> {
    let text = fs::read_to_string(path).map_err(|source| TermsError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let mut all = TermsById::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let wrong = |problem: String| TermsError::Line {
            path: path.to_owned(),
            line,
            problem,
        };
        let (id, terms) = account(text).map_err(wrong)?;
        if all.insert(id.clone(), terms).is_some() {
            return Err(wrong(format!("account {id:?} was named before")));
        }
    }
    Ok(all)
}

fn account(text: &str) -> Result<(String, Map<String, Value>), String> {
    let mut account: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    if account.contains_key("recharge") {
        return Err("recharge: it comes from the events".to_owned());
    }
    let id = match account.remove("id") {
        Some(Value::String(id)) => id,
        _ => return Err("id: missing, or not text".to_owned()),
    };
    check(&id, &account).map_err(|error| error.to_string())?;
    Ok((id, account))
}

/// Checks an account as the filter will, with a recharge where it has no other basis.
fn check(id: &str, terms: &Map<String, Value>) -> Result<(), Invalid> {
    let mut whole = terms.clone();
    whole.insert("id".to_owned(), id.into());
    if !has_basis(terms) {
        whole.insert("recharge".to_owned(), "0".into());
    }
    let page = serde_json::json!({ "accounts": [whole] });
    PageReader::new(page.to_string().into_bytes())
        .item()
        .map(drop)
}

/// True for terms with a tier or an alias, beside which the feed takes no recharge.
pub fn has_basis(terms: &Map<String, Value>) -> bool {
    terms.contains_key("tier") || terms.contains_key("account")
}
