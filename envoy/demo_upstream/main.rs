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
//! | `x-demo-body` | the reply's body, as it stands | a chat completion, or an error from status 400 on |
//! | `x-demo-echo` | the reply's body is the request's, of this content type | a chat completion |
//! | `x-demo-chunk-bytes` | cut the body into frames of so many bytes, or of up to so many for `random:N` | one frame, or one for each event |
//! | `x-demo-chunk-ms` | wait between frames | 1, or 20 between events |
//! | `x-demo-reset-after-chunks` | break the connection after so many frames | never |
//! | `x-demo-count-as` | the name under which `GET /most` counts it | all |
//! | `x-demo-reset` | break the connection in place of a reply | never |
//! | `x-demo-header` | a response header, `name: value`; one for each | none |
//! | `x-demo-trailer` | a response trailer, `name: value` (HTTP/2 only) | none |
//!
//! A request to upgrade (a WebSocket, say) is granted, and every byte that follows is echoed.
//!
//! `POST /feed/…` sets what a GET of that path answers, with an ETag that a GET may name in
//! `if-none-match`; `DELETE` of it has a GET answer 503. `GET /feed-gets` says how many GETs there were.
//! A POST's `x-tiergate-trap` is a header of the answer to the next GET alone.
//!
//! `POST /notices` takes a notice of tiergate, and `GET /notices` lists them. `POST /notices/behaviour` with
//! `{"status": 503, "delay_ms": 100}` has it answer so; it keeps what it answers with 200.
//!
//! `POST /capacity` with `{"concurrent": N}` has it process at most N chat requests at once (`null`,
//! the default: any number), from their first byte to the last of their replies; `"queue": M`
//! more wait for a place (0 by default), and one more than these is answered at once with 503, or the `"status"`
//! that is named, and an error body as OpenAI's are. With `"report": true` each chat reply carries
//! `x-cluster-load: 0.750` (in process and waiting, itself included, by N); with `"report": "text"` it carries
//! that text. `GET /capacity` tells the setting, how many are in process and wait, and how many were served and
//! refused in all.
//!
//! `GET /seen` answers with the headers of the last request, as a JSON object of lists,
//! `GET /seen-body` with its body, and `GET /most` with how many were in
//! process at once, at most, by name.
//!
//! Usage: `demo-upstream PORT` (127.0.0.1 only; 0 takes a free port and prints it).

mod asked;
mod capacity;
mod chat;
mod feed;
mod frames;
mod in_process;
mod notices;

use asked::number;
use capacity::Place;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use in_process::InProcess;
use std::collections::BTreeMap;
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
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
    let listener =
        listener.map_err(|error| io::Error::other(format!("127.0.0.1:{port}: {error}")))?;
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
        return Ok(Response::new(whole(in_process::most().into())));
    }
    if path.starts_with("/feed") {
        return feed::answer(request).await;
    }
    if path.starts_with("/notices") {
        return notices::answer(request).await;
    }
    if path == "/capacity" {
        return capacity::answer(request).await;
    }
    if request.headers().contains_key("upgrade") {
        return upgraded(request);
    }
    chat(request, &seen).await
}

/// Answers a chat request, which is what a request to any other path is taken for.
async fn chat(request: Request<Incoming>, seen: &Seen) -> Result<Response<Body>, io::Error> {
    let Some(place) = Place::take().await else {
        return Ok(capacity::refusal());
    };
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
    Ok(place.hold(chat::reply(&headers, &body)?))
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

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed()
}
