//! Configs of an edge that change while requests wait for the store.

use super::fleet::{Edge, answered, in_fleet, waits};
use crate::harness::{Config, FakeRequest, FleetStore, Next, Ticket, Used};
use tiergate::limiter::FleetCall;

/// An edge with 10 RPM, whose request waits for the answer to a call as a new config comes.
struct Reload {
    store: FleetStore,
    old: Edge,
    new: Edge,
    request: FakeRequest,
    ticket: Ticket,
    call: FleetCall,
}

impl Reload {
    fn to(rpm: u64) -> Self {
        let old = Edge::new(&Config::tier("t").rpm(10), 1);
        let request = FakeRequest::of("acme", "t", 0);
        let ticket = waits(&old.worker, &request);
        let call = old.worker.fleet_call().unwrap();
        let worker = old.worker.beside(in_fleet(&Config::tier("t").rpm(rpm)));
        let new = Edge {
            world: old.world.clone(),
            worker: worker.joins_fleet(1),
        };
        Self {
            store: FleetStore::default(),
            old,
            new,
            request,
            ticket,
            call,
        }
    }
}

/// How many of 20 requests the edge serves.
fn served(edge: &Edge, store: &mut FleetStore, request: &FakeRequest) -> usize {
    let served = (0..20).filter(|_| edge.serves(store, request, Used::Tokens(0)));
    served.count()
}

#[test]
fn a_request_that_waits_over_a_reload_gets_its_answer() {
    let mut all = Reload::to(12);
    let answer = answered(&mut all.store, &all.old, &all.call);
    let old = &all.old.worker;
    assert_eq!(old.end_fleet_call(all.call, Some(&answer)), None);
    assert!(old.is_due(&all.ticket));
    assert!(matches!(old.retry(&all.ticket), Next::Forward(_)));
    // The new config's own limit is the one that the store keeps from now.
    assert_eq!(served(&all.new, &mut all.store, &all.request), 11);
}

#[test]
fn an_ask_that_ends_with_its_config_stops_no_request_of_the_next_one() {
    let mut all = Reload::to(10);
    // The store grants, and the answer comes to a config that has gone.
    answered(&mut all.store, &all.old, &all.call);
    let old = &all.old.worker;
    old.leave(&all.ticket);
    old.end_fleet_call(all.call, None);
    old.close();
    let served = served(&all.new, &mut all.store, &all.request);
    assert_eq!(served, 10, "nothing of the grant is lost");
}
