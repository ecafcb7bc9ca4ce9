//! The settings that a new config changes, with defaults where nothing is written.

use super::DiffRow;
use super::effects::{is_secret, of_setting};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use tiergate::config::json_schema::defaults;

/// Settings that are compared as a whole, since their parts mean nothing alone.
const WHOLE: [&str; 3] = ["windows.day", "voucher", "tokens.weights"];

/// A setting that changes.
#[derive(Serialize)]
pub struct SettingChange {
    path: String,
    /// The old value; null where there was none.
    old: Value,
    /// The new value; null for a removed one.
    new: Value,
    /// What becomes of counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<&'static str>,
}

/// Lists the changes; tiers are compared elsewhere.
pub fn changes(old: &Value, new: &Value, in_fleet: bool) -> Vec<SettingChange> {
    let mut changes = Vec::new();
    compare("", &with_defaults(old), &with_defaults(new), &mut changes);
    for one in &mut changes {
        one.counters = of_setting(&one.path, &one.old, &one.new, in_fleet);
    }
    changes
}

fn with_defaults(written: &Value) -> Value {
    let mut config = match written {
        Value::Object(members) => members.clone(),
        _ => Map::new(),
    };
    config.remove("tiers");
    for (path, default) in defaults() {
        fill(&mut config, path, default);
    }
    // A config without capacity takes the sizes that the process has.
    for path in ["capacity.accounts", "capacity.directory"] {
        fill(&mut config, path, Value::Null);
    }
    Value::Object(config)
}

/// Writes a default where nothing is written.
fn fill(config: &mut Map<String, Value>, path: &str, default: Value) {
    match path.split_once('.') {
        None => {
            let field = config.entry(path).or_insert_with(|| default.clone());
            // A null voucher is none; any other null is an absent field.
            if field.is_null() && path != "voucher" {
                *field = default;
            }
        }
        Some((part, rest)) => {
            let part = config
                .entry(part)
                .or_insert_with(|| Value::Object(Map::new()));
            if part.is_null() {
                *part = Value::Object(Map::new());
            }
            if let Value::Object(members) = part {
                fill(members, rest, default);
            }
        }
    }
}

fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<SettingChange>) {
    if old == new {
        return;
    }
    let (Value::Object(olds), Value::Object(news)) = (old, new) else {
        return changes.push(change(path, old, new));
    };
    if WHOLE.contains(&path) {
        return changes.push(change(path, old, new));
    }
    let names: BTreeSet<&String> = olds.keys().chain(news.keys()).collect();
    for name in names {
        let dot = if path.is_empty() { "" } else { "." };
        let value = |members: &Map<String, Value>| members.get(name).cloned().unwrap_or_default();
        let path = format!("{path}{dot}{name}");
        compare(&path, &value(olds), &value(news), changes);
    }
}

fn change(path: &str, old: &Value, new: &Value) -> SettingChange {
    let shown = |value: &Value| without_secrets(path, value);
    SettingChange::new(path, shown(old), shown(new), None)
}

/// Returns a value with its secrets hidden.
fn without_secrets(path: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if is_secret(path) => "(secret)".into(),
        Value::Object(members) => {
            let members = members.iter();
            let shown = members.map(|(name, value)| (name.clone(), without_secrets(name, value)));
            Value::Object(shown.collect())
        }
        Value::Array(elements) => {
            let elements = elements
                .iter()
                .map(|element| without_secrets(path, element));
            Value::Array(elements.collect())
        }
        other => other.clone(),
    }
}

impl SettingChange {
    /// Makes a change of two values without secrets.
    pub fn new(path: &str, old: Value, new: Value, counters: Option<&'static str>) -> Self {
        Self {
            path: path.to_owned(),
            old,
            new,
            counters,
        }
    }

    /// Returns the change as a line.
    pub fn row(&self) -> DiffRow {
        let shown = |value: &Value| match value {
            Value::Null => "none".to_owned(),
            Value::String(text) if !text.is_empty() => text.clone(),
            other => other.to_string(),
        };
        DiffRow {
            what: self.path.clone(),
            change: format!("{} -> {}", shown(&self.old), shown(&self.new)),
            counters: self.counters.map(str::to_owned),
        }
    }
}
