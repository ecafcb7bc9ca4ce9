//! CSV (RFC 4180) with a header line and one event in each line.
//!
//! Each line is parsed by itself. In the csv crate, an unclosed quote takes the rest of the file
//! into one record; here it costs only its own line.

use crate::event::{BadLine, ExportedEvent, FIELDS, quoted};
use std::borrow::Cow;

/// The positions of an event's fields in a line.
#[derive(Debug)]
pub struct Columns {
    places: [usize; FIELDS.len()],
    count: usize,
}

/// The reason for the rejection of a header line.
#[derive(Debug, thiserror::Error)]
pub enum BadHeader {
    #[error("the header line is {0}")]
    Unreadable(#[from] BadLine),
    #[error(
        "the header line has no column {field:?}: it needs id, account, amount, kind, in any order, and is {line}"
    )]
    Missing { field: &'static str, line: String },
    #[error("the header line has the column {field:?} twice")]
    Doubled { field: &'static str },
}

impl Columns {
    /// Reads the header line; other columns are ignored.
    pub fn of_header(line: &str) -> Result<Self, BadHeader> {
        let names = CsvFields(Some(line)).collect::<Result<Vec<_>, _>>()?;
        let mut places = [0; FIELDS.len()];
        for (place, field) in places.iter_mut().zip(FIELDS) {
            let mut found = (0..).zip(&names).filter(|(_, name)| name.trim() == field);
            let Some((first, _)) = found.next() else {
                let line = quoted(line);
                return Err(BadHeader::Missing { field, line });
            };
            if found.next().is_some() {
                return Err(BadHeader::Doubled { field });
            }
            *place = first;
        }
        Ok(Self {
            places,
            count: names.len(),
        })
    }

    /// Reads a line after the header.
    pub fn read<'a>(&self, line: &'a str) -> Result<ExportedEvent<'a>, BadLine> {
        let mut values: [Cow<'a, str>; FIELDS.len()] = Default::default();
        let mut found = 0_usize;
        for field in CsvFields(Some(line)) {
            let field = field?;
            let wanted = self.places.iter().zip(&mut values);
            for (_, value) in wanted.filter(|(place, _)| **place == found) {
                value.clone_from(&field);
            }
            found = found.saturating_add(1);
        }
        if found != self.count {
            return Err(BadLine::FieldCount {
                found,
                expected: self.count,
            });
        }
        let [id, account, amount, kind] = values;
        ExportedEvent::new(id, account, &amount, &kind)
    }
}

/// The fields of one line.
struct CsvFields<'a>(Option<&'a str>);

impl<'a> Iterator for CsvFields<'a> {
    type Item = Result<Cow<'a, str>, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.take()?;
        if let Some(quoted) = rest.strip_prefix('"') {
            return Some(self.quoted(quoted));
        }
        let field = match rest.split_once(',') {
            None => rest,
            Some((field, after)) => {
                self.0 = Some(after);
                field
            }
        };
        if field.contains('"') {
            return Some(Err(BadLine::StrayQuote));
        }
        Some(Ok(Cow::Borrowed(field)))
    }
}

impl<'a> CsvFields<'a> {
    /// Reads a field after its first quote.
    fn quoted(&mut self, mut rest: &'a str) -> Result<Cow<'a, str>, BadLine> {
        let mut before: Option<String> = None;
        loop {
            let (part, after) = rest.split_once('"').ok_or(BadLine::OpenQuote)?;
            if let Some(more) = after.strip_prefix('"') {
                let before = before.get_or_insert_default();
                before.push_str(part);
                before.push('"');
                rest = more;
                continue;
            }
            self.0 = match after.strip_prefix(',') {
                Some(next) => Some(next),
                None if after.is_empty() => None,
                None => return Err(BadLine::StrayQuote),
            };
            return Ok(match before {
                None => Cow::Borrowed(part),
                Some(mut before) => {
                    before.push_str(part);
                    Cow::Owned(before)
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Result<Vec<String>, BadLine> {
        CsvFields(Some(line))
            .map(|f| f.map(Cow::into_owned))
            .collect()
    }

    #[test]
    fn fields_are_read_as_rfc_4180_has_them() {
        for (line, expected) in [
            ("a,b", &["a", "b"][..]),
            ("", &[""]),
            (",", &["", ""]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("\"say \"\"hi\"\"\",\"\"", &["say \"hi\"", ""]),
            ("\"\"\"\"", &["\""]),
            ("٣, b ", &["٣", " b "]),
        ] {
            assert_eq!(fields(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn quotes_that_do_not_fit_are_refused() {
        for (line, bad) in [
            ("\"a", BadLine::OpenQuote),
            ("a,\"b\"\"", BadLine::OpenQuote),
            ("\"a\"b,c", BadLine::StrayQuote),
            ("a\"b", BadLine::StrayQuote),
        ] {
            assert_eq!(fields(line), Err(bad), "{line}");
        }
    }
}
