//! One page of the feed, read account by account, so that no page stalls the worker.
//!
//! The form: `{"accounts": [{"id", "recharge" or "tier" or "account", "since"?, "limits"?, "models"?,
//! "until"?, "disabled"?, "exempt"?}], "removed": ["c"]?, "next": "/…"?}`. A page with any deviation is
//! refused.

use crate::directory::entry::{AccountTerms, TierBasis};
use crate::directory::written::WrittenEntry;
use crate::http::names::is_path;
use crate::json::{self, Invalid, Object};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest page, in bytes.
pub const PAGE_BYTES: usize = 1 << 20;
/// The longest account id, in bytes.
pub const ID_BYTES: usize = 1024;
/// The longest text of a problem, in characters.
const PROBLEM_CHARS: usize = 200;

/// Returns an error of a page. The problem may quote the page, so the text is cut.
fn invalid(path: impl Into<String>, problem: &str) -> Invalid {
    // serde counts lines from the start of the value, not of the page.
    let problem = problem.split(" at line ").next().unwrap_or_default();
    let problem: String = problem.chars().take(PROBLEM_CHARS).collect();
    Invalid::new(path, problem)
}

type Read<T> = Result<T, Invalid>;

/// An account in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The account's recharge, tier or alias.
    pub basis: TierBasis,
    /// The day of the first recharge, in days since 1970-01-01.
    pub since: Option<u32>,
    /// The account's terms. Most accounts have none, so a box saves memory.
    pub terms: Option<Box<AccountTerms>>,
}

/// The next item on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageItem {
    /// An account, by its id.
    Account(String, Known),
    /// The id of a removed account.
    Removed(String),
    /// The end, with the path of the next page, if any.
    End(Option<String>),
}

/// The reader's position in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    /// Before a name, or before the end of an empty object.
    Field,
    /// In a list, before the item of this index.
    List(List, usize),
    /// Behind a field's value.
    Behind,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Accounts,
    Removed,
}

/// A page that is being read.
#[derive(Debug)]
pub struct PageReader {
    body: Vec<u8>,
    position: usize,
    at: At,
    seen: Vec<String>,
    next: Option<String>,
}

impl PageReader {
    /// Creates a reader at the beginning of a page.
    pub fn new(body: Vec<u8>) -> Self {
        Self {
            body,
            position: 0,
            at: At::Start,
            seen: Vec::new(),
            next: None,
        }
    }

    /// Reads the next item on the page.
    ///
    /// # Errors
    /// [`Invalid`] for the first error.
    pub fn item(&mut self) -> Read<PageItem> {
        loop {
            match self.at {
                At::Start => {
                    self.expect(b'{', "an object with accounts")?;
                    self.at = At::Field;
                }
                At::Field => self.field()?,
                At::List(list, index) => {
                    if let Some(item) = self.list(list, index)? {
                        return Ok(item);
                    }
                }
                At::Behind => {
                    self.at = if self.skip(b',') {
                        At::Field
                    } else {
                        self.expect(b'}', "a comma or the end of the object")?;
                        At::End
                    };
                }
                At::End => return self.end(),
            }
        }
    }

    fn field(&mut self) -> Read<()> {
        if self.seen.is_empty() && self.skip(b'}') {
            self.at = At::End;
            return Ok(());
        }
        let name: String = parse(self.value("$")?, "$")?;
        self.expect(b':', "a colon")?;
        if self.seen.contains(&name) {
            return Err(invalid(name, "named twice"));
        }
        self.at = match name.as_str() {
            "accounts" => self.begin(List::Accounts)?,
            "removed" => self.begin(List::Removed)?,
            "next" => {
                self.next = parse(self.value("next")?, "next")?;
                At::Behind
            }
            _ => {
                let problem = "unknown field, expected accounts, removed or next";
                return Err(invalid(name.chars().take(64).collect::<String>(), problem));
            }
        };
        self.seen.push(name);
        Ok(())
    }

    fn begin(&mut self, list: List) -> Read<At> {
        self.expect(b'[', "a list")?;
        Ok(At::List(list, 0))
    }

    /// Reads the item of this index; `None` behind the last one.
    fn list(&mut self, list: List, index: usize) -> Read<Option<PageItem>> {
        if self.skip(b']') {
            self.at = At::Behind;
            return Ok(None);
        }
        if index > 0 {
            self.expect(b',', "a comma or the end of the list")?;
        }
        let path = match list {
            List::Accounts => format!("accounts[{index}]"),
            List::Removed => format!("removed[{index}]"),
        };
        let value = self.value(&path)?;
        let item = match list {
            List::Accounts => account(value, &path)?,
            List::Removed => PageItem::Removed(id(parse(value, &path)?, &path)?),
        };
        self.at = At::List(list, index.saturating_add(1));
        Ok(Some(item))
    }

    fn end(&mut self) -> Read<PageItem> {
        if self.peek().is_some() {
            return Err(self.wrong("the end of the page"));
        }
        if !self.seen.iter().any(|name| name == "accounts") {
            return Err(invalid("accounts", "missing"));
        }
        let next = self.next.take();
        if next.as_deref().is_some_and(|next| !is_path(next)) {
            let problem = "not a path: it begins with / and has visible ASCII characters, \
                           at most 1024";
            return Err(invalid("next", problem));
        }
        Ok(PageItem::End(next))
    }

    fn rest(&self) -> &[u8] {
        self.body.get(self.position..).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<u8> {
        let blank = |b: &&u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t');
        let blanks = self.rest().iter().take_while(blank).count();
        self.position = self.position.saturating_add(blanks);
        self.rest().first().copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.position = self.position.saturating_add(1);
        }
        is_next
    }

    fn expect(&mut self, byte: u8, what: &str) -> Read<()> {
        if self.skip(byte) {
            return Ok(());
        }
        Err(self.wrong(what))
    }

    fn wrong(&mut self, what: &str) -> Invalid {
        let path = match self.at {
            At::List(List::Accounts, index) => format!("accounts[{index}]"),
            At::List(List::Removed, index) => format!("removed[{index}]"),
            _ => "$".to_owned(),
        };
        let found = match self.peek() {
            None => "the page ends too early",
            Some(_) => "wrong",
        };
        let byte = self.position;
        invalid(path, &format!("{found} at byte {byte}: expected {what}"))
    }

    /// Returns the bytes of the next value.
    fn value(&mut self, path: &str) -> Read<&[u8]> {
        let rest = self.body.get(self.position..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        let value = match values.next() {
            Some(Ok(value)) => value.get().as_bytes(),
            Some(Err(error)) => return Err(invalid(path, &error.to_string())),
            None => return Err(invalid(path, "the page ends too early")),
        };
        self.position = self.position.saturating_add(values.byte_offset());
        Ok(value)
    }
}

fn parse<'a, T: Deserialize<'a>>(value: &'a [u8], path: &str) -> Read<T> {
    json::read(value).map_err(|wrong| {
        let path = match wrong.path.as_str() {
            "$" => path.to_owned(),
            inner => format!("{path}.{inner}"),
        };
        invalid(path, &wrong.problem)
    })
}

fn id(id: String, path: &str) -> Read<String> {
    if (1..=ID_BYTES).contains(&id.len()) {
        return Ok(id);
    }
    let problem = format!("{} bytes: an id has 1 to {ID_BYTES}", id.len());
    Err(invalid(path, &problem))
}

fn account(value: &[u8], path: &str) -> Read<PageItem> {
    let Object(mut written): Object<WrittenEntry> = parse(value, path)?;
    let Some(account) = written.id.take() else {
        return Err(invalid(path, "missing field `id`"));
    };
    let entry = written.check().map_err(|error| {
        let path = match error.path.as_str() {
            "$" => path.to_owned(),
            inner => format!("{path}.{inner}"),
        };
        invalid(path, &error.problem)
    })?;
    let known = Known {
        basis: entry.basis,
        since: entry.since,
        terms: (!entry.terms.is_empty()).then(|| Box::new(entry.terms)),
    };
    Ok(PageItem::Account(
        id(account, &format!("{path}.id"))?,
        known,
    ))
}
