//! Requests that are held for a lease: in order, bounded, for as long as the tier waits.

use crate::fake_host::{FakeRequest, Worker, World, one_tier, retry_after_ms};
use tiergate::limiter::{Admission, MOST_WAITING, Next, Ticket};
use tiergate::tokens::Used;

/// Concurrency 1, and a wait of two seconds.
fn waits() -> String {
    one_tier(1, 0, 0, 0, "").replace(r#""recharge": 1,"#, r#""recharge": 1, "wait": "2s","#)
}

fn action(worker: &Worker, account: &str, id: u32) -> Next {
    let request = FakeRequest::of(account, "t", 0);
    let mut limiter = worker.limiter.borrow_mut();
    limiter.check(&worker.host, &request, None, id).next
}

fn waiting(worker: &Worker, account: &str, id: u32) -> Ticket {
    match action(worker, account, id) {
        Next::Queue(ticket) => *ticket,
        other => panic!("{other:?}"),
    }
}

fn held(action: Next) -> Admission {
    match action {
        Next::Forward(pass) => pass.admission.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn retry(worker: &Worker, ticket: &Ticket) -> Next {
    let mut limiter = worker.limiter.borrow_mut();
    limiter.retry(&worker.host, ticket.clone()).next
}

fn settle(worker: &Worker, held: Admission) {
    let mut limiter = worker.limiter.borrow_mut();
    limiter.settle(&worker.host, held, Used::Unknown);
}

#[test]
fn first_come_first_served() {
    let world = World::new();
    let worker = Worker::new(&world, &waits());
    let first = held(action(&worker, "acme", 1));
    let (second, third) = (waiting(&worker, "acme", 2), waiting(&worker, "acme", 3));
    settle(&worker, first);
    // Neither the third nor one that comes now gets by the second.
    assert!(matches!(retry(&worker, &third), Next::Queue(_)));
    let fourth = waiting(&worker, "acme", 4);
    let second = held(retry(&worker, &second));
    assert!(matches!(retry(&worker, &third), Next::Queue(_)));
    settle(&worker, second);
    let third = held(retry(&worker, &third));
    settle(&worker, third);
    held(retry(&worker, &fourth));
}

#[test]
fn a_lease_that_another_worker_gives_back_is_seen() {
    let world = World::new();
    let (here, there) = (Worker::new(&world, &waits()), Worker::new(&world, &waits()));
    let first = held(action(&there, "acme", 1));
    let second = waiting(&here, "acme", 1);
    settle(&there, first);
    held(retry(&here, &second));
}

#[test]
fn when_the_wait_is_over_it_is_a_429() {
    let world = World::new();
    let worker = Worker::new(&world, &waits());
    held(action(&worker, "acme", 1));
    let (second, third) = (waiting(&worker, "acme", 2), waiting(&worker, "acme", 3));
    world.pass_ms(1_999);
    assert!(matches!(retry(&worker, &second), Next::Queue(_)));
    world.pass_ms(1);
    // The third is not the first in line, and its wait is over all the same.
    for ticket in [&third, &second] {
        assert!(worker.limiter.borrow().is_due(
            ticket,
            tiergate::time::Mono::from_millis(world.now_us() / 1000)
        ));
        match retry(&worker, ticket) {
            Next::Reply(reply) => {
                assert_eq!((reply.status, reply.code), (429, "concurrency"));
                assert_eq!(retry_after_ms(&reply), 1_000);
            }
            other => panic!("{other:?}"),
        }
    }
    let metrics = worker.tick();
    assert_eq!(
        metrics.get("limited", "limit.concurrency"),
        2,
        "counted once each"
    );
    assert_eq!(metrics.get("requests", "outcome.admitted"), 1);
}

#[test]
fn who_leaves_the_line_leaves_no_trace() {
    let world = World::new();
    let worker = Worker::new(&world, &waits());
    let first = held(action(&worker, "acme", 1));
    let (second, third) = (waiting(&worker, "acme", 2), waiting(&worker, "acme", 3));
    worker.limiter.borrow_mut().leave(&second);
    settle(&worker, first);
    held(retry(&worker, &third));
    let metrics = worker.tick();
    assert_eq!(metrics.get("requests", ""), 2);
}

#[test]
fn other_limits_and_other_accounts_do_not_wait() {
    let world = World::new();
    let config = waits().replace(r#""rpm": "unlimited""#, r#""rpm": 1"#);
    let worker = Worker::new(&world, &config);
    held(action(&worker, "acme", 1));
    assert!(matches!(action(&worker, "acme", 2), Next::Reply(reply) if reply.code == "rpm"));
    held(action(&worker, "other", 3));
}

#[test]
fn a_full_line_refuses_at_once() {
    let world = World::new();
    let worker = Worker::new(&world, &waits());
    held(action(&worker, "acme", 1));
    let most = u32::try_from(MOST_WAITING).unwrap();
    for id in 2..2 + most {
        waiting(&worker, "acme", id);
    }
    let one_more = action(&worker, "acme", 2 + most);
    assert!(matches!(one_more, Next::Reply(reply) if reply.code == "concurrency"));
}
