//! Replies that the filter sends instead of a response of the upstream.

use super::hostcalls::{self, LocalReply};
use super::log::error;
use crate::admin::AdminResponse;
use crate::reply::{Reply, ReplyForm};

/// The gRPC status of a reply that is plain HTTP.
const NO_GRPC_STATUS: i32 = -1;

/// Sends a refusal or a usage report.
pub fn send(reply: &Reply) {
    let is_grpc = reply.form == ReplyForm::Grpc;
    let headers: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| !is_grpc || *name != "content-type")
        .cloned()
        .collect();
    // Envoy sends the body of a gRPC reply as its grpc-message: the sentence alone.
    let (body, grpc_status) = match reply.form {
        ReplyForm::Http | ReplyForm::GrpcWeb(_) => (&*reply.body, NO_GRPC_STATUS),
        ReplyForm::Grpc => (reply.message.as_bytes(), reply.grpc_status),
    };
    let sent = hostcalls::send_local_reply(&LocalReply {
        status: reply.status,
        details: &format!("tiergate_{}", reply.code),
        headers: &headers,
        body,
        grpc_status,
    });
    if let Err(error) = sent {
        error!("local reply: {error}");
    }
}

/// Returns a random number; zero where the host has none.
pub fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// Sends the response to an admin call.
pub fn send_admin(response: &AdminResponse) {
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
        grpc_status: NO_GRPC_STATUS,
    });
    if let Err(error) = sent {
        error!("admin answer: {error}");
    }
}
