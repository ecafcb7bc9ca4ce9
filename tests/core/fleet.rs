//! Edges of a fleet on one store: what a request asks for, holds and gives back.

use crate::harness::{Config, FakeRequest, FleetStore, Next, Ticket, Used, Worker, World};
use serde_json::json;
use std::sync::Arc;

/// An edge: an Envoy process with one worker.
pub struct Edge {
    pub world: Arc<World>,
    pub worker: Worker,
}

impl Edge {
    pub fn new(config: &Config, nonce: u64) -> Self {
        let world = World::new();
        let worker = Worker::new(&world, in_fleet(config)).joins_fleet(nonce);
        Self { world, worker }
    }

    /// Serves a request that ends at once; it waits for the store at most once.
    pub fn serves(&self, store: &mut FleetStore, request: &FakeRequest, used: Used) -> bool {
        match self.judged(store, request) {
            Next::Forward(pass) => {
                self.worker.settle(pass.admission.unwrap(), used);
                true
            }
            Next::Reply(reply) => {
                assert_eq!(reply.status, 429);
                false
            }
            Next::Queue(_) => panic!("still waits"),
        }
    }

    /// The decision on a request, after the store's answers.
    pub fn judged(&self, store: &mut FleetStore, request: &FakeRequest) -> Next {
        let mut next = self.worker.check(request).next;
        for _ in 0..100 {
            let Next::Queue(ticket) = next else {
                return next;
            };
            self.worker.talks_to(store);
            if !self.worker.is_due(&ticket) {
                self.world.pass_ms(5);
            }
            next = self.worker.retry(&ticket);
            self.worker.end_answers();
        }
        next
    }

    /// Runs the worker's own tick.
    pub fn works(&self) {
        self.worker.tick();
    }

    pub fn tick(&self, store: &mut FleetStore) {
        self.worker.talks_to(store);
    }
}

pub fn in_fleet(config: &Config) -> Config {
    let fleet = json!({"fleet": {"cluster": "fleet", "authority": "fleet"}});
    config.clone().with(fleet)
}

pub fn waits(worker: &Worker, request: &FakeRequest) -> Ticket {
    match worker.check(request).next {
        Next::Queue(ticket) => *ticket,
        other => panic!("does not wait: {other:?}"),
    }
}

pub fn pass(edges: &[Edge], ms: u64) {
    for edge in edges {
        edge.world.pass_ms(ms);
    }
}

#[test]
fn a_limit_is_one_limit_for_all_edges() {
    let config = Config::tier("t").rpm(10);
    let edges = [Edge::new(&config, 1), Edge::new(&config, 2)];
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    let mut admitted = 0;
    for n in 0..30 {
        let edge = &edges[n % 2];
        admitted += usize::from(edge.serves(&mut store, &request, Used::Tokens(0)));
        pass(&edges, 100);
        edges.iter().for_each(|edge| edge.tick(&mut store));
    }
    assert_eq!(admitted, 10);
}

#[test]
fn the_first_request_waits_for_the_answer_and_the_rest_of_a_burst_for_none() {
    let edge = Edge::new(&Config::tier("t").rpm(1_000), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    let ticket = waits(&edge.worker, &request);
    assert!(!edge.worker.is_due(&ticket), "there is no answer yet");
    edge.tick(&mut store);
    assert!(edge.worker.is_due(&ticket));
    assert!(matches!(edge.worker.retry(&ticket), Next::Forward(_)));
    let mut in_line = 0;
    for _ in 0..100 {
        if let Next::Queue(ticket) = edge.worker.check(&request).next {
            in_line += 1;
            edge.tick(&mut store);
            assert!(matches!(edge.worker.retry(&ticket), Next::Forward(_)));
        }
        edge.world.pass_ms(100);
        edge.tick(&mut store);
    }
    assert!(in_line <= 2, "{in_line} of 100 requests waited");
}

#[test]
fn what_is_idle_goes_back_and_nothing_is_lost() {
    let config = Config::tier("t").rpm(40);
    let edges = [Edge::new(&config, 1), Edge::new(&config, 2)];
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    for _ in 0..10 {
        assert!(edges[0].serves(&mut store, &request, Used::Tokens(0)));
        pass(&edges, 50);
        edges[0].tick(&mut store);
    }
    for _ in 0..20 {
        pass(&edges, 250);
        edges.iter().for_each(|edge| edge.tick(&mut store));
    }
    assert_eq!(store.used_and_out("requests/60000/-"), (10, 0));
    let served = (0..40).filter(|_| {
        let served = edges[1].serves(&mut store, &request, Used::Tokens(0));
        pass(&edges, 10);
        edges[1].tick(&mut store);
        served
    });
    assert_eq!(served.count(), 30);
}

#[test]
fn tokens_beyond_a_reserve_are_charged_and_those_below_come_back() {
    let config = Config::tier("t").tpm(10_000);
    let edges = [Edge::new(&config, 1), Edge::new(&config, 2)];
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 1_000);
    // Over-used by far: the other edge must hear of it.
    assert!(edges[0].serves(&mut store, &request, Used::Tokens(9_500)));
    pass(&edges, 250);
    edges[0].tick(&mut store);
    assert_eq!(store.used_and_out("tokens/60000/-").0, 9_500);
    assert!(!edges[1].serves(&mut store, &request, Used::Tokens(0)));
    // Under-used: what was reserved for nothing comes back.
    let other = FakeRequest::of("bolt", "t", 8_000);
    assert!(edges[0].serves(&mut store, &other, Used::Tokens(100)));
    pass(&edges, 250);
    edges[0].tick(&mut store);
    pass(&edges, 250);
    edges[0].tick(&mut store);
    assert!(edges[1].serves(&mut store, &other, Used::Tokens(100)));
}

#[test]
fn a_refusal_says_the_limit_and_when_it_ends() {
    let config = Config::tier("t").rpm(1);
    let edges = [Edge::new(&config, 1), Edge::new(&config, 2)];
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    assert!(edges[0].serves(&mut store, &request, Used::Tokens(0)));
    pass(&edges, 250);
    edges[0].tick(&mut store);
    let Next::Reply(reply) = edges[1].judged(&mut store, &request) else {
        panic!("not refused");
    };
    let text = format!("{reply:?}");
    assert!(text.contains("rpm"), "{text}");
    let wait = crate::harness::retry_after_ms(&reply);
    assert!((55_000..=61_300).contains(&wait), "{wait}");
    // It is remembered for a second, and asks nothing.
    let steps = store.steps;
    assert!(!edges[1].serves(&mut store, &request, Used::Tokens(0)));
    assert_eq!(store.steps, steps);
    pass(&edges, wait);
    assert!(edges[1].serves(&mut store, &request, Used::Tokens(0)));
}

#[test]
fn one_request_at_a_time_round_robin_is_never_refused() {
    let config = Config::tier("t").concurrency(1);
    let edges = [1, 2, 3].map(|nonce| Edge::new(&config, nonce));
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    for n in 0..60 {
        let edge = &edges[n % 3];
        let Next::Forward(pass_on) = edge.judged(&mut store, &request) else {
            panic!("request {n} is refused");
        };
        pass(&edges, 1_000);
        edge.worker
            .settle(pass_on.admission.unwrap(), Used::Tokens(0));
        // The lease is told at once: the tick after the end.
        pass(&edges, 2);
        edges.iter().for_each(|edge| edge.tick(&mut store));
    }
}

#[test]
fn concurrency_holds_over_all_edges() {
    let config = Config::tier("t").concurrency(5);
    let edges = [1, 2].map(|nonce| Edge::new(&config, nonce));
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    let mut open = Vec::new();
    for n in 0..12 {
        match edges[n % 2].judged(&mut store, &request) {
            Next::Forward(pass) => open.push((n % 2, pass.admission.unwrap())),
            Next::Reply(_) => {}
            Next::Queue(_) => panic!("waits for ever"),
        }
    }
    assert_eq!(open.len(), 5);
    let (edge, admission) = open.remove(0);
    edges[edge].worker.settle(admission, Used::Tokens(0));
    edges[edge].tick(&mut store);
    assert!(matches!(
        edges[1 - edge].judged(&mut store, &request),
        Next::Forward(_)
    ));
}

/// One edge with two workers.
pub fn two_workers(config: &Config) -> (Edge, Worker) {
    let edge = Edge::new(config, 1);
    let other = Worker::new(&edge.world, in_fleet(config)).joins_fleet(2);
    (edge, other)
}

#[test]
fn workers_of_an_edge_share_what_it_holds_and_one_of_them_speaks() {
    let (edge, other) = two_workers(&Config::tier("t").rpm(1_000));
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    for _ in 0..20 {
        assert!(edge.serves(&mut store, &request, Used::Tokens(0)));
        edge.world.pass_ms(100);
        edge.tick(&mut store);
    }
    let Next::Forward(pass) = other.check(&request).next else {
        panic!("the other worker does not see what is held");
    };
    other.settle(pass.admission.unwrap(), Used::Tokens(0));
    edge.world.pass_ms(300);
    assert_eq!(other.talks_to(&mut store), 0, "it passes its account on");
    let told = store.used_and_out("requests/60000/-").0;
    edge.tick(&mut store);
    assert!(store.used_and_out("requests/60000/-").0 > told);
}

#[test]
fn what_is_in_hand_is_not_asked_for_once_more() {
    let config = Config::tier("t").concurrency(12).rpm(1_000);
    let mut store = FleetStore::default();
    let [one, other] = [1, 2].map(|nonce| Edge::new(&in_fleet(&config), nonce));
    let request = FakeRequest::of("acme", "t", 0);
    assert!(one.serves(&mut store, &request, Used::Tokens(0)));
    // All leases are taken but those in this edge's hand.
    let mut running = Vec::new();
    while let Next::Forward(pass) = other.judged(&mut store, &request) {
        running.push(pass.admission.unwrap());
    }
    assert!(running.len() < 12, "the edge holds a lease");
    // What it has of the minute is soon spent, so it asks for more, and needs no more leases.
    for n in 0..50 {
        assert!(one.serves(&mut store, &request, Used::Tokens(0)), "{n}");
    }
}

#[test]
fn a_day_ends_by_the_stores_clock_whatever_the_edge_has() {
    let midnight: u64 = 20_000 * 86_400_000;
    let config = Config::tier("t").tpd(10);
    let config = in_fleet(&config.with(json!({"tokens": {"completion": 0}})));
    // The account's own clock is behind the store's after that has moved to another node.
    for (offset, behind_ms) in [(-300_000_i64, 0), (0, 0), (300_000, 0), (0, 300_000)] {
        let edge = Edge::new(&config, 1);
        let mut store = FleetStore::default();
        store.behind_ms = behind_ms;
        let begin = midnight - 60_000;
        edge.world.set_wall_ms(begin.saturating_add_signed(offset));
        let mut serves = |at: u64| {
            edge.world
                .set_wall_ms((begin + at).saturating_add_signed(offset));
            let request = FakeRequest::of("acme", "t", 1);
            let mut next = edge.worker.check(&request).next;
            for _ in 0..100 {
                let Next::Queue(ticket) = next else { break };
                while let Some(call) = edge.worker.fleet_call() {
                    let request = serde_json::from_slice(&call.body).unwrap();
                    let answer = store.answer(&request, begin + at);
                    let answer = serde_json::to_vec(&answer).unwrap();
                    edge.worker.end_fleet_call(call, Some(&answer));
                }
                next = edge.worker.retry(&ticket);
                edge.worker.end_answers();
            }
            match next {
                Next::Forward(pass) => {
                    edge.worker.settle(pass.admission.unwrap(), Used::Tokens(1));
                    true
                }
                _ => false,
            }
        };
        let before = (0..20).filter(|_| serves(0)).count();
        assert_eq!(before, 10, "{offset}: the day's limit");
        edge.world.pass_ms(59_000);
        assert!(!serves(59_000), "{offset}: it is the same day");
        edge.world.pass_ms(2_000);
        let after = (0..20).filter(|_| serves(61_000)).count();
        assert_eq!(after, 10, "{offset}: the next day has its own");
    }
}

/// The body of the store's answer to a call.
pub fn answered(
    store: &mut FleetStore,
    edge: &Edge,
    call: &tiergate::limiter::FleetCall,
) -> Vec<u8> {
    let request = serde_json::from_slice(&call.body).unwrap();
    let answer = store.answer(&request, edge.world.wall_us() / 1_000);
    serde_json::to_vec(&answer).unwrap()
}

#[test]
fn an_account_that_is_told_of_and_holds_nothing_is_outstanding_no_more() {
    let edge = Edge::new(&Config::tier("t").tpd(1_000), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 1);
    assert!(edge.serves(&mut store, &request, Used::Tokens(1_000)));
    let mut outstanding = Vec::new();
    for _ in 0..30 {
        edge.world.pass_ms(250);
        outstanding.push(edge.worker.tick().get("fleet_outstanding", ""));
        edge.tick(&mut store);
    }
    assert_eq!(outstanding.last(), Some(&0), "{outstanding:?}");
}

#[test]
fn the_config_check_says_what_is_wrong_with_a_fleet() {
    let fleet = |fields: &str| {
        let json = format!(r#"{{"fleet": {{"cluster": "f", "authority": "f"{fields}}}}}"#);
        tiergate::config::parse(json.as_bytes())
    };
    assert!(fleet("").is_ok());
    let all = r#", "sync": "250ms", "timeout": "50ms", "on_failure": "share", "after_loss": "strict",
        "edges": 3, "cut_off": "reset", "key": "0123456789abcdef", "token": "t""#;
    let config = fleet(all).unwrap();
    assert!(
        !config.shareable.contains("0123456789abcdef"),
        "secrets stay"
    );
    for (fields, path, problem) in [
        (r#", "sync": "10ms""#, "fleet.sync", "50ms"),
        (r#", "timeout": "2s""#, "fleet.timeout", "1s"),
        (r#", "edges": 0"#, "fleet.edges", "1"),
        (r#", "key": "short""#, "fleet.key", "16 bytes"),
        (r#", "on_failure": "shares""#, "fleet.on_failure", "share"),
        (r#", "syncs": "1s""#, "fleet", "sync"),
        (r#", "token": """#, "fleet.token", "1 to 4096"),
    ] {
        let error = fleet(fields).expect_err(fields).to_string();
        assert!(error.contains(path) && error.contains(problem), "{error}");
    }
}
