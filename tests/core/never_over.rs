//! Tokens per minute: never over the limit, for any trace of two workers.

use crate::harness::{Admission, Config, FakeRequest, Next, Used, Worker, World};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;

const LIMIT: u64 = 1_000;
const WINDOW_US: u64 = 60_000_000;

#[derive(Clone, Debug)]
enum Act {
    /// A request that reserves this number of tokens.
    Ask(u64),
    /// An open request of the worker ends, with this number of used tokens.
    End(Index, u64),
}

/// After a gap a worker acts; the other worker may act between its read and its write.
#[derive(Clone, Debug)]
struct Step {
    gap_ms: u64,
    worker: usize,
    act: Act,
    intruder: Option<Act>,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..400_u64).prop_map(Act::Ask),
        2 => (any::<Index>(), 0..800_u64).prop_map(|(which, used)| Act::End(which, used)),
    ]
}

fn trace() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![4 => 0..3_000_u64, 1 => 0..30_000_u64];
    let intruder = prop_oneof![3 => Just(None), 1 => act().prop_map(Some)];
    let step = (gap, 0..2_usize, act(), intruder);
    let step = step.prop_map(|(gap_ms, worker, act, intruder)| Step {
        gap_ms,
        worker,
        act,
        intruder,
    });
    prop::collection::vec(step, 1..120)
}

/// What became of an admitted request; times are true ones, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Request {
    at: u64,
    reserved: u64,
    /// When it was settled, and what it had used.
    settled: Option<(u64, u64)>,
}

impl Request {
    /// What was reserved and not yet refunded.
    fn kept(&self) -> u64 {
        let used = self.settled.map_or(u64::MAX, |(_, used)| used);
        self.reserved.min(used)
    }

    /// What it used beyond its reserve.
    fn beyond(&self) -> u64 {
        let used = self.settled.map_or(0, |(_, used)| used);
        used.saturating_sub(self.reserved)
    }
}

/// All that was admitted, in order, and which promise was broken first.
#[derive(Debug, Default)]
struct History {
    requests: Vec<Request>,
    /// What each worker has in process, by the request's place in `requests`.
    open: [Vec<(usize, Admission)>; 2],
    broken: Option<String>,
}

impl History {
    /// What counts in the closed window that ends now: reserves by their admission, and what was
    /// used beyond them by its settlement. The latter may leave the window a sixtieth early, so
    /// that it makes no wait longer than was told.
    fn counted(&self, now: u64) -> u64 {
        let start = now.saturating_sub(WINDOW_US);
        let charged_from = start + WINDOW_US / 60;
        let kept = self.requests.iter().filter(|r| r.at >= start);
        let kept: u64 = kept.map(Request::kept).sum();
        let charged = self
            .requests
            .iter()
            .filter(|r| r.settled.is_some_and(|(at, _)| at >= charged_from));
        kept + charged.map(Request::beyond).sum::<u64>()
    }

    fn admitted(&mut self, worker: usize, reserved: u64, at: u64, admission: Admission) {
        self.open[worker].push((self.requests.len(), admission));
        self.requests.push(Request {
            at,
            reserved,
            settled: None,
        });
        let counted = self.counted(at);
        if counted > LIMIT {
            let text = format!("{counted} tokens in the window that ends at {at} us");
            self.broken.get_or_insert(text);
        }
    }

    fn take_open(&mut self, worker: usize, which: &Index) -> Option<(usize, Admission)> {
        let open = &mut self.open[worker];
        (!open.is_empty()).then(|| open.swap_remove(which.index(open.len())))
    }

    /// What the settled requests of any closed window used.
    fn check_used(&mut self) {
        for first in &self.requests {
            let window = first.at..=first.at + WINDOW_US;
            let inside = self.requests.iter().filter(|r| window.contains(&r.at));
            let (mut used, mut beyond) = (0, 0);
            for request in inside {
                used += request.settled.map_or(0, |(_, used)| used);
                beyond += request.beyond();
            }
            if used > LIMIT + beyond {
                let text = format!("{used} tokens used, {beyond} beyond their reserves");
                self.broken.get_or_insert(text);
            }
        }
    }
}

/// One worker's part in the history of both.
fn run_act(act: &Act, worker: usize, workers: &[Rc<Worker>; 2], history: &RefCell<History>) {
    let host = &workers[worker].host;
    match act {
        Act::Ask(tokens) => {
            let result = workers[worker].check(&FakeRequest::acme(*tokens));
            if let Next::Forward(pass) = result.next {
                let (at, admission) = (host.last_read_us.get(), pass.admission.unwrap());
                let mut history = history.borrow_mut();
                history.admitted(worker, *tokens, at, admission);
            }
        }
        Act::End(which, used) => {
            let Some((request, admission)) = history.borrow_mut().take_open(worker, which) else {
                return;
            };
            workers[worker].settle(admission, Used::Tokens(*used));
            let at = host.last_read_us.get();
            history.borrow_mut().requests[request].settled = Some((at, *used));
        }
    }
}

fn with_reserve(config: Config) -> Config {
    config.with(json!({"tokens": {"completion": 0, "prompt": 0}}))
}

fn of_account(tpm: u64) -> Config {
    with_reserve(Config::tier("t").tpm(tpm))
}

/// All requests are of one family of models, and the account has the double in all.
fn of_family(tpm: u64) -> Config {
    let limits = json!({"concurrency": "unlimited", "rpm": "unlimited",
        "tpm": 2 * tpm, "tpd": "unlimited"});
    let tier = json!({"name": "t", "recharge": 1, "limits": limits,
        "models": {"all": {"tpm": tpm, "rpd": 1_000_000}}});
    with_reserve(Config::new().with(json!({
        "tiers": [tier], "capacity": {"accounts": 64},
        "models": [{"name": "all", "match": ["*"]}],
        "model": [{"header": "x-account-tier"}],
    })))
}

/// Runs a trace against a limiter of that config; the promise that it broke for [`LIMIT`].
fn broken_promise(config: &Config, trace: &[Step]) -> Option<String> {
    let world = World::new();
    let workers = [(); 2].map(|()| Rc::new(Worker::new(&world, config)));
    let history = Rc::new(RefCell::new(History::default()));
    for step in trace {
        world.pass_ms(step.gap_ms);
        if let Some(act) = step.intruder.clone() {
            let other = 1 - step.worker;
            let (world, workers) = (world.clone(), workers.clone());
            let history = Rc::clone(&history);
            workers[step.worker].clone().host.intrude(move || {
                world.pass_us(700);
                run_act(&act, other, &workers, &history);
            });
        }
        run_act(&step.act, step.worker, &workers, &history);
        for worker in &workers {
            worker.host.before_set.borrow_mut().clear();
        }
    }
    let mut history = history.borrow_mut();
    history.check_used();
    history.broken.take()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Promise 1. In any window, what was reserved at admission and not refunded is at most the
    /// limit. What was used passes it only by what requests used beyond their reserves.
    #[test]
    fn tokens_never_pass_the_limit_but_by_what_was_used_beyond_reserves(trace in trace()) {
        prop_assert_eq!(broken_promise(&of_account(LIMIT), &trace), None);
        prop_assert_eq!(broken_promise(&of_family(LIMIT), &trace), None);
        let joining = of_account(LIMIT).with(json!({"tokens": {"join": true}}));
        prop_assert_eq!(broken_promise(&joining, &trace), None);
    }
}

/// The property is tight: a limiter that allows a tenth more does not pass it.
#[test]
fn the_property_finds_a_limiter_at_1_1_times_the_limit() {
    let mut runner = TestRunner::deterministic();
    let traces = (0..200).map(|_| trace().new_tree(&mut runner).unwrap().current());
    let traces: Vec<_> = traces.collect();
    for limiter in [of_account, of_family] {
        let found = |tpm: u64| {
            let config = limiter(tpm);
            let broken = traces
                .iter()
                .filter(|t| broken_promise(&config, t).is_some());
            broken.count()
        };
        assert_eq!(found(LIMIT), 0, "false alarms");
        let found = found(LIMIT * 11 / 10);
        assert!(found >= 100, "found by {found} of 200 traces");
    }
}
