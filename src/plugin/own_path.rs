//! Requests for the filter's own paths: the admin API and an account's usage report.

use super::request::StreamRequest;
use crate::admin::route::Call;
use crate::admin::{Problem, auth, route};
use crate::config::{Admin, Config};
use crate::host::{Header, Request};

/// The maximum size of an admin call's body, in bytes.
pub const LONGEST_BODY: usize = 65_536;

/// A request that the filter answers itself.
#[derive(Debug)]
pub enum OwnPath {
    /// An admin call, or the problem with it.
    Admin(Result<Call, Problem>),
    /// A `GET` of `usage_path`.
    Usage,
}

/// Returns the own path that a request names; `None` for a request to the upstream. `end`: the
/// request has no body.
pub fn find(config: &Config, request: &StreamRequest, end: bool) -> Option<OwnPath> {
    if let Some(admin) = &config.admin
        && let Some(asked) = admin_call(admin, request, end)
    {
        return Some(OwnPath::Admin(asked));
    }
    is_usage(config, request).then_some(OwnPath::Usage)
}

fn admin_call(admin: &Admin, request: &StreamRequest, end: bool) -> Option<Result<Call, Problem>> {
    let Header::Once(path) = request.header(":path") else {
        return None;
    };
    let own = route::own_path(&admin.path, path)?;
    let Header::Once(method) = request.header(":method") else {
        return Some(Err(Problem::NoSuchPath));
    };
    let authorization = match request.header("authorization") {
        Header::Once(value) => Some(value),
        Header::Absent | Header::Repeated => None,
    };
    let (token, reads) = (admin.token.as_ref(), method == b"GET");
    let has_origin = request.header("origin") != Header::Absent;
    let asked = auth::check(token, authorization, reads, has_origin)
        .and_then(|()| route::read(method, own))
        .map(|call| call.with_query(path));
    Some(match asked {
        Ok(call) if call.has_body() && end => Err(Problem::body("$", "is missing")),
        asked => asked,
    })
}

/// True for a `GET` of `usage_path`, with or without a query.
fn is_usage(config: &Config, request: &StreamRequest) -> bool {
    let (Some(usage), Header::Once(path)) = (&config.usage_path, request.header(":path")) else {
        return false;
    };
    let path = path.split(|b| *b == b'?').next();
    path == Some(usage.as_bytes()) && request.header(":method") == Header::Once(b"GET")
}
