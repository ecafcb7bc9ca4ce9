//! Which VM loads, and when.

use super::{Vm, accounts, failure, status};
use crate::harness::World;
use tiergate::directory::feed::leader::SharedFeedState;
use tiergate::directory::feed::{FeedError, FetchResult, ImportOutcome, Step};

#[test]
fn one_of_two_loads_and_the_other_takes_over_when_it_dies() {
    let world = World::new();
    let (mut dies, mut lives) = (Vm::new(&world, 1), Vm::new(&world, 2));
    dies.asks();
    assert_eq!(lives.tick(), Step::Rest);
    let next = r#","next":"/2""#;
    dies.takes(accounts(0, 1000, next));
    // It dies while it stages: some of the accounts are on the pages, and none is in force.
    dies.answered(accounts(1000, 2000, ""));
    let before = world.bytes();
    while world.bytes() == before {
        assert_eq!(dies.tick(), Step::Soon);
    }
    assert_eq!(dies.count(), 0);
    drop(dies);
    assert!(!lives.is_ready());
    world.pass_ms(4_999);
    assert_eq!(lives.tick(), Step::Rest);
    world.pass_ms(1);
    let ask = lives.asks();
    assert_eq!((ask.path.as_str(), ask.if_none_match), ("/accounts", None));
    assert!(matches!(
        lives.takes(accounts(0, 1000, next)),
        Step::PageRequest(_)
    ));
    assert_eq!(lives.takes(accounts(1000, 2000, "")), Step::Rest);
    assert_eq!((lives.count(), lives.is_ready()), (2_000, true));
}

#[test]
fn a_vm_that_slept_over_its_lease_gives_way() {
    let world = World::new();
    let (mut sleeps, mut lives) = (Vm::new(&world, 1), Vm::new(&world, 2));
    sleeps.asks();
    sleeps.answered(accounts(0, 1000, ""));
    world.pass_ms(5_000);
    lives.asks();
    // What it gathered is let go of in slices.
    for _ in 0..3 {
        sleeps.tick();
    }
    assert_eq!(sleeps.tick(), Step::Rest);
    assert_eq!(
        sleeps.sync.take_outcome(),
        Some(ImportOutcome::Failed(FeedError::LostLeadership))
    );
    assert_eq!(sleeps.count(), 0);
    assert_eq!(lives.takes(accounts(0, 10, "")), Step::Rest);
    assert_eq!(lives.count(), 10);
}

#[test]
fn a_slow_load_keeps_its_lease() {
    let world = World::new();
    let (mut slow, mut other) = (Vm::new(&world, 1), Vm::new(&world, 2));
    slow.asks();
    for _ in 0..50 {
        world.pass_ms(500);
        assert_eq!(slow.tick(), Step::Rest);
        assert_eq!(other.tick(), Step::Rest);
    }
    assert_eq!(slow.takes(accounts(0, 10, "")), Step::Rest);
    assert_eq!(slow.count(), 10);
}

#[test]
fn an_answer_that_never_comes_is_a_failure() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    vm.asks();
    for _ in 0..70 {
        world.pass_ms(500);
        vm.tick();
    }
    let error = failure(vm.sync.take_outcome().unwrap());
    assert_eq!(error, FeedError::NoAnswer { page: 1 });
}

#[test]
fn failures_are_tried_again_ever_later_and_not_at_the_same_moments() {
    let waits = |nonce: u64| {
        let world = World::new();
        let mut vm = Vm::new(&world, nonce);
        let mut waits = Vec::new();
        for _ in 0..10 {
            vm.answered(FetchResult::default());
            let mut waited = 0;
            while vm.tick() == Step::Rest {
                world.pass_ms(50);
                waited += 50;
            }
            waits.push(waited);
        }
        // The first was due at once.
        waits.split_off(1)
    };
    let (first, second) = (waits(1), waits(3));
    for (i, waited) in first.iter().enumerate() {
        let whole = (1_000 << i.min(10)).min(60_000);
        assert!((whole / 2..=whole + 50).contains(waited), "{i}: {waited}");
    }
    assert_ne!(first, second);
}

#[test]
fn a_failure_is_known_to_all_and_a_success_ends_the_waits() {
    let world = World::new();
    let (mut vm, mut other) = (Vm::new(&world, 1), Vm::new(&world, 2));
    let state = SharedFeedState::of("tiergate");
    let failures = |vm: &Vm| state.read(&vm.host).unwrap().0.failures;
    for failed in 1..=5 {
        vm.loads(status(500));
        assert_eq!(failures(&other), failed);
        assert_eq!(other.tick(), Step::Rest);
        world.pass_ms(60_000);
    }
    other.loads(accounts(0, 1, ""));
    assert_eq!(failures(&vm), 0);
    world.pass_ms(60_000);
    vm.loads(status(500));
    world.pass_ms(1_000);
    vm.asks();
}

#[test]
fn the_age_is_a_gauge_that_all_set_alike() {
    let world = World::new();
    let (mut vm, mut other) = (Vm::new(&world, 1), Vm::new(&world, 2));
    // A gauge is one for all workers: the last that set it counts.
    let mut age = 0;
    let mut show = |vms: [&mut Vm; 2]| {
        for vm in vms {
            let metrics = vm.metrics().0;
            let set = metrics
                .iter()
                .find(|(name, _)| name.contains("directory_age_seconds"));
            age = set.map_or(age, |(_, value)| *value);
        }
        age
    };
    world.pass_ms(30_500);
    assert_eq!(show([&mut vm, &mut other]), 30);
    vm.loads(accounts(0, 1, ""));
    assert_eq!(show([&mut other, &mut vm]), 0);
    world.pass_ms(7_000);
    assert_eq!(show([&mut vm, &mut other]), 7);
    world.pass_ms(53_000);
    other.loads(status(304));
    assert_eq!(show([&mut vm, &mut other]), 0, "known to be whole");
}

#[test]
fn a_corrupt_lease_is_written_anew_and_one_of_a_newer_layout_left_alone() {
    let world = World::new();
    let mut vm = Vm::new(&world, 1);
    world.overwrite("tiergate/feed-state", b"\x01Lnonsense");
    vm.loads(accounts(0, 1, ""));
    assert_eq!(vm.metrics().get("damaged_values", ""), 1);
    world.overwrite("tiergate/feed-state", b"\xffL");
    assert_eq!(vm.tick(), Step::Rest);
    let told = failure(vm.sync.take_outcome().unwrap()).to_string();
    assert!(told.contains("newer layout"));
    world.forget("tiergate/feed-state");
    vm.asks();
}
