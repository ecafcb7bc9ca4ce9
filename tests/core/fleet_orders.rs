//! What an operator orders at the fleet's service: resets of accounts, and a scale on all limits.

use crate::fleet::{Edge, pass};
use crate::harness::{Config, FakeRequest, FleetStore, Next, Used};
use tiergate::fleet::orders::LoadOrder;

const MINUTE: &str = "requests/60000/-";

/// Three edges, and a store that has heard of each.
fn fleet(config: &Config) -> ([Edge; 3], FleetStore) {
    let edges = [1, 2, 3].map(|nonce| Edge::new(config, nonce));
    let mut store = FleetStore::default();
    ticks(&edges, &mut store, 1);
    (edges, store)
}

/// Ticks each edge once a second, so many times.
fn ticks(edges: &[Edge], store: &mut FleetStore, times: u32) {
    for _ in 0..times {
        pass(edges, 1_000);
        edges.iter().for_each(|edge| edge.tick(store));
    }
}

/// The number of requests that are served, of so many in turn over the edges.
fn served(edges: &[Edge], store: &mut FleetStore, of: usize) -> usize {
    let request = FakeRequest::of("acme", "t", 100);
    let all = (0..of).filter(|n| {
        let edge = &edges[n % edges.len()];
        let served = edge.serves(store, &request, Used::Tokens(100));
        pass(edges, 20);
        edges.iter().for_each(|edge| edge.tick(store));
        served
    });
    all.count()
}

#[test]
fn a_reset_at_the_service_begins_the_use_anew_on_all_edges() {
    let config = Config::tier("t").rpm(11).tpd(10_000);
    // Of so small a limit nothing is held.
    let (edges, mut store) = fleet(&config);
    assert_eq!(served(&edges, &mut store, 20), 11);
    // Each edge's own count would refuse too, if it were kept.
    store.reset("acme", edges[0].world.wall_us() / 1_000);
    ticks(&edges, &mut store, 2);
    assert_eq!(store.used_and_out(MINUTE), (0, 0));
    assert_eq!(served(&edges, &mut store, 20), 11);
    assert_eq!(served(&edges, &mut store, 5), 0, "it is done once");
}

#[test]
fn a_reset_is_learnt_from_the_answer_to_an_ask_too() {
    let config = Config::tier("t").rpm(12);
    let (edges, mut store) = fleet(&config);
    assert_eq!(served(&edges[..1], &mut store, 6), 6);
    store.reset("acme", edges[0].world.wall_us() / 1_000);
    // This store tells no orders.
    store.forget_orders();
    pass(&edges, 1_000);
    assert_eq!(served(&edges[..1], &mut store, 20), 12);
}

#[test]
fn what_was_admitted_before_a_reset_gives_nothing_back_after_it() {
    let config = Config::tier("t").tpm(10_000);
    let (edges, mut store) = fleet(&config);
    let big = FakeRequest::of("acme", "t", 9_000);
    let Next::Forward(before) = edges[0].judged(&mut store, &big) else {
        panic!("refused");
    };
    ticks(&edges, &mut store, 1);
    store.reset("acme", edges[0].world.wall_us() / 1_000);
    ticks(&edges, &mut store, 1);
    assert!(edges[1].serves(&mut store, &big, Used::Tokens(9_000)));
    let admission = before.admission.unwrap();
    edges[0].worker.settle(admission, Used::Tokens(0));
    ticks(&edges, &mut store, 2);
    assert_eq!(store.used_and_out("tokens/60000/-").0, 9_000);
    assert!(!edges[2].serves(&mut store, &big, Used::Tokens(0)));
}

#[test]
fn leases_outlive_a_reset() {
    let config = Config::tier("t").concurrency(1);
    let (edges, mut store) = fleet(&config);
    let request = FakeRequest::of("acme", "t", 0);
    let Next::Forward(_open) = edges[0].judged(&mut store, &request) else {
        panic!("refused");
    };
    store.reset("acme", edges[0].world.wall_us() / 1_000);
    ticks(&edges, &mut store, 2);
    let Next::Reply(_) = edges[1].judged(&mut store, &request) else {
        panic!("a second request in flight");
    };
}

#[test]
fn a_scale_set_at_the_service_holds_for_the_sum_of_all_edges_until_it_ends() {
    let config = Config::tier("t").rpm(40);
    let (edges, mut store) = fleet(&config);
    store.order_load(LoadOrder {
        scale: 500_000,
        tiers: Vec::new(),
        ttl_ms: 120_000,
    });
    ticks(&edges, &mut store, 1);
    edges.iter().for_each(Edge::works);
    assert_eq!(served(&edges, &mut store, 60), 20);
    let request = FakeRequest::of("acme", "t", 0);
    let Next::Reply(reply) = edges[1].judged(&mut store, &request) else {
        panic!("not refused");
    };
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.contains("engine_overloaded_error"), "{text}");
    // An order that comes again sets nothing anew, so it ends when it was to end.
    ticks(&edges, &mut store, 119);
    edges.iter().for_each(Edge::works);
    assert_eq!(served(&edges, &mut store, 60), 40);
}

#[test]
fn orders_beyond_all_bounds_do_what_they_can_and_damage_nothing() {
    let (edges, mut store) = fleet(&Config::tier("t").rpm(40));
    let name = |n| match n {
        0 => "t".to_owned(),
        n if n % 2 == 0 => "x".repeat(65 + n % 50),
        n => format!("tier-{n}"),
    };
    store.order_load(LoadOrder {
        scale: u32::MAX,
        tiers: (0..2_000).map(|n| (name(n), 500_000)).collect(),
        ttl_ms: u64::MAX,
    });
    for n in 0..200 {
        store.reset(&format!("{n}{}", "y".repeat(600)), 0);
    }
    ticks(&edges, &mut store, 1);
    edges.iter().for_each(Edge::works);
    assert_eq!(served(&edges, &mut store, 60), 20);
    for edge in &edges {
        assert_eq!(edge.worker.tick().get("damaged_values", ""), 0);
    }
}

#[test]
fn a_scale_for_one_tier_leaves_the_others_and_an_order_ends_it() {
    let config = Config::tier("t").rpm(40).and_tier("other").rpm(40);
    let (edges, mut store) = fleet(&config);
    store.order_load(LoadOrder {
        scale: 1_000_000,
        tiers: vec![("other".to_owned(), 100_000), ("gone".to_owned(), 1)],
        ttl_ms: 60_000,
    });
    ticks(&edges, &mut store, 1);
    edges.iter().for_each(Edge::works);
    assert_eq!(served(&edges, &mut store, 60), 40);
    let other = FakeRequest::of("bolt", "other", 0);
    let count = |store: &mut FleetStore| {
        let all = (0..10).filter(|_| edges[0].serves(store, &other, Used::Tokens(0)));
        all.count()
    };
    assert_eq!(count(&mut store), 4);
    store.order_load(LoadOrder::default());
    ticks(&edges, &mut store, 2);
    edges.iter().for_each(Edge::works);
    assert_eq!(count(&mut store), 10);
}
