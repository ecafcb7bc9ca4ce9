//! The JSON Schema of the config, for editors: from the types that the parser reads.

use super::schema::ConfigRoot;
use crate::limits::{Limit, LimitKind};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Returns the schema, by the draft of 2020-12.
pub fn json_schema() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let schema = settings
        .into_generator()
        .into_root_schema_for::<ConfigRoot>();
    let mut schema = schema.to_value();
    without_null_defaults(&mut schema);
    if let Value::Object(root) = &mut schema {
        root.insert("title".to_owned(), "tiergate".into());
        let about = "The config of tiergate, a tiered rate limiter for Envoy.";
        root.insert("description".to_owned(), about.into());
    }
    without_inner_words(&mut schema);
    name_limits(&mut schema);
    for (path, default) in defaults() {
        add_default(&mut schema, path, default);
    }
    schema
}

/// The defaults: a field and its value, which says the same as nothing.
pub fn defaults() -> Vec<(&'static str, Value)> {
    vec![
        ("namespace", json!("tiergate")),
        ("mode", json!("enforce")),
        ("on_fault", json!("allow")),
        (
            "account",
            json!([{"header": "x-account-id"}, {"header": "authorization", "digest": true}]),
        ),
        (
            "tier",
            json!([{"header": "x-account-tier"}, {"header": "x-account-recharge", "as": "recharge"}]),
        ),
        ("unknown_tier", json!("refuse")),
        ("strip_headers", json!(true)),
        ("windows.second", json!("1s")),
        ("windows.minute", json!("60s")),
        ("windows.hour", json!("1h")),
        ("windows.day", json!({"calendar": "+00:00"})),
        ("tokens.settle", json!("usage")),
        ("tokens.join", json!(false)),
        ("tokens.reserve", json!("assumed")),
        ("tokens.bytes_per_token", json!(4)),
        ("tokens.context", json!(262_144)),
        ("tokens.prompt", json!(1024)),
        ("tokens.completion", json!(1024)),
        ("tokens.media", json!(1024)),
        ("tokens.read_body", json!(false)),
        ("tokens.body_limit", json!(262_144)),
        ("tokens.include_usage", json!(false)),
        ("tokens.cached", json!("count")),
        (
            "tokens.weights",
            json!({"input": 1, "cached": 1, "cache_write": 1, "output": 1}),
        ),
        ("tokens.usage", json!([])),
        ("tokens.identity", json!(true)),
        ("headers", json!(["openai"])),
        ("errors", json!("openai")),
        ("concurrency_retry_after", json!("1s")),
        ("routes", json!([])),
        ("models", json!([])),
        ("voucher", json!({"at": "5", "amount": "5"})),
        ("not_ready", json!("refuse")),
        ("log_admitted", json!(true)),
        ("log_account", json!(false)),
        ("log_usage", json!(false)),
        ("usage_names", json!(false)),
    ]
}

/// Takes descriptions off that are for readers of the parser.
fn without_inner_words(schema: &mut Value) {
    let Some(Value::Object(definitions)) = schema.get_mut("$defs") else {
        return;
    };
    for definition in definitions.values_mut().filter_map(Value::as_object_mut) {
        let text = definition.get("description").and_then(Value::as_str);
        let is_inner = |text: &str| text.contains("unchecked") || text.contains("as written");
        if text.is_some_and(is_inner) {
            definition.remove("description");
        }
    }
}

/// Gives the limits of tiers the known names with what each counts, and the form that any other name
/// needs.
fn name_limits(schema: &mut Value) {
    let known = LimitKind::known_names().map(|name| {
        let is_money = LimitKind::known(name).is_some_and(|kind| kind.counted().is_money());
        let limit = match is_money {
            true => json!({"$ref": "#/$defs/Limit"}),
            false => json!({"$ref": "#/$defs/WholeLimit"}),
        };
        (name.to_owned(), limit)
    });
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        definitions.insert("WholeLimit".to_owned(), whole_limit());
    }
    let limits = json!({
        "type": "object",
        "properties": known.collect::<Map<_, _>>(),
        "additionalProperties": {"$ref": "#/$defs/LimitObject"},
    });
    let at = "/$defs/TierConfig/properties/models/additionalProperties";
    if let Some(of_family) = schema.pointer_mut(at) {
        of_family.clone_from(&limits);
    }
    let at = "/$defs/TierConfig/properties/limits";
    if let Some(Value::Object(of_tier)) = schema.pointer_mut(at) {
        of_tier.insert("required".to_owned(), json!(LimitKind::NECESSARY));
        of_tier.extend(limits.as_object().cloned().unwrap_or_default());
    }
}

/// A limit on anything but money, which has no fractions.
fn whole_limit() -> Value {
    json!({
        "description": "A whole number, or \"unlimited\"; or an object that says what the name says.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": Limit::MAX},
            {"const": "unlimited"},
            {"$ref": "#/$defs/LimitObject"},
        ],
    })
}

/// Takes the nulls off that stand for "no default".
fn without_null_defaults(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let is_empty = |value: &Value| value.is_null() || *value == json!({});
            if members.get("default").is_some_and(is_empty) {
                members.remove("default");
            }
            members.values_mut().for_each(without_null_defaults);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_null_defaults),
        _ => {}
    }
}

/// Writes the default of a field into its schema.
fn add_default(schema: &mut Value, path: &str, default: Value) {
    let mut names: Vec<&str> = path.split('.').collect();
    let Some(last) = names.pop() else {
        return;
    };
    let mut at = String::new();
    for name in names {
        at.push_str("/properties/");
        at.push_str(name);
        at = resolved(schema, at);
    }
    let at = format!("{at}/properties/{last}");
    if let Some(Value::Object(field)) = schema.pointer_mut(&at) {
        field.insert("default".to_owned(), default);
    }
}

/// Follows the reference of a schema to its definition.
fn resolved(schema: &Value, at: String) -> String {
    let field = schema.pointer(&at).and_then(Value::as_object);
    let reference = |members: &Map<String, Value>| {
        let reference = members.get("$ref")?.as_str()?;
        Some(reference.trim_start_matches('#').to_owned())
    };
    let of_any = |members: &Map<String, Value>| {
        let any = members.get("anyOf")?.as_array()?;
        any.iter().filter_map(Value::as_object).find_map(reference)
    };
    field
        .and_then(|field| reference(field).or_else(|| of_any(field)))
        .unwrap_or(at)
}
