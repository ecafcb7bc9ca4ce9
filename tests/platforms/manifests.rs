//! The YAML files of `envoy/`, as JSON values.

use serde::Deserialize as _;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// One document of a YAML file.
pub struct Document {
    /// Relative to the top of the repository.
    pub file: String,
    pub value: Value,
}

impl Document {
    /// `apiVersion` and `kind` of a Kubernetes object.
    pub fn kind(&self) -> Option<(&str, &str)> {
        Some((self.text("apiVersion")?, self.text("kind")?))
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.value.get(field)?.as_str()
    }
}

/// All documents of the YAML files in that folder and below it.
pub fn documents(folder: &str) -> Vec<Document> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for path in yaml_files(&root.join(folder)) {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(root).unwrap().display().to_string();
        let of_file = |value| Document {
            file: file.clone(),
            value,
        };
        found.extend(values(&file, &text).into_iter().map(of_file));
    }
    found
}

/// The one document of a file that has that kind.
pub fn of_kind(file: &str, kind: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let all = values(file, &fs::read_to_string(path).unwrap());
    let mut matching = all.into_iter().filter(|value| value["kind"] == kind);
    let found = matching
        .next()
        .unwrap_or_else(|| panic!("{file} has no {kind}"));
    assert!(matching.next().is_none(), "{file} has two of {kind}");
    found
}

/// The documents of a YAML text that are not empty.
pub fn values(name: &str, text: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap_or_else(|e| panic!("{name}: {e}")))
        .filter(|value| !value.is_null())
        .collect()
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}
