//! The routes of the account directory: operators' calls, and the feed of edges.

use super::feed::FeedAnswer;
use crate::fleet::http::{Service, is_allowed, read};
use crate::fleet::operator::Operator;
use crate::fleet::operator_http::{CallFailure, done, note, operator, whose};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use std::sync::Arc;
use tiergate::admin::Problem;

/// The accounts of a list, where the call names no number, and at most.
const USUAL_LIMIT: usize = 100;
const MOST_LISTED: usize = 1_000;

/// Returns the routes.
pub fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/accounts", get(list).put(put_many))
        .route("/v1/accounts/{id}", put(write).get(look).delete(delete))
        .route("/v1/accounts/{id}/recharges", post(recharge))
        .route("/v1/directory", get(whole))
        .route("/v1/directory/changes", get(changes))
}

type Answered = Result<Response, CallFailure>;

#[derive(Deserialize)]
struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Answered {
    let operator = operator(&service, &headers)?;
    let limit = query.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(Problem::BadQuery("limit", "is a number from 1 to 1000").into());
    }
    let after = query.after.unwrap_or_default();
    Ok(done(&operator.accounts(&after, limit).await?))
}

async fn look(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answered {
    Ok(done(&operator(&service, &headers)?.account(&id).await?))
}

async fn write(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let operator = operator(&service, &headers)?;
    let written = operator
        .put_account(&id, &read(&headers, body).await?)
        .await?;
    note("PUT account", &id);
    Ok(done(&written))
}

async fn put_many(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Answered {
    let operator = operator(&service, &headers)?;
    let report = operator.put_accounts(&read(&headers, body).await?).await?;
    note("PUT accounts", &report.to_string());
    Ok(done(&report))
}

async fn delete(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answered {
    let deleted = operator(&service, &headers)?.delete_account(&id).await?;
    note("DELETE account", &id);
    Ok(done(&deleted))
}

async fn recharge(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let operator = operator(&service, &headers)?;
    let written = operator.recharge(&id, &read(&headers, body).await?).await?;
    note("POST recharge", &id);
    Ok(done(&written))
}

#[derive(Deserialize)]
struct FeedQuery {
    after: Option<String>,
}

async fn whole(
    State(service): State<Arc<Service>>,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> Answered {
    feed(&service, &headers, query.after, "/v1/directory").await
}

async fn changes(
    State(service): State<Arc<Service>>,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> Answered {
    feed(&service, &headers, query.after, "/v1/directory/changes").await
}

/// Answers an edge, which brings the token of edges.
async fn feed(
    service: &Service,
    headers: &HeaderMap,
    after: Option<String>,
    path: &str,
) -> Answered {
    if !is_allowed(service, headers) {
        return Err(Problem::Unauthorized.into());
    }
    let operator: Operator<'_> = whose(service)?;
    let tag = headers.get(header::IF_NONE_MATCH);
    let tag = tag.and_then(|tag| tag.to_str().ok());
    let answer = match &after {
        Some(after) => operator.feed_after(after).await?,
        None => operator.feed(tag, path.ends_with("/changes")).await?,
    };
    Ok(match answer {
        FeedAnswer::Same(version) => {
            (StatusCode::NOT_MODIFIED, [(header::ETAG, version.tag())]).into_response()
        }
        FeedAnswer::Page(version, mut body, last) => {
            if let Some((last, body)) = last.zip(body.as_object_mut()) {
                let last = percent_encode(last.as_bytes(), NON_ALPHANUMERIC);
                body.insert("next".to_owned(), format!("{path}?after={last}").into());
            }
            ([(header::ETAG, version.tag())], axum::Json(body)).into_response()
        }
    })
}
