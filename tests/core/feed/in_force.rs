//! Which of several configs loads the feed: after rollbacks, with draining listeners, and reloads.

use super::{Vm, accounts, page, status};
use crate::harness::World;
use std::sync::Arc;
use tiergate::directory::feed::{ImportOutcome, Step};

/// Ticks some VMs for so many seconds; returns which of them asked for a page.
fn ask_within(world: &Arc<World>, seconds: u64, vms: &mut [(&mut Vm, bool)]) -> Vec<bool> {
    let mut asked = vec![false; vms.len()];
    for _ in 0..2 * seconds {
        world.pass_ms(500);
        for ((vm, judges), asked) in vms.iter_mut().zip(&mut asked) {
            if *judges {
                vm.claim.note_request();
            }
            if matches!(vm.tick(), Step::PageRequest(_)) {
                *asked = true;
                vm.takes(page(r#"{"accounts":[{"id":"a","recharge":"20"}]}"#));
            }
        }
    }
    asked
}

#[test]
fn when_the_newer_feed_is_gone_the_older_one_is_loaded_again() {
    let world = World::new();
    let mut a = Vm::of(&world, 1, "/accounts");
    a.loads(page(r#"{"accounts":[{"id":"a","recharge":"20"}]}"#));
    world.pass_ms(10_000);
    let mut b = Vm::of(&world, 2, "/wrong");
    assert!(matches!(b.loads(status(404)), ImportOutcome::Failed(_)));
    drop(b);
    assert_eq!(ask_within(&world, 12, &mut [(&mut a, false)]), [true]);
}

/// The withdrawn config's roots drain, and tick, for minutes.
#[test]
fn after_a_rollback_the_config_with_the_requests_loads() {
    let world = World::new();
    let mut a = Vm::of(&world, 1, "/accounts");
    a.loads(page(r#"{"accounts":[{"id":"a","recharge":"20"}]}"#));
    world.pass_ms(1_000);
    let mut b = Vm::of(&world, 2, "/other");
    let mut both = [(&mut a, false), (&mut b, true)];
    assert_eq!(
        ask_within(&world, 60, &mut both),
        [false, true],
        "B is in force"
    );
    // A kept-alive connection to B goes on for a while.
    let mut both = [(&mut a, true), (&mut b, true)];
    assert_eq!(ask_within(&world, 61, &mut both), [false, true]);
    let mut both = [(&mut a, true), (&mut b, false)];
    ask_within(&world, 11, &mut both);
    let mut both = [(&mut a, true), (&mut b, false)];
    let asked = ask_within(&world, 61, &mut both);
    assert_eq!(asked, [true, false], "A is again");
}

#[test]
fn a_shorter_interval_is_in_force_at_once() {
    let world = World::new();
    let mut old = Vm::every(&world, 1, "/accounts", 86_400);
    old.loads(accounts(0, 3, ""));
    drop(old);
    world.pass_ms(60_000);
    let mut new = Vm::every(&world, 2, "/accounts", 60);
    assert_eq!(ask_within(&world, 11, &mut [(&mut new, false)]), [true]);
}

#[test]
fn a_feed_is_loaded_before_the_first_request() {
    let world = World::new();
    let mut new = Vm::of(&world, 1, "/accounts");
    assert_eq!(ask_within(&world, 1, &mut [(&mut new, false)]), [true]);
}
