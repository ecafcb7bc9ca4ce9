//! Concurrency: a lease for each request, given back once, forgotten with its VM.

use crate::harness::{Admission, Config, FakeRequest, Next, Worker, World};
use proptest::prelude::*;
use serde_json::json;

fn admission(worker: &Worker) -> Admission {
    worker.admission(&FakeRequest::acme(0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_count_of_leases_is_the_truth_for_any_interleaving(
        limit in 1..6_u64,
        trace in prop::collection::vec((0..4_usize, any::<bool>(), 0..600_u64), 1..200),
    ) {
        let world = World::new();
        let json = Config::tier("t").concurrency(limit);
        let workers: Vec<_> = (0..4).map(|_| Worker::new(&world, &json)).collect();
        let mut in_process: Vec<(usize, Admission)> = Vec::new();
        for (worker, arrives, gap_ms) in trace {
            world.pass_ms(gap_ms);
            for worker in &workers {
                worker.tick();
            }
            if arrives {
                match workers[worker].check(&FakeRequest::acme(0)).next {
                    Next::Forward(pass) => in_process.push((worker, pass.admission.unwrap())),
                    Next::Queue(_) => unreachable!("no tier waits"),
                    Next::Reply(reply) => {
                        prop_assert_eq!(reply.code, "concurrency");
                        prop_assert_eq!(in_process.len() as u64, limit, "refused while under");
                    }
                }
                prop_assert!(in_process.len() as u64 <= limit);
            } else if let Some((owner, admission)) = in_process.pop() {
                workers[owner].release(admission);
            }
        }
    }
}

#[test]
fn leases_of_a_dead_vm_are_forgotten_within_five_seconds() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let (dies, lives) = (Worker::new(&world, &json), Worker::new(&world, &json));
    admission(&dies);
    dies.tick();
    drop(dies);
    lives.refuse(&FakeRequest::acme(0));
    for _ in 0..10 {
        world.pass_ms(500);
        lives.tick();
    }
    admission(&lives);
    let metrics = lives.tick();
    assert_eq!(metrics.get("stale_leases", ""), 1);
}

#[test]
fn leases_of_a_living_vm_are_held_as_long_as_it_ticks() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let (holds, asks) = (Worker::new(&world, &json), Worker::new(&world, &json));
    let lease = admission(&holds);
    for _ in 0..200 {
        world.pass_ms(500);
        holds.tick();
        asks.tick();
        asks.refuse(&FakeRequest::acme(0));
    }
    holds.release(lease);
    admission(&asks);
}

#[test]
fn a_worker_that_stalled_does_not_take_the_others_for_dead() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let (holds, stalls) = (Worker::new(&world, &json), Worker::new(&world, &json));
    stalls.admit(&FakeRequest::of("other", "t", 0));
    admission(&holds);
    for _ in 0..30 {
        world.pass_ms(500);
        holds.tick();
    }
    stalls.refuse(&FakeRequest::acme(0));
}

#[test]
fn a_vm_taken_for_dead_comes_back_with_a_new_generation() {
    let world = World::new();
    let json = Config::tier("t").concurrency(2);
    let (stalls, lives) = (Worker::new(&world, &json), Worker::new(&world, &json));
    let old = admission(&stalls);
    for _ in 0..20 {
        world.pass_ms(500);
        lives.tick();
    }
    let (first, second) = (admission(&lives), admission(&stalls));
    stalls.release(old);
    lives.refuse(&FakeRequest::acme(0));
    lives.release(first);
    stalls.release(second);
    let _ = (admission(&lives), admission(&stalls));
    lives.refuse(&FakeRequest::acme(0));
}

#[test]
fn without_a_free_vm_slot_a_request_is_a_fault() {
    let world = World::new();
    let json = Config::tier("t")
        .concurrency(300)
        .with(json!({"on_fault": "deny"}));
    let workers: Vec<_> = (0..257).map(|_| Worker::new(&world, &json)).collect();
    for worker in &workers[..256] {
        admission(worker);
    }
    let reply = workers[256].refuse(&FakeRequest::acme(0));
    assert_eq!((reply.status, reply.code), (503, "limiter_unavailable"));
    world.pass_ms(5_000);
    admission(&workers[256]);
}
