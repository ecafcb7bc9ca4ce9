//! Lines of one millisecond, in every order.

use super::{NEW_YEAR, config, simulate_file, start};
use serde_json::json;

/// Lines of one moment that have each kind of trouble: ends at the beginning, no end, another tier, a
/// refusal, an interim line, and one that is cut.
fn lines() -> Vec<String> {
    let at = NEW_YEAR;
    let start = start(0);
    let usage =
        format!("at={at} reserved=10 input=1 cached=0 cache_write=0 output=2 estimated=true");
    let state = "tier=free outcome=admitted account=acme";
    vec![
        format!("{start} POST / 200 0 DownstreamEnd {state} {usage}\n"),
        format!("{start} POST / 200 - DownstreamEnd {state} {usage}\n"),
        format!(
            "{start} POST / 200 5 DownstreamEnd tier=gone outcome=admitted account=acme {usage}\n"
        ),
        format!(
            "{start} POST / 429 0 DownstreamEnd tier=free outcome=limited limit=rpm account=acme -\n"
        ),
        format!("{start} POST / 200 0 DownstreamEnd {state} at={at}\n"),
    ]
}

fn orders(lines: &[String]) -> Vec<String> {
    if lines.is_empty() {
        return vec![String::new()];
    }
    let each = (0..lines.len()).flat_map(|first| {
        let mut rest = lines.to_vec();
        let line = rest.remove(first);
        orders(&rest)
            .into_iter()
            .map(move |others| format!("{line}{others}"))
    });
    each.collect()
}

#[test]
fn no_order_of_equal_times_panics_or_loses_a_request() {
    let limits = json!({"concurrency": 1, "rpm": 2, "tpm": 15});
    let config = config("orders", limits, json!({}));
    let all = orders(&lines());
    assert_eq!(all.len(), 120);
    for log in all {
        let ran = simulate_file(
            "simulate-orders.log",
            &log,
            &["--config", &config, "--json"],
        );
        assert_eq!(ran.code, 1, "{log}{}", ran.err);
        let said: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let tiers = said["tiers"].as_array().unwrap().iter();
        let requests: u64 = tiers.map(|tier| tier["requests"].as_u64().unwrap()).sum();
        assert_eq!(
            (requests, &said["lines"]["broken"]),
            (4, &1.into()),
            "{log}"
        );
    }
}
