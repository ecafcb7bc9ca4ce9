//! Each API's own answers and streams, and the answers of public reports of wrong counts: they pass
//! byte for byte, and what they used is counted.

use crate::harness::client::Call;
use crate::harness::stack::Stack;
use crate::tokens::{tpm, used};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISO_HDLC, Crc};
use serde_json::{Value, json};

fn stack() -> Stack {
    Stack::start(tpm(1_000_000))
}

fn with_tokens(tokens: Value) -> Stack {
    Stack::start(tpm(1_000_000).with(json!({"tokens": tokens})))
}

/// What a response used that the upstream sends as it is: whole, and in frames of up to 40 bytes.
fn counted(stack: &Stack, account: &str, body: &[u8]) -> [u64; 2] {
    ["100000", "random:40"].map(|frames| {
        let account = format!("{account}-{frames}");
        let call = Call::of(&account, "t")
            .header("x-demo-echo", "application/octet-stream")
            .header("x-demo-chunk-bytes", frames)
            .header("x-demo-chunk-ms", "0")
            .body(body);
        let reply = stack.send(call);
        assert_eq!(reply.status, 200);
        assert!(reply.body == body, "byte for byte: {account}");
        used(stack, &account)
    })
}

fn assert_counts(stack: &Stack, rows: &[(&str, &str, u64)]) {
    for (account, body, tokens) in rows {
        let counted = counted(stack, account, body.as_bytes());
        assert_eq!(counted, [*tokens; 2], "{account}: {body:.300}");
    }
}

#[test]
fn each_dialect_is_read_on_the_wire() {
    assert_counts(
        &stack(),
        &[
            (
                "gemini",
                r#"{"candidates":[],"usageMetadata":{"promptTokenCount":600,"candidatesTokenCount":77,"toolUsePromptTokenCount":40,"thoughtsTokenCount":60,"totalTokenCount":777}}"#,
                777,
            ),
            (
                "gemini-sse",
                "data: {\"candidates\":[{}],\"usageMetadata\":{\"promptTokenCount\":600,\"totalTokenCount\":600}}\r\n\r\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":600,\"candidatesTokenCount\":177,\"totalTokenCount\":777}}\r\n\r\n",
                777,
            ),
            (
                "gemini-array",
                "[{\"candidates\":[{}],\"usageMetadata\":{\"promptTokenCount\":600,\"totalTokenCount\":610}}\n,\r\n{\"usageMetadata\":{\"promptTokenCount\":600,\"candidatesTokenCount\":177,\"totalTokenCount\":777}}\n]\n",
                777,
            ),
            (
                "ollama",
                r#"{"model":"m","message":{"content":"hi"},"done":true,"prompt_eval_count":700,"eval_count":77}"#,
                777,
            ),
            (
                "ollama-lines",
                "{\"response\":\"\\n\",\"done\":false}\n{\"response\":\"\",\"done\":true,\"prompt_eval_count\":700,\"eval_count\":77}\n",
                777,
            ),
            (
                "cohere-1",
                r#"{"text":"hi","meta":{"billed_units":{"input_tokens":700,"output_tokens":77},"tokens":{"input_tokens":900,"output_tokens":77}}}"#,
                777,
            ),
            (
                "cohere-1-lines",
                "{\"is_finished\":false,\"event_type\":\"text-generation\",\"text\":\"h\"}\n{\"is_finished\":true,\"event_type\":\"stream-end\",\"response\":{\"meta\":{\"billed_units\":{\"input_tokens\":700,\"output_tokens\":77}}}}\n",
                777,
            ),
            (
                "cohere-2",
                r#"{"message":{"content":[]},"usage":{"billed_units":{"input_tokens":700,"output_tokens":77},"tokens":{"input_tokens":900,"output_tokens":77}}}"#,
                777,
            ),
            (
                "cohere-2-sse",
                "event: content-delta\ndata: {\"type\":\"content-delta\",\"delta\":{}}\n\nevent: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"usage\":{\"billed_units\":{\"input_tokens\":700,\"output_tokens\":77}}}}\n\n",
                777,
            ),
            (
                "bedrock-converse",
                r#"{"output":{"message":{}},"stopReason":"end_turn","usage":{"inputTokens":600,"cacheReadInputTokens":100,"outputTokens":77,"totalTokens":777}}"#,
                777,
            ),
            (
                "bedrock-nova",
                r#"{"output":{"message":{}},"usage":{"inputTokens":600,"cacheReadInputTokenCount":100,"outputTokens":77}}"#,
                777,
            ),
            (
                "cloudflare",
                r#"{"result":{"response":"hi","usage":{"prompt_tokens":700,"completion_tokens":77}},"success":true,"errors":[]}"#,
                777,
            ),
            (
                "watsonx",
                r#"{"results":[{"generated_text":"hi","generated_token_count":77,"input_token_count":700}]}"#,
                777,
            ),
            (
                "watsonx-sse",
                "id: 1\nevent: message\ndata: {}\n\nid: 2\nevent: message\ndata: {\"results\":[{\"generated_token_count\":0,\"input_token_count\":700}]}\n\nid: 3\nevent: message\ndata: {\"results\":[{\"generated_token_count\":77,\"input_token_count\":0}]}\n\n",
                777,
            ),
            (
                "dashscope",
                r#"{"output":{"text":"hi"},"usage":{"output_tokens":77,"input_tokens":700},"request_id":"x"}"#,
                777,
            ),
            (
                "dashscope-sse",
                "id:1\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":{},\"usage\":{\"output_tokens\":77,\"input_tokens\":700}}\n\n",
                777,
            ),
            (
                "tgi",
                r#"{"generated_text":"hi","details":{"generated_tokens":77,"input_length":700}}"#,
                777,
            ),
            (
                "tgi-sse",
                "data:{\"index\":1,\"token\":{},\"details\":null}\n\ndata:{\"index\":2,\"generated_text\":\"hi\",\"details\":{\"generated_tokens\":77,\"input_length\":700}}\n\n",
                777,
            ),
        ],
    );
}

/// A message of Amazon's event stream.
fn message(kind: &str, payload: &str) -> Vec<u8> {
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let mut headers = Vec::new();
    let content_type = ":content-type";
    for (name, value) in [
        (":event-type", kind),
        (content_type, "application/json"),
        (":message-type", "event"),
    ] {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend(name.bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend(value.bytes());
    }
    let length = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    let mut out = [
        length(16 + headers.len() + payload.len()),
        length(headers.len()),
    ]
    .concat();
    out.extend(crc.checksum(&out).to_be_bytes());
    out.extend(headers);
    out.extend(payload.bytes());
    out.extend(crc.checksum(&out).to_be_bytes());
    out
}

#[test]
fn both_binary_streams_of_bedrock_are_read() {
    let stack = stack();
    let converse = [
        message("messageStart", r#"{"role":"assistant","p":"abc"}"#),
        message(
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"hi"}}"#,
        ),
        message("messageStop", r#"{"stopReason":"end_turn"}"#),
        message(
            "metadata",
            r#"{"metrics":{"latencyMs":1},"usage":{"inputTokens":600,"cacheWriteInputTokens":100,"outputTokens":77,"totalTokens":777}}"#,
        ),
    ]
    .concat();
    assert_eq!(counted(&stack, "converse", &converse), [777; 2]);
    let chunk = |json: &str| {
        let bytes = STANDARD.encode(json);
        message("chunk", &format!(r#"{{"bytes":"{bytes}","p":"ab"}}"#))
    };
    let invoke = [
        chunk(
            r#"{"type":"message_start","message":{"usage":{"input_tokens":700,"output_tokens":1}}}"#,
        ),
        chunk(r#"{"type":"content_block_delta","delta":{"text":"hi"}}"#),
        chunk(r#"{"type":"message_delta","usage":{"output_tokens":77}}"#),
        chunk(
            r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":700,"outputTokenCount":77}}"#,
        ),
    ]
    .concat();
    assert_eq!(counted(&stack, "invoke", &invoke), [777; 2]);
}

#[test]
fn a_list_of_headers_is_summed() {
    let stack = with_tokens(json!({"header": [
        "x-amzn-bedrock-input-token-count", "x-amzn-bedrock-output-token-count"
    ]}));
    let body = r#"{"generation":"hi","prompt_token_count":1}"#;
    let call = Call::of("acme", "t")
        .header("x-demo-body", body)
        .header("x-demo-header", "x-amzn-bedrock-input-token-count: 700")
        .header("x-demo-header", "x-amzn-bedrock-output-token-count: 77");
    stack.send(call);
    assert_eq!(used(&stack, "acme"), 777);
    assert_counts(
        &stack,
        &[("body", r#"{"usage":{"total_tokens":777}}"#, 777)],
    );
}

#[test]
fn the_operator_can_name_places_of_the_usage() {
    let stack = with_tokens(json!({"usage": [
        {"input": "/meters/*/in", "output": "/meters/*/out"},
        {"total": "/a~1b/all"}
    ]}));
    assert_counts(
        &stack,
        &[
            ("each", r#"{"meters":[{"in":700,"out":77}]}"#, 777),
            ("named", r#"{"meters":{"gpu":{"in":700,"out":77}}}"#, 777),
            (
                "largest",
                r#"{"meters":[{"in":700,"out":7},{"in":5,"out":77}]}"#,
                777,
            ),
            ("total", "data: {\"a/b\":{\"all\":777}}\n\n", 777),
            (
                "dialect",
                r#"{"usage":{"prompt_tokens":700,"completion_tokens":77}}"#,
                777,
            ),
        ],
    );
}

const USAGE: &str = r#"{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}"#;

#[test]
fn tokens_outside_of_the_usage_are_counted() {
    let usage = r#"{"input_tokens":23000,"output_tokens":1000,"iterations":[{"type":"compaction","input_tokens":180000,"output_tokens":3500},{"type":"message","input_tokens":23000,"output_tokens":1000}]}"#;
    let message = format!(r#"{{"type":"message","content":[],"usage":{usage}}}"#);
    let delta = format!(
        "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":{{\"input_tokens\":23000,\"output_tokens\":1}}}}}}\n\ndata: {{\"type\":\"message_delta\",\"usage\":{usage}}}\n\ndata: {{\"type\":\"message_stop\"}}\n\n"
    );
    assert_counts(
        &stack(),
        &[
            (
                "total",
                r#"{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":1241}}"#,
                1_241,
            ),
            ("iterations", &message, 207_500),
            ("iterations-sse", &delta, 207_500),
            (
                "tools",
                r#"{"object":"response","output":[],"usage":{"input_tokens":1820,"output_tokens":210,"total_tokens":2030},"tool_usage":{"image_gen":{"output_tokens":7024},"web_search":{"num_requests":0}}}"#,
                9_054,
            ),
            (
                "groq",
                "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"x_groq\":{\"id\":\"q\",\"usage\":{\"prompt_tokens\":2300,\"completion_tokens\":1900,\"total_tokens\":4200}}}\n\ndata: [DONE]\n\n",
                4_200,
            ),
            (
                "later-zeros",
                "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5000,\"output_tokens\":1}}}\n\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":0,\"output_tokens\":15}}\n\n",
                5_015,
            ),
            (
                "cache-inside",
                r#"{"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"cache_creation_input_tokens":0,"cache_read_input_tokens":1920}}"#,
                2_306,
            ),
        ],
    );
}

#[test]
fn a_stream_that_fails_after_its_start_is_charged_by_its_events() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5000,\"output_tokens\":1}}}\n\n";
    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"w\"}}\n\n";
    let error =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    let stream = format!("{start}{}{error}", delta.repeat(300));
    assert_counts(
        &stack(),
        &[
            ("failed", &stream, 5_301),
            ("before-output", &format!("{start}{error}"), 5_000),
            ("alone", error, 0),
            ("json", r#"{"error":{"type":"overloaded_error"}}"#, 0),
        ],
    );
}

/// A client that asks for eight choices and hangs up when the first one has ended.
#[test]
fn a_client_that_leaves_when_one_choice_has_ended_pays_for_all() {
    let stack = stack();
    let chunk = |index: usize, tokens: usize, reason: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":{reason}}}],\"usage\":{{\"prompt_tokens\":10,\"completion_tokens\":{tokens}}}}}\n\n"
        )
    };
    let mut stream: String = (0..100)
        .flat_map(|tokens| (0..8).map(move |index| chunk(index, tokens, "null")))
        .collect();
    stream.push_str(&chunk(0, 100, "\"stop\""));
    let call = Call::of("acme", "t")
        .header("x-demo-echo", "text/event-stream")
        .header("x-demo-chunk-bytes", "40000")
        .header("x-demo-reset-after-chunks", "9")
        .body(format!("{stream}{}", ": \n\n".repeat(100_000)));
    assert!(stack.try_send(call).is_err());
    assert_eq!(used(&stack, "acme"), 811);
}

#[test]
fn a_usage_is_found_however_long_its_neighbours_are() {
    let metadata: Vec<_> = (0..8)
        .map(|n| format!("\"k{n}\":\"{}\"", "v".repeat(512)))
        .collect();
    let metadata = metadata.join(",");
    let response = |output: &str| {
        format!(
            r#"{{"id":"r","object":"response","output":[{output}],"usage":{{"input_tokens":328,"output_tokens":60052,"total_tokens":60380}},"user":null,"metadata":{{{metadata}}}}}"#
        )
    };
    let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(6_000));
    let long = response(&text);
    let completed = format!("data: {{\"type\":\"response.completed\",\"response\":{long}}}\n\n");
    let mcp = response(
        r#"{"type":"mcp_list_tools","tools":[{"name":"a","input_schema":{"properties":{"usage":{"type":"object","input_tokens":1,"output_tokens":1}}}}]}"#,
    );
    let ids = format!(
        r#"{{"choices":[{{"message":{{"content":"{}"}}}}],"usage":{USAGE},"prompt_token_ids":[{}1]}}"#,
        "word ".repeat(1_000),
        "151643,".repeat(1_000)
    );
    let tool = format!(
        r#"{{"id":"m","type":"message","stop_sequence":null,"usage":{{"input_tokens":1000,"output_tokens":500}},"content":[{{"type":"tool_use","input":{{"text":"{}","usage":{{"input_tokens":1,"output_tokens":1}}}}}}],"stop_reason":"tool_use"}}"#,
        "x".repeat(9_000)
    );
    assert_counts(
        &stack(),
        &[
            ("metadata", &long, 60_380),
            ("metadata-sse", &completed, 60_380),
            ("token-ids", &ids, 1_500),
            ("tool-call", &tool, 1_500),
            ("tool-schema", &mcp, 60_380),
        ],
    );
}

#[test]
fn odd_framing_and_odd_texts_void_no_usage() {
    let surrogate =
        format!(r#"{{"choices":[{{"message":{{"content":"hi \ud83d"}}}}],"usage":{USAGE}}}"#);
    let long = surrogate.replace("hi ", &"hi ".repeat(3_500));
    let infinite = format!(r#"{{"choices":[{{"logprobs":[-Infinity]}}],"usage":{USAGE}}}"#);
    let mark = "\u{feff}";
    let marked = format!("{mark}{{\"choices\":[],\"usage\":{USAGE}}}");
    let marked_stream = format!(
        "{mark}data: {{\"type\":\"response.completed\",\"response\":{{\"usage\":{{\"input_tokens\":1000,\"output_tokens\":500}}}}}}\n\n"
    );
    let joined = format!(
        "data: {{\"choices\":[{{}}]}}\ndata: {{\"choices\":[],\"usage\":{USAGE}}}\n\ndata: [DONE]\n\n"
    );
    let joined_end = format!("data: {{\"choices\":[],\"usage\":{USAGE}}}\ndata: [DONE]\n\n");
    assert_counts(
        &stack(),
        &[
            ("surrogate", &surrogate, 1_500),
            ("surrogate-long", &long, 1_500),
            ("infinite", &infinite, 1_500),
            ("marked", &marked, 1_500),
            ("marked-sse", &marked_stream, 1_500),
            ("joined", &joined, 1_500),
            ("joined-end", &joined_end, 1_500),
        ],
    );
}

#[test]
fn a_plain_body_may_name_its_encoding() {
    let stack = stack();
    let body = format!(r#"{{"choices":[],"usage":{USAGE}}}"#);
    for (account, encoding) in [("empty", ""), ("none", "none"), ("utf-8", "utf-8")] {
        let call = Call::of(account, "t")
            .header("x-demo-body", &body)
            .header("x-demo-header", format!("content-encoding: {encoding}"));
        stack.send(call);
        assert_eq!(used(&stack, account), 1_500, "{encoding:?}");
    }
}
