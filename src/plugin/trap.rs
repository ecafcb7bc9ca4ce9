//! A request that traps the worker's VM, for tests only (feature `trap`).

use super::request::StreamRequest;
use crate::host::{Header, Request as _};

/// Panics when the request asks for it.
#[allow(
    clippy::panic,
    reason = "it is what the feature is for; no release is built with it"
)]
pub fn trigger() {
    let asked = |request: StreamRequest| request.header("x-tiergate-trap") != Header::Absent;
    if StreamRequest::read().is_ok_and(asked) {
        panic!("trapped as asked");
    }
}
