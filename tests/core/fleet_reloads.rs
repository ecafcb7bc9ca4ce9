//! Configs of an edge that change while requests wait for the store.

use super::fleet::{Edge, in_fleet, waits};
use crate::harness::{Config, FakeRequest, FleetStore, Next, Used};

fn forwards(next: &Next) -> bool {
    matches!(next, Next::Forward(_))
}

#[test]
fn a_request_that_waits_over_a_reload_gets_its_answer() {
    let edge = Edge::new(&Config::tier("t").rpm(10), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    let ticket = waits(&edge.worker, &request);
    let call = edge.worker.fleet_call().unwrap();
    let new = edge
        .worker
        .beside(in_fleet(&Config::tier("t").rpm(12)))
        .joins_fleet(1);
    let asked = serde_json::from_slice(&call.body).unwrap();
    let answer = store.answer(&asked, edge.world.wall_us() / 1_000);
    let answer = serde_json::to_vec(&answer).unwrap();
    assert_eq!(edge.worker.end_fleet_call(call, Some(&answer)), None);
    assert!(edge.worker.is_due(&ticket) && forwards(&edge.worker.retry(&ticket)));
    // The new config's own limit is the one that the store keeps from now.
    let edge = Edge {
        world: edge.world,
        worker: new,
    };
    let served = (0..20).filter(|_| edge.serves(&mut store, &request, Used::Tokens(0)));
    assert_eq!(served.count(), 11);
}

#[test]
fn an_ask_that_ends_with_its_config_stops_no_request_of_the_next_one() {
    let edge = Edge::new(&Config::tier("t").rpm(10), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    let ticket = waits(&edge.worker, &request);
    let call = edge.worker.fleet_call().unwrap();
    let new = edge
        .worker
        .beside(in_fleet(&Config::tier("t").rpm(10)))
        .joins_fleet(1);
    // The store grants, and the answer comes to a config that has gone.
    let asked = serde_json::from_slice(&call.body).unwrap();
    store.answer(&asked, edge.world.wall_us() / 1_000);
    edge.worker.leave(&ticket);
    edge.worker.end_fleet_call(call, None);
    edge.worker.close();
    let edge = Edge {
        world: edge.world,
        worker: new,
    };
    let served = (0..20).filter(|_| edge.serves(&mut store, &request, Used::Tokens(0)));
    assert_eq!(served.count(), 10, "nothing of the grant is lost");
}
