//! Istio's shape on a real Envoy: the filter comes by ECDS, with an empty `vm_id` and the config as
//! JSON in a string. `envoy/istio` has the files that these tests take apart.

use crate::harness::bootstrap::{Setup, module};
use crate::harness::client::{Call, Reply};
use crate::harness::stack::{Stack, eventually, fresh_dir};
use crate::manifests::of_kind;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const TYPES: &str = "type.googleapis.com/envoy";

/// Istio 1.29 and before; later names end in `~istio-translated-wasmplugin`.
const NAME: &str = "istio-system.tiergate";

/// A filter that Envoy reads from a file, as it reads it from istiod's agent.
pub struct Discovered {
    name: String,
    file: PathBuf,
}

impl Discovered {
    pub fn new(name: &str, filter: &Value) -> Self {
        let file = fresh_dir().join("ecds.json");
        let name = name.to_owned();
        let discovered = Self { name, file };
        discovered.set(filter);
        discovered
    }

    /// Puts another filter in its place.
    pub fn set(&self, filter: &Value) {
        let resource = json!({"resources": [{
            "@type": format!("{TYPES}.config.core.v3.TypedExtensionConfig"),
            "name": self.name,
            "typed_config": filter
        }]});
        let next = self.file.with_extension("next");
        fs::write(&next, resource.to_string()).unwrap();
        fs::rename(next, &self.file).unwrap();
    }

    /// Its entry in the connection manager.
    pub fn entry(&self) -> Value {
        let url = |of: &str| format!("{TYPES}.extensions.filters.http.{of}");
        json!({"name": self.name, "config_discovery": {
            "config_source": {
                "path_config_source": {"path": self.file},
                "initial_fetch_timeout": "0s",
                "resource_api_version": "V3"
            },
            "type_urls": [url("wasm.v3.Wasm"), url("rbac.v3.RBAC")]
        }})
    }
}

/// What istiod makes of a WasmPlugin; without a config it sends none.
fn plugin(config: Option<&Value>) -> Value {
    let mut of = json!({
        "name": NAME,
        "root_id": "",
        "failure_policy": "FAIL_RELOAD",
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module("tiergate.wasm")}}
        }
    });
    if let Some(config) = config {
        of["configuration"] = json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            // Keys sorted, whole numbers without a point: as jsonpb prints it.
            "value": config.to_string()
        });
    }
    json!({"@type": format!("{TYPES}.extensions.filters.http.wasm.v3.Wasm"), "config": of})
}

/// What the agent puts in the place of a plugin whose image it can't pull.
fn refuses_all() -> Value {
    json!({"@type": format!("{TYPES}.extensions.filters.http.rbac.v3.RBAC"), "rules": {}})
}

/// Writes the claims of a token where Istio's `jwt_authn` has them.
fn claims(payload: &Value) -> Value {
    json!({"name": "envoy.filters.http.set_metadata", "typed_config": {
        "@type": format!("{TYPES}.extensions.filters.http.set_metadata.v3.Config"),
        "metadata": [{
            "metadata_namespace": "envoy.filters.http.jwt_authn",
            "value": {"payload": payload}
        }]
    }})
}

fn shipped() -> Value {
    of_kind("envoy/istio/wasmplugin.yaml", "WasmPlugin")["spec"]["pluginConfig"].clone()
}

fn setup(discovered: &Discovered) -> Setup {
    let mut setup = Setup::new("");
    setup.filters = vec![discovered.entry()];
    setup
}

fn rpm(limit: u64) -> Value {
    let limits =
        json!({"concurrency": "unlimited", "rpm": limit, "tpm": "unlimited", "tpd": "unlimited"});
    json!({"tiers": [{"name": "t", "recharge": "1", "limits": limits}]})
}

/// The limit that an admitted request is told, or the status of a refusal.
fn limit_or_status(reply: &Reply) -> String {
    let limit = reply
        .header("x-ratelimit-limit-requests")
        .map(str::to_owned);
    limit.unwrap_or_else(|| reply.status.to_string())
}

#[test]
fn the_shipped_plugin_counts_in_shadow_mode_and_enforces_with_the_counters_it_has() {
    let discovered = Discovered::new(NAME, &plugin(Some(&shipped())));
    let token = json!({"sub": "acme", "tier": "free"});
    let stack = Stack::with(&setup(&discovered).before(claims(&token)));
    // No header of a client is believed.
    let forged = || Call::of("globex", "paid");
    for _ in 0..4 {
        assert_eq!(stack.send(forged()).status, 200);
    }
    eventually("one would have been refused", || {
        stack.stat(&["tiergate_limited", "tier.free.limit.rpm"]) == 1
    });
    let mut enforced = shipped();
    enforced["mode"] = json!("enforce");
    discovered.set(&plugin(Some(&enforced)));
    eventually("the counters of the trial hold", || {
        stack.send(forged()).code() == "rpm"
    });
}

#[test]
fn a_plugin_without_a_config_has_every_default() {
    let discovered = Discovered::new(NAME, &plugin(None));
    let stack = Stack::with(&setup(&discovered));
    let statuses: Vec<_> = (0..4)
        .map(|_| stack.send(Call::of("acme", "tier0")).status)
        .collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[test]
fn a_bad_first_config_is_a_500_that_the_next_good_one_heals_and_a_later_bad_one_changes_nothing() {
    let discovered = Discovered::new(NAME, &plugin(Some(&rpm(0))));
    let stack = Stack::with(&setup(&discovered));
    let sent = || stack.send(Call::of("acme", "t"));
    for _ in 0..3 {
        assert_eq!(sent().status, 500);
    }
    assert!(
        stack
            .envoy_log()
            .contains("tiergate: config at tiers[0].limits.rpm")
    );
    discovered.set(&plugin(Some(&rpm(500))));
    eventually("healed", || {
        limit_or_status(&sent()) == "500" && sent().status == 200
    });
    discovered.set(&plugin(Some(&json!({"moed": "enforce"}))));
    eventually("the reason", || {
        stack.envoy_log().contains("config at moed")
    });
    assert_eq!(
        (sent().status, limit_or_status(&sent())),
        (200, "500".to_owned())
    );
}

#[test]
fn a_pull_that_fails_is_a_403_on_all_and_counters_begin_anew_after_it() {
    let discovered = Discovered::new(NAME, &plugin(Some(&rpm(2))));
    let stack = Stack::with(&setup(&discovered));
    let status = || stack.send(Call::of("acme", "t")).status;
    assert_eq!([status(), status(), status()], [200, 200, 429]);
    discovered.set(&refuses_all());
    eventually("everything is refused", || status() == 403);
    // The last VM, and with it the data, goes when no worker has the filter any more.
    eventually("the filter is gone", || {
        stack.stat(&["wasm.envoy.wasm.runtime.v8.active"]) == 0
    });
    discovered.set(&plugin(Some(&rpm(2))));
    eventually("the filter is back, with counters at zero", || {
        status() == 200
    });
}

/// The agent gives a new image another file, so this is the way of an upgrade.
#[test]
fn a_new_module_keeps_the_counters() {
    let discovered = Discovered::new(NAME, &plugin(Some(&rpm(2))));
    let stack = Stack::with(&setup(&discovered));
    let sent = || stack.send(Call::of("acme", "t"));
    assert_eq!([sent().status, sent().status], [200, 200]);
    let mut newer = plugin(Some(&rpm(2)));
    let code = json!({"local": {"filename": module("tiergate_trap.wasm")}});
    newer["config"]["vm_config"]["code"] = code;
    discovered.set(&newer);
    let trap = || Call::of("other", "t").header("x-tiergate-trap", "now");
    eventually("the new module runs", || stack.send(trap()).status == 503);
    // Each worker has a VM of its own, so the next request may come to one that is not loaded yet.
    eventually("its VM is loaded again", || {
        let reply = sent();
        assert_ne!(reply.status, 200, "the counters stay");
        reply.status == 429 && reply.code() == "rpm"
    });
}

/// The upgrade to Istio 1.30 gives the filter another name in the listener, and in ECDS.
#[test]
fn the_name_of_istio_1_30_keeps_the_counters() {
    let discovered = Discovered::new(NAME, &plugin(Some(&rpm(2))));
    let stack = Stack::with(&setup(&discovered));
    let sent = || stack.send(Call::of("acme", "t"));
    assert_eq!([sent().status, sent().status], [200, 200]);
    let name = format!("{NAME}~istio-translated-wasmplugin");
    let mut renamed = plugin(Some(&rpm(3)));
    renamed["config"]["name"] = json!(name);
    let renamed = Discovered::new(&name, &renamed);
    stack.reconfigure(&setup(&renamed), true);
    eventually("the third is the last", || sent().code() == "rpm");
    let reply = sent();
    assert_eq!(reply.json()["error"]["limit"]["used"], 3);
}

#[test]
fn the_admin_listener_of_the_envoyfilter_writes_what_the_plugin_reads() {
    let patches = of_kind("envoy/istio/admin.yaml", "EnvoyFilter")["spec"]["configPatches"].clone();
    let mut filter = patches[0]["patch"]["value"].clone();
    let code = json!({"local": {"filename": module("tiergate.wasm")}});
    filter["typed_config"]["config"]["vm_config"]["code"] = code;
    let admin = Discovered::new("tiergate-admin", &filter["typed_config"]);
    let mut config = shipped();
    config["mode"] = json!("enforce");
    let discovered = Discovered::new(NAME, &plugin(Some(&config)));
    let token = json!({"sub": "acme"});
    let mut setup = setup(&discovered).before(claims(&token));
    setup.second = vec![admin.entry()];
    let stack = Stack::with(&setup);
    let sent = || limit_or_status(&stack.send(Call::new()));
    assert_eq!(sent(), "3", "the tier of not_ready");
    let to = stack.listener("second").unwrap();
    let put = || {
        let call = Call::new().method("PUT", "/-/tiergate/accounts/acme");
        let call = call.header("authorization", "Bearer demo");
        stack
            .runtime
            .block_on(call.body(r#"{"tier": "paid"}"#).send(to))
            .unwrap()
    };
    // With the tick after the first request, the API answers by the plugin's tiers.
    eventually("it is written", || put().status == 200);
    assert_eq!(sent(), "200");
}

/// The tags of Istio's bootstrap that are not anchored, and so meet our names, and its matcher.
fn istios_stats() -> Value {
    let tag = |name: &str, regex: &str| json!({"tag_name": name, "regex": regex});
    let prefixes = [
        "reporter=",
        "cluster_manager",
        "listener_manager",
        "server",
        "wasm",
        "component",
        "istio",
    ];
    json!({
        "use_all_default_tags": false,
        "stats_tags": [
            tag("cache", r"(cache\.(.+?)\.)"),
            tag("component", r"(component\.(.+?)\.)"),
            tag("tag", r"(tag\.(.+?);\.)"),
            tag("wasm_filter", r"(wasm_filter\.(.+?)\.)")
        ],
        "stats_matcher": {"inclusion_list": {
            "patterns": prefixes.map(|prefix| json!({"prefix": prefix}))
        }}
    })
}

#[test]
fn istios_stats_have_our_metrics_and_the_bootstrap_override_gives_them_labels() {
    let discovered = Discovered::new(NAME, &plugin(Some(&rpm(2))));
    let mut plain = setup(&discovered);
    plain.stats_config = istios_stats();
    let mut labelled = plain.clone();
    let labels = of_kind("envoy/istio/labels.yaml", "ConfigMap");
    let bootstrap = labels["data"]["custom_bootstrap.json"].as_str().unwrap();
    labelled.envoy_args = vec!["--config-yaml".to_owned(), bootstrap.to_owned()];
    for (setup, line) in [
        (
            plain,
            "tiergate_requests_namespace_tiergate_tier_t_outcome_admitted{} 1",
        ),
        (
            labelled,
            r#"tiergate_requests{namespace="tiergate",tier="t",outcome="admitted"} 1"#,
        ),
    ] {
        let stack = Stack::with(&setup);
        assert_eq!(stack.send(Call::of("acme", "t")).status, 200);
        eventually(line, || stack.prometheus().contains(line));
    }
}
