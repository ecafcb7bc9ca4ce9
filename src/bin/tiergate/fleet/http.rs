//! The service's HTTP.

use super::batch::{Batches, NoAnswer};
use super::directory;
use super::operator_http::{self, OperatorAccess};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;
use tiergate::fleet::message::{MOST_REQUEST_BYTES, StepRequest};
use tiergate::version::{BUILD, VERSION};
use tokio::sync::Semaphore;

/// The maximum number of requests in work.
pub const MOST_IN_WORK: usize = 64;
/// The longest time in which a body comes.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// The state that the routes share.
pub struct Service {
    pub batches: Batches,
    /// The SHA-256 of the bearer token, if there is one.
    pub token: Option<[u8; 32]>,
    /// The state that operators' calls need; `None` where they are off.
    pub operator: Option<OperatorAccess>,
    pub in_work: Semaphore,
    /// True from the signal to end.
    pub ends: AtomicBool,
}

/// Returns the routes.
pub fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/step", post(step))
        .merge(operator_http::routes())
        .merge(directory::routes())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(service)
}

async fn step(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Response {
    let begun = Instant::now();
    let metrics = Arc::clone(&service.batches.metrics);
    let (result, response) = match answer(&service, &headers, body).await {
        Ok(response) => ("ok", response),
        Err((result, status, why)) => {
            let mut response = (status, axum::Json(json!({"error": why}))).into_response();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                let value = header::HeaderValue::from_static("1");
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            (result, response)
        }
    };
    metrics.requests.get_or_create(&[("result", result)]).inc();
    metrics.seconds.observe(begun.elapsed().as_secs_f64());
    response
}

pub type Failed = (&'static str, StatusCode, String);

async fn answer(service: &Service, headers: &HeaderMap, body: Body) -> Result<Response, Failed> {
    if !is_allowed(service, headers) {
        let why = "a bearer token is needed, and this is none".to_owned();
        return Err(("unauthorized", StatusCode::UNAUTHORIZED, why));
    }
    let body = read(headers, body).await?;
    let Ok(_permit) = service.in_work.try_acquire() else {
        let why = format!("{MOST_IN_WORK} requests are in work");
        return Err(("busy", StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let gauge = &service.batches.metrics.in_work;
    let _one = InWork(gauge.clone());
    gauge.inc();
    let request: StepRequest = tiergate::json::read(&body)
        .map_err(|why| ("invalid", StatusCode::BAD_REQUEST, why.to_string()))?;
    let answer = service
        .batches
        .answer(&request)
        .await
        .map_err(|refusal| match refusal {
            NoAnswer::Invalid(why) => ("invalid", StatusCode::BAD_REQUEST, why),
            NoAnswer::Unavailable(why) => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, why),
        })?;
    Ok(axum::Json(answer).into_response())
}

/// Lowers the gauge, also where the client goes away.
struct InWork(prometheus_client::metrics::gauge::Gauge);

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.dec();
    }
}

pub async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Failed> {
    let too_large = || {
        let why = format!("the body is over {MOST_REQUEST_BYTES} bytes");
        ("too_large", StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let length: Option<u64> = length.and_then(|length| length.parse().ok());
    if length.is_some_and(|length| {
        usize::try_from(length).map_or(true, |length| length > MOST_REQUEST_BYTES)
    }) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, MOST_REQUEST_BYTES)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err((
            "invalid",
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time".to_owned(),
        )),
    }
}

pub fn is_allowed(service: &Service, headers: &HeaderMap) -> bool {
    let token = service.token.as_ref();
    token.is_none_or(|token| is_bearer(headers, token))
}

/// True for a request with the bearer token of this SHA-256.
pub fn is_bearer(headers: &HeaderMap, token: &[u8; 32]) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or("");
    Sha256::digest(given.as_bytes()).ct_eq(token).into()
}

async fn ready(State(service): State<Arc<Service>>) -> Response {
    let store = &service.batches.store;
    let live = store.live();
    let mut problems = match &live {
        Ok(live) => live.problems(),
        Err(why) => vec![format!("Redis: {why}")],
    };
    if service.ends.load(Ordering::Relaxed) {
        problems.push("the service ends".to_owned());
    }
    let nodes = live
        .as_ref()
        .map(|live| live.nodes.as_slice())
        .unwrap_or_default();
    let nodes: Vec<_> = nodes
        .iter()
        .map(
            |node| json!({"version": node.version, "policy": node.policy, "skew_ms": node.skew_ms}),
        )
        .collect();
    let status = match problems.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({
        "ready": problems.is_empty(), "problems": problems, "version": VERSION, "build": BUILD,
        "redis": {"mode": store.mode(), "nodes": nodes},
        "store": live.map(|live| live.store.clone()).unwrap_or_default(),
    });
    (status, axum::Json(body)).into_response()
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let metrics = &service.batches.metrics;
    let live = service.batches.store.live();
    metrics.connected.set(live.is_ok().into());
    let ready = live.as_ref().is_ok_and(|live| live.problems().is_empty());
    metrics.ready.set(ready.into());
    let skew = live
        .iter()
        .flat_map(|live| live.nodes.iter().map(|node| node.skew_ms));
    metrics
        .skew
        .set(skew.max_by_key(|skew| skew.unsigned_abs()).unwrap_or(0));
    let losses = live.map_or(0, |live| live.losses());
    metrics
        .losses
        .set(i64::try_from(losses).unwrap_or(i64::MAX));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.text()).into_response()
}
