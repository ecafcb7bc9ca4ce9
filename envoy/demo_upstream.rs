//! A demo LLM upstream: `POST /v1/chat/completions` with usage, at the latency and size asked for.
//!
//! It serves `make run` and the tests; it has no model. What a request may ask for, by header:
//!
//! | header | means | default |
//! |---|---|---|
//! | `x-demo-latency-ms` | wait before the reply | 0 |
//! | `x-demo-completion-tokens` | usage, and words of the reply | 16 |
//! | `x-demo-status` | the reply's status | 200 |
//! | `x-demo-body` | the reply's body, as it stands | a chat completion |
//! | `x-demo-chunk-bytes` | cut the body into frames of so many bytes | one frame |
//! | `x-demo-reset-after-chunks` | break the connection after so many frames | never |
//! | `x-demo-header` | a response header, `name: value` | none |
//!
//! `GET /seen` answers with the headers of the last chat request, as a JSON object of lists.
//!
//! Usage: `demo-upstream PORT` (127.0.0.1 only; 0 takes a free port and prints it).

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Seen = Arc<Mutex<BTreeMap<String, Vec<String>>>>;
type Body = http_body_util::combinators::BoxBody<Bytes, io::Error>;

fn main() -> io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse::<u16>().ok())
        .ok_or_else(|| io::Error::other("usage: demo-upstream PORT"))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(port))
}

async fn serve(port: u16) -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("demo upstream on {}", listener.local_addr()?);
    let seen = Seen::default();
    loop {
        let (stream, _) = listener.accept().await?;
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
            // A client that hangs up is its own business.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, seen: Seen) -> Result<Response<Body>, io::Error> {
    if request.uri().path() == "/seen" {
        let seen = seen
            .lock()
            .map(|s| serde_json::to_vec(&*s).unwrap_or_default());
        return Ok(Response::new(whole(seen.unwrap_or_default())));
    }
    let headers = request.headers().clone();
    if let Ok(mut seen) = seen.lock() {
        seen.clear();
        for (name, value) in &headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            seen.entry(name.to_string()).or_default().push(value);
        }
    }
    let prompt = request
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?;
    let latency = number(&headers, "x-demo-latency-ms").unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(latency)).await;
    reply(&headers, prompt.to_bytes().len())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn whole(body: Vec<u8>) -> Body {
    Full::new(Bytes::from(body))
        .map_err(|never| match never {})
        .boxed()
}

fn reply(headers: &HeaderMap, prompt_bytes: usize) -> Result<Response<Body>, io::Error> {
    let body = match headers.get("x-demo-body") {
        Some(body) => body.as_bytes().to_vec(),
        None => completion(headers, prompt_bytes),
    };
    let body = match number(headers, "x-demo-chunk-bytes") {
        Some(size) => in_frames(&body, size, number(headers, "x-demo-reset-after-chunks")),
        None => whole(body),
    };
    let status = number(headers, "x-demo-status").and_then(|s| u16::try_from(s).ok());
    let status = status.and_then(|s| StatusCode::from_u16(s).ok());
    let mut response = Response::new(body);
    *response.status_mut() = status.unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    if let Some(line) = headers.get("x-demo-header").and_then(|v| v.to_str().ok())
        && let Some((name, value)) = line.split_once(": ")
    {
        let name: HeaderName = name.parse().map_err(io::Error::other)?;
        let value = value.parse().map_err(io::Error::other)?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// A chat completion as the OpenAI API answers it.
fn completion(headers: &HeaderMap, prompt_bytes: usize) -> Vec<u8> {
    let tokens = number(headers, "x-demo-completion-tokens").unwrap_or(16);
    let words = usize::try_from(tokens.min(100_000)).unwrap_or(0);
    let prompt = u64::try_from(prompt_bytes.div_ceil(4)).unwrap_or(0);
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
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": tokens,
            "total_tokens": prompt.saturating_add(tokens)
        }
    });
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The body in frames, a millisecond apart, with an early end if asked for.
fn in_frames(body: &[u8], size: u64, reset_after: Option<u64>) -> Body {
    let size = usize::try_from(size).unwrap_or(usize::MAX).max(1);
    let reset_after = reset_after.and_then(|n| usize::try_from(n).ok());
    let frames: Vec<Bytes> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for (i, frame) in frames.into_iter().enumerate() {
            let frame = if reset_after == Some(i) {
                Err(io::Error::other("reset as asked"))
            } else {
                Ok(Frame::data(frame))
            };
            if sender.send(frame).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let frames = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    BodyExt::boxed(StreamBody::new(frames))
}
