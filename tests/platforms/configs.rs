//! Our config in each file of `envoy/`, loaded as the filter loads it.

use crate::manifests::{documents, of_kind};
use serde_json::Value;

/// The configs in a value, each as the bytes that the filter gets.
fn configs_in(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(configuration) = fields.get("configuration") {
                found.extend(configuration["value"].as_str().map(str::to_owned));
            }
            // Istio and Envoy Gateway make JSON of these, and send it as a StringValue.
            let of_control_plane = match fields {
                _ if fields.contains_key("pluginConfig") => fields.get("pluginConfig"),
                _ if fields.contains_key("rootID") => fields.get("config"),
                _ => None,
            };
            found.extend(of_control_plane.map(Value::to_string));
            fields.values().for_each(|value| configs_in(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| configs_in(value, found)),
        _ => {}
    }
}

/// All configs of a file, by the word that a Kubernetes file's object has in its kind.
fn configs_of(folder: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for document in documents(folder) {
        let mut found = Vec::new();
        configs_in(&document.value, &mut found);
        all.extend(
            found
                .into_iter()
                .map(|config| (document.file.clone(), config)),
        );
    }
    all
}

#[test]
fn each_config_of_an_example_is_one_that_the_filter_takes() {
    let configs = configs_of("envoy");
    let mut wrong = Vec::new();
    for (file, config) in &configs {
        println!("{file}: {} bytes", config.len());
        if let Err(error) = tiergate::config::parse(config.as_bytes()) {
            wrong.push(format!("{file}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let of = |part: &str| {
        configs
            .iter()
            .filter(|(file, _)| file.contains(part))
            .count()
    };
    assert_eq!(
        of("envoy/istio/"),
        3,
        "WasmPlugin, TrafficExtension, EnvoyFilter"
    );
    assert_eq!(of("envoy/gateway/"), 1);
    assert!(of("envoy/identity/") >= 8);
    assert!(of("envoy/envoy.yaml") == 2);
}

#[test]
fn a_config_that_the_filter_refuses_would_be_seen() {
    let yaml =
        "spec: {wasm: [{rootID: a, config: {mode: shdaow}}, {pluginConfig: {moed: enforce}}]}";
    let mut found = Vec::new();
    for value in crate::manifests::values("x", yaml) {
        configs_in(&value, &mut found);
    }
    assert_eq!(found.len(), 2);
    for config in found {
        assert!(
            tiergate::config::parse(config.as_bytes()).is_err(),
            "{config}"
        );
    }
}

#[test]
fn both_resources_of_istio_have_the_same_config_and_place() {
    let plugin = of_kind("envoy/istio/wasmplugin.yaml", "WasmPlugin")["spec"].clone();
    let extension =
        of_kind("envoy/istio/trafficextension.yaml", "TrafficExtension")["spec"].clone();
    for field in ["pluginConfig", "url", "failStrategy", "imagePullPolicy"] {
        assert_eq!(plugin[field], extension["wasm"][field], "{field}");
        assert!(!plugin[field].is_null(), "{field}");
    }
    for field in ["selector", "phase", "match"] {
        assert_eq!(plugin[field], extension[field], "{field}");
    }
}

/// The first rollout refuses nobody.
#[test]
fn the_kubernetes_files_begin_in_shadow_mode() {
    let traffic = |(file, config): &(String, String)| {
        let config: Value = serde_json::from_str(config).unwrap();
        (!file.ends_with("istio/admin.yaml")).then(|| (file.clone(), config["mode"].clone()))
    };
    let modes = ["envoy/istio", "envoy/gateway"].map(configs_of).concat();
    for (file, mode) in modes.iter().filter_map(traffic) {
        assert_eq!(mode, "shadow", "{file}");
    }
}
