//! Bodies of each dialect in pieces: wherever they are cut, the count is the same.

use crate::tokens::consumed::{Consumed, Used};
use crate::tokens::dialect::TABLE;
use crate::tokens::response::{ReadOptions, UsageReader};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISO_HDLC, Crc};
use proptest::prelude::*;

/// Bodies of text that used 1,500 tokens, by the name of their dialect.
const TEXTS: [(&str, &str); 24] = [
    (
        "openai",
        "{\"choices\":[{\"message\":{\"content\":\"\\\"usage\\\": {\\u00e9 \u{1F600} \\ud83d\\\\\"}}],\"us\\u0061ge\":{\"prompt_tokens\":1000,\"completion_tokens\":500,\"total_tokens\":1500,\"prompt_tokens_details\":{\"cached_tokens\":900}}}",
    ),
    (
        "openai",
        ": a comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\u{e9}\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500,\"total_tokens\":1500}}\n\ndata: [DONE]\n\n",
    ),
    (
        "openai",
        "\u{feff}data:{\"choices\":[{}]}\r\ndata:{\"choices\":[],\ndata:\"usage\":{\"total_tokens\":1500}}\r\ndata:[DONE]\r\r",
    ),
    (
        "kimi",
        "data: {\"choices\":[{\"index\":0,\"delta\":{}}]}\n\ndata: {\"choices\":[{\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500,\"cached_tokens\":7}}]}\n\ndata: [DONE]\n\n",
    ),
    (
        "anthropic",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":600,\"cache_read_input_tokens\":400,\"output_tokens\":1}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":0,\"output_tokens\":500}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        "anthropic",
        "{\"type\":\"message\",\"content\":[{\"input\":{\"usage\":{\"input_tokens\":1}}}],\"usage\":{\"input_tokens\":100,\"output_tokens\":50,\"iterations\":[{\"input_tokens\":900,\"output_tokens\":450},{\"input_tokens\":100,\"output_tokens\":50}]}}",
    ),
    (
        "responses",
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":900,\"output_tokens\":450,\"total_tokens\":1350},\"tool_usage\":{\"image_gen\":{\"input_tokens\":100,\"output_tokens\":50}}}}\n\n",
    ),
    (
        "groq",
        "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":{\"queue_time\":0.07,\"prompt_tokens\":1000,\"completion_tokens\":500}}}\n\ndata: [DONE]\n\n",
    ),
    (
        "gemini",
        "{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1000,\"candidatesTokenCount\":200,\"thoughtsTokenCount\":300,\"totalTokenCount\":1500}}",
    ),
    (
        "gemini",
        "data: {\"candidates\":[{}],\"usageMetadata\":{\"promptTokenCount\":1000,\"totalTokenCount\":1010}}\r\n\r\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1000,\"totalTokenCount\":1500}}\r\n\r\n",
    ),
    (
        "gemini",
        "[{\"candidates\":[{\"content\":[\"]\",\"}\"]}],\"usageMetadata\":{\"promptTokenCount\":1000,\"totalTokenCount\":1010}}\n,\r\n{\"usageMetadata\":{\"promptTokenCount\":1000,\"candidatesTokenCount\":500,\"totalTokenCount\":1500}}]",
    ),
    (
        "cloudflare",
        "{\"result\":{\"response\":\"hi\",\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500}},\"success\":true,\"errors\":[]}",
    ),
    (
        "cloudflare",
        "data: {\"response\":\"hi\"}\n\ndata: {\"response\":\"\",\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500,\"total_tokens\":1500}}\n\ndata: [DONE]\n\n",
    ),
    (
        "ollama",
        "{\"message\":{\"content\":\"\\n\"},\"done\":false}\n{\"message\":{},\"done\":true,\"prompt_eval_count\":1000,\"eval_count\":500}\n",
    ),
    (
        "cohere",
        "{\"text\":\"hi\",\"meta\":{\"billed_units\":{\"input_tokens\":1000.0,\"output_tokens\":500.0},\"tokens\":{\"input_tokens\":1100,\"output_tokens\":500}}}",
    ),
    (
        "cohere",
        "{\"is_finished\":false,\"event_type\":\"stream-start\"}\n{\"is_finished\":true,\"event_type\":\"stream-end\",\"response\":{\"meta\":{\"tokens\":{\"input_tokens\":1100,\"output_tokens\":500},\"billed_units\":{\"input_tokens\":1000,\"output_tokens\":500}}}}\n",
    ),
    (
        "cohere",
        "event: content-delta\ndata: {\"type\":\"content-delta\",\"delta\":{\"message\":{}}}\n\nevent: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":1000,\"output_tokens\":500}}}}\n\n",
    ),
    (
        "bedrock",
        "{\"output\":{\"message\":{}},\"usage\":{\"inputTokens\":600,\"cacheReadInputTokens\":400,\"outputTokens\":500,\"totalTokens\":1500}}",
    ),
    (
        "watsonx",
        "{\"results\":[{\"generated_text\":\"hi\",\"generated_token_count\":500,\"input_token_count\":1000}]}",
    ),
    (
        "watsonx",
        "id: 1\nevent: message\ndata: {}\n\nid: 2\nevent: message\ndata: {\"results\":[{\"generated_token_count\":0,\"input_token_count\":1000}]}\n\nid: 3\nevent: message\ndata: {\"results\":[{\"generated_token_count\":500,\"input_token_count\":0}]}\n\n",
    ),
    (
        "dashscope",
        "{\"output\":{\"text\":\"hi\"},\"usage\":{\"output_tokens\":500,\"input_tokens\":1000},\"request_id\":\"x\"}",
    ),
    (
        "dashscope",
        "id:1\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":{},\"usage\":{\"output_tokens\":3,\"input_tokens\":1000}}\n\nid:2\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":{},\"usage\":{\"output_tokens\":500,\"input_tokens\":1000}}\n\n",
    ),
    (
        "tgi",
        "[{\"generated_text\":\"hi\",\"details\":{\"generated_tokens\":500,\"input_length\":1000,\"prefill\":[{\"id\":1}]}}]",
    ),
    (
        "tgi",
        "data:{\"index\":1,\"token\":{\"id\":7},\"generated_text\":null,\"details\":null}\n\ndata:{\"index\":2,\"generated_text\":\"hi\",\"details\":{\"finish_reason\":\"length\",\"generated_tokens\":500,\"input_length\":1000}}\n\n",
    ),
];

/// A message of Amazon's event stream, without headers.
fn message(payload: &str) -> Vec<u8> {
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let total = u32::try_from(16 + payload.len()).unwrap();
    let mut out = [total.to_be_bytes(), [0; 4]].concat();
    out.extend(crc.checksum(&out).to_be_bytes());
    out.extend(payload.as_bytes());
    out.extend(crc.checksum(&out).to_be_bytes());
    out
}

fn converse_stream() -> Vec<u8> {
    let payloads = [
        r#"{"role":"assistant","p":"ab"}"#,
        r#"{"contentBlockIndex":0,"delta":{"text":"hi"}}"#,
        r#"{"stopReason":"end_turn"}"#,
        r#"{"metrics":{"latencyMs":1},"usage":{"inputTokens":600,"cacheReadInputTokens":400,"outputTokens":500,"totalTokens":1500}}"#,
    ];
    payloads.map(message).concat()
}

fn invoke_stream() -> Vec<u8> {
    let chunks = [
        r#"{"type":"message_start","message":{"usage":{"input_tokens":1000,"output_tokens":1}}}"#,
        r#"{"type":"content_block_delta","delta":{"text":"{\"usage\":{\"output_tokens\":1}}"}}"#,
        r#"{"type":"message_delta","usage":{"output_tokens":500}}"#,
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1000,"outputTokenCount":500}}"#,
    ];
    let wrap = |chunk| {
        message(&format!(
            r#"{{"bytes":"{}","p":"a"}}"#,
            STANDARD.encode(chunk)
        ))
    };
    chunks.map(wrap).concat()
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let texts = TEXTS.map(|(dialect, text)| (dialect, text.as_bytes().to_vec()));
    let binary = [("bedrock", converse_stream()), ("bedrock", invoke_stream())];
    texts.into_iter().chain(binary).collect()
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Consumed {
    let mut reader = UsageReader::without_headers(false, &ReadOptions::default());
    for piece in pieces {
        reader.feed(piece);
    }
    reader.used(true, || Some(200))
}

#[test]
fn each_dialect_has_a_body() {
    for dialect in TABLE {
        let has = bodies().iter().any(|(name, _)| *name == dialect.name);
        assert!(has, "{}", dialect.name);
    }
}

#[test]
fn a_body_counts_the_same_wherever_it_is_cut() {
    for (dialect, body) in bodies() {
        let shown = String::from_utf8_lossy(&body);
        let whole = read([&*body]);
        assert_eq!(whole.used, Used::Tokens(1_500), "{dialect}: {shown}");
        for at in 0..body.len() {
            let (a, b) = body.split_at(at);
            assert_eq!(read([a, b]), whole, "{dialect}, cut at {at}: {shown}");
        }
        assert_eq!(read(body.chunks(1)), whole, "{dialect}, in bytes: {shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_body_counts_the_same_in_random_pieces(
        mut places in prop::collection::vec(0_usize..1_000, 0..40),
    ) {
        for (dialect, body) in bodies() {
            places.retain(|at| *at <= body.len());
            places.sort_unstable();
            let starts = [0].into_iter().chain(places.iter().copied());
            let ends = places.iter().copied().chain([body.len()]);
            let pieces = starts.zip(ends).map(|(start, end)| &body[start..end]);
            prop_assert_eq!(read(pieces), read([&*body]), "{}, cut at {:?}", dialect, &places);
        }
    }
}
