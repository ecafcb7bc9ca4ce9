//! Concurrency: a lease for each request, given back once, forgotten with its VM.

use crate::harness::{Admission, Call, Config, FakeRequest, Next, Worker, World};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

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

/// How many VMs have a slot, as an operator is told.
fn live_vms(worker: &Worker) -> u64 {
    let (status, body) = worker.call(&Call::Status, "");
    assert_eq!(status, 200, "{body}");
    body["live_vms"].as_u64().unwrap()
}

#[test]
fn vms_without_requests_hold_no_slots() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let workers: Vec<_> = (0..256).map(|_| Worker::new(&world, &json)).collect();
    for worker in &workers {
        let lease = admission(worker);
        worker.release(lease);
    }
    let newest = Worker::new(&world, json.open_admin());
    newest.tick();
    assert_eq!(live_vms(&newest), 256);
    let all: Vec<_> = workers.iter().collect();
    ticks(&world, &all, 4);
    newest.tick();
    assert_eq!(live_vms(&newest), 0);
    let result = newest.check(&FakeRequest::acme(0));
    assert_eq!(result.log_line(), "tier=t outcome=admitted");
    let stale = workers.iter().map(|w| w.tick().get("stale_leases", ""));
    assert_eq!(stale.sum::<i64>(), 0);
}

#[test]
fn a_vm_with_a_request_in_flight_keeps_its_slot_and_an_idle_one_takes_it_anew() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1);
    let (worker, other) = (Worker::new(&world, &json), Worker::new(&world, &json));
    for _ in 0..3 {
        let lease = admission(&worker);
        ticks(&world, &[&worker, &other], 20);
        other.refuse(&FakeRequest::acme(0));
        worker.release(lease);
        ticks(&world, &[&worker, &other], 20);
        let lease = admission(&other);
        worker.refuse(&FakeRequest::acme(0));
        other.release(lease);
    }
}

#[test]
fn sixty_four_workers_with_four_configs_each_enforce_every_request() {
    let world = World::new();
    let config = |n: u32| {
        let retry_after = format!("{n}s");
        let config = Config::tier("t").concurrency(256).rpm(1_000);
        config.with(json!({"concurrency_retry_after": retry_after}))
    };
    let mut workers: Vec<_> = (0..64).map(|_| Worker::new(&world, config(1))).collect();
    for n in 2..5 {
        let next: Vec<_> = workers[..64].iter().map(|w| w.beside(config(n))).collect();
        workers.extend(next);
    }
    let leases: Vec<_> = workers.iter().map(admission).collect();
    let all: Vec<_> = workers.iter().collect();
    ticks(&world, &all, 10);
    for worker in &workers {
        assert_eq!(worker.refuse(&FakeRequest::acme(0)).code, "concurrency");
    }
    let status = Worker::new(&world, config(5).open_admin());
    assert_eq!(live_vms(&status), 64, "one for each worker");
    for (worker, lease) in workers.iter().zip(leases) {
        worker.release(lease);
    }
    admission(&workers[0]);
}

/// Each VM's claim comes between a read and a write of the last one, as if all ran in lock step.
#[test]
fn sixty_four_vms_that_claim_at_once_all_get_a_slot() {
    let world = World::new();
    let deny = json!({"on_fault": "deny"});
    let json = Config::tier("t").concurrency(64).with(deny);
    let last = Worker::new(&world, &json);
    for _ in 0..63 {
        let other = Worker::new(&world, &json);
        last.host.intrude(move || _ = admission(&other));
    }
    admission(&last);
    assert!(last.host.before_set.borrow().is_empty());
    assert_eq!(last.refuse(&FakeRequest::acme(0)).code, "concurrency");
}

#[test]
fn the_last_config_of_a_vm_gives_the_slot_back_when_it_goes() {
    let world = World::new();
    let json = Config::tier("t").concurrency(1).open_admin();
    let old = Worker::new(&world, &json);
    let new = old.beside(json.clone().with(json!({"mode": "shadow"})));
    let lease = admission(&old);
    old.release(lease);
    old.close();
    drop(old);
    let status = Worker::new(&world, &json);
    assert_eq!(live_vms(&status), 1, "another config of the VM is there");
    new.close();
    status.tick();
    assert_eq!(live_vms(&status), 0);
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

/// 256 workers, each with a request in flight, and one more.
fn one_too_many(world: &Arc<World>, json: &Config) -> (Vec<Worker>, Worker) {
    let workers: Vec<_> = (0..256).map(|_| Worker::new(world, json)).collect();
    for worker in &workers {
        worker.admission(&FakeRequest::of("other", "t", 0));
    }
    (workers, Worker::new(world, json))
}

#[test]
fn without_a_free_vm_slot_every_limit_but_concurrency_is_kept() {
    let world = World::new();
    let base = || Config::tier("t").concurrency(300);
    for (config, code) in [
        (base().rpm(2), "rpm"),
        (base().tpm(2_048), "tpm"),
        (base().tpd(2_048), "tpd"),
    ] {
        let config = config.with(json!({"namespace": code}));
        let slots = config.clone().rpm(1_000).tpm(1_000_000).tpd(1_000_000);
        let (_workers, _) = one_too_many(&world, &slots);
        let worker = Worker::new(&world, &config);
        for _ in 0..2 {
            let result = worker.check(&FakeRequest::acme(0));
            assert_eq!(result.log_line(), "tier=t outcome=admitted");
        }
        assert_eq!(worker.refuse(&FakeRequest::acme(0)).code, code);
        let log = worker.tick_log().unwrap();
        assert_eq!(log, "no VM slot: all 256 VM slots are taken");
    }
}

#[test]
fn without_a_free_vm_slot_concurrency_goes_by_its_own_cause() {
    let world = World::new();
    let json = Config::tier("t").concurrency(300);
    let (_workers, allows) = one_too_many(&world, &json);
    let lease = admission(&allows);
    allows.release(lease);
    assert_eq!(allows.tick().get("unleased", ""), 1);
    assert_eq!(allows.tick().get("unleased", ""), 0);
    let denies = json.clone().with(json!({"on_fault": {"no_slot": "deny"}}));
    let denies = denies.and_tier("free").rpm(5);
    let denies = Worker::new(&world, denies);
    assert_eq!(denies.refuse(&FakeRequest::acme(0)).status, 503);
    denies.admission(&FakeRequest::of("acme", "free", 0));
    let others = json!({"lost_races": "deny", "host": "deny", "newer_layout": "deny"});
    let others = Worker::new(&world, json.with(json!({"on_fault": others})));
    admission(&others);
}

/// Regression: the request left another line than its own, and those behind it waited for it.
#[test]
fn a_request_that_goes_on_without_a_lease_leaves_its_line() {
    let world = World::new();
    let models =
        json!({"models": [{"name": "k2", "match": ["k2"]}], "model": [{"header": "x-model"}]});
    let config = Config::tier("t").concurrency(300).wait("5s");
    let config = config
        .with(models)
        .with_tier(json!({"models": {"k2": {"concurrency": 9}}}));
    let (_workers, worker) = one_too_many(&world, &config);
    let mut request = FakeRequest::acme(0);
    request.headers.push(("x-model".into(), "k2".into()));
    let is_admitted = |id| matches!(worker.check_stream(&request, id).next, Next::Forward(_));
    assert!(is_admitted(2));
    assert_eq!(worker.tick().get("unleased", ""), 1);
    // The other VMs are lost, and there are slots again.
    ticks(&world, &[&worker], 9);
    assert!(is_admitted(3));
    assert_eq!(worker.tick().get("unleased", ""), 0);
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
