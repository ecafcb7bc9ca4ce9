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
fn two_workers(config: &Config) -> (Edge, Worker) {
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
        // The store knows three edges, and then nobody hears of it.
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
fn an_answer_after_its_time_out_grants_nothing() {
    let edge = Edge::new(&Config::tier("t").rpm(1_000), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    for late_ms in [59, 61, 5_000] {
        let _ticket = waits(&edge.worker, &request);
        let call = edge.worker.fleet_call().unwrap();
        let answer = answered(&mut store, &edge, &call);
        edge.world.pass_ms(late_ms);
        edge.worker.end_fleet_call(call, Some(&answer));
        let is_held = matches!(edge.worker.check(&request).next, Next::Forward(_));
        assert_eq!(is_held, late_ms < 60, "after {late_ms} ms");
        // The store hears what is held, and takes the rest back.
        edge.world.pass_ms(15_000);
        edge.tick(&mut store);
        edge.world.pass_ms(3_000);
        edge.tick(&mut store);
        assert_eq!(store.used_and_out("requests/60000/-").1, 0);
        edge.world.pass_ms(62_000);
    }
}

#[test]
fn requests_that_wait_for_a_slow_service_one_after_another_are_not_admitted_without_it() {
    let config = Config::tier("t").rpm(7);
    let edges = [Edge::new(&config, 1), Edge::new(&config, 2)];
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    // The store knows both, so it lets neither hold anything of so small a limit.
    for edge in &edges {
        pass(&edges, 2_000);
        edge.works();
        edge.tick(&mut store);
    }
    for edge in &edges {
        assert!(edge.serves(&mut store, &request, Used::Tokens(0)));
    }
    // Each answer takes 20 ms and is that of one request, so most wait for longer than the time-out.
    let worker = &edges[0].worker;
    let mut waiting: Vec<Ticket> = (0..8).map(|_| waits(worker, &request)).collect();
    let mut served = 2;
    for n in 0..40 {
        // The other edge has the rest before the third answer.
        for _ in 0..if n == 2 { 7 } else { 0 } {
            served += usize::from(edges[1].serves(&mut store, &request, Used::Tokens(0)));
        }
        let call = worker.fleet_call();
        let mut call = call.map(|call| (answered(&mut store, &edges[0], &call), call));
        // They look while the answer is on its way, and when it is there.
        for has_come in [false, true] {
            pass(&edges, 10);
            if let Some((answer, call)) = call.take_if(|_| has_come) {
                worker.end_fleet_call(call, Some(&answer));
            }
            for ticket in std::mem::take(&mut waiting) {
                match worker.retry(&ticket) {
                    Next::Queue(ticket) => waiting.push(*ticket),
                    Next::Forward(pass) => {
                        worker.settle(pass.admission.unwrap(), Used::Tokens(0));
                        served += 1;
                    }
                    Next::Reply(reply) => assert_eq!(reply.status, 429),
                }
            }
            worker.end_answers();
        }
    }
    assert!(waiting.is_empty(), "nobody is held");
    assert_eq!(served, 7);
}

#[test]
fn an_allowance_ends_ten_seconds_after_it_was_asked_for() {
    for (ms, is_good) in [(9_990, true), (10_000, false)] {
        let edge = Edge::new(&Config::tier("t").rpm(1_000), 1);
        let mut store = FleetStore::default();
        let request = FakeRequest::of("acme", "t", 0);
        let ticket = waits(&edge.worker, &request);
        let call = edge.worker.fleet_call().unwrap();
        let answer = answered(&mut store, &edge, &call);
        edge.world.pass_ms(40);
        edge.worker.end_fleet_call(call, Some(&answer));
        // The process stands still between the answer and the use.
        edge.world.pass_ms(ms - 40);
        let next = edge.worker.retry(&ticket);
        assert_eq!(
            matches!(next, Next::Forward(_)),
            is_good,
            "after {ms} ms: {next:?}"
        );
    }
}

#[test]
fn an_answer_that_grants_more_than_was_asked_for_or_is_of_another_account_is_none() {
    let edge = Edge::new(&Config::tier("t").rpm(1_000), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    for (field, value) in [
        ("/items/0/m/0/1", json!(500)),
        ("/items/0/a", json!("000102030405060708090a0b0c0d0e0f")),
        ("/items/0/n", json!(7)),
        ("/items/0/fault", json!("a foreign key")),
        ("/items/0/m/0/0", json!(9)),
        ("/items", json!([])),
        ("/items/0/m/0/1", json!(-1)),
        ("/edges", json!("many")),
    ] {
        edge.world.pass_ms(5_000);
        edge.worker.tick();
        edge.tick(&mut store);
        let _ticket = waits(&edge.worker, &request);
        let call = edge.worker.fleet_call().unwrap();
        let mut answer: serde_json::Value =
            serde_json::from_slice(&answered(&mut store, &edge, &call)).unwrap();
        match answer.pointer_mut(field) {
            Some(found) => *found = value,
            None => answer["items"][0]["fault"] = value,
        }
        let body = serde_json::to_vec(&answer).unwrap();
        let problem = edge.worker.end_fleet_call(call, Some(&body));
        assert!(problem.is_some(), "{field}");
        edge.worker.end_answers();
        let next = edge.worker.check(&request).next;
        assert!(!matches!(next, Next::Forward(_)), "{field}: {next:?}");
    }
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

#[test]
fn a_lease_that_ends_during_a_message_is_told_after_its_answer_and_never_while_away() {
    let edge = Edge::new(&Config::tier("t").concurrency(3), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    let Next::Forward(first) = edge.judged(&mut store, &request) else {
        panic!("not admitted");
    };
    // The ask of a second request is on its way while the first one ends.
    let _second = waits(&edge.worker, &request);
    let call = edge.worker.fleet_call().unwrap();
    let answer = answered(&mut store, &edge, &call);
    edge.worker
        .settle(first.admission.unwrap(), Used::Tokens(0));
    assert!(edge.worker.fleet_call().is_none() && edge.worker.has_asks());
    edge.worker.end_fleet_call(call, Some(&answer));
    let call = edge.worker.fleet_call().expect("the end is told");
    edge.worker.end_fleet_call(call, None);
    // The service is away: nothing is told before the next probe, and no tick is fast.
    edge.world.pass_ms(2_000);
    let _ticket = waits(&edge.worker, &request);
    let call = edge.worker.fleet_call().unwrap();
    edge.worker.end_fleet_call(call, None);
    let Next::Forward(alone) = edge.worker.check(&request).next else {
        panic!("an edge that is alone has the limit");
    };
    edge.worker
        .settle(alone.admission.unwrap(), Used::Tokens(0));
    assert!(!edge.worker.has_asks());
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
fn an_ask_whose_client_hangs_up_serves_the_next_request() {
    let edge = Edge::new(&Config::tier("t").rpm(1_000), 1);
    let mut store = FleetStore::default();
    let request = FakeRequest::of("acme", "t", 0);
    let first = waits(&edge.worker, &request);
    let second = waits(&edge.worker, &request);
    let call = edge.worker.fleet_call().unwrap();
    edge.worker.leave(&first);
    let answer = answered(&mut store, &edge, &call);
    edge.worker.end_fleet_call(call, Some(&answer));
    assert!(edge.worker.is_due(&second));
    assert!(matches!(edge.worker.retry(&second), Next::Forward(_)));
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
