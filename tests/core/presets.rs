//! The presets of vendors, each against the example that the vendor documents.

use crate::harness::{FakeRequest, Used, Worker, World, line};
use serde_json::{Value, json};
use std::sync::Arc;
use tiergate::tokens::consumed::Consumed;
use tiergate::tokens::rates::TokenCounts;

const KIMI: &str = include_str!("../../src/bin/tiergate/preset/kimi.json");
const OPENAI: &str = include_str!("../../src/bin/tiergate/preset/openai.json");
const ANTHROPIC: &str = include_str!("../../src/bin/tiergate/preset/anthropic.json");
const GEMINI: &str = include_str!("../../src/bin/tiergate/preset/gemini.json");
const GROQ: &str = include_str!("../../src/bin/tiergate/preset/groq.json");

/// The preset with these numbers filled in, all others without a limit, and the tier in a header.
fn filled(preset: &str, numbers: &[(&str, u64)]) -> Value {
    let mut config: Value = serde_json::from_str(preset).unwrap();
    for tier in config["tiers"].as_array_mut().unwrap() {
        for (name, limit) in tier["limits"].as_object_mut().unwrap() {
            let number = numbers.iter().find(|(known, _)| known == name);
            if *limit == "FILL" {
                *limit = number.map_or(json!("unlimited"), |(_, number)| json!(number));
            }
        }
    }
    config["tier"] = json!([{"header": "x-account-tier"}]);
    config
}

fn worker(config: &Value) -> (Arc<World>, Worker) {
    let world = World::new();
    let worker = Worker::new(&world, config);
    (world, worker)
}

/// A request whose body asks for so many tokens of output, after so many of input.
fn request(tier: &str, input: usize, output: u64) -> FakeRequest {
    let body = json!({"model": "m", "max_completion_tokens": output, "prompt": ""}).to_string();
    let text = "x".repeat((input * 4).saturating_sub(body.len()));
    let body = body.replace("\"prompt\":\"\"", &format!("\"prompt\":\"{text}\""));
    let tokens = u64::try_from(body.len()).unwrap() / 4;
    FakeRequest::of("acme", tier, tokens).reading(body)
}

/// How many of such requests in a row are admitted, each of which uses what is said.
fn admitted(worker: &Worker, request: &FakeRequest, used: Consumed) -> usize {
    (0..10_000)
        .take_while(|_| match worker.check(request).next {
            crate::harness::Next::Forward(pass) => {
                worker.settle(pass.admission.unwrap(), used);
                true
            }
            _ => false,
        })
        .count()
}

#[test]
fn nothing_is_in_force_before_the_numbers_are_filled_in() {
    for preset in [OPENAI, ANTHROPIC, GEMINI, GROQ] {
        let error = tiergate::config::parse(preset.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("\"FILL\""), "{error}");
        let whole = preset.replace("\"FILL\"", "1000");
        tiergate::config::parse(whole.as_bytes()).unwrap();
    }
}

/// platform.moonshot.ai, "Recharge and Rate Limits": the table is that of the defaults.
#[test]
fn kimis_table_is_exact_and_a_request_counts_what_it_asks_for() {
    let preset = tiergate::config::parse(KIMI.as_bytes()).unwrap();
    let defaults = tiergate::config::parse(b"").unwrap();
    assert_eq!(preset.tiers, defaults.tiers);
    assert_eq!(preset.voucher, defaults.voucher);
    // The prompt and `max_completion_tokens` count, whatever the response used: 1,500,000 a day.
    let (world, worker) = worker(&serde_json::from_str(KIMI).unwrap());
    let request = request("tier0", 50_000, 200_000);
    let mut all = 0;
    for _ in 0..10 {
        all += admitted(&worker, &request, Used::Tokens(10).into());
        world.pass_ms(61_000);
    }
    assert_eq!(all, 6, "each counts 250,000");
    assert_eq!(worker.refuse(&request).code, "tpd");
}

/// OpenAI, "Rate limits": with an RPM of 20 and a TPM of 150k, 20 requests of 100 tokens are the limit.
#[test]
fn openais_requests_are_used_up_before_its_tokens() {
    let config = filled(OPENAI, &[("rpm", 20), ("tpm", 150_000)]);
    let (_, worker) = worker(&config);
    let request = request("tier1", 50, 50);
    assert_eq!(admitted(&worker, &request, Used::Tokens(100).into()), 20);
    let refused = worker.refuse(&request);
    assert_eq!(refused.code, "rpm");
    assert_eq!(line(&refused, "x-ratelimit-limit-requests"), Some("20"));
}

/// Anthropic, "Rate limits": with an ITPM of 2,000,000 and 80 % of the input from the cache, 10,000,000
/// tokens of input a minute.
#[test]
fn anthropics_input_from_the_cache_is_free() {
    let config = filled(ANTHROPIC, &[("rpm", 4_000), ("tpm", 2_000_000)]);
    let (_, worker) = worker(&config);
    let used = Consumed {
        used: Used::Tokens(10_100),
        input: Some(TokenCounts {
            input: 2_000,
            cached: 8_000,
            cache_write: 0,
            output: 0,
        }),
    };
    let all = admitted(&worker, &request("tier4", 10_000, 100), used);
    // A request reserves all of its input, so the last four do not fit.
    assert_eq!(all * 10_000, 9_960_000);
    let refused = worker.refuse(&request("tier4", 10_000, 100));
    assert_eq!(refused.code, "tpm");
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["error"]["type"], "rate_limit_error");
}

/// Gemini, "Rate limits": with an RPM of 20, the 21st request within a minute is refused, whatever the
/// TPM; and the requests of a day end at midnight, Pacific time.
#[test]
fn geminis_day_is_that_of_the_pacific() {
    let config = filled(GEMINI, &[("rpm", 20), ("rpd", 60), ("itpm", 1_000_000)]);
    let (world, worker) = worker(&config);
    let request = request("tier1", 50, 50);
    // 2026-07-01T23:50:00-07:00.
    world.set_wall_ms(1_782_975_000_000);
    assert_eq!(admitted(&worker, &request, Used::Tokens(100).into()), 20);
    assert_eq!(worker.refuse(&request).code, "rpm");
    for _ in 0..2 {
        world.pass_ms(61_000);
        assert_eq!(admitted(&worker, &request, Used::Tokens(100).into()), 20);
    }
    world.pass_ms(61_000);
    let refused = worker.refuse(&request);
    assert_eq!(refused.code, "rpd");
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["error"]["status"], "RESOURCE_EXHAUSTED");
    world.pass_ms(7 * 60_000);
    assert_eq!(admitted(&worker, &request, Used::Tokens(100).into()), 20);
}

/// Groq, "Rate limits": with an RPM of 50 and a TPM of 200K, 50 requests of 100 tokens are the limit.
#[test]
fn groqs_requests_are_used_up_before_its_tokens() {
    let numbers = [("rpm", 50), ("rpd", 14_400), ("tpm", 200_000)];
    let (_, worker) = worker(&filled(GROQ, &numbers));
    let request = request("free", 50, 50);
    assert_eq!(admitted(&worker, &request, Used::Tokens(100).into()), 50);
    let refused = worker.refuse(&request);
    assert_eq!(refused.code, "rpm");
    // Groq's headers on requests are those of the day.
    assert_eq!(line(&refused, "x-ratelimit-limit-requests"), Some("14400"));
    assert_eq!(line(&refused, "x-ratelimit-limit-tokens"), Some("200000"));
}
