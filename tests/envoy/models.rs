//! Families of models on a real Envoy with two workers: limits, weights, money, unknown models.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, Reply};
use crate::harness::stack::{Stack, eventually};
use serde_json::{Value, json};

fn config() -> Config {
    let unlimited = json!({"concurrency": "unlimited", "rpm": "unlimited",
        "tpm": "unlimited", "tpd": "unlimited"});
    let mut paid = unlimited.clone();
    paid["budget"] = json!({"unit": "usd", "per": "month", "limit": "0.05"});
    paid["tpm"] = json!(1_000_000);
    Config::new().with(json!({
        "model": [{"header": "x-model"}, {"path": "/v1beta/models/{model}:*"}],
        "models": [
            {"name": "k2", "match": ["kimi-k2*"], "price": {"input": "1", "output": "1000"}},
            {"name": "mini", "match": ["*-mini"], "price": {"input": 0}, "weights": {"output": 2.5}},
        ],
        "unknown_model": "refuse",
        "usage_path": "/usage",
        "tokens": {"completion": 0, "prompt": 0},
        "tiers": [
            {"name": "free", "recharge": 0, "limits": unlimited, "models": {"k2": {"rpm": 3}}},
            {"name": "paid", "recharge": 1, "limits": paid, "models": {"mini": {"tpm": 1_000}}},
        ],
    }))
}

/// A request of an empty prompt that uses so many output tokens.
fn call(tier: &str, model: &str, output: u32) -> Call {
    let call = Call::of(&format!("account-{tier}"), tier).post("/v1/chat/completions");
    call.header("x-model", model)
        .header("x-demo-completion-tokens", output.to_string())
        .body("{}")
}

fn limit(reply: &Reply) -> Value {
    reply.json()["error"]["limit"].clone()
}

#[test]
fn a_family_is_limited_by_header_and_by_path_over_both_workers() {
    let stack = Stack::start(config());
    let calls = (0..20).map(|_| call("free", "Kimi-K2-0905", 1));
    let replies = stack.send_all(calls);
    let admitted = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(admitted, 3);
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert_eq!(limit(refused)["model"], "k2");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    let by_path = Call::of("account-free", "free").post("/v1beta/models/kimi-k2:generateContent");
    assert_eq!(stack.send(by_path.body("{}")).code(), "rpm");
    for _ in 0..5 {
        assert_eq!(stack.send(call("free", "gpt-mini", 1)).status, 200);
    }
    let stat = ["tiergate_limited", ".tier.free.limit.rpm.model.k2"];
    eventually("the metric", || stack.stat(&stat) == 18);
    let is_logged = |line: &str| stack.access_log().contains(line);
    eventually("the access log", || {
        is_logged("tier=free outcome=limited limit=rpm model=k2")
            && is_logged("tier=free outcome=admitted model=mini")
    });
}

#[test]
fn money_is_counted_to_the_cent_and_weights_count_in_tokens() {
    let stack = Stack::start(config());
    // An output token costs a tenth of a cent.
    let usage = || {
        stack
            .send(Call::of("account-paid", "paid").get("/usage"))
            .json()
    };
    let spent = |spent: &str| {
        eventually(spent, || usage()["limits"]["budget"]["used"] == spent);
    };
    assert_eq!(stack.send(call("paid", "kimi-k2", 31)).status, 200);
    spent("0.04");
    assert_eq!(usage()["limits"]["budget"]["remaining"], "0.01");
    assert_eq!(stack.send(call("paid", "kimi-k2", 19)).status, 200);
    spent("0.06");
    let refused = stack.send(call("paid", "kimi-k2", 1));
    assert_eq!(refused.status, 429);
    let told = limit(&refused);
    assert_eq!(
        (&told["name"], &told["limit"], &told["used"]),
        (&json!("budget"), &json!("0.05"), &json!("0.06"))
    );
    let tpm = || usage()["models"]["mini"]["tpm"]["used"].clone();
    assert_eq!(tpm(), 0);
    let other = |model| {
        Call::of("account-other", "paid")
            .post("/v1/chat/completions")
            .header("x-model", model)
            .header("x-demo-completion-tokens", "100")
            .body("{}")
    };
    assert_eq!(stack.send(other("gpt-mini")).status, 200);
    let usage = || {
        stack
            .send(Call::of("account-other", "paid").get("/usage"))
            .json()
    };
    eventually("weighted tokens", || {
        let usage = usage();
        let mini = usage["models"]["mini"]["tpm"]["used"].as_u64().unwrap();
        // 100 output tokens at 2.5, and the demo's prompt.
        (250..300).contains(&mini) && usage["limits"]["tpm"]["used"] == mini
    });
}

#[test]
fn an_unknown_model_is_a_404_and_no_body_needs_no_model() {
    let stack = Stack::start(config());
    let reply = stack.send(call("free", "gpt-5", 1));
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (404, "model_unknown")
    );
    assert_eq!(reply.json()["error"]["type"], "not_found_error");
    let path = "/v1beta/models/../models/kimi-k2:generateContent";
    let reply = stack.send(Call::of("a", "free").post(path).body("{}"));
    assert_eq!(reply.status, 404, "a path with two readings");
    assert_eq!(
        stack.send(Call::of("a", "free").get("/v1/models")).status,
        200
    );
}

/// The model is in the body, of which 10,000 bytes are read.
fn in_body() -> Stack {
    let config = config().with(json!({
        "model": [{"body": "model"}],
        "tokens": {"read_body": true, "body_limit": 10_000},
    }));
    Stack::with(&Setup::new(config).bodies_while_headers_are_held())
}

#[test]
fn the_body_names_the_model_also_where_it_is_longer_than_what_is_read() {
    let stack = in_body();
    let call = |body: &str| {
        Call::of("account-free", "free")
            .post("/v1/chat/completions")
            .body(body)
    };
    let long = |fields: &str| {
        let text = "x".repeat(700_000);
        format!(r#"{{{fields}"prompt":"{text}"}}"#)
    };
    assert_eq!(stack.send(call(r#"{"model":"kimi-k2"}"#)).status, 200);
    for call in [
        call(&long(r#""model":"Kimi-K2","#)),
        call(&long(r#""model":"kimi-k2-0905","#)).http2(),
    ] {
        assert_eq!(stack.send(call).status, 200);
        let seen = String::from_utf8(stack.seen_body()).unwrap();
        assert!(seen.starts_with(r#"{"model":"#) && seen.len() > 700_000);
    }
    let refused = stack.send(call(r#"{"model":"kimi-k2"}"#));
    assert_eq!(limit(&refused)["model"], "k2");
    assert_eq!(stack.send(call(r#"{"model":"gpt-mini"}"#)).status, 200);
    for (body, why) in [
        ("{}".to_owned(), "none"),
        (r#"{"model":"other"}"#.to_owned(), "unknown"),
        (
            r#"{"model":"gpt-mini","model":"kimi-k2"}"#.to_owned(),
            "twice",
        ),
        (long(""), "behind what is read"),
        (long(r#""model":"gpt-mini","model":"gpt-mini","#), "twice"),
    ] {
        assert_eq!(stack.send(call(&body)).code(), "model_unknown", "{why}");
    }
    let form = call(r#"{"model":"gpt-mini"}"#).header("content-type", "multipart/form-data");
    assert_eq!(stack.send(form).code(), "model_unknown");
    let encoded = call(r#"{"model":"gpt-mini"}"#).header("content-encoding", "gzip");
    assert_eq!(stack.send(encoded).code(), "model_unknown");
}

#[test]
fn the_shipped_tags_make_labels_of_limit_and_model() {
    let tier = "{\"tier\": [{\"header\": \"x-account-tier\"},";
    let models = json!([{"name": "k2", "match": ["k2"]}]).to_string();
    let unlimited = json!({"concurrency": 9, "rpm": 1, "tpm": "unlimited", "tpd": "unlimited"});
    let tiers = json!([{"name": "tier0", "recharge": 0, "limits": unlimited,
        "models": {"k2": {"rpd": 1}}}]);
    let fields = format!("{{\"models\": {models}, \"tiers\": {tiers}, ");
    let model = "\"model\": [{\"header\": \"x-model\"}], ";
    let with = tier.replacen('{', &format!("{fields}{model}"), 1);
    let stack = Stack::of_file_with("envoy/envoy.yaml", &[(tier, &with)]);
    let call = |account: &str, model: &str| {
        let call = Call::of(account, "tier0").post("/v1/chat/completions");
        stack.send(call.header("x-model", model).body("{}")).code()
    };
    assert_eq!([call("a", "k2"), call("a", "k2")], ["", "rpd"]);
    assert_eq!([call("b", ""), call("b", "")], ["", "rpm"]);
    let tier = "namespace=\"tiergate\",tier=\"tier0\"";
    let labels = format!("{tier},limit=");
    for labels in [
        format!("tiergate_limited{{{labels}\"rpd\",model=\"k2\"}} 1"),
        format!("tiergate_limited{{{labels}\"rpm\"}} 1"),
        format!("tiergate_usage_tokens{{{tier},model=\"k2\",kind=\"output\"}}"),
        format!("tiergate_usage_tokens{{{tier},kind=\"output\"}}"),
    ] {
        eventually(&labels, || stack.prometheus().contains(&labels));
    }
}
