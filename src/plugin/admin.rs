//! Admin calls on the wire: which requests are some, and how they are answered.

use super::envoy::StreamRequest;
use super::hostcalls::{self, LocalReply};
use super::log::error;
use crate::admin::route;
use crate::admin::route::Call;
use crate::admin::{AdminResponse, Problem, auth};
use crate::config::Admin;
use crate::host::{Header, Request};

/// The longest body of a call, in bytes.
pub const LONGEST_BODY: usize = 65_536;

/// What a request asks of the admin API; `None` when it is no admin call.
pub fn asked(admin: &Admin, request: &StreamRequest, end: bool) -> Option<Result<Call, Problem>> {
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

/// Answers a call.
pub fn send(response: &AdminResponse) {
    let mut headers = response.headers.clone();
    if response.status == 401 {
        let challenge = "Basic realm=\"tiergate\", charset=\"UTF-8\"";
        headers.push(("www-authenticate", challenge.to_owned()));
    }
    let sent = hostcalls::send_local_reply(&LocalReply {
        status: response.status,
        details: "tiergate_admin",
        headers: &headers,
        body: &response.body,
        grpc_status: -1,
    });
    if let Err(error) = sent {
        error!("admin answer: {error}");
    }
}
