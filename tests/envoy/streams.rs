//! Streams of events: they pass byte for byte, and what they used is counted.

use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use crate::tokens::{tpm, used};

const OPEN_AI: &str = concat!(
    ": a comment\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\": {\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":77,\"total_tokens\":777}}\n\n",
    "data: [DONE]\n\n"
);
const WITHOUT_DONE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":77}}\n";
const KIMI: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":77,\"total_tokens\":777,\"cached_tokens\":0}}]}\n\n",
    "data: [DONE]\n\n"
);
const ANTHROPIC: &str = concat!(
    "event: message_start\n",
    "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":600,\"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"hi\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":40}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":77}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
);
const RESPONSES: &str = concat!(
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n",
    "event: response.completed\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"output\":[],\"usage\":{\"input_tokens\":700,\"output_tokens\":77,\"total_tokens\":777}}}\n\n"
);
const IN_LINES: &str = concat!(
    "id: 1\ndata: {\"choices\":[],\ndata:\"usage\"\ndata: :{\"prompt_tokens\":700,\n",
    "data:\"completion_tokens\":77}}\nretry: 3\n\ndata: {}\n\n"
);

/// A stream that the upstream sends as it is, in frames of up to so many bytes.
fn sends(account: &str, stream: &str, frames: &str) -> Call {
    Call::of(account, "t")
        .header("x-demo-echo", "text/event-stream")
        .header("x-demo-chunk-bytes", frames)
        .body(stream)
}

#[test]
fn every_shape_passes_byte_for_byte_in_any_frames_and_is_counted() {
    let stack = Stack::start(tpm(1_000_000));
    let shapes = [OPEN_AI, WITHOUT_DONE, KIMI, ANTHROPIC, RESPONSES, IN_LINES];
    for (i, shape) in shapes.into_iter().enumerate() {
        for line_end in ["\n", "\r\n"] {
            let stream = shape.replace('\n', line_end);
            for frames in ["100000", "random:90", "random:7"] {
                let account = format!("{i}-{}-{frames}", line_end.len());
                let reply = stack.send(sends(&account, &stream, frames));
                assert_eq!(reply.status, 200);
                assert_eq!(reply.body, stream.as_bytes(), "byte for byte");
                assert_eq!(used(&stack, &account), 777, "{stream} in {frames}");
            }
        }
    }
}

#[test]
fn an_event_of_megabytes_passes_and_its_usage_is_found() {
    let stack = Stack::start(tpm(1_000_000));
    let stream = format!(
        "data: {{\"response\":{{\"output\":\"{}\",\"usage\":{{\"input_tokens\":700,\"output_tokens\":77}}}}}}\n\n",
        "x".repeat(5_000_000)
    );
    let reply = stack.send(sends("acme", &stream, "random:100000"));
    assert_eq!(reply.body, stream.as_bytes());
    assert_eq!(used(&stack, "acme"), 777);
}

#[test]
fn a_stream_comes_through_as_it_is_made() {
    let stack = Stack::start(tpm(1_000_000));
    // The second event would be a minute later, so nothing but the first can bring the frame.
    let mut reading = stack.read_slowly(Call::of("acme", "t").streamed(20, 60_000));
    let first = reading.next_frame().unwrap();
    assert!(first.starts_with(b"data: "));
    eventually("the response goes on", || {
        stack.stat(&["tiergate_in_flight"]) == 1
    });
}

#[test]
fn a_stream_without_usage_is_charged_with_its_reserve_or_its_events() {
    let stack = Stack::start(tpm(1_000_000));
    // 100 are reserved; each event is at least one token, and the last one ends the answer.
    for (words, tokens) in [(10, 100), (300, 301)] {
        let account = format!("words-{words}");
        stack.send(Call::of(&account, "t").streamed(words, 0));
        assert_eq!(used(&stack, &account), tokens);
    }
    eventually("they are counted", || {
        stack.stat(&["tiergate_tokens", "kind.estimated"]) == 401
    });
}

/// 100 are reserved; each event beyond them is charged while the stream runs.
#[test]
fn a_stream_is_charged_while_it_runs() {
    let stack = Stack::start(tpm(1_000_000));
    let mut reading = stack.read_slowly(Call::of("acme", "t").streamed(10_000, 5));
    reading.next_frame().unwrap();
    eventually("it is charged beyond its reserve", || {
        used(&stack, "acme") > 150
    });
    assert_eq!(stack.stat(&["tiergate_in_flight"]), 1, "it still runs");
    assert_eq!(stack.stat(&["tiergate_tokens", "kind.estimated"]), 0);
}

#[test]
fn a_stream_that_the_upstream_breaks_off_is_charged_with_what_came() {
    let stack = Stack::start(tpm(1_000_000));
    let call = Call::of("acme", "t").streamed(16, 20);
    let breaks = call.header("x-demo-reset-after-chunks", "5");
    assert!(stack.try_send(breaks).is_err());
    assert_eq!(used(&stack, "acme"), 5);
}

#[test]
fn a_client_that_hangs_up_is_charged_with_what_was_streamed() {
    let stack = Stack::start(tpm(1_000_000));
    let mut reading = stack.read_slowly(Call::of("acme", "t").streamed(1_000, 10));
    for _ in 0..5 {
        reading.next_frame().unwrap();
    }
    drop(reading);
    eventually("none is in process", || {
        stack
            .send(Call::of("acme", "t").header("x-demo-status", "500"))
            .status
            == 500
    });
    let used = used(&stack, "acme");
    assert!((5..90).contains(&used), "{used}");
}
