//! What a fleet loses: a worker, the store, what the store knew, a value of the shared memory.

use crate::fleet::{Edge, answered, in_fleet, pass, two_workers, waits};
use crate::harness::{Config, FakeRequest, FleetStore, Next, Used, Worker, World};
use serde_json::json;
use std::sync::Arc;

#[test]
fn what_a_lost_worker_held_goes_back() {
    let (edge, other) = two_workers(&Config::tier("t").rpm(1_000));
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    let ticket = waits(&other, &request);
    other.talks_to(&mut store);
    let Next::Forward(_) = other.retry(&ticket) else {
        panic!("not admitted");
    };
    // The worker is lost with what it knew: the walk over the pages finds the account.
    drop(other);
    for _ in 0..60 {
        edge.world.pass_ms(250);
        edge.worker.tick();
        edge.tick(&mut store);
    }
    assert_eq!(store.used_and_out("requests/60000/-"), (1, 0));
}

/// Regression: the walk stood still at the page, so nothing behind it was found.
#[test]
fn a_page_of_newer_code_hides_no_other_page() {
    let config = Config::tier("t").rpm(1_000);
    let (edge, other) = two_workers(&config.with(json!({"capacity": {"accounts": 4_096}})));
    let mut store = FleetStore::default();
    let accounts: Vec<String> = (0..20).map(|n| format!("account-{n}")).collect();
    for account in &accounts {
        let ticket = waits(&other, &FakeRequest::of(account, "t", 0));
        other.talks_to(&mut store);
        assert!(matches!(other.retry(&ticket), Next::Forward(_)));
    }
    let before = store.used_and_out("requests/60000/-").1;
    let keys = edge.world.keys();
    let mut pages = keys
        .iter()
        .filter_map(|key| key.strip_prefix("tiergate/p")?.split_once('.'));
    let (size, _) = pages.next().unwrap();
    edge.world
        .overwrite(&format!("tiergate/p{size}.0"), b"\xc8?a page of newer code");
    drop(other);
    let mut lines = Vec::new();
    for _ in 0..60 {
        edge.world.pass_ms(250);
        lines.extend(edge.worker.tick_log());
        edge.tick(&mut store);
    }
    let out = store.used_and_out("requests/60000/-").1;
    assert!(
        out < before / 2,
        "{out} of {before} are still out, though one page of {size} is closed"
    );
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(line.contains("of a newer layout"), "{line}");
}

fn cut_off(on_failure: &str) -> Config {
    let config = Config::tier("t").rpm(12);
    let fleet = json!({"cluster": "fleet", "authority": "fleet", "on_failure": on_failure});
    config.with(json!({"fleet": fleet}))
}

/// What of 30 requests is admitted in the next window, with the store away.
fn served_alone(worker: &Worker, world: &Arc<World>) -> usize {
    let request = FakeRequest::of("acme", "t", 0);
    let served = (0..30).filter(|_| {
        world.pass_ms(50);
        let mut next = worker.check(&request).next;
        for _ in 0..60 {
            let Next::Queue(ticket) = next else { break };
            while let Some(call) = worker.fleet_call() {
                worker.end_fleet_call(call, None);
            }
            world.pass_ms(5);
            next = worker.retry(&ticket);
        }
        match next {
            Next::Forward(pass) => {
                worker.settle(pass.admission.unwrap(), Used::Tokens(0));
                true
            }
            Next::Reply(_) => false,
            Next::Queue(_) => panic!("held for ever"),
        }
    });
    served.count()
}

#[test]
fn a_cut_off_edge_does_as_on_failure_says() {
    for (on_failure, first, later) in [("share", 4, 4), ("local", 12, 12), ("deny", 0, 0)] {
        let world = World::new();
        let worker = Worker::new(&world, cut_off(on_failure)).joins_fleet(1);
        // The store knows three edges. Then all its answers are lost.
        let mut store = FleetStore::default();
        let others = [2, 3].map(|nonce| Edge::new(&cut_off(on_failure), nonce));
        for edge in &others {
            edge.world.pass_ms(2_000);
            edge.worker.tick();
            edge.tick(&mut store);
        }
        world.pass_ms(2_000);
        worker.tick();
        worker.talks_to(&mut store);
        assert_eq!(served_alone(&worker, &world), first, "{on_failure}");
        world.pass_ms(61_000);
        assert_eq!(served_alone(&worker, &world), later, "{on_failure}, later");
    }
}

#[test]
fn a_store_that_forgot_raises_no_share() {
    // The edges admitted all but twenty, and the account is closed after the loss.
    let config = in_fleet(&Config::tier("t").rpm(120));
    let mut store = FleetStore::default();
    let edges = [1, 2, 3].map(|nonce| Edge::new(&config, nonce));
    let request = FakeRequest::of("acme", "t", 0);
    let mut admitted = 0;
    for turn in 0..100 {
        let edge = &edges[turn % 3];
        admitted += usize::from(edge.serves(&mut store, &request, Used::Tokens(0)));
        if turn % 10 == 0 {
            pass(&edges, 400);
            edges.iter().for_each(|edge| edge.tick(&mut store));
        }
    }
    assert_eq!(admitted, 100);
    pass(&edges, 2_000);
    edges.iter().for_each(|edge| edge.tick(&mut store));
    store.forget();
    store.close_until(edges[0].world.wall_us() / 1_000 + 12_000);
    // Reports and asks of some seconds: none of their answers brings a share anew.
    for _ in 0..20 {
        for edge in &edges {
            for _ in 0..40 {
                admitted += usize::from(edge.serves(&mut store, &request, Used::Tokens(0)));
            }
            edge.world.pass_ms(400);
            edge.tick(&mut store);
        }
    }
    assert!((110..=120).contains(&admitted), "{admitted}");
    // An edge that meets the account for the first time knows nothing of what is left.
    let stranger = Edge::new(&config, 4);
    stranger.world.pass_ms(10_000);
    store.close_until(stranger.world.wall_us() / 1_000 + 12_000);
    assert!(!stranger.serves(&mut store, &request, Used::Tokens(0)));
}

#[test]
fn a_store_that_forgot_is_told_again_of_accounts_with_nothing_new() {
    let config = Config::tier("t").rpm(1_000).tpd(100_000);
    let edge = Edge::new(&config, 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 700);
    assert!(edge.serves(&mut store, &request, Used::Tokens(700)));
    for _ in 0..20 {
        edge.world.pass_ms(250);
        edge.tick(&mut store);
    }
    let day = "tokens/day@+00:00/-";
    assert_eq!(store.used_and_out(day), (700, 0));
    store.forget();
    // The heartbeat hears of it; then the walk over the pages takes ten seconds.
    for _ in 0..60 {
        edge.world.pass_ms(250);
        edge.worker.tick();
        edge.tick(&mut store);
    }
    assert_eq!(store.used_and_out(day), (700, 0));
    assert_eq!(store.used_and_out("requests/60000/-"), (1, 0));
}

#[test]
fn a_machine_that_stood_still_is_another_edge_and_once() {
    let (edge, other) = two_workers(&Config::tier("t").rpm(1_000));
    let mut store = FleetStore::default();
    let mut id = |account: &str| {
        let _ticket = waits(&edge.worker, &FakeRequest::of(account, "t", 0));
        let call = edge.worker.fleet_call().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        let answer = answered(&mut store, &edge, &call);
        edge.worker.end_fleet_call(call, Some(&answer));
        said["edge"].to_string()
    };
    let before = id("acme");
    // The monotonic clock stands still for a while.
    edge.world.set_wall_ahead_ms(5_000);
    edge.worker.tick();
    let after = id("bolt");
    assert_ne!(before, after);
    other.tick();
    edge.worker.tick();
    assert_eq!(id("coil"), after);
}

#[test]
fn damaged_values_of_the_fleet_are_counted_and_made_anew() {
    let edge = Edge::new(&Config::tier("t").rpm(10), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    assert!(edge.serves(&mut store, &request, Used::Tokens(0)));
    for key in ["tiergate/fleet", "tiergate/fleet-dirty"] {
        edge.world.overwrite(key, b"\x01nonsense");
        edge.world.pass_ms(500);
        let damaged = || edge.worker.tick().get("damaged_values", "");
        let first = damaged();
        edge.tick(&mut store);
        assert_eq!(first + damaged(), 1, "{key}");
        assert!(edge.serves(&mut store, &request, Used::Tokens(0)), "{key}");
    }
}

#[test]
fn a_worker_that_is_lost_with_its_ask_stops_no_other() {
    let (edge, other) = two_workers(&Config::tier("t").rpm(1_000));
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    assert!(edge.serves(
        &mut store,
        &FakeRequest::of("bolt", "t", 0),
        Used::Tokens(0)
    ));
    let _ticket = waits(&other, &request);
    let _call = other.fleet_call().unwrap();
    drop(other);
    // Its message is on its way, so the account's next request waits: at most for the time-out.
    let waiting = waits(&edge.worker, &request);
    assert!(edge.worker.fleet_call().is_none());
    edge.world.pass_ms(60);
    assert!(edge.worker.is_due(&waiting));
    assert!(!matches!(edge.worker.retry(&waiting), Next::Queue(_)));
}
