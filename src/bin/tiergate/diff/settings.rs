//! The settings that a new config changes, with defaults where nothing is written.

use super::DiffRow;
use super::effects::{is_secret, of_setting};
use super::needed::{ConfigStep, SettingPath, at};
use serde::Serialize;
use serde_json::{Map, Value};
use tiergate::config::Config;
use tiergate::config::json_schema::defaults;

/// A setting that changes.
#[derive(Serialize)]
pub struct SettingChange {
    path: String,
    /// The old value; null where there was none.
    old: Value,
    /// The new value; null for a removed one.
    new: Value,
    /// The fate of counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<&'static str>,
}

/// Lists the changes.
pub fn changes(step: &ConfigStep<'_>, in_fleet: bool) -> Vec<SettingChange> {
    let needed = step.needed().into_iter();
    needed.map(|path| change(&path, step, in_fleet)).collect()
}

fn with_defaults(written: &Value) -> Value {
    let mut config = match written {
        Value::Object(members) => members.clone(),
        _ => Map::new(),
    };
    let cached = written.pointer("/tokens/cached");
    let is_free = cached.is_some_and(|cached| cached == "free");
    for (path, mut default) in defaults() {
        let weight = default.get_mut("cached");
        if let Some(weight) = weight.filter(|_| is_free && path == "tokens.weights") {
            *weight = 0.into();
        }
        fill(&mut config, path, default);
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

fn change(path: &SettingPath, step: &ConfigStep<'_>, in_fleet: bool) -> SettingChange {
    let name = path.join(".");
    let value = |config: &Value| {
        let config = with_defaults(config);
        at(&config, path).cloned().unwrap_or_default()
    };
    let (old, new) = (value(step.old), value(step.new));
    let counters = of_setting(&name, &old, &new, in_fleet);
    let shown = |value: &Value| without_secrets(&name, value);
    SettingChange::new(&name, shown(&old), shown(&new), counters)
}

/// Returns the change from an admin API without limits of its own to one with them, or back.
pub fn change_of_admin(old: &Config, new: &Config) -> Option<SettingChange> {
    let has_both = old.admin.is_some() && new.admin.is_some();
    let words = |config: &Config| match config.is_bare {
        true => Value::from("alone"),
        false => Value::from("in a whole config"),
    };
    let counters = match new.is_bare {
        true => "counters stay; the admin API answers by another config, the one in force",
        false => "counters stay; the admin API may answer by this config",
    };
    (has_both && old.is_bare != new.is_bare)
        .then(|| SettingChange::new("admin", words(old), words(new), Some(counters)))
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
