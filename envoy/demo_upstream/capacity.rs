//! A capacity that can be set while it runs: so many chat requests in process, and no more.

use crate::{Body, whole};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// What `POST /capacity` takes.
#[derive(Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    /// At most so many in process; `None` for any number.
    concurrent: Option<u64>,
    /// So many more wait for a place.
    #[serde(default)]
    queue: u64,
    /// The status of a reply to one more.
    #[serde(default = "overloaded")]
    status: u16,
    /// What replies carry in `x-cluster-load`: with `true` how full it is, or a text as it stands, or nothing.
    #[serde(default)]
    report: Value,
}

fn overloaded() -> u16 {
    503
}

struct Capacity {
    setting: Setting,
    in_process: u64,
    waiting: u64,
    served: u64,
    refused: u64,
}

static CAPACITY: Mutex<Capacity> = Mutex::new(Capacity {
    setting: Setting {
        concurrent: None,
        queue: 0,
        status: 503,
        report: Value::Null,
    },
    in_process: 0,
    waiting: 0,
    served: 0,
    refused: 0,
});

/// Told when a place is free or the setting is another.
static CHANGED: Notify = Notify::const_new();

/// Does that with the capacity; nothing panics while it is locked.
fn with<T>(act: impl FnOnce(&mut Capacity) -> T) -> T {
    act(&mut CAPACITY.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A request's place, until the last byte of its reply is sent or its client hangs up.
pub struct Place;

impl Place {
    /// Takes one, or waits for one; `None` where all are taken and the queue is full.
    pub async fn take() -> Option<Self> {
        if let Some(place) = Self::try_take() {
            return Some(place);
        }
        let _waiting = Waiting::start()?;
        loop {
            // Before the look, so that what changes after it is not missed.
            let changed = CHANGED.notified();
            if let Some(place) = Self::try_take() {
                return Some(place);
            }
            changed.await;
        }
    }

    fn try_take() -> Option<Self> {
        with(|capacity| {
            let most = capacity.setting.concurrent;
            if most.is_some_and(|most| capacity.in_process >= most) {
                return None;
            }
            capacity.in_process = capacity.in_process.saturating_add(1);
            capacity.served = capacity.served.saturating_add(1);
            Some(Self)
        })
    }

    /// Keeps the place while the reply is being sent, and reports.
    pub fn hold(self, reply: Response<Body>) -> Response<Body> {
        reported(reply.map(|body| Held { body, _place: self }.boxed()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        with(|capacity| capacity.in_process = capacity.in_process.saturating_sub(1));
        CHANGED.notify_one();
    }
}

/// A request that waits for a place, until it has one or its client hangs up.
struct Waiting;

impl Waiting {
    /// `None` where the queue is full, which is counted.
    fn start() -> Option<Self> {
        with(|capacity| {
            if capacity.waiting >= capacity.setting.queue {
                capacity.refused = capacity.refused.saturating_add(1);
                return None;
            }
            capacity.waiting = capacity.waiting.saturating_add(1);
            Some(Self)
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        with(|capacity| capacity.waiting = capacity.waiting.saturating_sub(1));
    }
}

/// A reply's body, which holds its request's place.
struct Held {
    body: Body,
    _place: Place,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The reply to a request for which there is no place.
pub fn refusal() -> Response<Body> {
    let status = with(|capacity| capacity.setting.status);
    let error = json!({"error": {
        "message": "The demo upstream is at its capacity. Please try again later.",
        "type": "server_error", "code": "overloaded", "param": null
    }});
    reported(in_json(
        StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        &error,
    ))
}

/// The reply with the load that it is to report.
fn reported(mut reply: Response<Body>) -> Response<Body> {
    let report = with(|capacity| match &capacity.setting.report {
        Value::Bool(true) => capacity.setting.concurrent.map(|most| {
            // Thousandths, rounded down: a capacity of 0 counts as 1.
            let load = capacity.in_process.saturating_add(capacity.waiting);
            let load = load.saturating_mul(1000);
            let load = load.checked_div(most.max(1)).unwrap_or(0);
            let (whole, part) = (load.checked_div(1000), load.checked_rem(1000));
            format!("{}.{:03}", whole.unwrap_or(0), part.unwrap_or(0))
        }),
        Value::String(text) => Some(text.clone()),
        _ => None,
    });
    if let Some(report) = report.and_then(|report| HeaderValue::from_str(&report).ok()) {
        reply.headers_mut().insert("x-cluster-load", report);
    }
    reply
}

/// Sets the capacity, or tells it.
pub async fn answer(request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    if request.method() == Method::POST {
        let body = request.into_body().collect().await;
        let body = body.map_err(io::Error::other)?.to_bytes();
        match serde_json::from_slice(&body) {
            Ok(setting) => {
                with(|capacity| capacity.setting = setting);
                CHANGED.notify_waiters();
            }
            Err(error) => {
                let error = json!({"error": error.to_string()});
                return Ok(in_json(StatusCode::BAD_REQUEST, &error));
            }
        }
    }
    let told = with(|capacity| {
        json!({
            "setting": capacity.setting, "in_process": capacity.in_process,
            "waiting": capacity.waiting, "served": capacity.served, "refused": capacity.refused
        })
    });
    Ok(in_json(StatusCode::OK, &told))
}

fn in_json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(whole(value.to_string().into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", kind);
    response
}
