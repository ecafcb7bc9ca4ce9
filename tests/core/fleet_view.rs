//! The fleet as operators see it at an edge: in the status, at an account, and on the page.

use crate::fleet::{Edge, pass};
use crate::harness::{Call, Config, FakeRequest, FleetStore, Used};
use serde_json::{Value, json};

fn config() -> Config {
    Config::tier("t").rpm(100).concurrency(20).open_admin()
}

fn read(edge: &Edge, call: &Call) -> Value {
    let (status, said) = edge.worker.call(call, "");
    assert_eq!(status, 200, "{said}");
    said
}

fn account(edge: &Edge) -> Value {
    read(edge, &Call::Get(b"acme".to_vec()))["fleet"].clone()
}

#[test]
fn an_account_shows_what_all_edges_used_and_what_this_one_holds() {
    let config = config();
    let edges = [Edge::new(&config, 1), Edge::new(&config, 2)];
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    for n in 0..12 {
        assert!(edges[n % 2].serves(&mut store, &request, Used::Tokens(0)));
        pass(&edges, 300);
        edges.iter().for_each(|edge| edge.tick(&mut store));
    }
    for _ in 0..3 {
        pass(&edges, 300);
        edges.iter().for_each(|edge| edge.tick(&mut store));
    }
    pass(&edges, 40);
    let seen = account(&edges[0]);
    let minute = &seen["meters"]["requests/60000/-"];
    let [used, held, left] = ["used", "held", "left"].map(|name| minute[name].as_u64().unwrap());
    assert_eq!((used, minute["limit"].as_u64()), (12, Some(100)), "{seen}");
    assert!(held > 0 && left > 0 && used + held + left <= 100, "{seen}");
    assert!(seen["heard_ms_ago"].as_u64().unwrap() >= 40, "{seen}");
    assert_eq!(seen["meters"]["leases/-/-"]["limit"], 20, "{seen}");
    let page = edges[0]
        .worker
        .administer(&Call::Page(Some(b"acme".to_vec())), "");
    let page = String::from_utf8(page.body).unwrap();
    let row = format!(
        "requests/60000/-</code></th><td class=\"n\">{used}</td><td class=\"n\">{held}</td>"
    );
    assert!(page.contains(&row), "{page}");
}

#[test]
fn the_status_says_how_the_edge_stands_in_the_fleet() {
    let config = config();
    let edges = [Edge::new(&config, 1), Edge::new(&config, 2)];
    let mut store = FleetStore::default();
    let status = |edge: &Edge| read(edge, &Call::Status)["fleet"].clone();
    let before = status(&edges[0]);
    assert_eq!(
        (&before["rank"], &before["heard_ms_ago"]),
        (&Value::Null, &Value::Null)
    );
    for _ in 0..2 {
        pass(&edges, 1_000);
        edges.iter().for_each(|edge| edge.tick(&mut store));
    }
    let seen = edges.each_ref().map(status);
    let mut ranks = seen.each_ref().map(|one| one["rank"].as_u64().unwrap());
    ranks.sort_unstable();
    assert_eq!(ranks, [0, 1]);
    assert_eq!(
        (&seen[0]["edges"], &seen[0]["away"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(seen[0]["edge"].as_str().unwrap().len(), 16);
    let page = edges[0].worker.administer(&Call::Page(None), "");
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains("id=\"h-fleet\""), "{page}");
}

#[test]
fn without_a_fleet_nothing_of_it_is_shown() {
    let world = crate::harness::World::new();
    let worker = crate::harness::Worker::new(&world, config());
    assert!(worker.serves(&FakeRequest::of("acme", "t", 0), Used::Tokens(0)));
    let (_, said) = worker.call(&Call::Get(b"acme".to_vec()), "");
    assert!(said.get("fleet").is_none(), "{said}");
    let (_, said) = worker.call(&Call::Status, "");
    assert_eq!(said["fleet"], Value::Null);
    let (_, said) = worker.call(&Call::Reset(b"acme".to_vec()), "");
    assert_eq!(said, json!({"id": "acme", "reset": true}));
    let page = worker.administer(&Call::Page(Some(b"acme".to_vec())), "");
    assert!(
        !String::from_utf8(page.body)
            .unwrap()
            .contains("<h2 id=\"h-fleet\"")
    );
}

#[test]
fn a_reset_at_an_edge_says_that_it_is_of_that_edge_alone() {
    let edge = Edge::new(&config(), 1);
    let mut store = FleetStore::default();
    assert!(edge.serves(
        &mut store,
        &FakeRequest::of("acme", "t", 0),
        Used::Tokens(0)
    ));
    let said = read(&edge, &Call::Reset(b"acme".to_vec()));
    assert_eq!(
        said,
        json!({"id": "acme", "reset": true, "edge_only": true})
    );
}
