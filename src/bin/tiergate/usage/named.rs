//! Fields and columns that options name: at least one line must have each of them.
//!
//! A name with a typing error would otherwise be a fact that no line has, which looks like a sound
//! result.

use super::log_json::{LogString, paths};
use crate::event::quoted;
use std::collections::BTreeSet;
use tiergate::json::nearest;

/// The number of lines whose fields are listed while a name is missing.
const SAMPLED: u32 = 100;
/// The maximum number of fields that are kept, and that an error lists.
const MOST_KEPT: usize = 200;
const MOST_LISTED: usize = 20;

/// A name that an option gives.
struct NamedOption {
    option: &'static str,
    name: String,
    /// True for a name of text columns too.
    is_column: bool,
}

/// The names of a run that no line has had, and what the lines have.
pub struct NamedFields {
    missing: Vec<NamedOption>,
    /// The names of text columns.
    columns: &'static [&'static str],
    fields: BTreeSet<String>,
    sampled: u32,
    has_json: bool,
    has_text: bool,
    /// The largest number of columns of a text line.
    most_columns: usize,
}

/// No line has what an option names.
#[derive(Debug, thiserror::Error)]
#[error("{option}: no line has the {what} {}{near}: {known}", quoted(name))]
pub struct UnknownName {
    option: &'static str,
    what: &'static str,
    name: String,
    near: String,
    known: String,
}

impl NamedFields {
    /// Begins with the names of fields of JSON lines, each with its option.
    pub fn of_fields(names: [(&'static str, Option<&str>); 2]) -> Self {
        let mut all = Self {
            missing: Vec::new(),
            columns: &[],
            fields: BTreeSet::new(),
            sampled: 0,
            has_json: false,
            has_text: false,
            most_columns: 0,
        };
        all.add(&names, false);
        all
    }

    /// Adds names of fields of JSON lines or columns of text lines; `columns` are the known ones.
    pub fn and_columns(
        mut self,
        names: [(&'static str, Option<&str>); 3],
        columns: &'static [&'static str],
    ) -> Self {
        self.columns = columns;
        self.add(&names, true);
        self
    }

    fn add(&mut self, names: &[(&'static str, Option<&str>)], is_column: bool) {
        let named = names.iter().filter_map(|(option, name)| {
            Some(NamedOption {
                option,
                name: (*name)?.to_owned(),
                is_column,
            })
        });
        self.missing.extend(named);
    }

    /// Takes the values of a JSON line.
    pub fn see_json(&mut self, line: &str, values: &[LogString<'_>]) {
        self.has_json = true;
        if self.missing.is_empty() {
            return;
        }
        let has = |name: &str| values.iter().any(|value| value.path == name);
        self.missing.retain(|named| !has(&named.name));
        if !self.missing.is_empty() && self.sampled < SAMPLED {
            self.sampled = self.sampled.saturating_add(1);
            let room = MOST_KEPT.saturating_sub(self.fields.len());
            self.fields.extend(paths(line).into_iter().take(room));
        }
    }

    /// Takes a text line: the columns that it has, and their number.
    pub fn see_text(&mut self, has: impl Fn(&str) -> bool, columns: impl FnOnce() -> usize) {
        self.has_text = true;
        if self.missing.is_empty() {
            return;
        }
        self.missing
            .retain(|named| !(named.is_column && has(&named.name)));
        if !self.missing.is_empty() {
            self.most_columns = self.most_columns.max(columns());
        }
    }

    /// Checks that lines had all names.
    ///
    /// # Errors
    /// [`UnknownName`] for the first one that no line had. Without lines, nothing is wrong.
    pub fn check(&self, has_admitted: bool) -> Result<(), UnknownName> {
        let is_empty = !self.has_json && !self.has_text;
        // A log of refusals has no usage, and an access log may leave empty fields out.
        let is_due = |named: &&NamedOption| {
            has_admitted || named.option != "--usage-field" || self.near(named).is_some()
        };
        match self.missing.iter().find(is_due).filter(|_| !is_empty) {
            Some(named) => Err(self.unknown(named)),
            None => Ok(()),
        }
    }

    /// Returns the name of a field or a column that is near.
    fn near(&self, named: &NamedOption) -> Option<&str> {
        let has_columns = named.is_column && self.has_text;
        let columns = self.columns.iter().copied().filter(|_| has_columns);
        let fields = self.fields.iter().map(String::as_str);
        nearest(&named.name, fields.chain(columns))
    }

    fn unknown(&self, named: &NamedOption) -> UnknownName {
        let has_columns = named.is_column && self.has_text;
        let near = self.near(named);
        let mut known = Vec::new();
        if self.has_json {
            known.push(self.listed());
        } else if !has_columns {
            known.push("no line is JSON".to_owned());
        }
        if has_columns {
            known.push(format!(
                "a column of the text lines is a number from 1 to {}, or one of {}",
                self.most_columns,
                self.columns.join(", ")
            ));
        }
        UnknownName {
            option: named.option,
            what: match has_columns && !self.has_json {
                true => "column",
                false => "field",
            },
            name: named.name.clone(),
            near: near.map_or(String::new(), |near| {
                format!(" (did you mean {}?)", quoted(near))
            }),
            known: known.join("; "),
        }
    }

    /// Lists the fields of the JSON lines.
    fn listed(&self) -> String {
        let names = self.fields.iter().take(MOST_LISTED);
        let names: Vec<String> = names.map(|name| quoted(name)).collect();
        let more = match self.fields.len().saturating_sub(MOST_LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("the JSON lines have {}{more}", names.join(", "))
    }
}
