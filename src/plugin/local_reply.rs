//! Replies to clients in place of the upstream's.

use super::hostcalls::{self, LocalReply};
use super::log::error;
use crate::reply::Reply;

/// Sends a reply, in the form that the client speaks.
pub fn send(reply: &Reply, grpc: bool) {
    // The host makes the body of a gRPC reply its grpc-message: that is the sentence alone.
    let body = if grpc {
        reply.message.as_bytes()
    } else {
        &reply.body
    };
    let headers: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| !grpc || *name != "content-type")
        .cloned()
        .collect();
    let sent = hostcalls::send_local_reply(&LocalReply {
        status: reply.status,
        details: &format!("tiergate_{}", reply.code),
        headers: &headers,
        body,
        grpc_status: if grpc { reply.grpc_status } else { -1 },
    });
    if let Err(error) = sent {
        error!("local reply: {error}");
    }
}
