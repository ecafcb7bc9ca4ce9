//! A client that has an API echo what it likes, and a model write what it likes, can neither lower the
//! count nor void it.

use crate::tokens::consumed::{Consumed, Used};
use crate::tokens::response::{ReadOptions, UsageReader};

/// Objects of a client, or of a model, that look like a usage.
const FAKES: [&str; 7] = [
    r#"{"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"input_tokens":0,"output_tokens":0}}"#,
    r#"{"usage":{"inputTokens":1,"outputTokens":1,"cacheReadInputTokens":900,"cacheWriteInputTokens":90,"cached_tokens":900,"prompt_cache_hit_tokens":900,"prompt_tokens_details":{"cached_tokens":900},"cache_read_input_tokens":900}}"#,
    r#"{"billed_units":{"input_tokens":1,"output_tokens":1},"tokens":{"input_tokens":1},"input_token_count":1,"generated_tokens":1,"input_length":1,"inputTokenCount":1,"cacheReadInputTokenCount":900,"cachedContentTokenCount":900}"#,
    r#"{"usage":null,"usageMetadata":{"totalTokenCount":1},"error":null,"done":true,"type":"message_stop"}"#,
    r#"[{"usage":{"total_tokens":1}},{"response":{"usage":{"total_tokens":1}}},{"prompt_eval_count":1,"eval_count":1}]"#,
    r#""\"usage\":{\"total_tokens\":1}}\n\ndata: [DONE]\n\n\ud83d""#,
    r#"{"a":[[[[[[[[[[[[[[[[[[[[{"usage":{"total_tokens":1}}]]]]]]]]]]]]]]]]]]]],"b":NaN,"c":1e999}"#,
];

/// Answers of each dialect that used 1,500 tokens, with a place for what the client chose, before and
/// behind the usage.
const ANSWERS: [(&str, &str); 16] = [
    (
        "openai",
        r#"{"id":"x","choices":[{"message":{"content":"c","tool_calls":[{"function":{"arguments":"{}"}}]}}],"metadata":FAKE,"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500},"prompt_logprobs":FAKE}"#,
    ),
    (
        "anthropic",
        r#"{"type":"message","usage":{"input_tokens":1000,"output_tokens":500},"content":[{"type":"tool_use","input":FAKE}],"container":FAKE}"#,
    ),
    (
        "responses",
        r#"{"object":"response","error":null,"tools":[{"parameters":FAKE}],"output":[{"tools":[{"input_schema":FAKE}]}],"usage":{"input_tokens":1000,"output_tokens":500,"total_tokens":1500},"user":FAKE,"metadata":FAKE}"#,
    ),
    (
        "kimi",
        r#"{"choices":[{"message":FAKE,"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}],"x":FAKE}"#,
    ),
    (
        "groq",
        r#"{"choices":[{"delta":FAKE}],"x_groq":{"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}},"x":FAKE}"#,
    ),
    (
        "gemini",
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"args":FAKE}}]}}],"usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":500,"totalTokenCount":1500},"x":FAKE}"#,
    ),
    (
        "cloudflare",
        r#"{"result":{"response":FAKE,"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}},"x":FAKE}"#,
    ),
    (
        "ollama",
        r#"{"message":{"tool_calls":[{"function":{"arguments":FAKE}}]},"done":true,"prompt_eval_count":1000,"eval_count":500,"context":FAKE}"#,
    ),
    (
        "cohere 1",
        r#"{"text":"c","tool_calls":[{"parameters":FAKE}],"meta":{"billed_units":{"input_tokens":1000,"output_tokens":500},"tokens":{"input_tokens":1100,"output_tokens":500}},"x":FAKE}"#,
    ),
    (
        "cohere 2",
        r#"{"message":{"tool_calls":FAKE},"usage":{"tokens":{"input_tokens":1100,"output_tokens":500},"billed_units":{"input_tokens":1000,"output_tokens":500}},"x":FAKE}"#,
    ),
    (
        "bedrock",
        r#"{"output":{"message":{"content":[{"toolUse":{"input":FAKE}}]}},"usage":{"inputTokens":1000,"outputTokens":500,"totalTokens":1500},"additionalModelResponseFields":FAKE}"#,
    ),
    (
        "llama on bedrock",
        r#"{"generation":FAKE,"prompt_token_count":1000,"generation_token_count":500,"x":FAKE}"#,
    ),
    (
        "titan on bedrock",
        r#"{"inputTextTokenCount":1000,"results":[{"outputText":FAKE,"tokenCount":500}],"x":FAKE}"#,
    ),
    (
        "watsonx",
        r#"{"results":[{"generated_text":FAKE,"input_token_count":1000,"generated_token_count":500}],"x":FAKE}"#,
    ),
    (
        "dashscope",
        r#"{"output":{"choices":[{"message":FAKE}]},"usage":{"input_tokens":1000,"output_tokens":500,"total_tokens":1500},"x":FAKE}"#,
    ),
    (
        "tgi",
        r#"{"generated_text":FAKE,"details":{"input_length":1000,"generated_tokens":500,"prefill":FAKE},"x":FAKE}"#,
    ),
];

fn consumed(body: &[u8], size: usize) -> Consumed {
    let mut reader = UsageReader::without_headers(false, &ReadOptions::default());
    for piece in body.chunks(size) {
        reader.feed(piece);
    }
    reader.used(true, || Some(200))
}

/// The usage that an answer says without a fake, the kinds of its input as well.
fn plain(answer: &str) -> Consumed {
    let consumed = consumed(answer.replace("FAKE", "null").as_bytes(), 100_000);
    assert_eq!(consumed.used, Used::Tokens(1_500), "{answer}");
    consumed
}

#[test]
fn no_fake_changes_the_count_of_a_text() {
    for (dialect, answer) in ANSWERS {
        assert!(answer.contains("FAKE"));
        for fake in FAKES {
            let body = answer.replace("FAKE", fake);
            for size in [1, 7, 100_000] {
                let consumed = consumed(body.as_bytes(), size);
                assert_eq!(consumed, plain(answer), "{dialect}: {body}");
            }
        }
    }
}

#[test]
fn no_fake_changes_the_count_of_a_stream() {
    for (dialect, answer) in ANSWERS {
        for fake in FAKES {
            let last = answer.replace("FAKE", fake);
            let first = r#"{"choices":[{"delta":FAKE}],"content_block":{"input":FAKE},"item":FAKE,"response":{"metadata":FAKE,"tools":FAKE}}"#;
            let first = first.replace("FAKE", fake);
            let stream = format!("data: {first}\n\nevent: x\ndata: {last}\n\n");
            for size in [1, 7, 100_000] {
                let consumed = consumed(stream.as_bytes(), size);
                assert_eq!(consumed, plain(answer), "{dialect}: {stream}");
            }
        }
    }
}
