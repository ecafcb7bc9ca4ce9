//! A receiver of notices, which a test has fail or wait.

use crate::{Body, whole};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

/// What the receiver does, and what it has got.
struct Receiver {
    behaviour: Behaviour,
    got: Vec<serde_json::Value>,
}

/// How the receiver answers.
#[derive(Clone, Copy, Deserialize)]
struct Behaviour {
    /// The status of its answers; notices are kept at 200 alone.
    status: u16,
    /// The wait before an answer.
    #[serde(default)]
    delay_ms: u64,
}

static RECEIVER: Mutex<Receiver> = Mutex::new(Receiver {
    behaviour: Behaviour {
        status: 200,
        delay_ms: 0,
    },
    got: Vec::new(),
});

/// Takes a notice, or another behaviour, or lists what came.
pub async fn answer(request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let token = request.headers().get("authorization").cloned();
    let body = request.into_body().collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let poisoned = |_| io::Error::other("poisoned");
    if method == Method::GET {
        let got = RECEIVER.lock().map_err(poisoned)?.got.clone();
        let got = serde_json::to_vec(&got).unwrap_or_default();
        return Ok(Response::new(whole(got.into())));
    }
    if path == "/notices/behaviour" {
        RECEIVER.lock().map_err(poisoned)?.behaviour = serde_json::from_slice(&body)?;
        return Ok(Response::new(whole(body)));
    }
    let behaviour = RECEIVER.lock().map_err(poisoned)?.behaviour;
    tokio::time::sleep(Duration::from_millis(behaviour.delay_ms)).await;
    let mut response = Response::new(whole(body.clone()));
    *response.status_mut() = StatusCode::from_u16(behaviour.status).map_err(io::Error::other)?;
    if behaviour.status == 200 {
        let mut notice: serde_json::Value = serde_json::from_slice(&body)?;
        let token = token.as_ref().and_then(|token| token.to_str().ok());
        if let (Some(notice), Some(token)) = (notice.as_object_mut(), token) {
            notice.insert("authorization".to_owned(), token.into());
        }
        RECEIVER.lock().map_err(poisoned)?.got.push(notice);
    }
    Ok(response)
}
