//! Requests per window: never over, never needlessly under, honest waiting.

use crate::harness::{Call, Config, FakeRequest, Next, Used, Worker, World, retry_after_ms};
use proptest::prelude::*;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

const WINDOW_US: u64 = 60_000_000;

/// One request: how long after the one before, on which worker, and who comes in between.
#[derive(Clone, Debug)]
struct Step {
    gap_us: u64,
    worker: usize,
    intruders: Vec<usize>,
}

fn steps(most_workers: usize) -> impl Strategy<Value = (usize, Vec<Step>)> {
    (1..=most_workers).prop_flat_map(|workers| {
        // Bursts, steady traffic, and pauses of up to a window.
        let gap = prop_oneof![0..3_000_u64, 0..1_200_000_u64, 0..61_000_000_u64];
        let step = (gap, 0..workers, prop::collection::vec(0..workers, 0..3));
        let step = step.prop_map(|(gap_us, worker, intruders)| Step {
            gap_us,
            worker,
            intruders,
        });
        (Just(workers), prop::collection::vec(step, 1..120))
    })
}

/// True times at which requests were admitted.
type Admitted = Rc<RefCell<Vec<u64>>>;

fn send(worker: &Worker, admitted: &Admitted) {
    let result = worker.check(&FakeRequest::acme(0));
    if matches!(result.next, Next::Forward(_)) {
        admitted.borrow_mut().push(worker.host.last_read_us.get());
    }
}

/// Runs a trace; each request of a worker may be overtaken by those of others before its write.
fn run(rpm: u64, workers: usize, steps: &[Step]) -> (Arc<World>, Vec<Rc<Worker>>, Vec<u64>) {
    let world = World::new();
    let json = Config::tier("t").rpm(rpm);
    let workers: Vec<_> = (0..workers)
        .map(|_| Rc::new(Worker::new(&world, &json)))
        .collect();
    let admitted = Admitted::default();
    for step in steps {
        world.pass_us(step.gap_us);
        for &other in step.intruders.iter().filter(|other| **other != step.worker) {
            let (other, admitted) = (Rc::clone(&workers[other]), Rc::clone(&admitted));
            let world = Arc::clone(&world);
            let intrude = move || {
                world.pass_us(700);
                send(&other, &admitted);
            };
            workers[step.worker].host.intrude(intrude);
        }
        send(&workers[step.worker], &admitted);
        workers[step.worker].host.before_set.borrow_mut().clear();
    }
    let mut times = admitted.take();
    times.sort_unstable();
    (world, workers, times)
}

/// The most events in any closed window.
fn fullest(times: &[u64], window_us: u64) -> usize {
    let from = |start: &u64| {
        times
            .iter()
            .filter(|t| (*start..=start + window_us).contains(t))
            .count()
    };
    times.iter().map(from).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn never_more_than_the_limit_in_any_window(rpm in 1..40_u64, (workers, trace) in steps(8)) {
        let (_, _, times) = run(rpm, workers, &trace);
        prop_assert!(fullest(&times, WINDOW_US) as u64 <= rpm);
    }

    #[test]
    fn admitted_exactly_when_told(rpm in 1..10_u64, (workers, trace) in steps(3)) {
        let (world, workers, _) = run(rpm, workers, &trace);
        let request = FakeRequest::acme(0);
        let result = loop {
            match workers[0].check(&request).next {
                Next::Forward(_) => {}
                Next::Queue(_) => unreachable!("no tier waits"),
                Next::Reply(reply) => break reply,
            }
        };
        let wait = retry_after_ms(&result);
        prop_assert!(wait >= 1);
        world.pass_ms(wait - 1);
        prop_assert!(matches!(workers[0].check(&request).next, Next::Reply(_)), "too early");
        world.pass_ms(1);
        prop_assert!(matches!(workers[0].check(&request).next, Next::Forward(_)), "as told");
    }

    #[test]
    fn capacity_is_back_within_a_sixtieth_of_a_window(rpm in 1..20_u64, (workers, trace) in steps(4)) {
        let (world, workers, times) = run(rpm, workers, &trace);
        let now = world.now_us();
        let counted = WINDOW_US + WINDOW_US / 60;
        let recent = times.iter().filter(|t| *t + counted > now).count() as u64;
        if recent < rpm {
            workers[0].admit(&FakeRequest::acme(0));
        }
    }

    #[test]
    fn accounts_do_not_share_a_limit(ids in prop::collection::hash_set("[a-z]{1,8}", 2..60)) {
        let world = World::new();
        let worker = Worker::new(&world, Config::tier("t").rpm(1));
        for id in &ids {
            worker.admit(&FakeRequest::of(id, "t", 0));
        }
        for id in &ids {
            worker.refuse(&FakeRequest::of(id, "t", 0));
        }
    }
}

/// Real threads, no plan: 8 workers race for one account.
#[test]
fn eight_racing_threads_admit_exactly_the_limit() {
    let world = World::new();
    let json = Config::tier("t").rpm(500);
    Worker::new(&world, &json);
    let admitted: usize = std::thread::scope(|scope| {
        let race = || {
            let worker = Worker::new(&world, &json);
            let request = FakeRequest::acme(0);
            let verdicts = (0..200).map(|_| worker.check(&request).next);
            verdicts
                .filter(|action| matches!(action, Next::Forward(_)))
                .count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(admitted, 500);
}

/// Calls of shared data, and readings of the clocks, since the last time.
fn cost(worker: &Worker) -> (u32, u32) {
    (worker.host.calls.take(), worker.host.clock_reads.take())
}

#[test]
fn a_refusal_reads_once_and_writes_nothing() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(1));
    let request = FakeRequest::acme(0);
    worker.admit(&request);
    cost(&worker);
    worker.refuse(&request);
    assert_eq!(cost(&worker), (1, 1));
}

#[test]
fn an_admission_and_a_settlement_read_once_and_write_once_each() {
    let world = World::new();
    let worker = Worker::new(&world, "{}");
    let request = FakeRequest::of("acme", "tier5", 0);
    worker.admit(&request);
    cost(&worker);
    let admission = worker.admission(&request);
    assert_eq!(cost(&worker), (2, 1), "admit");
    worker.settle(admission, Used::Tokens(3));
    assert_eq!(cost(&worker), (2, 1), "settle");
}

#[test]
fn a_filter_with_a_shorter_window_takes_nothing_from_the_others() {
    let world = World::new();
    let config = Config::tier("t").rpm(3);
    let long = Worker::new(&world, &config);
    let short = Worker::new(&world, config.with(json!({"windows": {"minute": "1s"}})));
    let acme = FakeRequest::acme(0);
    for _ in 0..3 {
        long.admit(&acme);
    }
    long.refuse(&acme);
    world.pass_ms(2_000);
    short.admit(&acme);
    long.refuse(&acme);
    world.pass_ms(58_001);
    long.admit(&acme);
    long.admit(&acme);
    long.refuse(&acme);
}

#[test]
fn a_reset_is_a_reset_for_the_day_as_for_the_minute() {
    let world = World::new();
    let config = Config::tier("t").tpm(1_000_000).tpd(1_000_000);
    let usage_path = json!({"usage_path": "/u", "admin": {"path": "/a", "insecure": true}});
    let worker = Worker::new(&world, config.with(usage_path));
    let admission = worker.admission(&FakeRequest::acme(5_000));
    assert_eq!(worker.call(&Call::Reset(b"acme".to_vec()), "").0, 200);
    worker.settle(admission, Used::Tokens(6_024));
    let used = |name: &str| worker.usage(&FakeRequest::acme(0))["limits"][name]["used"].clone();
    assert_eq!((used("tpm"), used("tpd")), (json!(0), json!(0)));
}
