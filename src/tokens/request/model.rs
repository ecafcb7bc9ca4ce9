//! The model that a request's body names.

use crate::tokens::scan::Value;

/// The longest name of a model that is matched, in bytes.
pub const LONGEST_MODEL: usize = 256;
/// The longest name as it stands in a body, in bytes: an escape has up to six for one.
const LONGEST_RAW: usize = LONGEST_MODEL * 6;

/// The model that a request names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ModelName {
    /// There is no name.
    Nothing,
    /// The name cannot be read: it is no text, there are several, or it was not looked at.
    #[default]
    Unreadable,
    /// The model's name.
    Model(String),
}

/// The values at one pointer to the model.
#[derive(Debug, Default)]
pub struct ModelReader {
    /// The string that is read, escapes and all.
    raw: Vec<u8>,
    /// The first value's words, and the presence of others.
    found: Option<ModelName>,
}

impl ModelReader {
    /// Takes a piece of the string that comes next.
    pub fn piece(&mut self, raw: &[u8]) {
        // One byte more than the longest shows that it is too long.
        let free = LONGEST_RAW.saturating_add(1).saturating_sub(self.raw.len());
        self.raw.extend(raw.iter().take(free));
    }

    /// Takes a value.
    pub fn value(&mut self, value: Value<'_>) {
        let named = match value {
            Value::Null => ModelName::Nothing,
            Value::Text { .. } => text(&self.raw),
            Value::Bare(_) | Value::Object | Value::Array => ModelName::Unreadable,
        };
        self.raw.clear();
        self.take(named);
    }

    /// Takes a value that only some readers find.
    pub fn doubt(&mut self) {
        self.take(ModelName::Unreadable);
    }

    /// A second value may be meant for another reader, so that none counts.
    fn take(&mut self, named: ModelName) {
        self.found = match self.found {
            None => Some(named),
            Some(_) => Some(ModelName::Unreadable),
        };
    }

    /// Returns the model of a body that was read to its end.
    pub fn of_whole(self) -> ModelName {
        self.found.unwrap_or(ModelName::Nothing)
    }

    /// Returns the model of a body of which the start was read.
    pub fn of_start(self) -> ModelName {
        match self.found {
            Some(named @ ModelName::Model(_)) => named,
            _ => ModelName::Unreadable,
        }
    }
}

/// Reads a string, escapes and all.
fn text(raw: &[u8]) -> ModelName {
    if raw.len() > LONGEST_RAW {
        return ModelName::Unreadable;
    }
    let quoted = [b"\"", raw, b"\""].concat();
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) if text.is_empty() => ModelName::Nothing,
        Ok(text) if text.len() <= LONGEST_MODEL => ModelName::Model(text),
        Ok(_) | Err(_) => ModelName::Unreadable,
    }
}
