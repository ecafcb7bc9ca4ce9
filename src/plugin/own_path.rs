//! Requests for the filter's own paths: the admin API and an account's usage report.

use super::request::StreamRequest;
use crate::admin::route::Call;
use crate::admin::{Problem, auth, route};
use crate::config::{Admin, Config};
use crate::host::{Header, Request};

/// The header in which an admin call can bring its body.
const BODY_HEADER: &str = "x-tiergate-body";
/// The maximum size of a body in that header, in bytes.
const LONGEST_HEADER_BODY: usize = 32_768;

/// An admin call whose caller may make it.
#[derive(Debug)]
pub struct AdminCall {
    /// The call.
    pub call: Call,
    /// The name of the caller's token, for the log.
    pub caller: String,
    /// The body, if the call brought it in a header.
    pub body: Option<Vec<u8>>,
}

/// A request that the filter answers itself.
#[derive(Debug)]
pub enum OwnPath {
    /// An admin call, or the problem with it.
    Admin(Result<AdminCall, Problem>),
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

fn admin_call(
    admin: &Admin,
    request: &StreamRequest,
    end: bool,
) -> Option<Result<AdminCall, Problem>> {
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
    let (tokens, reads) = (admin.tokens.as_deref(), method == b"GET");
    let has_origin = request.header("origin") != Header::Absent;
    let caller = auth::check(tokens, authorization, reads, has_origin);
    Some(caller.and_then(|caller| {
        let call = route::read(method, own)?.with_query(path);
        Ok(AdminCall {
            body: header_body(&call, request, end)?,
            call,
            caller: caller.to_owned(),
        })
    }))
}

/// Returns the body that a call brings in a header.
fn header_body(
    call: &Call,
    request: &StreamRequest,
    end: bool,
) -> Result<Option<Vec<u8>>, Problem> {
    match request.header(BODY_HEADER) {
        Header::Absent if call.has_body() && end => Err(Problem::body("$", "is missing")),
        Header::Absent => Ok(None),
        Header::Repeated => Err(Problem::BadHeaderBody("came more than once")),
        Header::Once(_) if !call.has_body() => {
            Err(Problem::BadHeaderBody("this call takes no body"))
        }
        Header::Once(_) if !end => Err(Problem::BadHeaderBody(
            "the request has a body too: send one of them",
        )),
        Header::Once(body) if body.len() > LONGEST_HEADER_BODY => {
            Err(Problem::TooLong(LONGEST_HEADER_BODY))
        }
        Header::Once(body) if !body.is_ascii() => Err(Problem::BadHeaderBody(
            "is not ASCII: write other characters as \\u escapes",
        )),
        Header::Once(body) => Ok(Some(body.to_vec())),
    }
}

/// True for a `GET` of `usage_path`, with or without a query.
fn is_usage(config: &Config, request: &StreamRequest) -> bool {
    let (Some(usage), Header::Once(path)) = (&config.usage_path, request.header(":path")) else {
        return false;
    };
    let path = path.split(|b| *b == b'?').next();
    path == Some(usage.as_bytes()) && request.header(":method") == Header::Once(b"GET")
}
