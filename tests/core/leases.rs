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
    ticks(&world, &[&workers[256]], 9);
    admission(&workers[256]);
}

/// So many ticks of these workers, half a second apart.
fn ticks(world: &World, workers: &[&Worker], n: u32) {
    for _ in 0..n {
        world.pass_ms(500);
        for worker in workers {
            worker.tick();
        }
    }
}

/// SIGSTOP, a cgroup's freezer or a live migration: nobody ticks, for however long.
#[test]
fn a_process_that_stood_still_forgets_no_lease() {
    for stood_ms in [5_000, 86_400_000] {
        let world = World::new();
        let json = Config::tier("t").concurrency(1);
        let (a, b) = (Worker::new(&world, &json), Worker::new(&world, &json));
        let in_flight = admission(&a);
        b.refuse(&FakeRequest::acme(0));
        for worker in [&a, &b] {
            worker.tick();
        }
        world.pass_ms(stood_ms);
        // A VM that starts right after it does not take the others for lost either.
        let starts = Worker::new(&world, &json);
        for worker in [&starts, &b, &a] {
            worker.tick();
            worker.refuse(&FakeRequest::acme(0));
        }
        a.release(in_flight);
        admission(&starts);
        b.refuse(&FakeRequest::acme(0));
        assert_eq!(b.tick().get("stale_leases", ""), 0);
    }
}

#[test]
fn a_process_that_stands_still_again_and_again_forgets_no_lease() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let (a, b) = (Worker::new(&world, &json), Worker::new(&world, &json));
    let in_flight = admission(&a);
    for _ in 0..20 {
        world.pass_ms(60_000);
        b.tick();
        b.refuse(&FakeRequest::acme(0));
        a.tick();
    }
    a.release(in_flight);
    admission(&b);
}

/// A worker's own loop stands still while the others go on, but not for long enough.
#[test]
fn a_vm_that_still_has_its_slot_keeps_it() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let (stalls, lives) = (Worker::new(&world, &json), Worker::new(&world, &json));
    let in_flight = admission(&stalls);
    lives.refuse(&FakeRequest::acme(0));
    ticks(&world, &[&lives], 7);
    world.pass_ms(30_000);
    stalls.tick();
    ticks(&world, &[&lives, &stalls], 1);
    lives.refuse(&FakeRequest::acme(0));
    stalls.release(in_flight);
    admission(&lives);
}

#[test]
fn a_vm_that_others_took_for_lost_gives_no_lease_back_twice() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let (stalls, lives) = (Worker::new(&world, &json), Worker::new(&world, &json));
    let lost = admission(&stalls);
    ticks(&world, &[&lives], 9);
    let next = admission(&lives);
    lives.release(next);
    let _again = admission(&stalls);
    stalls.release(lost);
    lives.refuse(&FakeRequest::acme(0));
}

/// What a VM of 0.1.0 writes: a heartbeat of the same layout.
#[test]
fn the_slot_table_is_that_of_0_1_0() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let worker = Worker::new(&world, &json);
    admission(&worker);
    let stored = world.stored("tiergate/vms").unwrap();
    assert_eq!(stored.len(), 22 + 12 * 256);
    assert_eq!(stored[..2], *b"\x01S");
    let (generation, beat) = stored[22..34].split_at(4);
    assert_eq!(generation, 1_u32.to_le_bytes());
    assert_eq!(beat, world.mono().as_millis().to_le_bytes());
    // A lost VM's slot is one whose heartbeat is as old as can be, which 0.1.0 takes for stale.
    let observer = Worker::new(&world, &json);
    ticks(&world, &[&observer], 9);
    let stored = world.stored("tiergate/vms").unwrap();
    assert_eq!(stored[22..34], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}
