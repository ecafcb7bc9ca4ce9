//! A demo LLM upstream: `POST /v1/chat/completions` with usage, at the latency and size asked for.
//!
//! With `"stream": true` in its body, the reply is a stream of events, a word each, and with
//! `stream_options.include_usage` its last event has the usage.
//!
//! It serves `make run` and the tests; it has no model. What a request may ask for, by header:
//!
//! | header | means | default |
//! |---|---|---|
//! | `x-demo-latency-ms` | wait before the reply | 0 |
//! | `x-demo-completion-tokens` | usage, and words of the reply | 16 |
//! | `x-demo-status` | the reply's status | 200 |
//! | `x-demo-body` | the reply's body, as it stands | a chat completion |
//! | `x-demo-echo` | the reply's body is the request's, of this content type | a chat completion |
//! | `x-demo-chunk-bytes` | cut the body into frames of so many bytes, or of up to so many for `random:N` | one frame, or one for each event |
//! | `x-demo-chunk-ms` | wait between frames | 1, or 20 between events |
//! | `x-demo-reset-after-chunks` | break the connection after so many frames | never |
//! | `x-demo-count-as` | the name under which `GET /most` counts it | all |
//! | `x-demo-reset` | break the connection in place of a reply | never |
//! | `x-demo-header` | a response header, `name: value` | none |
//! | `x-demo-trailer` | a response trailer, `name: value` (HTTP/2 only) | none |
//!
//! A request to upgrade (a WebSocket, say) is granted, and every byte that follows is echoed.
//!
//! `POST /feed/…` sets what a GET of that path answers, with an ETag that a GET may name in
//! `if-none-match`; `DELETE` of it has a GET answer 503. `GET /feed-gets` says how many GETs there were.
//!
//! `GET /seen` answers with the headers of the last request, as a JSON object of lists,
//! `GET /seen-body` with its body, and `GET /most` with how many were in
//! process at once, at most, by name.
//!
//! Usage: `demo-upstream PORT` (127.0.0.1 only; 0 takes a free port and prints it).

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Body = http_body_util::combinators::BoxBody<Bytes, io::Error>;

/// The last request.
#[derive(Default)]
struct Last {
    headers: BTreeMap<String, Vec<String>>,
    body: Bytes,
}

type Seen = Arc<Mutex<Last>>;

/// Requests in process, now and at most, by the name that they count as.
static IN_PROCESS: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::new(BTreeMap::new());

/// One request in process, however it ends.
struct InProcess(String);

impl InProcess {
    fn enter(headers: &HeaderMap) -> Self {
        let name = headers.get("x-demo-count-as").and_then(|v| v.to_str().ok());
        let name = name.unwrap_or("all").to_owned();
        if let Ok(mut counts) = IN_PROCESS.lock() {
            let (now, most) = counts.entry(name.clone()).or_default();
            *now = now.saturating_add(1);
            *most = (*most).max(*now);
        }
        Self(name)
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Ok(mut counts) = IN_PROCESS.lock()
            && let Some((now, _)) = counts.get_mut(&self.0)
        {
            *now = now.saturating_sub(1);
        }
    }
}

/// How many were in process at once, at most, by name.
fn most() -> Vec<u8> {
    let Ok(counts) = IN_PROCESS.lock() else {
        return Vec::new();
    };
    let most: BTreeMap<_, _> = counts
        .iter()
        .map(|(name, (_, most))| (name, most))
        .collect();
    serde_json::to_vec(&most).unwrap_or_default()
}

/// Pages of a feed by path, and how often they were asked for.
#[derive(Default)]
struct Feed {
    pages: BTreeMap<String, (Bytes, String)>,
    gets: u64,
}

static FEED: Mutex<Feed> = Mutex::new(Feed {
    pages: BTreeMap::new(),
    gets: 0,
});

/// Serves a page of the feed, or takes one.
async fn feed(request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let path = request.uri().to_string();
    let method = request.method().clone();
    let known = request.headers().get("if-none-match").cloned();
    let body = request.into_body().collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let mut feed = FEED.lock().map_err(|_| io::Error::other("poisoned"))?;
    let mut response = Response::new(whole(Bytes::new()));
    if path == "/feed-gets" {
        return Ok(Response::new(whole(feed.gets.to_string().into())));
    }
    if method == Method::POST {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let etag = format!("\"{:x}\"", hasher.finish());
        feed.pages.insert(path, (body, etag));
        return Ok(response);
    }
    if method == Method::DELETE {
        feed.pages.remove(&path);
        return Ok(response);
    }
    feed.gets = feed.gets.saturating_add(1);
    let Some((page, etag)) = feed.pages.get(&path) else {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    };
    if known.is_some_and(|known| known == etag.as_str()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = whole(page.clone());
    }
    let etag = HeaderValue::from_str(etag).map_err(io::Error::other)?;
    response.headers_mut().insert("etag", etag);
    Ok(response)
}

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
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, seen: Seen) -> Result<Response<Body>, io::Error> {
    let path = request.uri().path().to_owned();
    if path == "/seen" || path == "/seen-body" {
        let last = seen.lock().map_err(|_| io::Error::other("poisoned"))?;
        return Ok(Response::new(whole(match path.as_str() {
            "/seen" => serde_json::to_vec(&last.headers).unwrap_or_default().into(),
            _ => last.body.clone(),
        })));
    }
    if path == "/most" {
        return Ok(Response::new(whole(most().into())));
    }
    if path.starts_with("/feed") {
        return feed(request).await;
    }
    if request.headers().contains_key("upgrade") {
        return upgraded(request);
    }
    let _in_process = InProcess::enter(request.headers());
    let headers = request.headers().clone();
    let body = request.into_body().collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    if let Ok(mut last) = seen.lock() {
        last.headers.clear();
        for (name, value) in &headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            last.headers
                .entry(name.to_string())
                .or_default()
                .push(value);
        }
        last.body = body.clone();
    }
    let latency = number(&headers, "x-demo-latency-ms").unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(latency)).await;
    if headers.contains_key("x-demo-reset") {
        return Err(io::Error::other("reset as asked"));
    }
    reply(&headers, &body)
}

fn upgraded(request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for name in ["connection", "upgrade"] {
        if let Some(value) = request.headers().get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    tokio::spawn(async move {
        if let Ok(tunnel) = hyper::upgrade::on(request).await {
            let (mut from, mut to) = tokio::io::split(TokioIo::new(tunnel));
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    });
    Ok(response)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed()
}

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

fn reply(headers: &HeaderMap, request: &Bytes) -> Result<Response<Body>, io::Error> {
    let chat: Chat = serde_json::from_slice(request).unwrap_or_default();
    let (kind, frames, pause) = if let Some(kind) = headers.get("x-demo-echo") {
        (kind.clone(), vec![request.clone()], 1)
    } else if let Some(body) = headers.get("x-demo-body") {
        let body = Bytes::copy_from_slice(body.as_bytes());
        (HeaderValue::from_static("application/json"), vec![body], 1)
    } else if chat.stream {
        let usage = chat.stream_options.is_some_and(|o| o.include_usage);
        let events = events(headers, request.len(), usage);
        (HeaderValue::from_static("text/event-stream"), events, 20)
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
    let status = number(headers, "x-demo-status").and_then(|s| u16::try_from(s).ok());
    let status = status.and_then(|s| StatusCode::from_u16(s).ok());
    let mut response = Response::new(body);
    *response.status_mut() = status.unwrap_or_default();
    response.headers_mut().insert("content-type", kind);
    if let Some((name, value)) = line(headers, "x-demo-header") {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// The `name: value` that a header of the request holds.
fn line(headers: &HeaderMap, name: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = headers.get(name)?.to_str().ok()?.split_once(": ")?;
    Some((name.parse().ok()?, value.parse().ok()?))
}

fn has_trailer(headers: &HeaderMap) -> bool {
    headers.contains_key("x-demo-trailer")
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

/// The body in frames, some time apart, with an early end or a trailer if asked for.
fn in_frames(headers: &HeaderMap, frames: &[Bytes], pause: u64) -> Body {
    let pause = Duration::from_millis(number(headers, "x-demo-chunk-ms").unwrap_or(pause));
    let reset_after = number(headers, "x-demo-reset-after-chunks");
    let reset_after = reset_after.and_then(|n| usize::try_from(n).ok());
    let frames = cut(headers, frames);
    let trailer = line(headers, "x-demo-trailer");
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
            tokio::time::sleep(pause).await;
        }
        if let Some(line) = trailer {
            let _ = sender
                .send(Ok(Frame::trailers([line].into_iter().collect())))
                .await;
        }
    });
    let frames = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    BodyExt::boxed(StreamBody::new(frames))
}

/// The frames cut anew, as the request asks.
fn cut(headers: &HeaderMap, frames: &[Bytes]) -> Vec<Bytes> {
    let size = headers
        .get("x-demo-chunk-bytes")
        .and_then(|v| v.to_str().ok());
    let Some(size) = size else {
        return frames.to_vec();
    };
    let (random, size) = match size.strip_prefix("random:") {
        Some(most) => (true, most),
        None => (false, size),
    };
    let most = size.parse::<usize>().unwrap_or(usize::MAX).max(1);
    let whole = frames.concat();
    let (mut rest, mut state, mut cut) = (whole.as_slice(), 1_u64, Vec::new());
    while !rest.is_empty() {
        // A linear congruential generator (Knuth, MMIX): the same cuts in each run.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let drawn = usize::try_from(state.wrapping_shr(33)).unwrap_or(0);
        let size = if random {
            drawn.checked_rem(most).unwrap_or(0).saturating_add(1)
        } else {
            most
        };
        let (frame, after) = rest.split_at(size.min(rest.len()));
        cut.push(Bytes::copy_from_slice(frame));
        rest = after;
    }
    cut
}
