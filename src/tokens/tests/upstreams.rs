//! Responses as upstreams really send them: the shapes of public reports of wrong counts, with
//! made-up numbers.

use super::{read, read_in};
use crate::tokens::consumed::{Streamed, Used};

const USAGE: &str = r#"{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}"#;

fn assert_counts(cases: &[(&str, u64)]) {
    for (body, tokens) in cases {
        for size in [1, 3, 64, 1_000_000] {
            let used = read_in(body.as_bytes(), size);
            assert_eq!(
                used,
                Used::Tokens(*tokens),
                "in pieces of {size}: {body:.300}"
            );
        }
    }
}

#[test]
fn tokens_outside_of_the_usage_are_counted() {
    assert_counts(&[
        (
            r#"{"type":"message","content":[],"usage":{"input_tokens":23000,"output_tokens":1000,"iterations":[{"type":"compaction","input_tokens":180000,"output_tokens":3500},{"type":"message","input_tokens":23000,"output_tokens":1000}]}}"#,
            207_500,
        ),
        (
            r#"{"object":"response","output":[],"usage":{"input_tokens":1820,"output_tokens":210,"total_tokens":2030},"tool_usage":{"image_gen":{"output_tokens":7024}}}"#,
            9_054,
        ),
        (
            "data: {\"type\":\"response.completed\",\"response\":{\"tool_usage\":{\"a\":{\"input_tokens\":1},\"b\":{\"output_tokens\":2}},\"usage\":{\"input_tokens\":4,\"output_tokens\":5}}}\n\n",
            12,
        ),
        (
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"id\":\"q\",\"usage\":{\"queue_time\":0.07,\"prompt_tokens\":2300,\"completion_tokens\":1900,\"total_tokens\":4200}}}\n\n",
            4_200,
        ),
    ]);
}

#[test]
fn a_tool_of_a_long_name_is_counted_at_any_cut() {
    let name = "n".repeat(65);
    let usage = r#""usage":{"input_tokens":1,"output_tokens":1}"#;
    let tools = format!(r#""tool_usage":{{"{name}":{{"input_tokens":900,"output_tokens":9}}}}"#);
    assert_counts(&[(&format!("{{{usage},{tools}}}"), 911)]);
}

#[test]
fn a_usage_is_found_however_long_its_neighbours_are() {
    let metadata: Vec<_> = (0..16)
        .map(|n| format!("\"k{n}\":\"{}\"", "m".repeat(512)))
        .collect();
    let response = format!(
        r#"{{"id":"resp_1","object":"response","output":[{{"text":"{}"}}],"tools":[{{"parameters":{{"default":{{"usage":{{"total_tokens":0}}}}}},"description":"{}"}}],"usage":{{"input_tokens":200000,"output_tokens":9000,"total_tokens":209000}},"user":null,"metadata":{{{}}}}}"#,
        "x".repeat(6_000),
        "d".repeat(4_500),
        metadata.join(",")
    );
    let stream = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n"
    );
    let vllm = format!(
        r#"{{"id":"x","choices":[{{"message":{{"content":"{}"}}}}],"usage":{USAGE},"prompt_logprobs":[{}null],"prompt_token_ids":[{}1]}}"#,
        "word ".repeat(2_000),
        "null,".repeat(2_000),
        "151643,".repeat(20_000),
    );
    let litellm = format!(
        r#"{{"id":"m","type":"message","usage":{{"input_tokens":1000,"output_tokens":500}},"content":[{{"type":"tool_use","input":{{"text":"{}","usage":{{"input_tokens":1,"output_tokens":1}}}}}}],"stop_reason":"tool_use"}}"#,
        "x".repeat(9_000)
    );
    let mcp = r#"{"type":"mcp_list_tools","tools":[{"name":"a","input_schema":{"properties":{"usage":{"type":"object","input_tokens":1,"output_tokens":1}}}}]}"#;
    let mcp = response.replacen("\"output\":[", &format!("\"output\":[{mcp},"), 1);
    let many = format!(
        r#"{{"x":[{}0],"usage":{{"y":[{}0],"total_tokens":1500}}}}"#,
        r#"{"usage":{"total_tokens":1}},"#.repeat(10_000),
        r#"{"total_tokens":7},"#.repeat(100_000),
    );
    assert_counts(&[
        (&response, 209_000),
        (&stream, 209_000),
        (&vllm, 1_500),
        (&litellm, 1_500),
        (&mcp, 209_000),
        (&many, 1_500),
    ]);
}

#[test]
fn what_is_no_json_around_a_usage_does_not_matter() {
    for text in [
        r#""hi \ud83d""#,
        "\"\u{fffd}\"",
        "-Infinity",
        "NaN",
        "1e999",
        &format!("{}1{}", "[".repeat(150), "]".repeat(150)),
        r#"[],"choices":[]"#,
    ] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":{text}}}}}],"usage":{USAGE}}}"#);
        assert_counts(&[(&body, 1_500)]);
    }
    let raw = [
        b"{\"choices\":\"\xFF\xC3\",\"usage\":",
        USAGE.as_bytes(),
        b"}",
    ]
    .concat();
    assert_eq!(read(&raw), Used::Tokens(1_500));
}

#[test]
fn events_are_read_however_they_are_framed() {
    assert_counts(&[
        (&format!("data: {{\"choices\":[{{}}]}}\ndata: {{\"choices\":[],\"usage\":{USAGE}}}\n\ndata: [DONE]\n\n"), 1_500),
        (&format!("data: {{\"choices\":[],\"usage\":{USAGE}}}\ndata: [DONE]\n\n"), 1_500),
        (&format!("data:{{\"choices\":[],\"usage\":{USAGE}}}\r\n\r\ndata:[DONE]\r\n\r\n"), 1_500),
        (&format!("\u{feff}data: {{\"type\":\"response.completed\",\"response\":{{\"usage\":{USAGE}}}}}\n\n").replace("prompt_", "input_").replace("completion_", "output_"), 1_500),
        (&format!(": OPENROUTER PROCESSING\n\n: x\ndata: {{\"usage\":{USAGE}}}\n\n"), 1_500),
        (&format!("\u{feff}{{\"usage\":{USAGE}}}"), 1_500),
        (&format!("{{\"choices\":[]}}\n{{\"usage\":{USAGE}}}\n"), 1_500),
    ]);
}

#[test]
fn fractions_are_rounded_up_and_odd_details_void_themselves() {
    assert_counts(&[
        (
            r#"{"type":"message","usage":{"input_tokens":6.2,"cache_read_input_tokens":1000,"output_tokens":50}}"#,
            1_057,
        ),
        (
            r#"{"usage":{"input_tokens":12,"output_tokens":14417.92}}"#,
            14_430,
        ),
        (
            r#"{"usage":{"prompt_tokens":1000.0,"completion_tokens":500,"prompt_tokens_details":[{"modality":"TEXT"}]}}"#,
            1_500,
        ),
        (
            r#"{"usage":{"prompt_tokens":1000,"completion_tokens":500,"prompt_tokens_details":{"cached_tokens":"12"}}}"#,
            1_500,
        ),
        (
            r#"{"usage":{"prompt_tokens":1151,"completion_tokens":-35,"total_tokens":1116}}"#,
            1_151,
        ),
    ]);
}

#[test]
fn native_formats_are_read() {
    assert_counts(&[
        (
            r#"{"model":"m","message":{"content":"hi"},"done":true,"total_duration":5,"prompt_eval_count":26,"eval_count":298}"#,
            324,
        ),
        (
            "{\"response\":\"h\",\"done\":false}\n{\"response\":\"\",\"done\":true,\"prompt_eval_count\":26,\"eval_count\":298}\n",
            324,
        ),
        (
            r#"{"text":"hi","meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":10,"output_tokens":5},"tokens":{"input_tokens":90,"output_tokens":5}}}"#,
            15,
        ),
        (
            r#"{"id":"c","message":{"content":[]},"usage":{"billed_units":{"input_tokens":10,"output_tokens":5},"tokens":{"input_tokens":90,"output_tokens":5}}}"#,
            15,
        ),
        (
            "data: {\"type\":\"content-delta\",\"delta\":{}}\n\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":10,\"output_tokens\":5}}}}\n\n",
            15,
        ),
        (
            "{\"is_finished\":false,\"event_type\":\"text-generation\",\"text\":\"h\"}\n{\"is_finished\":true,\"event_type\":\"stream-end\",\"response\":{\"meta\":{\"billed_units\":{\"input_tokens\":10,\"output_tokens\":5}}}}\n",
            15,
        ),
        (
            r#"{"output":{"message":{}},"usage":{"inputTokens":30,"outputTokens":628,"totalTokens":658},"metrics":{"latencyMs":1}}"#,
            658,
        ),
        (
            r#"{"output":{"message":{}},"usage":{"inputTokens":10,"outputTokens":5,"cacheReadInputTokens":900,"cacheWriteInputTokens":85,"totalTokens":1000}}"#,
            1_000,
        ),
        // Nova's native answer: the cache counts have other names, and no total has them.
        (
            r#"{"output":{"message":{}},"usage":{"inputTokens":10,"outputTokens":5,"cacheReadInputTokenCount":900,"cacheWriteInputTokenCount":85}}"#,
            1_000,
        ),
        (
            r#"{"outputText":"hi","index":0,"totalOutputTextTokenCount":5,"inputTextTokenCount":10}"#,
            15,
        ),
        (
            r#"{"result":{"response":"hi","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}},"success":true}"#,
            15,
        ),
        (
            r#"{"model_id":"m","results":[{"generated_text":"hi","generated_token_count":5,"input_token_count":10,"stop_reason":"eos_token"}]}"#,
            15,
        ),
        (
            "id: 1\nevent: message\ndata: {}\n\nid: 2\nevent: message\ndata: {\"results\":[{\"generated_token_count\":0,\"input_token_count\":10,\"stop_reason\":\"not_finished\"}]}\n\nid: 3\nevent: message\ndata: {\"results\":[{\"generated_token_count\":3,\"input_token_count\":0,\"stop_reason\":\"not_finished\"}]}\n\nid: 4\nevent: message\ndata: {\"results\":[{\"generated_token_count\":5,\"input_token_count\":0,\"stop_reason\":\"eos_token\"}]}\n\n",
            15,
        ),
        (
            r#"{"output":{"text":"hi"},"usage":{"output_tokens":5,"input_tokens":10},"request_id":"x"}"#,
            15,
        ),
        (
            r#"{"generated_text":"hi","details":{"finish_reason":"length","generated_tokens":5,"input_length":10}}"#,
            15,
        ),
        // The sequences that were not the best are generated too.
        (
            r#"{"generated_text":"hi","details":{"generated_tokens":5,"input_length":10,"best_of_sequences":[{"generated_tokens":4},{"generated_tokens":6}]}}"#,
            25,
        ),
        // The prompts of tools and thoughts are in the total alone.
        (
            r#"{"candidates":[],"usageMetadata":{"promptTokenCount":12,"cachedContentTokenCount":4,"candidatesTokenCount":71,"toolUsePromptTokenCount":65,"thoughtsTokenCount":89,"totalTokenCount":237}}"#,
            237,
        ),
        (
            r#"[{"candidates":[{}],"usageMetadata":{"promptTokenCount":10,"totalTokenCount":11}},{"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":15}}]"#,
            15,
        ),
    ]);
    let alone =
        r#"{"generated_text":"hi","details":{"finish_reason":"length","generated_tokens":5}}"#;
    assert_eq!(
        read(alone.as_bytes()),
        Used::Output(5),
        "the prompt is not said"
    );
}

/// The table of decisions in docs/tokens.md.
#[test]
fn what_can_be_read_in_two_ways_is_read_as_decided() {
    for (body, used) in [
        (
            r#"{"usage":{"input_tokens":0,"output_tokens":62}}"#,
            Used::Output(62),
        ),
        (
            r#"{"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#,
            Used::Tokens(0),
        ),
        (
            r#"{"usage":{"input_tokens":1000,"cache_read_input_tokens":900,"output_tokens":50}}"#,
            Used::Tokens(1_950),
        ),
        (
            r#"{"usage":{"input_tokens":1000,"cache_read_input_tokens":900,"output_tokens":50,"input_tokens_details":{"cached_tokens":900}}}"#,
            Used::Tokens(1_050),
        ),
        (r#"{"input_tokens":2095}"#, Used::Unknown),
        (
            "data: {\"choices\":[{\"index\":0,\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500}}]}\n\ndata: {\"choices\":[{\"index\":1,\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":600}}]}\n\ndata: [DONE]\n\n",
            Used::Tokens(1_600),
        ),
    ] {
        assert_eq!(read(body.as_bytes()), used, "{body}");
    }
}

/// Seconds, pages and searches are no tokens: the reserve stands.
#[test]
fn what_is_billed_otherwise_is_not_counted() {
    for body in [
        r#"{"results":[{"index":0}],"meta":{"billed_units":{"search_units":1}}}"#,
        r#"{"pages":[],"usage_info":{"pages_processed":9,"doc_size_bytes":5}}"#,
        r#"{"text":"hi","usage":{"type":"duration","seconds":30}}"#,
    ] {
        assert_eq!(read(body.as_bytes()), Used::Unknown, "{body}");
    }
}

/// An upstream that sends half of an old chunk and the new one in one line sends no JSON.
#[test]
fn a_line_of_two_halves_is_an_event_alone() {
    let body =
        format!("data: {{\"choices\":[{{\"delta\":{{\"con{{\"choices\":[],\"usage\":{USAGE}}}\n\n");
    let streamed = Streamed {
        prompt: None,
        said: 0,
        events: 1,
        is_whole: true,
    };
    assert_eq!(read(body.as_bytes()), Used::Streamed(streamed));
}
