//! What one file says of another, and what all of them must say alike.

use crate::manifests::{documents, of_kind, values};
use serde_json::Value;

/// The `stats_tags` of a value, wherever they stand, also in text that is YAML or JSON.
fn stats_tags(value: &Value) -> Option<Value> {
    match value {
        Value::Object(fields) => {
            let tags = fields.get("stats_tags").cloned();
            tags.or_else(|| fields.values().find_map(stats_tags))
        }
        Value::Array(items) => items.iter().find_map(stats_tags),
        Value::String(text) if text.contains("stats_tags") => {
            values("text", text).iter().find_map(stats_tags)
        }
        _ => None,
    }
}

#[test]
fn all_files_with_labels_have_the_same() {
    let mut found: Vec<_> = documents("envoy")
        .iter()
        .filter_map(|document| Some((document.file.clone(), stats_tags(&document.value)?)))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let files: Vec<_> = found.iter().map(|(file, _)| file.as_str()).collect();
    for needed in [
        "envoy/envoy.yaml",
        "envoy/gateway/envoy_proxy.yaml",
        "envoy/istio/labels.yaml",
        "envoy/minimal.yaml",
    ] {
        assert!(files.contains(&needed), "{files:?} lacks {needed}");
    }
    let (_, first) = &found[0];
    for (file, tags) in &found {
        assert_eq!(tags, first, "{file}");
    }
}

/// The image of the admin listener is that of the plugin: else there are two modules over one data.
#[test]
fn istios_admin_listener_has_the_plugins_image_namespace_and_pods() {
    let plugin = of_kind("envoy/istio/wasmplugin.yaml", "WasmPlugin");
    let filter = of_kind("envoy/istio/admin.yaml", "EnvoyFilter");
    let patch = &filter["spec"]["configPatches"][0]["patch"]["value"];
    let config = &patch["typed_config"]["config"];
    let uri = &config["vm_config"]["code"]["remote"]["http_uri"]["uri"];
    assert_eq!(*uri, plugin["spec"]["url"]);
    assert_eq!(
        config["vm_config"]["vm_id"],
        Value::Null,
        "Istio's is empty"
    );
    let ours = config["configuration"]["value"].as_str().unwrap();
    let ours: Value = serde_json::from_str(ours).unwrap();
    assert_eq!(
        ours["namespace"],
        plugin["spec"]["pluginConfig"]["namespace"]
    );
    let pods = &filter["spec"]["workloadSelector"]["labels"];
    for file in ["wasmplugin", "authentication", "telemetry"] {
        for document in documents("envoy/istio") {
            if document.file.contains(file) {
                assert_eq!(document.value["spec"]["selector"]["matchLabels"], *pods);
            }
        }
    }
}

/// A patch names filters and listeners that Envoy Gateway makes of the other files.
#[test]
fn the_patches_name_the_policys_filter_on_each_listener_of_the_gateway() {
    let policy = of_kind(
        "envoy/gateway/extension_policy.yaml",
        "EnvoyExtensionPolicy",
    );
    let gateway = of_kind("envoy/gateway/routes.yaml", "Gateway");
    let patches = of_kind("envoy/gateway/patch_policy.yaml", "EnvoyPatchPolicy");
    let name = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap().to_owned();
    let filter = format!(
        "'envoy.filters.http.wasm/envoyextensionpolicy/{}/{}/wasm/0'",
        name(&policy, "namespace"),
        name(&policy, "name")
    );
    let gateway_name = format!("{}/{}", name(&gateway, "namespace"), name(&gateway, "name"));
    let listeners = gateway["spec"]["listeners"].as_array().unwrap();
    let mut wanted: Vec<_> = listeners
        .iter()
        .flat_map(|listener| {
            let listener = format!("{gateway_name}/{}", listener["name"].as_str().unwrap());
            ["failure_policy", "allow_on_headers_stop_iteration"]
                .map(|path| (listener.clone(), path))
        })
        .collect();
    let mut found = Vec::new();
    for patch in patches["spec"]["jsonPatches"].as_array().unwrap() {
        let operation = &patch["operation"];
        assert!(operation["jsonPath"].as_str().unwrap().contains(&filter));
        let listener = patch["name"].as_str().unwrap().to_owned();
        found.push((listener, operation["path"].as_str().unwrap()));
    }
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
}

/// Each header that is a source is taken off and set: nothing that a client says is believed.
#[test]
fn the_gateways_identity_headers_come_from_the_token_alone() {
    let policy = of_kind(
        "envoy/gateway/extension_policy.yaml",
        "EnvoyExtensionPolicy",
    );
    let config = &policy["spec"]["wasm"][0]["config"];
    let sources = ["account", "tier"].map(|of| config[of].as_array().unwrap().clone());
    let mut headers: Vec<_> = sources
        .concat()
        .iter()
        .filter_map(|source| Some(source.get("header")?.as_str()?.to_owned()))
        .collect();
    headers.sort();
    let traffic = of_kind("envoy/gateway/client_traffic.yaml", "ClientTrafficPolicy");
    let removed = &traffic["spec"]["headers"]["earlyRequestHeaders"]["remove"];
    let removed: Vec<String> = serde_json::from_value(removed.clone()).unwrap();
    assert_eq!(removed, headers);
    let security = of_kind("envoy/gateway/security.yaml", "SecurityPolicy");
    let claims = &security["spec"]["jwt"]["providers"][0]["claimToHeaders"];
    let set = claims
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| &claim["header"]);
    assert_eq!(set.collect::<Vec<_>>(), headers.iter().collect::<Vec<_>>());
}
