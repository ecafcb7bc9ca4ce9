//! An account directory feed, whose pages a test sets.

use crate::{Body, whole};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Mutex;

/// A header of a POST that the next GET of the page is answered with, for tests of traps.
const TRAP: &str = "x-tiergate-trap";

/// Pages of a feed by path, and how often they were asked for.
#[derive(Default)]
struct Feed {
    pages: BTreeMap<String, Page>,
    gets: u64,
}

struct Page {
    body: Bytes,
    etag: String,
    trap: Option<HeaderValue>,
}

static FEED: Mutex<Feed> = Mutex::new(Feed {
    pages: BTreeMap::new(),
    gets: 0,
});

/// Serves a page of the feed, or takes one.
pub async fn answer(request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let path = request.uri().to_string();
    let method = request.method().clone();
    let known = request.headers().get("if-none-match").cloned();
    let trap = request.headers().get(TRAP).cloned();
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
        feed.pages.insert(path, Page { body, etag, trap });
        return Ok(response);
    }
    if method == Method::DELETE {
        feed.pages.remove(&path);
        return Ok(response);
    }
    feed.gets = feed.gets.saturating_add(1);
    let Some(page) = feed.pages.get_mut(&path) else {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    };
    if known.is_some_and(|known| known == page.etag.as_str()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = whole(page.body.clone());
    }
    let etag = HeaderValue::from_str(&page.etag).map_err(io::Error::other)?;
    response.headers_mut().insert("etag", etag);
    if let Some(trap) = page.trap.take() {
        response.headers_mut().insert(TRAP, trap);
    }
    Ok(response)
}
