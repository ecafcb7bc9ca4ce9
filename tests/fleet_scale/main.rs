//! A fleet of many edges and accounts, simulated: the filter's own core on fake hosts, and the store in
//! memory. It shows what a fleet says to its service, and how many requests wait for an answer.
//!
//! Run by `make fleet-scale`; docs/scaling.md has the settings, and says what each column means. Time is
//! simulated, so the numbers are the same on every machine. It asserts that no account is over its limit.
#![allow(
    missing_docs,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod accounts;
#[path = "../harness/document.rs"]
mod document;
mod edge;
#[path = "../harness/core.rs"]
mod harness;
mod plot;
mod table;

use accounts::Accounts;
use edge::Edge;
use harness::FleetStore;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

/// The length of a step, in microseconds: that of an edge's tick while requests wait.
const STEP_US: u64 = 2_000;
/// The time that is not measured, and the time that is, in seconds.
const WARM_UP: u64 = 20;
const MEASURED: u64 = 40;

/// One fleet.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    pub edges: usize,
    pub accounts: u64,
    /// Requests a second, of all accounts.
    pub rate: u64,
    /// The edges that an account's requests reach, in turn by chance.
    pub spread: usize,
}

/// What a fleet did in the time that is measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub requests: u64,
    pub admitted: u64,
    /// Admitted requests that waited for an answer.
    pub in_line: u64,
    pub refused: u64,
    pub calls: u64,
    pub items: u64,
    /// Bytes of requests and of answers.
    pub bytes: (u64, u64),
    /// The largest batch, in items.
    pub largest: u64,
    /// Accounts that sent something.
    pub active: u64,
    /// The same for accounts with a request in two seconds or more at each of their edges.
    pub busy: (u64, u64),
}

const FLEETS: [Fleet; 9] = [
    fleet(3, 1_000, 1_000, 3),
    fleet(10, 1_000, 1_000, 10),
    fleet(50, 1_000, 1_000, 50),
    fleet(100, 1_000, 1_000, 100),
    fleet(100, 1_000, 1_000, 2),
    fleet(100, 1_000_000, 20_000, 100),
    fleet(100, 1_000_000, 20_000, 10),
    fleet(100, 1_000_000, 20_000, 2),
    fleet(100, 1_000_000, 20_000, 1),
];

const fn fleet(edges: usize, accounts: u64, rate: u64, spread: usize) -> Fleet {
    Fleet {
        edges,
        accounts,
        rate,
        spread,
    }
}

fn main() -> ExitCode {
    let only = std::env::var("FLEET_SCALE_ACCOUNTS").ok();
    let only: Option<u64> = only.map(|text| text.parse().expect("a number of accounts"));
    let fleets = FLEETS
        .iter()
        .filter(|one| only.is_none_or(|n| one.accounts == n));
    let all: Vec<_> = fleets.map(|fleet| (*fleet, run(fleet))).collect();
    let published = table::publish(&all).map_err(|error| error.to_string());
    let drawn = published.and_then(|()| plot::draw(&all).map_err(|error| error.to_string()));
    match drawn {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Lets a fleet work, and returns what it did.
fn run(fleet: &Fleet) -> Seen {
    let begun = Instant::now();
    let accounts = Accounts::new(fleet);
    let mut edges: Vec<_> = (0..fleet.edges).map(|n| Edge::new(n, fleet)).collect();
    let mut store = FleetStore::default();
    let mut random = fastrand::Rng::with_seed(7);
    let mut active = BTreeSet::new();
    let steps = (WARM_UP + MEASURED) * 1_000_000 / STEP_US;
    let mut owed = 0.0;
    for step in 0..steps {
        if step == WARM_UP * 1_000_000 / STEP_US {
            edges.iter_mut().for_each(Edge::forget);
            active.clear();
        }
        owed += fleet.rate as f64 * STEP_US as f64 / 1e6;
        while owed >= 1.0 {
            owed -= 1.0;
            let account = accounts.draw(&mut random);
            active.insert(account);
            let edge = accounts.edge_of(account, fleet, &mut random);
            edges[edge].arrives(&accounts, account);
        }
        for edge in &mut edges {
            edge.step(&mut store, step * STEP_US / 1_000);
        }
    }
    let mut seen = Seen::default();
    for edge in &edges {
        seen.add(&edge.seen);
    }
    seen.active = active.len() as u64;
    eprintln!("{fleet:?}: {seen:?} in {:?}", begun.elapsed());
    seen
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.admitted += other.admitted;
        self.in_line += other.in_line;
        self.refused += other.refused;
        self.calls += other.calls;
        self.items += other.items;
        self.bytes.0 += other.bytes.0;
        self.bytes.1 += other.bytes.1;
        self.largest = self.largest.max(other.largest);
        self.busy.0 += other.busy.0;
        self.busy.1 += other.busy.1;
    }
}
