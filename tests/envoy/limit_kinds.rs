//! Limits of each unit and window, with windows that a test can wait for.

use crate::harness::Config;
use crate::harness::client::{Call, Reply};
use crate::harness::stack::Stack;
use serde_json::{Value, json};
use std::time::Duration;

/// A tier for each limit, which is three requests of 100 input and 100 output tokens.
fn tiers() -> Vec<(&'static str, Value)> {
    let object =
        |unit: &str, per: &str, limit: u64| json!({"unit": unit, "per": per, "limit": limit});
    vec![
        ("rps", json!(3)),
        ("rpm", json!(3)),
        ("rph", json!(3)),
        ("rpd", json!(3)),
        ("tpm", json!(600)),
        ("tph", json!(600)),
        ("tpd", json!(600)),
        ("itpm", json!(300)),
        ("itpd", json!(300)),
        ("otpm", json!(300)),
        ("otpd", json!(300)),
        ("requests_1s", object("requests", "1s", 3)),
        ("tokens_week", object("tokens", "week", 600)),
        ("input_month", object("input_tokens", "month", 300)),
        ("output_2s", object("output_tokens", "2s", 300)),
    ]
}

fn start(windows: &Value) -> Stack {
    let tier = |(i, (name, limit)): (usize, (&str, Value))| {
        let mut limits = json!({"concurrency": "unlimited", "rpm": "unlimited",
            "tpm": "unlimited", "tpd": "unlimited"});
        limits[name] = limit;
        json!({"name": name, "recharge": i + 1, "limits": limits})
    };
    let tiers: Vec<_> = tiers().into_iter().enumerate().map(tier).collect();
    Stack::start(Config::new().with(json!({
        "tiers": tiers,
        "windows": windows,
        "tokens": {"settle": "reserve", "completion": 100, "bytes_per_token": 1},
    })))
}

fn send(stack: &Stack, limit: &str) -> Reply {
    let call = Call::of(&format!("account-of-{limit}"), limit).post("/v1/chat/completions");
    stack.send(call.body(vec![b' '; 100]))
}

fn wait_ms(reply: &Reply) -> u64 {
    reply.header("retry-after-ms").unwrap().parse().unwrap()
}

#[test]
fn each_unit_and_window_refuses_at_its_limit_and_admits_as_told() {
    let stack =
        start(&json!({"second": "1s", "minute": "2s", "hour": "3s", "day": {"rolling": "1s"}}));
    let mut longest = 0;
    let mut waits = Vec::new();
    for (name, _) in tiers() {
        // All three and the refusal within the shortest window, or the next try is.
        let refused = loop {
            let replies: Vec<_> = (0..4).map(|_| send(&stack, name)).collect();
            let admitted = replies.iter().filter(|reply| reply.status == 200).count();
            assert!(admitted <= 3, "{name}");
            if let Some(refused) = replies.into_iter().find(|reply| reply.status == 429) {
                break refused;
            }
        };
        assert_eq!(refused.code(), name);
        waits.push((name, wait_ms(&refused)));
        if name != "tokens_week" && name != "input_month" {
            longest = longest.max(wait_ms(&refused));
        }
    }
    let wait = |name: &str| waits.iter().find(|(n, _)| *n == name).unwrap().1;
    assert!((2_002..=7_001).contains(&wait("tokens_week")), "{waits:?}");
    assert!((7_002..=30_001).contains(&wait("input_month")), "{waits:?}");
    std::thread::sleep(Duration::from_millis(longest));
    for (name, _) in tiers() {
        if name != "tokens_week" && name != "input_month" {
            assert_eq!(send(&stack, name).status, 200, "{name}");
        }
    }
}

#[test]
fn calendar_periods_end_with_the_day_the_week_and_the_month_of_the_zone() {
    let stack = start(&json!({"day": {"calendar": "America/Los_Angeles"}}));
    let refused = |name: &str| {
        for _ in 0..3 {
            assert_eq!(send(&stack, name).status, 200);
        }
        let reply = send(&stack, name);
        assert_eq!(reply.code(), name);
        wait_ms(&reply)
    };
    const DAY: u64 = 25 * 3_600_000;
    let (day, week) = (refused("tpd"), refused("tokens_week"));
    assert!(day <= DAY && week <= 7 * DAY, "{day} {week}");
    let month = refused("input_month");
    assert!(month <= 31 * DAY && month + 1_000 >= day, "{month}");
}
