//! Chat completions, whole or streamed, with their usage.

use crate::asked::{lines, number};
use crate::frames::{has_trailer, in_frames};
use crate::{Body, whole};
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use std::io;

/// What a chat request asks for.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Chat {
    stream: bool,
    stream_options: Option<StreamOptions>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: bool,
}

pub fn reply(headers: &HeaderMap, request: &Bytes) -> Result<Response<Body>, io::Error> {
    let chat: Chat = serde_json::from_slice(request).unwrap_or_default();
    let status = number(headers, "x-demo-status").and_then(|s| u16::try_from(s).ok());
    let status = status.and_then(|s| StatusCode::from_u16(s).ok());
    let status = status.unwrap_or_default();
    let (kind, frames, pause) = if let Some(kind) = headers.get("x-demo-echo") {
        (kind.clone(), vec![request.clone()], 1)
    } else if let Some(body) = headers.get("x-demo-body") {
        let body = Bytes::copy_from_slice(body.as_bytes());
        (HeaderValue::from_static("application/json"), vec![body], 1)
    } else if chat.stream {
        let usage = chat.stream_options.is_some_and(|o| o.include_usage);
        let events = events(headers, request.len(), usage);
        (HeaderValue::from_static("text/event-stream"), events, 20)
    } else if status.is_client_error() || status.is_server_error() {
        let body = failure(status).into();
        (HeaderValue::from_static("application/json"), vec![body], 1)
    } else {
        let body = completion(headers, request.len()).into();
        (HeaderValue::from_static("application/json"), vec![body], 1)
    };
    let body = match <[Bytes; 1]>::try_from(frames) {
        Ok([body]) if !headers.contains_key("x-demo-chunk-bytes") && !has_trailer(headers) => {
            whole(body)
        }
        Ok(body) => in_frames(headers, &body, pause),
        Err(frames) => in_frames(headers, &frames, pause),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", kind);
    for (name, value) in lines(headers, "x-demo-header") {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// An error body as OpenAI's are.
fn failure(status: StatusCode) -> String {
    let error = serde_json::json!({
        "message": format!("the demo upstream was asked for {status}"),
        "type": "demo_error",
        "param": null,
        "code": null
    });
    serde_json::json!({ "error": error }).to_string()
}

/// A streamed chat completion: an event for each word, then the end, the usage and `[DONE]`.
fn events(headers: &HeaderMap, prompt_bytes: usize, usage: bool) -> Vec<Bytes> {
    let tokens = number(headers, "x-demo-completion-tokens").unwrap_or(16);
    let event = |choices: serde_json::Value, usage: serde_json::Value| {
        let chunk = serde_json::json!({
            "id": "chatcmpl-demo",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "demo",
            "choices": choices,
            "usage": usage
        });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let choice = |delta: serde_json::Value, finish: Option<&str>| serde_json::json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let none = serde_json::Value::Null;
    let word = event(
        choice(serde_json::json!({"content": "word "}), None),
        none.clone(),
    );
    let mut events = vec![word; usize::try_from(tokens.min(100_000)).unwrap_or(0)];
    events.push(event(choice(serde_json::json!({}), Some("stop")), none));
    if usage {
        events.push(event(serde_json::json!([]), usage_of(prompt_bytes, tokens)));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn usage_of(prompt_bytes: usize, completion: u64) -> serde_json::Value {
    let prompt = u64::try_from(prompt_bytes.div_ceil(4)).unwrap_or(0);
    serde_json::json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt.saturating_add(completion)
    })
}

/// A chat completion as the OpenAI API answers it.
fn completion(headers: &HeaderMap, prompt_bytes: usize) -> Vec<u8> {
    let tokens = number(headers, "x-demo-completion-tokens").unwrap_or(16);
    let words = usize::try_from(tokens.min(100_000)).unwrap_or(0);
    let body = serde_json::json!({
        "id": "chatcmpl-demo",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "demo",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "word ".repeat(words)},
            "finish_reason": "stop"
        }],
        "usage": usage_of(prompt_bytes, tokens)
    });
    serde_json::to_vec(&body).unwrap_or_default()
}
