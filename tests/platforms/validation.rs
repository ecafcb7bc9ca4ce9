//! Each Kubernetes file against the CRDs of each release that has its kind.

use crate::crds::{Release, releases, validator_of};
use crate::manifests::{Document, documents};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::io::Write as _;

/// The first part of the names of the releases that a folder's files are for.
const PRODUCTS: [(&str, &str); 2] = [
    ("envoy/istio", "istio-"),
    ("envoy/gateway", "envoy-gateway-"),
];

/// Kinds of Kubernetes itself, which no CRD has.
const BUILT_IN: [(&str, &str); 1] = [("v1", "ConfigMap")];

#[test]
fn each_file_is_valid_by_the_crds_of_each_release_that_has_its_kind() {
    let Some(releases) = releases() else {
        // Past the capture of a test's output: a skip must be seen.
        let says = "NO FILE WAS CHECKED AGAINST A CRD: TIERGATE_CRDS must name their folder
";
        std::io::stderr().write_all(says.as_bytes()).unwrap();
        return;
    };
    let mut problems = Vec::new();
    for (folder, product) in PRODUCTS {
        let of_product = |release: &&Release| release.name.starts_with(product);
        let releases: Vec<_> = releases.iter().filter(of_product).collect();
        assert!(!releases.is_empty(), "the folder has no CRDs of {product}");
        let documents = documents(folder);
        assert!(!documents.is_empty(), "{folder} is empty");
        for document in &documents {
            problems.extend(problems_of(document, &releases));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn problems_of(document: &Document, releases: &[&Release]) -> Vec<String> {
    let Some((api_version, kind)) = document.kind() else {
        return vec![format!("{}: no Kubernetes object", document.file)];
    };
    if BUILT_IN.contains(&(api_version, kind)) {
        return Vec::new();
    }
    let (mut problems, mut valid) = (Vec::new(), Vec::new());
    for release in releases {
        let Some(validator) = release.validator(api_version, kind) else {
            continue;
        };
        valid.push(release.name.as_str());
        let place = format!("{} ({}, {kind})", document.file, release.name);
        problems.extend(found(&validator, &document.value, &place));
    }
    println!("{}: {kind}: {}", document.file, valid.join(" "));
    if valid.is_empty() {
        problems.push(format!("{}: no release has {kind}", document.file));
    }
    problems
}

fn found(validator: &Validator, value: &Value, place: &str) -> Vec<String> {
    let all = validator.iter_errors(value);
    all.map(|error| format!("{place}: {}: {error}", error.instance_path()))
        .collect()
}

/// The validator would see what the API server refuses.
#[test]
fn wrong_objects_are_seen() {
    let schema = json!({"type": "object", "properties": {"spec": {
        "type": "object",
        "required": ["mode"],
        "properties": {
            "mode": {"type": "string"},
            "kind": {"type": "string", "enum": ["A", "B"]},
            "port": {"x-kubernetes-int-or-string": true},
            "kept": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "none": {"type": "string", "nullable": true},
            "more": {"type": "array", "items": {"type": "object", "properties": {"n": {
                "type": "integer", "minimum": 0, "exclusiveMinimum": true}}}}
        }
    }}});
    let validator = validator_of(schema);
    let metadata = json!({"name": "x", "namespace": "y"});
    let object = |spec: Value| json!({"apiVersion": "g/v1", "kind": "K", "metadata": metadata, "spec": spec});
    let good = [
        json!({"mode": "A", "port": 1, "none": null, "kept": {"any": {"thing": 1}}, "more": [{"n": 1}]}),
        json!({"mode": "B", "port": "http"}),
    ];
    for spec in good {
        assert_eq!(found(&validator, &object(spec), "good"), [""; 0]);
    }
    let bad = [
        json!({"mode": "A", "kind": "C"}),
        json!({}),
        json!({"mode": "A", "moed": "A"}),
        json!({"mode": "A", "port": 1.5}),
        json!({"mode": "A", "more": [{"m": 1}]}),
        json!({"mode": "A", "more": [{"n": 0}]}),
        json!({"mode": null}),
    ];
    for spec in bad {
        assert_eq!(
            found(&validator, &object(spec.clone()), "bad").len(),
            1,
            "{spec}"
        );
    }
    let mut named = object(json!({"mode": "A"}));
    named["metadata"]["name"] = json!("Not_A_Label");
    assert_eq!(found(&validator, &named, "name").len(), 1);
}
