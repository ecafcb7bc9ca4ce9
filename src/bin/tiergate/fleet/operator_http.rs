//! The routes of operators' calls, and who may make them.

use super::http::{Failed, Service, is_bearer, read};
use super::operator::{CallError, Operator};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use tiergate::admin::{AdminResponse, Problem};
use tiergate::config::Config;
use tiergate::reply::ErrorBody;

/// The state that operators' calls need.
pub struct OperatorAccess {
    /// The plugin config of the edges.
    pub config: Config,
    /// The SHA-256 of the operators' bearer token.
    pub token: [u8; 32],
}

/// Returns the routes.
pub fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/load", get(load).put(put_load).delete(delete_load))
        .route("/v1/accounts/{id}/reset", post(reset))
}

/// Returns the operator, if the call is one's.
pub fn operator<'a>(
    service: &'a Service,
    headers: &HeaderMap,
) -> Result<Operator<'a>, CallFailure> {
    let access = service.operator.as_ref().ok_or(CallFailure::Off)?;
    if !is_bearer(headers, &access.token) {
        return Err(CallFailure::Call(Problem::Unauthorized.into()));
    }
    whose(service)
}

/// Returns the operator of the service's config, for a call that needs no token of one.
pub fn whose(service: &Service) -> Result<Operator<'_>, CallFailure> {
    let access = service.operator.as_ref().ok_or(CallFailure::Off)?;
    Ok(Operator {
        batches: &service.batches,
        config: &access.config,
    })
}

/// The reason why a call failed.
#[derive(Debug)]
pub enum CallFailure {
    /// The service was started without what such calls need.
    Off,
    /// An edge without the token of edges.
    Edge,
    Call(CallError),
    /// The body did not come, or is too long.
    Body(StatusCode, String),
}

impl<E: Into<CallError>> From<E> for CallFailure {
    fn from(error: E) -> Self {
        Self::Call(error.into())
    }
}

/// A body that did not come, or is too long.
impl From<Failed> for CallFailure {
    fn from((_, status, why): Failed) -> Self {
        Self::Body(status, why)
    }
}

impl IntoResponse for CallFailure {
    fn into_response(self) -> Response {
        let plain = |status: StatusCode, message: &str, kind, code| {
            let body = ErrorBody::new(message, kind, code);
            (status, axum::Json(json!(body))).into_response()
        };
        match self {
            Self::Off => plain(
                StatusCode::NOT_FOUND,
                "operators' calls are off: start the service with --config and --admin-token-file",
                "invalid_request_error",
                "not_found",
            ),
            Self::Edge => plain(
                StatusCode::UNAUTHORIZED,
                "this needs the token of edges: authorization: Bearer TOKEN",
                "invalid_authentication_error",
                "token_invalid",
            ),
            Self::Call(CallError::Call(problem)) => answer(problem.response()),
            Self::Call(error @ CallError::Store(_)) => {
                let message = error.to_string();
                let mut response = plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &message,
                    "server_error",
                    "limiter_unavailable",
                );
                let value = header::HeaderValue::from_static("1");
                response.headers_mut().insert(header::RETRY_AFTER, value);
                response
            }
            Self::Body(status, why) => plain(status, &why, "invalid_request_error", "body_invalid"),
        }
    }
}

/// Turns an answer of the admin API into one of this service.
fn answer(response: AdminResponse) -> Response {
    let status = u16::try_from(response.status).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, response.body).into_response()
}

pub fn done(value: &impl Serialize) -> Response {
    answer(AdminResponse::ok(value))
}

/// Notes a write in the log.
pub fn note(call: &str, id: &str, after: &impl Serialize) {
    let after = serde_json::to_string(after).unwrap_or_default();
    let id = tiergate::http::visible::visible(id.as_bytes(), 256);
    tracing::info!(call, id, after, "an operator's write");
}

async fn load(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
) -> Result<Response, CallFailure> {
    Ok(done(&operator(&service, &headers)?.load().await?))
}

async fn put_load(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, CallFailure> {
    let operator = operator(&service, &headers)?;
    let status = operator.put_load(&read(&headers, body).await?).await?;
    note("PUT load", "", &status);
    Ok(done(&status))
}

async fn delete_load(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
) -> Result<Response, CallFailure> {
    let status = operator(&service, &headers)?.delete_load().await?;
    note("DELETE load", "", &status);
    Ok(done(&status))
}

async fn reset(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, CallFailure> {
    let reset = operator(&service, &headers)?.reset(&id).await?;
    note("POST reset", &id, &reset);
    Ok(done(&reset))
}
