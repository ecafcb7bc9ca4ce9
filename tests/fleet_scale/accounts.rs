//! The accounts of a fleet: how often each sends, its tier, and the edges that it reaches.

use crate::Fleet;
use crate::harness::{Config, FakeRequest};
use fastrand::Rng;

/// Requests a minute of the tiers.
const TIERS: [u64; 6] = [20, 200, 2_000, 20_000, 200_000, 2_000_000];

pub struct Accounts {
    count: u64,
    /// Requests a second of all accounts.
    rate: f64,
    spread: f64,
}

impl Accounts {
    pub fn new(fleet: &Fleet) -> Self {
        Self {
            count: fleet.accounts,
            rate: fleet.rate as f64,
            spread: fleet.spread as f64,
        }
    }

    /// Draws the account of a request: the n-th most busy one sends in proportion to 1 / n (Zipf).
    pub fn draw(&self, random: &mut Rng) -> u64 {
        let most = (self.count as f64 + 1.0).ln();
        let n = (random.f64() * most).exp();
        (n as u64).clamp(1, self.count)
    }

    /// Requests a second of an account.
    pub fn rate_of(&self, account: u64) -> f64 {
        let next = (account + 1) as f64;
        let share = (next / account as f64).ln() / (self.count as f64 + 1.0).ln();
        self.rate * share
    }

    /// True for an account with a request in two seconds or more at each of its edges.
    pub fn is_busy(&self, account: u64) -> bool {
        self.rate_of(account) / self.spread >= 0.5
    }

    /// The edge of a request: one of those that the account's requests are hashed to.
    pub fn edge_of(&self, account: u64, fleet: &Fleet, random: &mut Rng) -> usize {
        let among = random.usize(0..fleet.spread);
        let first = account.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        (first as usize + among) % fleet.edges
    }

    /// A request of an account, in the smallest tier that has twice its rate.
    pub fn request(&self, account: u64) -> FakeRequest {
        let needed = self.rate_of(account) * 120.0;
        let tier = TIERS.iter().position(|rpm| *rpm as f64 >= needed);
        let tier = tier.unwrap_or(TIERS.len() - 1);
        FakeRequest::of(&format!("account-{account}"), &format!("t{tier}"), 100)
    }
}

/// The config of all edges.
pub fn config(fleet: &Fleet) -> Config {
    let mut config = Config::tier("t0").rpm(TIERS[0]).tpm(TIERS[0] * 10_000);
    for (n, rpm) in TIERS.iter().enumerate().skip(1) {
        config = config
            .and_tier(&format!("t{n}"))
            .rpm(*rpm)
            .tpm(rpm * 10_000);
    }
    // A page has room for all accounts that an edge may meet in the time of a run.
    let accounts = (fleet.accounts / 4).clamp(4_096, 1 << 18);
    config.with(serde_json::json!({
        "fleet": {"cluster": "fleet", "authority": "fleet"},
        "capacity": {"accounts": accounts},
    }))
}
