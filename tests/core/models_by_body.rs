//! The model that a request names in its body.

use crate::harness::{FakeRequest, Worker, World};
use crate::models::{config, families, request};
use serde_json::{Value, json};

pub fn in_body(model: Value) -> Value {
    json!({"model": model, "tokens": {"read_body": true}})
}

#[test]
fn the_body_names_the_model_and_what_cannot_be_read_is_unknown() {
    let tier = json!({"models": {"k2": {"rpm": 1}}});
    let rest = in_body(json!([{"header": "x-model"}, {"body": "model"}, {"body": "/a~1b/c"}]));
    let with = |rule: &str| {
        let config = config(families(), tier.clone()).with(rest.clone());
        let config = config.with(json!({ "unknown_model": rule }));
        Worker::new(&World::new(), config)
    };
    let worker = with("share");
    let log = |request: &FakeRequest| worker.check(request).log_line();
    let of = |body: &str| log(&request("", 1).reading(body));
    let small = "tier=t outcome=admitted model=small";
    let unknown = "tier=t outcome=admitted";
    assert_eq!(of(r#"{"model":"gpt-mini"}"#), small);
    assert_eq!(of(r#"{"a/b":{"c":"gpt-mini"}}"#), small);
    let header = request("gpt-nano", 1).reading(r#"{"model":"kimi-k2"}"#);
    assert_eq!(log(&header), small, "the first source");
    let both = r#"{"model":"kimi-k2","a/b":{"c":"gpt-mini"}}"#;
    assert_eq!(of(both), "tier=t outcome=admitted model=k2");
    for body in [
        r#"{"model":"gpt-mini","model":"gpt-mini"}"#,
        r#"{"model":"gpt-mini","MODEL":"kimi-k2"}"#,
        r#"{"model":7,"a/b":{"c":"gpt-mini"}}"#,
        r#"{"model":"other"}"#,
        "{}",
        "--x\r\n",
    ] {
        assert_eq!(of(body), unknown, "{body}");
    }
    assert_eq!(log(&request("", 1)), unknown, "a body that was not read");

    let refuse = with("refuse");
    for (request, says) in [
        (request("", 1), "can't be read"),
        (request("", 1).reading("{}"), "names no model"),
        (request("", 1).reading(r#"{"model":"x"}"#), "no model \"x\""),
    ] {
        let reply = refuse.refuse(&request);
        assert_eq!((reply.status, reply.code), (404, "model_unknown"));
        assert!(reply.message.contains(says), "{}", reply.message);
    }
    let no_body = FakeRequest {
        ends: true,
        ..request("", 1)
    };
    refuse.admit(&no_body);
    let given = with("k2");
    given.admit(&request("", 1));
    assert_eq!(given.refuse(&request("", 1)).code, "rpm");
}
