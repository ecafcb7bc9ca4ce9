//! Plain responses of each API, cached tokens, and usage in a header or a trailer.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::Stack;
use crate::tokens::{tpm, used};
use serde_json::{Value, json};

/// The config of [`tpm`] with more in its `tokens`.
fn with_tokens(more: Value) -> Config {
    tpm(1_000_000).with(json!({"tokens": more}))
}

fn says(account: &str, body: &str) -> Call {
    Call::of(account, "t").header("x-demo-body", body)
}

#[test]
fn each_api_is_understood_by_what_it_says() {
    let stack = Stack::start(tpm(1_000_000));
    for (account, body) in [
        (
            "chat",
            r#"{"choices":[],"usage":{"prompt_tokens":700,"completion_tokens":77,"total_tokens":777}}"#,
        ),
        (
            "completions",
            r#"{"object":"text_completion","usage":{"prompt_tokens":700,"completion_tokens":77}}"#,
        ),
        (
            "embeddings",
            r#"{"object":"list","data":[],"usage":{"prompt_tokens":777,"total_tokens":777}}"#,
        ),
        (
            "responses",
            r#"{"object":"response","output":[],"usage":{"input_tokens":700,"output_tokens":77}}"#,
        ),
        (
            "anthropic",
            r#"{"type":"message","content":[],"usage":{"input_tokens":600,"cache_creation_input_tokens":60,"cache_read_input_tokens":40,"output_tokens":77}}"#,
        ),
        (
            "gemini",
            r#"{"candidates":[],"usageMetadata":{"promptTokenCount":600,"candidatesTokenCount":77,"thoughtsTokenCount":100,"totalTokenCount":777}}"#,
        ),
        (
            "gemini-stream",
            "data: {\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":600,\"totalTokenCount\":600}}\r\n\r\ndata: {\"usageMetadata\":{\"promptTokenCount\":600,\"candidatesTokenCount\":177,\"totalTokenCount\":777}}\r\n\r\n",
        ),
        (
            "groq",
            "data: {\"choices\":[],\"x_groq\":{\"id\":\"q\",\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":77,\"total_tokens\":777}}}\n\ndata: [DONE]\n\n",
        ),
        (
            "cloudflare",
            r#"{"result":{"response":"hi","usage":{"prompt_tokens":700,"completion_tokens":77}},"success":true}"#,
        ),
        (
            "byte-order-mark",
            "\u{feff}{\"choices\":[],\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":77}}",
        ),
    ] {
        // A header can't carry the lines of a stream.
        let echo = Call::of(account, "t").header("x-demo-echo", "application/json");
        stack.send(echo.body(body));
        assert_eq!(used(&stack, account), 777, "{body}");
    }
}

#[test]
fn cached_tokens_are_free_where_the_operator_says_so() {
    let open_ai = r#"{"usage":{"prompt_tokens":700,"completion_tokens":77,"prompt_tokens_details":{"cached_tokens":600}}}"#;
    let anthropic =
        r#"{"usage":{"input_tokens":100,"cache_read_input_tokens":600,"output_tokens":77}}"#;
    for (cached, tokens) in [("count", 777), ("free", 177)] {
        let stack = Stack::start(with_tokens(json!({"cached": cached})));
        stack.send(says("open-ai", open_ai));
        stack.send(says("anthropic", anthropic));
        assert_eq!(used(&stack, "open-ai"), tokens);
        assert_eq!(used(&stack, "anthropic"), tokens);
    }
}

#[test]
fn a_response_header_or_trailer_can_say_the_tokens() {
    let config = with_tokens(json!({"header": "X-Used-Tokens"}));
    let stack = Stack::with(&Setup::new(&config).http2_upstream());
    let body = r#"{"usage":{"total_tokens":5}}"#;
    let header = |account: &str, line: &str| says(account, body).header("x-demo-header", line);
    stack.send(header("header", "x-used-tokens: 777"));
    assert_eq!(used(&stack, "header"), 777);
    stack.send(header("nonsense", "x-used-tokens: many"));
    assert_eq!(used(&stack, "nonsense"), 5, "the body is asked then");
    let trailer = says("trailer", body).header("x-demo-trailer", "x-used-tokens: 777");
    stack.send(trailer);
    assert_eq!(used(&stack, "trailer"), 777);
}

#[test]
fn upstreams_are_not_asked_for_encoded_bodies_unless_the_operator_wants_them() {
    let call = || Call::of("acme", "t").header("accept-encoding", "gzip, br");
    let stack = Stack::start(tpm(1_000_000));
    stack.send(call());
    assert_eq!(stack.seen()["accept-encoding"], serde_json::json!(null));
    let stack = Stack::start(with_tokens(json!({"identity": false})));
    stack.send(call());
    assert_eq!(
        stack.seen()["accept-encoding"],
        serde_json::json!(["gzip, br"])
    );
    // An encoded body can't be read: the reserve stands.
    let encoded = says("encoded", r#"{"usage":{"total_tokens":5}}"#)
        .header("x-demo-header", "content-encoding: gzip");
    stack.send(encoded);
    assert_eq!(used(&stack, "encoded"), 100);
}

#[test]
fn a_response_without_a_body_used_nothing() {
    let stack = Stack::start(tpm(1_000_000));
    stack.send(Call::of("head", "t").head("/v1/models"));
    stack.send(says("no-content", "").header("x-demo-status", "204"));
    assert_eq!((used(&stack, "head"), used(&stack, "no-content")), (0, 0));
}
