//! `tiergate schema`: the committed schema, and that it takes what the parser takes.

use crate::tiergate;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tiergate::config::json_schema::{defaults, json_schema};
use tiergate::config::{Config, parse};

static SCHEMA: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&json_schema()).unwrap());

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_committed_schema_is_the_one_that_is_printed() {
    let path = root().join("docs/tiergate.schema.json");
    let ran = tiergate(&["schema"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    if std::env::var_os("TIERGATE_BLESS").is_some() {
        std::fs::write(&path, &ran.out).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == ran.out,
        "tiergate schema > docs/tiergate.schema.json"
    );
}

/// The files with this ending below a folder.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == ending) {
                found.push(path);
            }
        }
    }
    found
}

/// The JSON objects that begin behind a fence, a quote or a bracket in some text, and are whole configs.
fn configs_in(text: &str) -> Vec<Value> {
    let starts = text.match_indices('{').map(|(at, _)| at);
    let values = starts.filter_map(|at| {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        values.next()?.ok()
    });
    let is_config = |value: &Value| parse(value.to_string().as_bytes()).is_ok();
    values.filter(is_config).collect()
}

#[test]
fn each_config_of_docs_and_tests_that_the_parser_takes_is_valid() {
    let mut paths = files("docs", "md");
    paths.extend(files("tests/core", "rs"));
    paths.extend(files("tests/cli", "rs"));
    paths.extend(files("envoy", "yaml"));
    paths.push(root().join("README.md"));
    let mut valid = 0;
    for path in paths {
        for config in configs_in(&std::fs::read_to_string(&path).unwrap()) {
            let errors: Vec<_> = SCHEMA.iter_errors(&config).map(|e| e.to_string()).collect();
            assert!(
                errors.is_empty(),
                "{}: {config}: {errors:?}",
                path.display()
            );
            valid += usize::from(config != json!({}));
        }
    }
    assert!(valid > 100, "{valid} configs");
}

/// A config with a field of each part, from the builders of the tests.
pub fn full() -> Value {
    json!({
        "namespace": "prod", "mode": "shadow", "on_fault": {"host": "deny"}, "unpriced": "free",
        "tiers": [{"name": "free", "recharge": "1", "wait": "1s", "mode": "enforce",
            "limits": {"concurrency": 1, "rpm": 3, "tpm": 5000, "tpd": 90000,
                "burst": {"unit": "requests", "per": "10s", "limit": 5}},
            "models": {"k2": {"tpm": 1000}}},
            {"name": "paid", "recharge": "50", "limits": {"concurrency": "unlimited", "rpm": 9,
                "tpm": 9000, "tpd": "unlimited"}}],
        "models": [{"name": "k2", "match": ["kimi-k2*"], "weights": {"cached": 0.1},
            "price": {"input": "0.60"}, "completion": 100}],
        "model": [{"header": "x-model"}], "unknown_model": "k2",
        "account": [{"header": "x-account-id"}, {"address": "source", "ipv6_prefix": 64},
            {"address": "x-forwarded-for", "hop": 2}],
        "tier": [{"header": "x-account-tier"}, "directory"],
        "unknown_tier": "free", "not_ready": "free", "strip_headers": ["x-account-id"],
        "windows": {"minute": "60s", "day": {"calendar": "+08:00"}},
        "tokens": {"bytes_per_token": 3, "context": 9000, "prompt": 10, "completion": 512, "media": 20,
            "read_body": true, "body_limit": 9000, "include_usage": true, "weights": {"output": 2},
            "usage": [{"output": "/meta/out"}], "header": ["x-tokens"]},
        "headers": ["openai"], "errors": "auto", "jitter": "500ms",
        "cors": {"origins": ["https://app.example.com"]},
        "routes": [{"match": {"path": "/healthz"}, "limits": "none"},
            {"match": {"header": {"name": "x-batch"}}, "limits": ["rpm"], "cost": 2}],
        "capacity": {"accounts": 64, "directory": 64}, "voucher": {"at": "5", "amount": "5"},
        "admin": {"path": "/-/tiergate", "tokens": [{"name": "ops", "sha256": "2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea"}]},
        "directory": {"cluster": "billing", "authority": "billing", "path": "/accounts", "interval": "60s"},
        "notices": {"at": [0.8], "to": {"cluster": "hooks", "authority": "hooks", "path": "/notices"}},
        "fleet": {"cluster": "fleet", "authority": "fleet", "on_failure": "deny", "edges": 2},
        "scheduler": {"objective": {"free": "batch"}, "fairness": true},
        "load": {"from": {"header": "x-load"}, "start": 0.5, "full": 0.9, "floor": 0.1, "weights": {"free": 2}},
        "usage_path": "/v1/limits", "usage_names": true, "log_usage": true
    })
}

/// The JSON pointers of all values within.
pub fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                pointers(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(elements) => {
            for (i, value) in elements.iter().enumerate() {
                pointers(value, &format!("{at}/{i}"), found);
            }
        }
        _ => {}
    }
}

fn is_taken(config: &Value) -> bool {
    parse(config.to_string().as_bytes()).is_ok()
}

#[test]
fn an_unknown_field_fails_by_the_schema_wherever_it_stands() {
    let full = full();
    parse(full.to_string().as_bytes()).unwrap();
    assert!(
        SCHEMA.is_valid(&full),
        "{:?}",
        SCHEMA.iter_errors(&full).collect::<Vec<_>>()
    );
    let mut all = Vec::new();
    pointers(&full, "", &mut all);
    // Objects whose names are those of tiers and families: the schema does not know them.
    let names = ["/tiers/0/models", "/load/weights", "/scheduler/objective"];
    let mut tried = 0;
    for pointer in all
        .iter()
        .filter(|pointer| !names.contains(&pointer.as_str()))
    {
        let mut config = full.clone();
        let Some(Value::Object(members)) = config.pointer_mut(pointer) else {
            continue;
        };
        members.insert("made_up".to_owned(), json!("x"));
        assert!(!is_taken(&config), "{pointer}");
        assert!(!SCHEMA.is_valid(&config), "{pointer}");
        tried += 1;
    }
    assert!(tried > 25, "{tried} objects");
}

#[test]
fn a_value_of_a_wrong_type_fails_by_the_schema_wherever_it_stands() {
    let full = full();
    let mut all = Vec::new();
    pointers(&full, "", &mut all);
    let mut passed = Vec::new();
    for pointer in all {
        let written = full.pointer(&pointer).unwrap();
        for wrong in [
            json!(true),
            json!([[]]),
            json!({"made_up": []}),
            json!(7),
            json!("x y"),
        ] {
            if std::mem::discriminant(&wrong) == std::mem::discriminant(written) {
                continue;
            }
            let mut config = full.clone();
            *config.pointer_mut(&pointer).unwrap() = wrong.clone();
            // A list or one text: the type is right, and the text is no name of a header.
            let is_name = pointer == "/tokens/header" && wrong.is_string();
            if !is_taken(&config) && SCHEMA.is_valid(&config) && !is_name {
                passed.push(format!("{pointer}: {wrong}"));
            }
        }
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

/// A copy of the config with another value at a place.
fn with(config: &Value, pointer: &str, value: Value) -> Value {
    let mut config = config.clone();
    *config.pointer_mut(pointer).unwrap() = value;
    config
}

/// Ends of ranges, and the numbers beside them.
const ENDS: [i64; 19] = [
    -1,
    0,
    1,
    2,
    10,
    11,
    16,
    17,
    128,
    129,
    1_000,
    1_001,
    10_000,
    10_001,
    4_194_304,
    16_777_216,
    16_777_217,
    1_000_000_000,
    1_000_000_001,
];

#[test]
fn a_number_has_the_range_of_the_parser_wherever_it_stands() {
    let full = full();
    let mut all = Vec::new();
    pointers(&full, "", &mut all);
    // Bounds that the rest of the config sets: the other end, the unit, and the bytes of a record.
    let by_others = [
        "/load/start",
        "/load/full",
        "/tiers/0/limits/burst/limit",
        "/tiers/0/limits/concurrency",
    ];
    let is_number = |at: &&String| {
        full.pointer(at).is_some_and(Value::is_number) && !by_others.contains(&at.as_str())
    };
    let mut differ = Vec::new();
    for pointer in all.iter().filter(is_number) {
        let shares = [json!(0.001), json!(0.5), json!(1.0), json!(1.001)];
        for value in ENDS.map(Value::from).into_iter().chain(shares) {
            let config = with(&full, pointer, value.clone());
            if is_taken(&config) != SCHEMA.is_valid(&config) {
                differ.push(format!("{pointer}: {value}"));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn a_list_is_as_long_as_the_parser_takes_it() {
    let full = full();
    for (pointer, least, most) in [
        ("/tiers", 1_usize, 64_usize),
        ("/models", 0, 32),
        ("/models/0/match", 1, 16),
        ("/model", 0, 8),
        ("/account", 1, 8),
        ("/tier", 0, 8),
        ("/routes", 0, 64),
        ("/tokens/usage", 0, 16),
        ("/admin/tokens", 1, 16),
        ("/notices/at", 1, 8),
    ] {
        let one = full.pointer(&format!("{pointer}/0")).unwrap();
        let of = |length: usize| with(&full, pointer, json!(vec![one; length]));
        let too_short = least.checked_sub(1);
        for length in [too_short, most.checked_add(1)].into_iter().flatten() {
            assert!(!SCHEMA.is_valid(&of(length)), "{pointer}: {length}");
            assert!(!is_taken(&of(length)), "{pointer}: {length}");
        }
        for length in [least, most.min(64)] {
            assert!(SCHEMA.is_valid(&of(length)), "{pointer}: {length}");
        }
    }
}

#[test]
fn each_default_says_what_nothing_says() {
    let of = |config: &Value| {
        let parsed = parse(config.to_string().as_bytes()).unwrap();
        Config {
            digest: String::new(),
            shareable: String::new(),
            ..parsed
        }
    };
    let nothing = of(&json!({}));
    for (path, default) in defaults() {
        let config = match path.split_once('.') {
            Some((part, name)) => json!({part: {name: default}}),
            None => json!({path: default}),
        };
        assert_eq!(of(&config), nothing, "{path}");
        assert!(SCHEMA.is_valid(&config), "{path}");
        let schema = json_schema().to_string();
        assert!(
            schema.contains(&format!("\"default\":{}", config_default(&config, path))),
            "{path}"
        );
    }
}

fn config_default(config: &Value, path: &str) -> Value {
    let pointer = format!("/{}", path.replace('.', "/"));
    config.pointer(&pointer).unwrap().clone()
}
