//! A config as a `google.protobuf.Struct`, which Envoy hands over in its wire form.

use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::Stack;
use serde_json::json;
use std::process::Command;

#[test]
fn a_config_can_be_written_as_yaml_in_place_of_a_string() {
    let limits = json!({"concurrency": "unlimited", "rpm": 2, "tpm": 9_007_199_254_740_991_i64,
        "tpd": "unlimited"});
    let tiers = json!([{"name": "t", "recharge": 1, "limits": limits}]);
    let mut setup = Setup::new("");
    setup.filters[0]["typed_config"]["config"]["configuration"] = json!({
        "@type": "type.googleapis.com/google.protobuf.Struct",
        "value": {
            "namespace": "by-struct",
            "tiers": tiers,
            "headers": ["openai"],
            "account": [{"property": ["none", "such"]}, {"header": "x-account-id"}],
            "tokens": {"completion": 1_000.0, "read_body": false, "weights": {"output": 1.5}}
        }
    });
    let stack = Stack::with(&setup);
    for left in ["1", "0"] {
        let reply = stack.send(Call::of("acme", "t"));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some(left));
        let tokens = reply.header("x-ratelimit-limit-tokens");
        assert_eq!(tokens, Some("9007199254740991"));
    }
    assert_eq!(stack.send(Call::of("acme", "t")).code(), "rpm");
}

/// Envoy's reader of YAML takes 010 for 8 and off for false; a check that took them otherwise would
/// pass what Envoy refuses.
#[test]
fn scalars_without_quotes_are_what_the_command_line_reads() {
    let file = "tests/envoy/plain_scalars.yaml";
    let stack = Stack::of_file(file);
    let reply = stack.send(Call::of("acme", "t"));
    let limit = |name: &str| reply.header(&format!("x-ratelimit-limit-{name}"));
    assert_eq!(
        (limit("requests"), limit("tokens")),
        (Some("8"), Some("2147483647"))
    );
    let ran = Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(["explain", "--tier", "t", "--config", file])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    for limit in [
        "16 concurrent requests",
        "8 requests per minute",
        "2,147,483,647 tokens per minute",
    ] {
        assert!(said.contains(limit), "{said}");
    }
}
