//! Streams that break off, fail or end in order, in each dialect that has streams.

use super::read;
use crate::tokens::consumed::{Streamed, Used};
use crate::tokens::response::{ReadOptions, UsageReader};

fn streamed(prompt: Option<u64>, said: u64, events: u64, is_whole: bool) -> Used {
    Used::Streamed(Streamed {
        prompt,
        said,
        events,
        is_whole,
    })
}

fn cut(body: &str) -> Used {
    let mut reader = UsageReader::without_headers(false, &ReadOptions::default());
    reader.feed(body.as_bytes());
    reader.used(false, || Some(200)).used
}

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5000,\"output_tokens\":1}}}\n\n";
const ERROR: &str =
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";

fn deltas(number: usize) -> String {
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"w\"}}\n\n".repeat(number)
}

#[test]
fn a_stream_without_its_last_usage_is_charged_by_its_events() {
    let events = deltas(300);
    for body in [
        format!("{START}{events}"),
        format!("{START}{events}{ERROR}"),
    ] {
        assert_eq!(
            read(body.as_bytes()),
            streamed(Some(5000), 5001, 301, false)
        );
        assert_eq!(cut(&body), streamed(Some(5000), 5001, 301, false));
    }
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let whole = format!("{START}{events}{stop}");
    let used = streamed(Some(5000), 5001, 302, false);
    assert_eq!(read(whole.as_bytes()), used, "the output was never said");
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"w\"}}]}\n\n".repeat(20);
    assert_eq!(read(chunk.as_bytes()), streamed(None, 0, 20, true));
    assert_eq!(cut(&chunk), streamed(None, 0, 20, false));
}

#[test]
fn a_stream_that_said_its_end_is_complete_wherever_it_breaks_off() {
    let usage = r#"{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}"#;
    let message = r#"{"type":"message_delta","usage":{"input_tokens":1000,"output_tokens":500}}"#;
    let response = r#"{"input_tokens":1000,"output_tokens":500}"#;
    for body in [
        format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"),
        format!("data: {message}\n\ndata: {{\"type\":\"message_stop\"}}\n\n"),
        format!("data: {{\"type\":\"response.completed\",\"response\":{{\"usage\":{response}}}}}\n\n"),
        format!("data: {{\"type\":\"response.incomplete\",\"response\":{{\"usage\":{response}}}}}\n\n"),
        "{\"response\":\"w\",\"done\":false}\n{\"done\":true,\"prompt_eval_count\":1000,\"eval_count\":500}\n".to_owned(),
        "data: {\"type\":\"message-end\",\"delta\":{\"usage\":{\"billed_units\":{\"input_tokens\":1000,\"output_tokens\":500}}}}\n\n".to_owned(),
    ] {
        assert_eq!(cut(&body), Used::Tokens(1_500), "{body}");
        assert_eq!(read(body.as_bytes()), Used::Tokens(1_500), "{body}");
    }
    let running =
        format!("data: {{\"choices\":[{{\"finish_reason\":null}}],\"usage\":{usage}}}\n\n");
    assert_eq!(cut(&running), streamed(Some(1000), 1500, 1, false));
}

/// vLLM's `continuous_usage_stats` says the tokens of one choice beside each of its chunks.
#[test]
fn the_end_of_one_choice_is_no_end_of_the_stream() {
    let chunk = |index: usize, tokens: usize, reason: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":{reason}}}],\"usage\":{{\"prompt_tokens\":10,\"completion_tokens\":{tokens},\"total_tokens\":{}}}}}\n\n",
            10 + tokens
        )
    };
    let mut body: String = (0..99)
        .flat_map(|tokens| (0..8).map(move |index| (index, tokens)))
        .map(|(index, tokens)| chunk(index, tokens, "null"))
        .collect();
    body.push_str(&chunk(0, 100, "\"stop\""));
    assert_eq!(cut(&body), streamed(Some(10), 110, 793, false));
    let whole = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":800,\"total_tokens\":810}}\n\n";
    body.push_str(whole);
    assert_eq!(read(body.as_bytes()), Used::Tokens(810));
    let gemini = "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"totalTokenCount\":1500}}\n\n";
    assert_eq!(read(gemini.as_bytes()), Used::Tokens(1_500));
    assert_eq!(cut(gemini), streamed(None, 1500, 1, true));
}

/// Some servers say the input in a first event, and may never say the output.
#[test]
fn an_input_alone_says_no_output_that_events_have() {
    let start = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":0,\"total_tokens\":10}}\n\n";
    let chunks = "data: {\"choices\":[{\"delta\":{\"content\":\"w\"}}]}\n\n".repeat(500);
    let body = format!("{start}{chunks}data: [DONE]\n\n");
    assert_eq!(read(body.as_bytes()), streamed(Some(10), 10, 501, false));
    assert_eq!(read(start.as_bytes()), Used::Tokens(10));
}

/// Some servers write an empty text where others write null.
#[test]
fn an_empty_text_is_no_end_and_no_error() {
    let chunk =
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"\"}],\"error\":\"\"}\n\n".repeat(20);
    assert_eq!(read(chunk.as_bytes()), streamed(None, 0, 20, true));
    assert_eq!(cut(&chunk), streamed(None, 0, 20, false));
    assert_eq!(read(br#"{"error":"","choices":[]}"#), Used::Unknown);
}

#[test]
fn an_error_before_any_output_costs_the_prompt_at_most() {
    for body in [
        r#"{"error":{"message":"no","type":"overloaded_error"}}"#,
        r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
        r#"{"object":"error","message":"no","code":500}"#,
        r#"data: {"error":{"message":"no"}}"#,
        ERROR,
    ] {
        assert_eq!(read(body.as_bytes()), Used::Tokens(0), "{body}");
    }
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let body = format!("{START}{ping}{ERROR}");
    assert_eq!(read(body.as_bytes()), streamed(Some(5000), 0, 0, false));
    let nothing = r#"{"error":null,"choices":[]}"#;
    assert_eq!(read(nothing.as_bytes()), Used::Unknown);
}

#[test]
fn an_empty_body_used_nothing_and_one_that_breaks_off_is_not_known() {
    assert_eq!(read(b""), Used::Tokens(0));
    assert_eq!(read(b" \n"), Used::Tokens(0));
    assert_eq!(cut(""), Used::Unknown);
    assert_eq!(cut(r#"{"usage":{"total_tokens":5},"x":"#), Used::Unknown);
}

#[test]
fn lines_and_arrays_are_streams() {
    let lines = "{\"message\":{\"content\":\"w\"},\"done\":false}\n".repeat(5);
    assert_eq!(cut(&lines), streamed(None, 0, 5, false));
    let array = "[{\"candidates\":[{\"content\":{}}],\"usageMetadata\":{\"promptTokenCount\":10,\"totalTokenCount\":12}}\n,\r\n{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":80,\"totalTokenCount\":90}}]";
    assert_eq!(read(array.as_bytes()), Used::Tokens(90));
    let (first, _) = array.split_once(",\r").unwrap();
    assert_eq!(cut(first), streamed(Some(10), 12, 1, false));
}
