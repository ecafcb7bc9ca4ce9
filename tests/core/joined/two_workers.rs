//! `tokens.join` with two workers on one page, whose acts interleave.

use super::{ACCOUNTS, Act, acts, families, in_flight, joining, records_of, wide};
use crate::harness::{Admission, Call, Config, FakeRequest, Next, Used, Worker, World};
use proptest::prelude::*;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Two workers in a world of their own, and the open requests of each.
#[derive(Clone)]
struct Pair {
    world: Arc<World>,
    workers: [Rc<Worker>; 2],
    open: Rc<RefCell<[Vec<Admission>; 2]>>,
}

impl Pair {
    fn new(config: &Config) -> Self {
        let world = World::new();
        let workers = [(); 2].map(|()| Rc::new(Worker::new(&world, config)));
        Self {
            world,
            workers,
            open: Rc::default(),
        }
    }

    /// Runs an act of a worker; whether a request was admitted.
    fn run(&self, worker: usize, act: &Act) -> Option<bool> {
        let of = &self.workers[worker];
        match act {
            Act::Ask(account, tokens) => {
                let request = FakeRequest::of(ACCOUNTS[*account], "t", *tokens);
                let Next::Forward(forwarded) = of.check(&request).next else {
                    return Some(false);
                };
                self.open.borrow_mut()[worker].extend(forwarded.admission);
                return Some(true);
            }
            Act::End(which, used) => {
                let ended = {
                    let own = &mut self.open.borrow_mut()[worker];
                    (!own.is_empty()).then(|| own.swap_remove(which.index(own.len())))
                };
                if let Some(admission) = ended {
                    of.settle(admission, Used::Tokens(*used));
                }
            }
            Act::Tick => of.write_joined(),
            Act::Reset(account) => {
                let call = Call::Reset(ACCOUNTS[*account].as_bytes().to_vec());
                of.call(&call, "");
            }
        }
        None
    }

    /// Runs an act, and one of the other worker between its read and its write; where it does not
    /// write, after it.
    fn run_both(&self, worker: usize, act: &Act, other: &Act) {
        let (pair, act_of_other) = (self.clone(), other.clone());
        let host = &self.workers[worker].host;
        host.intrude(move || {
            pair.run(1 - worker, &act_of_other);
        });
        self.run(worker, act);
        let left = host.before_set.borrow_mut().pop();
        if let Some(left) = left {
            left();
        }
    }

    fn tick(&self) {
        for worker in &self.workers {
            worker.write_joined();
        }
    }

    fn in_flight(&self) -> usize {
        self.open.borrow().iter().map(Vec::len).sum()
    }

    /// Ends all.
    fn end(&self) {
        for (worker, own) in self.workers.iter().zip(self.open.take()) {
            for admission in own {
                worker.settle(admission, Used::Tokens(1));
            }
        }
        self.tick();
    }
}

/// An act of a worker, after a time, and one of the other worker in the midst of it.
type Step = (usize, u64, Act, Act);

/// Acts of both workers. Each has one of the other worker beside it, which is no reset.
///
/// Each request uses a token at least. Logs and periods whose use falls to zero are dropped, and a
/// settlement that waits may find them used again: then their first use is an older one.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let uses_some = |acts: Vec<(u64, Act)>| {
        let some = |(gap_ms, act)| match act {
            Act::End(which, used) => (gap_ms, Act::End(which, used.max(1))),
            act => (gap_ms, act),
        };
        acts.into_iter().map(some).collect::<Vec<_>>()
    };
    let acts = || acts().prop_map(uses_some);
    let both = (acts(), acts(), prop::collection::vec(0..2_usize, 100));
    both.prop_map(|(acts, others, workers)| {
        let no_reset = |act| match act {
            Act::Reset(_) => Act::Tick,
            act => act,
        };
        let others = others.into_iter().map(|(_, act)| no_reset(act));
        let steps = workers.into_iter().zip(acts).zip(others);
        let step = |((worker, (gap_ms, act)), other)| (worker, gap_ms, act, other);
        steps.map(step).collect()
    })
}

/// Asks and ends of one account alone.
fn of_one_account(act: &Act) -> Act {
    match act {
        Act::Ask(..) => Act::Ask(0, 1),
        Act::End(which, _) => Act::End(*which, 1),
        Act::Tick | Act::Reset(_) => Act::Tick,
    }
}

const AT_ONCE: usize = 6;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Two workers are never over a limit on requests in flight, and give all back.
    #[test]
    fn two_workers_are_never_over_and_give_all_back(steps in steps()) {
        let pair = Pair::new(&joining(wide().concurrency(AT_ONCE as u64)));
        for (worker, _, act, other) in steps {
            pair.run_both(worker, &of_one_account(&act), &of_one_account(&other));
            let in_flight = pair.in_flight();
            prop_assert!(in_flight <= AT_ONCE, "{in_flight} at once");
        }
        pair.end();
        let reader = Worker::new(&pair.world, wide());
        prop_assert_eq!(in_flight(&reader, "acme"), 0);
    }

    /// Far from limits, all orders of two workers end in the records that are stored at once.
    #[test]
    fn two_workers_that_meet_end_as_what_is_stored_at_once(steps in steps()) {
        let config = wide().open_admin();
        let (now, late) = (Pair::new(&config), Pair::new(&joining(config)));
        for (worker, gap_ms, act, other) in &steps {
            for pair in [&now, &late] {
                pair.world.pass_ms(*gap_ms);
                match act {
                    // Which one of a reset and a request is the first would depend on who writes.
                    Act::Reset(_) => _ = pair.run(*worker, act),
                    _ => pair.run_both(*worker, act, other),
                }
            }
            prop_assert_eq!(now.in_flight(), late.in_flight(), "nothing is refused");
        }
        now.end();
        late.end();
        prop_assert_eq!(records_of(&now.world), records_of(&late.world));
    }

    /// Near limits, what is refused for what waits is admitted after the tick, and nothing else is.
    #[test]
    fn two_workers_decide_the_same_after_a_tick_and_end_the_same(steps in steps()) {
        let assumed = families().with(json!({"tokens": {"reserve": "assumed"}}));
        for config in [wide().concurrency(6).tpm(2_000).rpm(12), assumed] {
            let config = config.open_admin();
            let (now, late) = (Pair::new(&config), Pair::new(&joining(config)));
            for (worker, gap_ms, act, _) in &steps {
                now.world.pass_ms(*gap_ms);
                late.world.pass_ms(*gap_ms);
                let (decided, mut joined) = (now.run(*worker, act), late.run(*worker, act));
                if joined == Some(false) {
                    late.tick();
                    joined = late.run(*worker, act);
                }
                prop_assert_eq!(decided, joined);
            }
            now.end();
            late.end();
            prop_assert_eq!(records_of(&now.world), records_of(&late.world));
        }
    }
}
