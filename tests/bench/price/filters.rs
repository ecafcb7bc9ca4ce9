//! The filters that are compared, and the plugin configs of tiergate.

use crate::bootstrap::wasm_filter;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The accounts that the ledger is laid out for.
const ACCOUNTS: u32 = 4096;
/// The pages of such a ledger.
const PAGES: u32 = ACCOUNTS / 8;
/// A limit that nothing here reaches.
const PLENTY: u64 = 9_000_000_000_000;

/// A wasm filter that may get bodies while it holds headers, as `read_body` needs it.
fn wasm(name: &str, module: &str, config: &str) -> Value {
    let mut filter = wasm_filter(name, module, config);
    filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] = json!(true);
    filter
}

/// A wasm filter without a line of code.
pub fn empty() -> Value {
    wasm("empty", "empty_filter.wasm", "")
}

/// The host calls of an admitted request, spread over as many pages as the ledger has.
pub fn bare() -> Value {
    wasm("bare", "bare_calls.wasm", &PAGES.to_string())
}

/// The same calls, all on one page.
pub fn bare_on_one_page() -> Value {
    wasm("bare", "bare_calls.wasm", "1")
}

/// tiergate under that config; the path of a module is absolute, or relative to `dist/`.
pub fn tiergate(module: &Path, config: &Value) -> Value {
    wasm("tiergate", module.to_str().unwrap(), &config.to_string())
}

/// A config that admits everything, with these rate-limit headers.
pub fn admits(window: Duration, headers: &[&str]) -> Value {
    config(window, PLENTY, headers)
}

/// A config that admits one request of each account a minute, and refuses all others. With a
/// short window it would admit too many of them.
pub fn refuses(headers: &[&str]) -> Value {
    config(Duration::from_secs(60), 1, headers)
}

/// That config with more fields, or others.
pub fn with(mut config: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// That config with settlements that join the next write of their page.
pub fn joins(config: Value) -> Value {
    with(config, &json!({"tokens": {"join": true}}))
}

fn config(window: Duration, rpm: u64, headers: &[&str]) -> Value {
    let limits = json!({"concurrency": 100_000, "rpm": rpm, "tpm": PLENTY, "tpd": "unlimited"});
    json!({
        "headers": headers,
        "windows": {"minute": format!("{}ms", window.as_millis())},
        "capacity": {"accounts": ACCOUNTS},
        "tiers": [{"name": "t", "recharge": 1, "limits": limits}]
    })
}

/// Envoy's own limiter in the worker, with one token bucket for all requests.
pub fn local_rate_limit() -> Value {
    json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "local",
            "token_bucket": bucket(),
            "filter_enabled": {"default_value": {"numerator": 100}},
            "filter_enforced": {"default_value": {"numerator": 100}}
        }
    })
}

/// Envoy's own limiter in the worker, with a token bucket for each account.
pub fn local_rate_limit_by_account() -> Value {
    let mut filter = local_rate_limit();
    let config = &mut filter["typed_config"];
    config["rate_limits"] = json!([{"actions": [
        {"request_headers": {"header_name": "x-account-id", "descriptor_key": "account"}}
    ]}]);
    config["descriptors"] = json!([{"entries": [{"key": "account"}], "token_bucket": bucket()}]);
    config["max_dynamic_descriptors"] = json!(ACCOUNTS);
    filter
}

fn bucket() -> Value {
    let tokens = 1_000_000_000;
    json!({"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "1s"})
}
