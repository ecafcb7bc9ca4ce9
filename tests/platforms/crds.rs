//! CRDs of releases, and what the API server makes of their schemas.

use crate::manifests::values;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The CRDs of one release, such as `istio-v1.30.0`, as text: few of them are ever parsed.
pub struct Release {
    pub name: String,
    text: String,
}

/// All releases, or `None` where the folder is not there.
pub fn releases() -> Option<Vec<Release>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()?)
        .ok()?
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    let read = |path: &PathBuf| Release {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(path).unwrap(),
    };
    Some(files.iter().map(read).collect())
}

/// Where the CRDs are, if they are anywhere.
pub fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TIERGATE_CRDS") {
        let named = PathBuf::from(named);
        assert!(named.is_dir(), "TIERGATE_CRDS is no folder");
        return Some(named);
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crds");
    beside.is_dir().then_some(beside)
}

impl Release {
    /// The validator of a kind, or `None` where the release has no such kind or version of it.
    pub fn validator(&self, api_version: &str, kind: &str) -> Option<Validator> {
        let (group, version) = api_version.split_once('/')?;
        let named = format!("\n    kind: {kind}\n");
        let of_kind = self.text.split("\n---").filter(|crd| crd.contains(&named));
        let mut schemas = of_kind
            .flat_map(|crd| values(&self.name, crd))
            .filter(|crd| crd["spec"]["group"] == group)
            .flat_map(|crd| crd["spec"]["versions"].as_array().cloned().unwrap())
            .filter(|of| of["name"] == version && of["served"] != false);
        let schema = schemas.next()?["schema"]["openAPIV3Schema"].clone();
        Some(validator_of(schema))
    }
}

/// A validator by the schema of a CRD: unknown fields are errors, as `kubectl apply` has them.
pub fn validator_of(schema: Value) -> Validator {
    let mut schema = strict(schema);
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema["properties"]["metadata"] = metadata();
    jsonschema::options()
        // OpenAPI 3.0 has the keywords of this draft, such as a boolean exclusiveMaximum.
        .with_draft(Draft::Draft4)
        .build(&schema)
        .unwrap()
}

/// What all objects have, as far as our files have it. The API server adds it to each schema.
fn metadata() -> Value {
    let name = json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"});
    json!({
        "type": "object",
        "required": ["name", "namespace"],
        "properties": {"name": name, "namespace": name},
        "additionalProperties": false
    })
}

/// A structural schema as JSON Schema: closed where the API server prunes, and with its own
/// keywords spelt out.
fn strict(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else {
        return schema;
    };
    if is_set(&schema, "x-kubernetes-int-or-string") {
        schema.insert("type".to_owned(), json!(["integer", "string"]));
    }
    let open = is_set(&schema, "x-kubernetes-preserve-unknown-fields")
        || schema.contains_key("additionalProperties");
    if !open && (schema.contains_key("properties") || schema.get("type") == Some(&json!("object")))
    {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    if is_set(&schema, "nullable")
        && let Some(of) = schema.get("type").cloned()
    {
        schema.insert("type".to_owned(), json!([of, "null"]));
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            *property = strict(property.take());
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner) {
            *inner = strict(inner.take());
        }
    }
    Value::Object(schema)
}

fn is_set(schema: &Map<String, Value>, keyword: &str) -> bool {
    schema.get(keyword) == Some(&json!(true))
}
