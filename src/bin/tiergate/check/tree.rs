//! A document as a tree whose values know their place in the file.

use std::fmt::Write as _;
use std::ops::Range;

/// A range of bytes in a file.
pub type Bytes = Range<usize>;

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub struct DocNode {
    /// Its bytes in the file.
    pub at: Bytes,
    /// Its JSON path in the config as it was written; empty outside of a config.
    pub path: String,
    /// True for a value that the check put in the place of a wrong one.
    pub is_made: bool,
    pub value: DocValue,
}

#[derive(Clone, Debug)]
pub enum DocValue {
    Null,
    Bool(bool),
    /// A number, in JSON's notation.
    Number(String),
    Text(String),
    List(Vec<DocNode>),
    Map(Vec<Member>),
}

/// A member of an object. A name may stand twice.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub name_at: Bytes,
    pub value: DocNode,
}

impl DocNode {
    pub const fn new(at: Bytes, value: DocValue) -> Self {
        Self {
            at,
            path: String::new(),
            is_made: false,
            value,
        }
    }

    /// Returns the members of an object; none of anything else.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            DocValue::Map(members) => members,
            _ => &[],
        }
    }

    /// Returns the elements of a list; none of anything else.
    pub fn elements(&self) -> &[Self] {
        match &self.value {
            DocValue::List(elements) => elements,
            _ => &[],
        }
    }

    /// Returns the value of a member.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let mut members = self.members().iter();
        members.find(|m| m.name == name).map(|m| &m.value)
    }

    /// Returns a text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            DocValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value behind several names.
    pub fn get_in(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    /// True for the boolean `true`.
    pub const fn is_true(&self) -> bool {
        matches!(self.value, DocValue::Bool(true))
    }

    /// Writes the JSON paths of a config into its values.
    pub fn name_paths(&mut self, path: &str) {
        path.clone_into(&mut self.path);
        match &mut self.value {
            DocValue::List(elements) => {
                for (i, element) in elements.iter_mut().enumerate() {
                    element.name_paths(&format!("{path}[{i}]"));
                }
            }
            DocValue::Map(members) => {
                for member in members {
                    let name = &member.name;
                    let dot = if path.is_empty() { "" } else { "." };
                    member.value.name_paths(&format!("{path}{dot}{name}"));
                }
            }
            _ => {}
        }
    }

    /// Returns the value as JSON.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match &self.value {
            DocValue::Null => out.push_str("null"),
            // Writing to a String can't fail.
            DocValue::Bool(bool) => {
                let _ = write!(out, "{bool}");
            }
            DocValue::Number(number) => out.push_str(number),
            DocValue::Text(text) => quote(out, text),
            DocValue::List(elements) => {
                out.push('[');
                for (i, element) in elements.iter().enumerate() {
                    separate(out, i);
                    element.write(out);
                }
                out.push(']');
            }
            DocValue::Map(members) => {
                out.push('{');
                for (i, member) in members.iter().enumerate() {
                    separate(out, i);
                    quote(out, &member.name);
                    out.push(':');
                    member.value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn separate(out: &mut String, i: usize) {
    if i > 0 {
        out.push(',');
    }
}

fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
