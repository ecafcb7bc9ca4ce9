//! What tests of lowered limits do: the upstream's answers go in, over ticks, and what is in force
//! comes out.

use super::fake_host::FakeRequest;
use super::worker::{Call, Worker};
use serde_json::Value;
use tiergate::overload::{State, StoredOverload};
use tiergate::time::Mono;

/// Lowers limits by hand; the view that the admin API answers with.
pub fn put_load(worker: &Worker, body: &str) -> Value {
    let (status, view) = worker.call(&Call::PutManual, body);
    assert_eq!(status, 200, "{view}");
    view
}

/// The pressure that the stored state shows.
pub fn pressure(worker: &Worker) -> f64 {
    let (_, view) = worker.call(&Call::Overload, "");
    view["auto"]["pressure"].as_f64().unwrap()
}

/// A limit that is in force by this worker's own memory, as requests are judged.
pub fn in_force(worker: &Worker, tier: &str, limit: &str) -> u64 {
    let usage = worker.usage(&FakeRequest::of("acme", tier, 0));
    let limit = &usage["limits"][limit];
    let in_force = limit["in_force"].as_u64();
    in_force.or(limit["limit"].as_u64()).unwrap()
}

/// So many answers of that status.
pub fn answers(worker: &Worker, status: &str, n: usize) {
    for _ in 0..n {
        worker.observe(status, None);
    }
}

/// So many half seconds, each with `n` answers of that status and a tick.
pub fn ticks(worker: &Worker, half_seconds: usize, status: &str, n: usize) {
    for _ in 0..half_seconds {
        answers(worker, status, n);
        worker.tick();
        worker.host.world.pass_ms(500);
    }
}

/// Changes the stored state, as corrupt or hostile code would.
pub fn corrupt_state(worker: &Worker, f: impl Fn(&mut State, Mono)) {
    StoredOverload::of("tiergate")
        .change(&worker.host, |state, now| f(state, now))
        .unwrap();
}
