//! What reading the usage of a body costs natively: nanoseconds for each KiB and event.
//!
//! `cargo bench --bench scan`. It measures and asserts no time.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss
)]

use std::hint::black_box;
use std::time::{Duration, Instant};
use tiergate::tokens::Used;
use tiergate::tokens::response::{ReadOptions, UsageReader};

const KIB: usize = 1024;
const USAGE: &str = r#"{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}"#;
const AT_LEAST: Duration = Duration::from_millis(500);

fn body(content: &str) -> String {
    format!(r#"{{"id":"x","choices":[{{"message":{{"content":{content}}}}}],"usage":{USAGE}}}"#)
}

fn stream(events: usize) -> String {
    let event = r#"{"id":"chatcmpl-demo","object":"chat.completion.chunk","created":1700000000,"model":"demo","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}],"usage":null}"#;
    let event = format!("data: {event}\n\n");
    format!(
        "{}data: {{\"choices\":[],\"usage\":{USAGE}}}\n\ndata: [DONE]\n\n",
        event.repeat(events)
    )
}

/// Returns the nanoseconds that one reading takes, in pieces of a size.
fn time(text: &str, piece: usize) -> f64 {
    let options = ReadOptions::default();
    let (start, mut readings) = (Instant::now(), 0_u32);
    while start.elapsed() < AT_LEAST {
        let mut reader = UsageReader::without_headers(false, &options);
        for piece in text.as_bytes().chunks(piece) {
            reader.feed(black_box(piece));
        }
        let used = reader.used(true, || Some(200)).used;
        assert_eq!(used, Used::Tokens(1_500));
        readings += 1;
    }
    start.elapsed().as_nanos() as f64 / f64::from(readings)
}

fn main() {
    println!("| text | ns for each KiB |\n|---|---|");
    let words = "word ".repeat(200 * KIB / 5);
    for (name, content) in [
        ("prose in one string", format!("{words:?}")),
        (
            "prose with an escape in each line",
            format!("{:?}", words.replace("word word word ", "word word\n")),
        ),
        ("numbers", format!("[{}1]", "151643,".repeat(200 * KIB / 7))),
        (
            "objects",
            format!(
                "[{}1]",
                r#"{"token":"a","logprob":-0.1},"#.repeat(200 * KIB / 29)
            ),
        ),
    ] {
        let text = body(&content);
        let kib = text.len() as f64 / KIB as f64;
        println!("| {name} | {:.0} |", time(&text, 16 * KIB) / kib);
    }
    let (few, many) = (stream(100), stream(1_100));
    let event = (time(&many, 4 * KIB) - time(&few, 4 * KIB)) / 1_000.0;
    println!(
        "\n| a chat event of {} bytes | {event:.0} ns |",
        (many.len() - few.len()) / 1_000
    );
}
