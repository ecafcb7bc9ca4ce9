//! The admin calls of an exchange: answered at once, or once their body is here.

use super::envoy::{Envoy, body_bytes};
use super::exchange::{BODY, Exchange};
use super::http_reply;
use super::log::info;
use super::own_path::AdminCall;
use super::phase::{Flow, PausedFor, Phase};
use crate::admin::{AdminResponse, Api, Problem};

impl Exchange {
    /// Answers an admin call, or waits for its body.
    pub(super) fn administer(&mut self, asked: Result<AdminCall, Problem>) -> Flow {
        match asked {
            Ok(mut asked) => match asked.body.take() {
                Some(body) => self.answer_call(&asked, &body),
                None if asked.call.has_body() => {
                    self.phase = Phase::AwaitingCall(Box::new(asked));
                    Flow::Pause(PausedFor::Body)
                }
                None => self.answer_call(&asked, &[]),
            },
            Err(problem) => self.answer(&problem.response()),
        }
    }

    pub(super) fn call_body(&mut self, asked: Box<AdminCall>, size: usize, end: bool) -> Flow {
        self.worker.body_wait.body_came();
        let longest = asked.call.longest_body();
        if size > longest {
            return self.answer(&Problem::TooLong(longest).response());
        }
        if !end {
            return self.stay(Phase::AwaitingCall(asked));
        }
        self.answer_call(&asked, &body_bytes(BODY, 0, size))
    }

    pub(super) fn answer_call(&mut self, asked: &AdminCall, body: &[u8]) -> Flow {
        let response = self.worker.with_limiter(|limiter| {
            limiter.in_force(&Envoy, |limiter| {
                Api::new(limiter, &Envoy).call(&asked.call, body)
            })
        });
        let Some(response) = response else {
            return self.answered();
        };
        for write in &response.writes {
            info!("admin {}: {write}", asked.caller);
        }
        self.answer(&response)
    }

    pub(super) fn answer(&mut self, response: &AdminResponse) -> Flow {
        http_reply::send_admin(response);
        self.answered()
    }
}
