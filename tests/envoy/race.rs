//! Many clients of one account on two workers: exactly the limit, no more and no fewer.

use crate::harness::Config;
use crate::harness::client::{Call, count};
use crate::harness::stack::Stack;

#[test]
fn two_hundred_clients_get_exactly_the_limit() {
    let stack = Stack::start(Config::tier("t").rpm(777));
    let replies = stack.flood(200, vec![Call::of("acme", "t"); 2_000]);
    assert_eq!((count(&replies, 200), count(&replies, 429)), (777, 1_223));
    for worker in ["worker_0", "worker_1"] {
        let connections = stack.stat(&["listener.", worker, "downstream_cx_total"]);
        assert!(connections > 0, "{worker} took no part");
    }
}
