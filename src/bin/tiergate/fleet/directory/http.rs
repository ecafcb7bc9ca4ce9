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
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::sync::Arc;
use tiergate::admin::{Problem, list_limit};

/// Returns the routes.
pub fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/accounts", get(list).put(put_many))
        .route("/v1/accounts/{id}", put(write).get(look).delete(delete))
        .route("/v1/accounts/{id}/recharges", post(recharge))
        .route("/v1/ready", post(ready))
        .route("/v1/directory", get(whole))
        .route("/v1/directory/changes", get(changes))
}

type Answered = Result<Response, CallFailure>;

#[derive(Deserialize)]
struct ListQuery {
    after: Option<String>,
    limit: Option<String>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Answered {
    let operator = operator(&service, &headers)?;
    let limit = list_limit(query.limit.as_deref())?;
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
    note("PUT account", &id, &written);
    Ok(done(&written))
}

async fn put_many(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Answered {
    let operator = operator(&service, &headers)?;
    let report = operator.put_accounts(&read(&headers, body).await?).await?;
    note("PUT accounts", "", &report);
    Ok(done(&report))
}

async fn delete(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answered {
    let deleted = operator(&service, &headers)?.delete_account(&id).await?;
    note("DELETE account", &id, &deleted);
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
    note("POST recharge", &id, &written);
    Ok(done(&written))
}

async fn ready(State(service): State<Arc<Service>>, headers: HeaderMap) -> Answered {
    let ready = operator(&service, &headers)?.ready().await?;
    note("POST ready", "", &ready);
    Ok(done(&ready))
}

#[derive(Deserialize)]
struct FeedQuery {
    /// The id after which a later page begins, in base64.
    after: Option<String>,
    /// The version of the first page.
    first: Option<u64>,
}

async fn whole(
    State(service): State<Arc<Service>>,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> Answered {
    feed(&service, &headers, query, "/v1/directory").await
}

async fn changes(
    State(service): State<Arc<Service>>,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> Answered {
    feed(&service, &headers, query, "/v1/directory/changes").await
}

/// Answers an edge, which brings the token of edges.
async fn feed(service: &Service, headers: &HeaderMap, query: FeedQuery, path: &str) -> Answered {
    if !is_allowed(service, headers) {
        return Err(CallFailure::Edge);
    }
    let operator: Operator<'_> = whose(service)?;
    let tag = headers.get(header::IF_NONE_MATCH);
    let tag = tag.and_then(|tag| tag.to_str().ok());
    let takes_changes = path.ends_with("/changes");
    let answer = match &query.after {
        Some(after) => {
            let after = URL_SAFE_NO_PAD.decode(after).ok();
            let after = after.and_then(|after| String::from_utf8(after).ok());
            let after = after.ok_or(Problem::BadQuery("after", "is not of a page before"))?;
            operator
                .feed_after(&after, query.first, takes_changes)
                .await?
        }
        None => operator.feed(tag, takes_changes).await?,
    };
    Ok(match answer {
        FeedAnswer::Same(version) => {
            (StatusCode::NOT_MODIFIED, [(header::ETAG, version.tag())]).into_response()
        }
        FeedAnswer::Page(version, mut body, next) => {
            if let Some((next, body)) = next.zip(body.as_object_mut()) {
                let (after, first) = (URL_SAFE_NO_PAD.encode(&next.after), next.first);
                let next = format!("{path}?after={after}&first={first}");
                body.insert("next".to_owned(), next.into());
            }
            ([(header::ETAG, version.tag())], axum::Json(body)).into_response()
        }
    })
}
