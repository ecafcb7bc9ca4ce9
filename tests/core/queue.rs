//! Requests that wait for a lease: in order, bounded, for as long as the tier waits.

use crate::harness::{Admission, Config, FakeRequest, Next, Ticket, Worker, World, retry_after_ms};
use tiergate::limiter::{MOST_IN_LINE, MOST_WAITING};

/// Concurrency 1, and a wait of two seconds.
fn waits() -> Config {
    Config::tier("t").concurrency(1).wait("2s")
}

fn action(worker: &Worker, account: &str, id: u32) -> Next {
    let request = FakeRequest::of(account, "t", 0);
    worker.check_stream(&request, id).next
}

fn queued(worker: &Worker, account: &str, id: u32) -> Ticket {
    match action(worker, account, id) {
        Next::Queue(ticket) => *ticket,
        other => panic!("{other:?}"),
    }
}

fn admission(action: Next) -> Admission {
    match action {
        Next::Forward(pass) => pass.admission.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn first_come_first_served() {
    let world = World::new();
    let worker = Worker::new(&world, waits());
    let first = admission(action(&worker, "acme", 1));
    let (second, third) = (queued(&worker, "acme", 2), queued(&worker, "acme", 3));
    worker.release(first);
    // Neither the third nor one that comes now gets by the second.
    assert!(matches!(worker.retry(&third), Next::Queue(_)));
    let fourth = queued(&worker, "acme", 4);
    let second = admission(worker.retry(&second));
    assert!(matches!(worker.retry(&third), Next::Queue(_)));
    worker.release(second);
    let third = admission(worker.retry(&third));
    worker.release(third);
    admission(worker.retry(&fourth));
}

#[test]
fn a_lease_that_another_worker_gives_back_is_seen() {
    let world = World::new();
    let (here, there) = (Worker::new(&world, waits()), Worker::new(&world, waits()));
    let first = admission(action(&there, "acme", 1));
    let second = queued(&here, "acme", 1);
    there.release(first);
    admission(here.retry(&second));
}

#[test]
fn when_the_wait_is_over_it_is_a_429() {
    let world = World::new();
    let worker = Worker::new(&world, waits());
    admission(action(&worker, "acme", 1));
    let (second, third) = (queued(&worker, "acme", 2), queued(&worker, "acme", 3));
    world.pass_ms(1_999);
    assert!(matches!(worker.retry(&second), Next::Queue(_)));
    world.pass_ms(1);
    // The third is not the first in line, yet its wait is over too.
    for ticket in [&third, &second] {
        assert!(worker.is_due(ticket));
        match worker.retry(ticket) {
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
fn a_request_that_leaves_the_queue_leaves_no_trace() {
    let world = World::new();
    let worker = Worker::new(&world, waits());
    let first = admission(action(&worker, "acme", 1));
    let (second, third) = (queued(&worker, "acme", 2), queued(&worker, "acme", 3));
    worker.leave(&second);
    worker.release(first);
    admission(worker.retry(&third));
    let metrics = worker.tick();
    assert_eq!(metrics.get("requests", ""), 2);
}

#[test]
fn other_limits_and_other_accounts_do_not_wait() {
    let world = World::new();
    let worker = Worker::new(&world, waits().rpm(1));
    admission(action(&worker, "acme", 1));
    assert!(matches!(action(&worker, "acme", 2), Next::Reply(reply) if reply.code == "rpm"));
    admission(action(&worker, "other", 3));
}

#[test]
fn one_account_does_not_take_all_places_of_the_queue() {
    let world = World::new();
    let worker = Worker::new(&world, waits());
    let most = u32::try_from(MOST_IN_LINE).unwrap();
    admission(action(&worker, "greedy", 0));
    for id in 1..=most {
        queued(&worker, "greedy", id);
    }
    let one_more = action(&worker, "greedy", 1 + most);
    assert!(matches!(one_more, Next::Reply(reply) if reply.code == "concurrency"));
    admission(action(&worker, "modest", 5_000));
    queued(&worker, "modest", 5_001);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let world = World::new();
    let worker = Worker::new(&world, waits());
    let most = u32::try_from(MOST_WAITING).unwrap();
    for id in 0..most {
        let account = format!("account-{}", id / 16);
        if id % 16 == 0 {
            admission(action(&worker, &account, 10_000 + id));
        }
        queued(&worker, &account, id);
    }
    admission(action(&worker, "one more", 20_000));
    let waits = action(&worker, "one more", 20_001);
    assert!(matches!(waits, Next::Reply(reply) if reply.code == "concurrency"));
}

#[test]
fn a_settlement_here_wakes_the_first_of_its_account_alone() {
    let world = World::new();
    let worker = Worker::new(&world, waits());
    let first = admission(action(&worker, "acme", 1));
    let _other = admission(action(&worker, "other", 2));
    let (second, third) = (queued(&worker, "acme", 3), queued(&worker, "acme", 4));
    let other = queued(&worker, "other", 5);
    assert!(!worker.is_due(&second), "it looked just now");
    worker.release(first);
    assert!(worker.is_due(&second) && !worker.is_due(&third) && !worker.is_due(&other));
    let second = admission(worker.retry(&second));
    assert!(worker.is_due(&third), "there may be a second lease");
    assert!(matches!(worker.retry(&third), Next::Queue(_)));
    assert!(!worker.is_due(&third));
    worker.release(second);
    assert!(worker.is_due(&third));
}

/// A lease that another VM gives back is found by a look.
#[test]
fn looks_back_off_and_go_on() {
    let world = World::new();
    let config = Config::tier("t").concurrency(1).wait("60s");
    let worker = Worker::new(&world, config);
    admission(action(&worker, "acme", 1));
    let ticket = queued(&worker, "acme", 2);
    let mut looks = Vec::new();
    for tick in 1..200 {
        world.pass_ms(10);
        if worker.is_due(&ticket) {
            looks.push(tick * 10);
            assert!(matches!(worker.retry(&ticket), Next::Queue(_)));
        }
    }
    assert_eq!(looks, [10, 30, 70, 150, 310, 630, 950, 1_270, 1_590, 1_910]);
}

#[test]
fn a_tick_looks_for_few_and_all_have_their_turn() {
    let world = World::new();
    let config = Config::tier("t").concurrency(1).wait("60s");
    let worker = Worker::new(&world, config);
    let tickets: Vec<Ticket> = (0..150)
        .map(|id| {
            let account = format!("account-{id}");
            admission(action(&worker, &account, id));
            queued(&worker, &account, 1_000 + id)
        })
        .collect();
    let mut looks = vec![0; tickets.len()];
    for _ in 0..100 {
        world.pass_ms(10);
        worker.host.calls.set(0);
        for (ticket, looks) in tickets.iter().zip(&mut looks) {
            if worker.is_due(ticket) {
                *looks += 1;
                assert!(matches!(worker.retry(ticket), Next::Queue(_)));
            }
        }
        assert!(worker.host.calls.get() <= 64, "{}", worker.host.calls.get());
    }
    assert!(
        looks.iter().all(|looks| (5..=9).contains(looks)),
        "{looks:?}"
    );
}

/// Shared-data calls a second of two VMs while 1,000 requests of so many accounts wait in them.
fn calls_a_second(accounts: u32) -> u32 {
    const SECONDS: u32 = 5;
    let world = World::new();
    let config = Config::tier("t").concurrency(1).wait("60s");
    let config = config.with(serde_json::json!({"capacity": {"accounts": 4096}}));
    let workers = [(); 2].map(|()| Worker::new(&world, &config));
    let name = |i: u32| format!("account-{}", i % accounts);
    for i in 0..accounts {
        admission(action(&workers[0], &name(i), i));
    }
    // Each account waits in both, where it has more than one request.
    let at = |i: u32| usize::try_from((i / accounts + i) % 2).unwrap();
    let tickets: Vec<_> = (0..1_000)
        .map(|i| (at(i), queued(&workers[at(i)], &name(i), 10_000 + i)))
        .collect();
    for tick in 0..100 * (2 + SECONDS) {
        if tick == 200 {
            // By now the looks have backed off.
            workers.iter().for_each(|worker| worker.host.calls.set(0));
        }
        world.pass_ms(10);
        for (at, ticket) in &tickets {
            if workers[*at].is_due(ticket) {
                assert!(matches!(workers[*at].retry(ticket), Next::Queue(_)));
            }
        }
        if tick % 50 == 0 {
            workers.iter().for_each(|worker| _ = worker.tick());
        }
    }
    let calls: u32 = workers.iter().map(|worker| worker.host.calls.get()).sum();
    calls / SECONDS
}

#[test]
fn a_thousand_queued_requests_make_few_shared_data_calls() {
    for (accounts, most) in [(20, 200), (1_000, 3_300)] {
        let calls = calls_a_second(accounts);
        println!("1,000 queued requests of {accounts} accounts: {calls} calls/s");
        assert!(calls <= most, "{accounts} accounts: {calls}");
    }
}
