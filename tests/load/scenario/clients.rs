//! Clients at a fixed rate each, that do not wait for replies: what is refused is asked for anew
//! no more and no less.

use super::{ASKED, LATENCY, RPM, Record, STAGGERED, TIERS, WINDOW};
use crate::harness::client::{Call, Connection, Reply, connection};
use crate::harness::stack::Stack;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// By the upstream, with 200.
    Served,
    /// By the upstream, with an error.
    Failed,
    /// Over a limit as the tier has it.
    Limited,
    /// Over a limit that is lowered for load.
    Overloaded,
    /// None of these, which nothing here should bring about.
    Other,
}

/// Starts the clients of all accounts; their requests are spread evenly over time.
pub fn start(stack: &Stack, accounts: usize, time: (Instant, Instant), record: &Arc<Record>) {
    for account in 0..accounts {
        for (tier, rpm) in RPM.into_iter().enumerate() {
            let place = (account * TIERS + tier) as f64 / (accounts * TIERS) as f64;
            let client = Client {
                tier,
                call: Call::of(&format!("{tier}-{account}"), &format!("tier{tier}"))
                    .header("x-demo-latency-ms", LATENCY.as_millis().to_string()),
                to: stack.proxy,
                kept: connection(false),
                first: STAGGERED.mul_f64(place),
                period: WINDOW.div_f64(rpm as f64 * ASKED),
            };
            let record = Arc::clone(record);
            stack.runtime.spawn(client.run(time, record));
        }
    }
}

/// The client of one account.
#[derive(Clone)]
struct Client {
    tier: usize,
    call: Call,
    to: SocketAddr,
    kept: Connection,
    /// From the start to its first request.
    first: Duration,
    /// From one request to the next.
    period: Duration,
}

impl Client {
    async fn run(self, (start, end): (Instant, Instant), record: Arc<Record>) {
        let times = (0..).map(|i| start + self.first + self.period * i);
        for at in times.take_while(|at| *at < end) {
            tokio::time::sleep_until(at.into()).await;
            // Real clients would not stop and catch up together when this machine does.
            if at.elapsed() > self.period {
                continue;
            }
            let (one, record) = (self.clone(), Arc::clone(&record));
            tokio::spawn(async move {
                let reply = one.call.send_on(&one.kept, one.to).await;
                let outcome = reply.map_or(Outcome::Other, |reply| outcome(&reply));
                record.count(one.tier, at - start, outcome);
            });
        }
    }
}

fn outcome(reply: &Reply) -> Outcome {
    if reply.status == 200 {
        return Outcome::Served;
    }
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let told = |field: &str| body["error"][field].as_str().unwrap_or_default();
    match (reply.status, told("type"), told("code")) {
        (429, "rate_limit_reached_error", _) => Outcome::Limited,
        (429, "engine_overloaded_error", _) => Outcome::Overloaded,
        (_, _, "overloaded") => Outcome::Failed,
        _ => Outcome::Other,
    }
}
