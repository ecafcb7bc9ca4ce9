//! A ledger that grows while it is in use.

use crate::harness::{Config, FakeRequest, Next, Used, Worker, World, retry_after_ms};
use proptest::prelude::*;
use serde_json::json;
use std::rc::Rc;
use std::sync::Arc;

fn config(accounts: u32) -> Config {
    let capacity = json!({"capacity": {"accounts": accounts}});
    Config::tier("t")
        .concurrency(5)
        .rpm(3)
        .tpd(100_000)
        .with(capacity)
}

fn worker(world: &Arc<World>, accounts: u32) -> Worker {
    Worker::new(world, config(accounts))
}

fn of(account: usize) -> FakeRequest {
    FakeRequest::of(&format!("account-{account}"), "t", 0)
}

#[test]
fn accounts_keep_their_use_and_their_leases_when_the_capacity_grows() {
    let world = World::new();
    let old = worker(&world, 16);
    let admissions: Vec<_> = (0..40).map(|i| old.admission(&of(i))).collect();
    let new = worker(&world, 100);
    for i in 0..40 {
        new.admit(&of(i));
        // The old config finds its page sealed, and follows.
        old.admit(&of(i));
        new.refuse(&of(i));
        old.refuse(&of(i));
    }
    for admission in admissions {
        old.settle(admission, Used::Tokens(7));
    }
    world.pass_ms(61_000);
    for i in 0..40 {
        let admitted: Vec<_> = (0..3).map(|_| new.admission(&of(i))).collect();
        assert_eq!(
            admitted.len(),
            3,
            "one of five leases is still out, of the first three"
        );
    }
}

#[test]
fn a_capacity_never_shrinks_and_a_rollback_keeps_the_larger_one() {
    let world = World::new();
    let small = worker(&world, 64);
    small.admit(&of(1));
    let large = worker(&world, 1_000);
    large.admit(&of(1));
    let rolled_back = worker(&world, 64);
    rolled_back.admit(&of(1));
    for worker in [&small, &large, &rolled_back] {
        worker.refuse(&of(1));
    }
    let refused = Worker::open(&world, config(32)).err().unwrap().to_string();
    assert!(
        refused.contains("asks for 4: capacity.accounts can grow"),
        "{refused}"
    );
}

#[test]
fn the_old_pages_are_emptied_once_all_new_ones_have_their_records() {
    let world = World::new();
    let old = worker(&world, 8);
    for i in 0..60 {
        old.admit(&of(i));
    }
    let new = worker(&world, 32);
    for i in 0..60 {
        new.admit(&of(i));
    }
    assert_eq!(
        world.stored("tiergate/p1.0").unwrap().len(),
        4,
        "sealed and empty"
    );
    for i in 0..60 {
        new.admit(&of(i));
        new.refuse(&of(i));
    }
}

/// A module of layout 1 left its table, and no page of layout 2.
#[test]
fn pages_are_made_beside_those_of_a_module_of_layout_1() {
    let world = World::new();
    worker(&world, 64);
    for key in world.keys().iter().filter(|key| key.contains("/p8.")) {
        world.forget(key);
    }
    let upgraded = worker(&world, 64);
    upgraded.admit(&of(1));
    assert_eq!(upgraded.tick().get("lost_pages", ""), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whoever knows of the growth, and however writes interleave, no account is ever over.
    #[test]
    fn no_account_is_over_while_the_ledger_grows(
        steps in prop::collection::vec((0..4_usize, 0..12_usize, 0..4_usize, 0..9_000_u64), 20..120),
        grows_at in 0..60_usize,
        grows_again_at in 60..100_usize,
    ) {
        let world = World::new();
        let mut workers = vec![Rc::new(worker(&world, 16)), Rc::new(worker(&world, 16))];
        let mut admitted: Vec<Vec<u64>> = vec![Vec::new(); 12];
        for (i, (by, account, rival, pass)) in steps.into_iter().enumerate() {
            if i == grows_at {
                workers.push(Rc::new(worker(&world, 40)));
            }
            if i == grows_again_at {
                workers.push(Rc::new(worker(&world, 400)));
            }
            world.pass_ms(pass);
            let (by, rival) = (by % workers.len(), rival % workers.len());
            if by != rival {
                let rival = Rc::clone(&workers[rival]);
                let intrude = move || { let _ = rival.serves(&of(99), Used::Tokens(1)); };
                workers[by].host.intrude(intrude);
            }
            if let Next::Forward(_) = workers[by].check(&of(account)).next {
                admitted[account].push(world.now_us());
            }
            workers[by].host.before_set.borrow_mut().clear();
            let times = &admitted[account];
            let recent = times.iter().filter(|at| **at + 60_000_000 >= world.now_us()).count();
            prop_assert!(recent <= 3, "{recent} of 3");
        }
        let last = workers.last().unwrap();
        for account in 0..12 {
            if let Next::Reply(reply) = last.check(&of(account)).next {
                prop_assert!(retry_after_ms(&reply) <= 60_001 || reply.code == "concurrency");
            }
        }
    }
}
