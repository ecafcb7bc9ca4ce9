//! A browser's script of another origin, with Envoy's CORS filter behind ours, as Istio has it.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::stack::{Stack, root};
use crate::page::chromium;
use crate::ports::free_port;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Command;

/// What a script of that port can read, with and without `cors` in the config.
fn seen(browser: &std::path::Path, port: u16, cors: &Value) -> Value {
    let mut setup = Setup::new(Config::tier("t").rpm(1).with(cors.clone()));
    let types = "type.googleapis.com/envoy.extensions.filters.http.cors.v3";
    setup.filters.push(json!({"name": "envoy.filters.http.cors",
        "typed_config": {"@type": format!("{types}.Cors")}}));
    let policy = json!({
        "@type": format!("{types}.CorsPolicy"),
        "allow_origin_string_match": [{"exact": format!("http://127.0.0.1:{port}")}],
        "allow_methods": "POST", "allow_headers": "content-type,x-account-id,x-account-tier",
        "expose_headers": "x-ratelimit-remaining-requests",
    });
    setup.manager = json!({"route_config": {"virtual_hosts": [{"name": "llm", "domains": ["*"],
        "typed_per_filter_config": {"envoy.filters.http.cors": policy},
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "llm"}}]}]}});
    let stack = Stack::with(&setup);
    let output = Command::new(root().join(".tools/bin/python"))
        .arg(root().join("tests/envoy/browser.py"))
        .arg(browser)
        .args([stack.proxy.to_string(), port.to_string()])
        .output()
        .expect("make test installs the browser's driver");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_browser_reads_refusals_where_the_cors_filter_comes_later() {
    let Some(browser) = chromium() else {
        let says = "a script in a browser: skipped, no Chromium; install one, or set CHROMIUM";
        writeln!(std::io::stderr(), "{says}").unwrap();
        return;
    };
    let port = free_port();
    let origins = json!({"cors": {"origins": [format!("http://127.0.0.1:{port}")]}});
    let seen_with = seen(&browser, port, &origins);
    assert_eq!(
        seen_with["served"]["status"], 200,
        "the preflight passes: {seen_with}"
    );
    assert_eq!(seen_with["served"]["remaining"], "0");
    let limited = &seen_with["limited"];
    assert_eq!(
        (&limited["status"], &limited["code"]),
        (&json!(429), &json!("rpm"))
    );
    assert!(
        limited["wait"].is_string() && limited["remaining"] == "0",
        "{limited}"
    );
    let codes = [
        ("nobody", 401, "account_missing"),
        ("stranger", 403, "tier_unknown"),
    ];
    for (who, status, code) in codes {
        let reply = &seen_with[who];
        assert_eq!(
            (&reply["status"], &reply["code"]),
            (&json!(status), &json!(code))
        );
    }
    let port = free_port();
    let without = seen(&browser, port, &json!({}));
    assert_eq!(
        without["served"]["status"], 200,
        "the preflight needs no config: {without}"
    );
    for who in ["limited", "nobody", "stranger"] {
        assert_eq!(without[who], "blocked");
    }
}
