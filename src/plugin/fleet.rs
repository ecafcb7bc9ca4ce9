//! The fleet on Envoy: the root context calls the service through an Envoy cluster.

use super::envoy::Envoy;
use super::hostcalls;
use super::service_call::{self, FailureRow, ServiceCall, status};
use super::worker::Worker;
use crate::fleet::Fleet;
use crate::host::{Clock as _, HostError};
use crate::limiter::FleetCall;
use proxy_wasm::types::BufferType;
use std::collections::HashMap;
use std::time::Duration;

/// The maximum number of calls that one tick makes.
const MOST_CALLS: usize = 4;

/// The calls of one root context that are on their way, by their token.
#[derive(Debug, Default)]
pub struct FleetCaller {
    on_the_way: HashMap<u32, FleetCall>,
    failures: FailureRow,
}

impl FleetCaller {
    /// Sends the asks, reports and heartbeats that are due. The effective context must be that of the root.
    pub fn tick(&mut self, worker: &Worker) {
        let Some(fleet) = &worker.config.fleet else {
            return;
        };
        for _ in 0..MOST_CALLS {
            let now = Envoy.mono();
            let call = worker.with_limiter(|limiter| limiter.take_fleet_call(&Envoy, now));
            let Some(call) = call.flatten() else {
                break;
            };
            match post(fleet, &call) {
                Ok(token) => _ = self.on_the_way.insert(token, call),
                Err(error) => {
                    self.tell(&format!("a call to cluster {}: {error}", fleet.to.cluster));
                    worker.with_limiter(|limiter| limiter.end_fleet_call(&Envoy, call, None));
                }
            }
        }
        worker.hurry_asks();
    }

    /// Takes the answer to a call, with `body` bytes; false for the call of another.
    pub fn answered(&mut self, worker: &Worker, token: u32, body: usize) -> bool {
        let Some(call) = self.on_the_way.remove(&token) else {
            return false;
        };
        let status = status();
        let bytes = match status.as_str() {
            "200" => hostcalls::buffer(BufferType::HttpCallResponseBody, 0, body),
            _ => Ok(None),
        };
        let bytes = bytes.ok().flatten();
        match (&bytes, status.is_empty()) {
            (Some(_), _) => {}
            (None, true) => self.tell("no answer in time"),
            (None, false) => self.tell(&format!("the service answered with {status}")),
        }
        let problem = worker
            .with_limiter(|limiter| limiter.end_fleet_call(&Envoy, call, bytes.as_deref()))
            .flatten();
        match problem {
            Some(problem) => self.tell(&problem),
            None if bytes.is_some() => self.failures.end(),
            None => {}
        }
        true
    }

    fn tell(&mut self, problem: &str) {
        let line = format!("fleet: {problem}; on_failure decides until the service answers again");
        self.failures.tell(&line);
    }
}

/// Posts a call; returns the token that its answer carries.
fn post(fleet: &Fleet, call: &FleetCall) -> Result<u32, HostError> {
    let post = ServiceCall {
        target: ("POST", &fleet.to.path),
        headers: &[
            ("content-type", "application/json"),
            ("x-tiergate-fleet", "1"),
        ],
        body: Some(&call.body),
        timeout: Duration::from_millis(fleet.policy.timeout.as_millis()),
    };
    service_call::send(&fleet.to, &post)
}
