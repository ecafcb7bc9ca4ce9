//! Edges under an adversary: messages are lost, late, doubled and overtaken, edges begin anew, pages
//! are lost, and their clocks are wrong by minutes. In any sliding window, and in any day, all edges
//! together admit at most the limit.

use crate::fleet::in_fleet;
use crate::harness::{
    Admission, Config, FakeRequest, FleetStore, Next, Ticket, Used, Worker, World,
};
use fastrand::Rng;
use serde_json::json;
use std::sync::Arc;
use tiergate::fleet::message::StepRequest;
use tiergate::limiter::FleetCall;

const WINDOW: u64 = 10_000;
const RPM: u64 = 20;
const TPM: u64 = 5_000;
const RESERVE: u64 = 300;
const CONCURRENCY: u64 = 12;
const TPD: u64 = 12_000;
/// The store's clock at the start: a day ends half a minute later.
const START: u64 = 20_000 * 86_400_000 - 30_000;
/// The most that an edge's clock differs from the store's.
const MOST_OFFSET: u64 = 300_000;
/// The time-out of a call.
const TIMEOUT: u64 = 50;

struct Edge {
    world: Arc<World>,
    worker: Worker,
    waiting: Vec<Ticket>,
    /// Admitted requests, with the end of each and what it used.
    running: Vec<(u64, Admission, u64)>,
    cut_until: u64,
}

/// A message that is on its way to the store, or its answer to the edge.
enum OnTheWay {
    ToStore(usize, Option<FleetCall>, StepRequest),
    ToEdge(usize, FleetCall, Option<Vec<u8>>),
}

struct Chaos {
    rng: Rng,
    now: u64,
    edges: Vec<Edge>,
    store: FleetStore,
    mail: Vec<(u64, OnTheWay)>,
    /// Each admitted request: its moment, and the part of its reserve that it used.
    admitted: Vec<(u64, u64)>,
    nonce: u64,
    /// True when pages of shared data are lost, and with them the requests in flight.
    loses_pages: bool,
    most_in_flight: usize,
}

fn config() -> Config {
    let config = Config::tier("t")
        .concurrency(CONCURRENCY)
        .rpm(RPM)
        .tpm(TPM)
        .tpd(TPD);
    let config = config.with(json!({
        "windows": {"minute": "10s"},
        "tokens": {"completion": 0},
    }));
    let fleet = json!({"cluster": "fleet", "authority": "fleet", "on_failure": "deny"});
    in_fleet(&config).with(json!({"fleet": fleet}))
}

impl Chaos {
    fn new(seed: u64, edges: usize) -> Self {
        let mut chaos = Self {
            rng: Rng::with_seed(seed),
            now: 0,
            edges: Vec::new(),
            store: FleetStore::default(),
            mail: Vec::new(),
            admitted: Vec::new(),
            nonce: 0,
            loses_pages: seed % 2 == 1,
            most_in_flight: 0,
        };
        for _ in 0..edges {
            let edge = chaos.another_edge();
            chaos.edges.push(edge);
        }
        chaos
    }

    fn another_edge(&mut self) -> Edge {
        self.nonce += 1;
        let world = World::new();
        world.pass_ms(self.now);
        let offset = self.rng.u64(0..2 * MOST_OFFSET);
        let wall = START + self.now + offset - MOST_OFFSET;
        world.set_wall_ms(wall);
        let worker = Worker::new(&world, config()).joins_fleet(self.nonce);
        Edge {
            world,
            worker,
            waiting: Vec::new(),
            running: Vec::new(),
            cut_until: 0,
        }
    }

    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            let step = self.rng.u64(1..10);
            self.now += step;
            for edge in &self.edges {
                edge.world.pass_ms(step);
            }
            self.deliver();
            let at = self.rng.usize(0..self.edges.len());
            self.disturb(at);
            if self.rng.u8(0..4) == 0 {
                self.request(at);
            }
            for at in 0..self.edges.len() {
                self.serve(at);
            }
        }
    }

    fn disturb(&mut self, at: usize) {
        match self.rng.u32(0..6_000) {
            0 => {
                let edge = self.another_edge();
                self.edges[at] = edge;
                // What was on its way to the edge before finds nobody.
                self.mail
                    .retain(|(_, mail)| !matches!(mail, OnTheWay::ToEdge(to, ..) if *to == at));
                for (_, mail) in &mut self.mail {
                    if let OnTheWay::ToStore(from, call, _) = mail
                        && *from == at
                    {
                        *call = None;
                    }
                }
            }
            1 if self.loses_pages => {
                let world = &self.edges[at].world;
                for key in world.keys().into_iter().filter(|key| key.contains("/p")) {
                    world.forget(&key);
                }
            }
            2 => self.edges[at].cut_until = self.now + self.rng.u64(0..8_000),
            // Its clock is set anew.
            3 => {
                let offset = self.rng.u64(0..2 * MOST_OFFSET);
                let wall = START + self.now + offset - MOST_OFFSET;
                self.edges[at].world.set_wall_ms(wall);
            }
            _ => {}
        }
    }

    fn request(&mut self, at: usize) {
        let request = FakeRequest::of("acme", "t", RESERVE);
        let next = self.edges[at].worker.check(&request).next;
        self.follow(at, next);
    }

    fn follow(&mut self, at: usize, next: Next) {
        let edge = &mut self.edges[at];
        match next {
            Next::Queue(ticket) => edge.waiting.push(*ticket),
            Next::Reply(reply) => assert_eq!(reply.status, 429),
            Next::Forward(pass) => {
                let used = match self.rng.u8(0..3) {
                    0 => RESERVE,
                    1 => self.rng.u64(0..RESERVE),
                    _ => RESERVE * self.rng.u64(1..4),
                };
                let end = self.now + self.rng.u64(0..8_000);
                self.admitted.push((self.now, used.min(RESERVE)));
                edge.running.push((end, pass.admission.unwrap(), used));
                let in_flight = self.edges.iter().map(|edge| edge.running.len()).sum();
                self.most_in_flight = self.most_in_flight.max(in_flight);
            }
        }
    }

    fn serve(&mut self, at: usize) {
        let edge = &mut self.edges[at];
        let now = self.now;
        for (_, admission, used) in edge.running.extract_if(.., |(end, ..)| *end <= now) {
            edge.worker.settle(admission, Used::Tokens(used));
        }
        if now % 500 < 10 {
            edge.worker.tick();
        }
        while let Some(call) = edge.worker.fleet_call() {
            let request: StepRequest = serde_json::from_slice(&call.body).unwrap();
            let is_cut = now < edge.cut_until;
            let (late, lost) = (self.rng.u8(0..100) < 7, self.rng.u8(0..100) < 5);
            if is_cut || lost {
                self.mail
                    .push((now + TIMEOUT, OnTheWay::ToEdge(at, call, None)));
            } else if late {
                self.mail
                    .push((now + TIMEOUT, OnTheWay::ToEdge(at, call, None)));
                let due = now + self.rng.u64(0..15_000);
                self.mail.push((due, OnTheWay::ToStore(at, None, request)));
            } else {
                if self.rng.u8(0..100) < 5 {
                    let due = now + self.rng.u64(0..15_000);
                    self.mail
                        .push((due, OnTheWay::ToStore(at, None, request.clone())));
                }
                let due = now + self.rng.u64(0..20);
                self.mail
                    .push((due, OnTheWay::ToStore(at, Some(call), request)));
            }
        }
        let due = |ticket: &mut Ticket| edge.worker.is_due(ticket);
        let waiting: Vec<Ticket> = edge.waiting.extract_if(.., due).collect();
        edge.worker.end_answers();
        for ticket in waiting {
            let next = self.edges[at].worker.retry(&ticket);
            self.follow(at, next);
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let due: Vec<_> = self.mail.extract_if(.., |(due, _)| *due <= now).collect();
        for (_, mail) in due {
            match mail {
                OnTheWay::ToStore(at, call, request) => {
                    let answer = self.store.answer(&request, START + now);
                    let answer = serde_json::to_vec(&answer).unwrap();
                    let is_lost = self.rng.u8(0..100) < 5;
                    if let Some(call) = call {
                        // A worker that stood still finds the answer when it goes on.
                        let stall = match self.rng.u8(0..40) {
                            0 => self.rng.u64(0..15_000),
                            _ => self.rng.u64(0..20),
                        };
                        let due = now + if is_lost { TIMEOUT } else { stall };
                        let answer = (!is_lost).then_some(answer);
                        self.mail.push((due, OnTheWay::ToEdge(at, call, answer)));
                    }
                }
                OnTheWay::ToEdge(at, call, answer) => {
                    self.edges[at]
                        .worker
                        .end_fleet_call(call, answer.as_deref());
                }
            }
        }
    }

    /// The reserved tokens of each day, by the store's clock.
    fn days(&self) -> [u64; 2] {
        let mut days = [0, 0];
        for (at, tokens) in &self.admitted {
            days[usize::from(*at >= 30_000)] += tokens;
        }
        days
    }

    /// The largest sums of requests and of reserved tokens in a window.
    fn most(&self) -> (u64, u64) {
        let sums = self.admitted.iter().map(|(from, _)| {
            let within = self.admitted.iter();
            let within = within.filter(|(at, _)| (*from..from + WINDOW).contains(at));
            within.fold((0, 0), |sum, (_, tokens)| (sum.0 + 1, sum.1 + tokens))
        });
        sums.fold((0, 0), |most, sum| (most.0.max(sum.0), most.1.max(sum.1)))
    }
}

#[test]
fn no_fault_brings_an_account_over_its_limit() {
    // `FLEET_SEEDS=200 cargo test --release --test core fleet_adversary` looks longer.
    let seeds = std::env::var("FLEET_SEEDS").map_or(6, |n| n.parse().unwrap());
    for seed in 0..seeds {
        let mut chaos = Chaos::new(seed, 2 + usize::try_from(seed % 3).unwrap());
        chaos.run(60_000);
        let (requests, tokens) = chaos.most();
        assert!(
            requests <= RPM && tokens <= TPM,
            "{seed}: {requests}, {tokens}"
        );
        let days = chaos.days();
        assert!(days.iter().all(|day| *day <= TPD), "{seed}: {days:?}");
        let in_flight = chaos.most_in_flight as u64;
        assert!(
            chaos.loses_pages || in_flight <= CONCURRENCY,
            "{seed}: {in_flight}"
        );
        // And it is of use: two windows' worth at least, through all that.
        let all = chaos.admitted.len();
        assert!(all as u64 >= 2 * RPM, "{seed}: {all} admitted");
    }
}
