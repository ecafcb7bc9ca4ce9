//! Notices on Envoy: the root context posts them through an Envoy cluster.

use super::envoy::Envoy;
use super::service_call::{self, FailureRow, ServiceCall, status};
use super::worker::Worker;
use crate::host::{Clock as _, HostError};
use crate::http::endpoint::Endpoint;
use crate::notices::Letter;
use std::collections::HashMap;
use std::time::Duration;

/// The longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The notices of one root context that are on their way, by the token of their call.
#[derive(Debug, Default)]
pub struct Courier {
    on_the_way: HashMap<u32, Letter>,
    failures: FailureRow,
}

impl Courier {
    /// Sends what is due.
    pub fn tick(&mut self, worker: &Worker) {
        let Some(notices) = &worker.config.notices else {
            return;
        };
        let now = Envoy.mono();
        let take = || {
            worker
                .with_limiter(|limiter| limiter.take_letter(now))
                .flatten()
        };
        while let Some(letter) = take() {
            match post(&notices.to, &letter) {
                Ok(token) => _ = self.on_the_way.insert(token, letter),
                Err(error) => {
                    self.tell(&format!(
                        "a call to cluster {}: {error}",
                        notices.to.cluster
                    ));
                    worker.with_limiter(|limiter| limiter.end_letter(letter, false, now));
                }
            }
        }
    }

    /// Takes the answer to a call; false for the call of another.
    pub fn answered(&mut self, worker: &Worker, token: u32) -> bool {
        let Some(letter) = self.on_the_way.remove(&token) else {
            return false;
        };
        let status = status();
        let delivered = status.starts_with('2');
        match delivered {
            true => self.failures.end(),
            false if status.is_empty() => self.tell("no answer from the receiver"),
            false => self.tell(&format!("the receiver answered with {status}")),
        }
        let now = Envoy.mono();
        worker.with_limiter(|limiter| limiter.end_letter(letter, delivered, now));
        true
    }

    /// Returns the notices on their way to the outbox. Their answers are no longer read.
    pub fn close(&mut self, worker: &Worker) {
        for (_, letter) in self.on_the_way.drain() {
            worker.with_limiter(|limiter| limiter.take_back(letter));
        }
    }

    fn tell(&mut self, problem: &str) {
        self.failures
            .tell(&format!("notices: {problem}; they are tried again"));
    }
}

/// Posts a notice; returns the token that its answer carries.
fn post(to: &Endpoint, letter: &Letter) -> Result<u32, HostError> {
    let post = ServiceCall {
        target: ("POST", &to.path),
        headers: &[("content-type", "application/json")],
        body: Some(&letter.body),
        timeout: TIMEOUT,
    };
    service_call::send(to, &post)
}
