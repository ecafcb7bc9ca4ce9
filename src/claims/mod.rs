//! Which config does the work that all configs of a namespace share: the feed, the overload loop, and
//! the answers of the admin API.
//!
//! Envoy keeps a replaced config alive while its listener drains, and takes it again as it is on a
//! rollback. So the time of a config's arrival does not tell which one is in force. Requests do.
//!
//! Each VM notes in one shared value (key `{namespace}/configs`) that its config is alive, and that it
//! judged requests of an account. Of the configs with such requests in the last 10 s, the one that
//! arrived last has the claim; without any, the one that arrived last of all. So a rollback is in force
//! 10 s after the last request to the config that was withdrawn, and a kept-alive connection to a
//! config that drains takes nothing from its successor.

mod published;

pub use published::{Published, PublishedConfig};

use crate::host::{Host, HostError};
use crate::order::in_order;
use crate::shared::cell::{Content, SharedCell};
use crate::shared::{Layout, StoreError};
use crate::time::{Mono, Span};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// The time after which a config without a note has no claim.
pub const LAPSE: Span = Span::from_secs(10);
/// The time from one note of requests to the next.
const NOTE_EVERY: Span = Span::from_secs(1);
/// The time from one sign of life to the next.
const SEEN_EVERY: Span = Span::from_secs(3);
/// The maximum number of configs.
const MOST_CONFIGS: usize = 64;

/// A kind of shared work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The feed of the directory.
    Feed,
    /// The overload loop.
    Overload,
    /// The admin API answers by it.
    Admin,
}

impl Work {
    const fn bit(self) -> u8 {
        match self {
            Self::Feed => 1,
            Self::Overload => 2,
            Self::Admin => 4,
        }
    }
}

/// One config of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Claimant {
    /// The first 8 bytes of the config's digest.
    config: u64,
    /// A hash of what the config judges accounts by: tiers, families and windows.
    table: u64,
    /// The kinds of work that it can do, one bit for each.
    work: u8,
    /// Its first arrival: a trap has a config that drains arrive again.
    configured: Mono,
    /// The last sign of life.
    seen: Mono,
    /// The last request that it judged; zero before the first.
    judged: Mono,
}

impl Claimant {
    fn is_alive(&self, now: Mono) -> bool {
        now < self.seen.after(LAPSE)
    }

    fn has_requests(&self, now: Mono) -> bool {
        self.judged > Mono::default() && now < self.judged.after(LAPSE)
    }

    /// Moves times ahead of the clock to `now`.
    fn correct(&mut self, now: Mono) {
        for time in [&mut self.configured, &mut self.seen, &mut self.judged] {
            *time = (*time).min(now);
        }
    }
}

/// The configs of a namespace, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimants(Vec<Claimant>);

impl Content for Claimants {
    const LAYOUT: Layout = Layout {
        name: "the claims on shared work",
        version: 2,
        kind: b'K',
    };
    const KEY: &'static str = "configs";

    fn is_valid(&self) -> bool {
        self.0.len() <= MOST_CONFIGS
    }
}

impl Claimants {
    /// Returns the config that holds the claim on a kind of work.
    fn holder(&self, work: Work, now: Mono) -> Option<u64> {
        let able = self.0.iter();
        let able = able.filter(|one| one.work & work.bit() != 0 && one.is_alive(now));
        let latest = able.max_by_key(|one| {
            let is_busy = one.has_requests(now);
            (is_busy, one.configured, one.config)
        });
        latest.map(|one| one.config)
    }

    /// Notes that a config is alive, and whether it judged requests.
    fn note(&mut self, own: &Claimant, judges: bool, now: Mono) {
        self.0.iter_mut().for_each(|one| one.correct(now));
        self.0.retain(|one| one.is_alive(now));
        let known = self.0.iter().position(|one| one.config == own.config);
        let at = known.unwrap_or_else(|| {
            self.make_room();
            self.0.push(Claimant { seen: now, ..*own });
            self.0.len().saturating_sub(1)
        });
        let Some(one) = self.0.get_mut(at) else {
            return;
        };
        if now >= one.seen.after(SEEN_EVERY) {
            one.seen = now;
        }
        if judges && (one.judged == Mono::default() || now >= one.judged.after(NOTE_EVERY)) {
            one.judged = now;
        }
    }

    /// Gives up the config that arrived first, of those without requests if there is one, where there
    /// are too many.
    fn make_room(&mut self) {
        let order = |one: &Claimant| (one.judged > Mono::default(), one.configured);
        let first = self.0.iter().enumerate().min_by_key(|(_, one)| order(one));
        if let Some((at, _)) = first.filter(|_| self.0.len() >= MOST_CONFIGS) {
            self.0.swap_remove(at);
        }
    }
}

/// A config among those of its namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigId {
    /// The first 8 bytes of the config's digest.
    pub digest: u64,
    /// A hash of what the config judges accounts by: tiers, families and windows.
    pub table: u64,
}

impl ConfigId {
    /// Returns the first 8 bytes of a digest in hex.
    fn start_of(digest: &str) -> u64 {
        let start = digest.get(..16).unwrap_or_default();
        u64::from_str_radix(start, 16).unwrap_or_default()
    }

    /// Returns the id of a config by its digest in hex and its table as text.
    pub fn of(digest: &str, table: &str) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(table.as_bytes());
        Self {
            digest: Self::start_of(digest),
            table: hasher.finish(),
        }
    }
}

/// A config that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliveConfig {
    /// The config.
    pub config: ConfigId,
    /// True for the config in force.
    pub is_in_force: bool,
    /// The time since its first arrival.
    pub age: Span,
    /// The time since the last request that it judged; `None` before the first.
    pub idle: Option<Span>,
}

/// The claim of one config in one VM.
#[derive(Debug)]
pub struct Claim {
    cell: SharedCell<Claimants>,
    own: Claimant,
    /// True when requests came since the last tick.
    judges: bool,
    /// The configs as last read, and the time.
    read: (Claimants, Mono),
}

impl Claim {
    /// Opens the claim of a config; creates the shared value on the first start.
    ///
    /// # Errors
    /// The host's status.
    pub fn open(
        host: &dyn Host,
        namespace: &str,
        config: ConfigId,
        work: &[Work],
    ) -> Result<Self, HostError> {
        let cell = SharedCell::of(namespace);
        cell.create(host)?;
        let now = host.mono();
        let mut claim = Self {
            cell,
            own: Claimant {
                config: config.digest,
                table: config.table,
                work: work.iter().fold(0, |bits, work| bits | work.bit()),
                configured: now,
                ..Claimant::default()
            },
            judges: false,
            read: (Claimants::default(), now),
        };
        // A claim that can't be noted now is noted on the next tick.
        let _ = claim.tick(host);
        Ok(claim)
    }

    /// Notes a request that the config judges.
    pub const fn note_request(&mut self) {
        self.judges = true;
    }

    /// Notes what came since the last tick, and reads the claims of all configs.
    ///
    /// # Errors
    /// [`StoreError`] when the shared value can't be used.
    pub fn tick(&mut self, host: &dyn Host) -> Result<(), StoreError> {
        if self.own.work == 0 {
            return self.refresh(host);
        }
        let judges = std::mem::take(&mut self.judges);
        let own = self.own;
        let changed = self.cell.change(host, |claimants, now| {
            claimants.note(&own, judges, now);
            now
        });
        let changed = changed.inspect_err(|_| {
            self.judges |= judges;
            self.read.0 = Claimants::default();
        });
        self.read = changed?;
        Ok(())
    }

    /// Reads the claims of all configs.
    ///
    /// # Errors
    /// [`StoreError`] when the shared value can't be used.
    pub fn refresh(&mut self, host: &dyn Host) -> Result<(), StoreError> {
        self.read = self.cell.read(host)?;
        Ok(())
    }

    /// Returns the configs that are alive, the one that arrived last first.
    pub fn alive(&self) -> Vec<AliveConfig> {
        let (claimants, now) = &self.read;
        let holder = claimants.holder(Work::Admin, *now);
        let alive = claimants.0.iter().filter(|one| one.is_alive(*now));
        let alive = alive.map(|one| AliveConfig {
            config: ConfigId {
                digest: one.config,
                table: one.table,
            },
            is_in_force: holder == Some(one.config),
            age: now.since(one.configured),
            idle: (one.judged > Mono::default()).then(|| now.since(one.judged)),
        });
        in_order(alive.collect(), |one| one.age)
    }

    /// True when requests came to this config in the last 10 s, as of the last tick.
    fn has_requests(&self) -> bool {
        let (claimants, now) = &self.read;
        let own = claimants.0.iter().find(|one| one.config == self.own.config);
        own.is_some_and(|own| own.has_requests(*now))
    }

    /// True when a config is alive, as of the last tick.
    fn is_alive(&self, config: u64) -> bool {
        let (claimants, now) = &self.read;
        let mut all = claimants.0.iter();
        all.any(|one| one.config == config && one.is_alive(*now))
    }

    /// True when this config does a kind of work, as of the last tick. Where the claims can't be read,
    /// each config that can does it.
    pub fn holds(&self, work: Work) -> bool {
        let (claimants, now) = &self.read;
        let is_able = self.own.work & work.bit() != 0;
        let holder = claimants.holder(work, *now);
        is_able && holder.is_none_or(|holder| holder == self.own.config)
    }

    /// True when this config is known to do a kind of work: false where the claims can't be read.
    fn is_holder(&self, work: Work) -> bool {
        let (claimants, now) = &self.read;
        claimants.holder(work, *now) == Some(self.own.config)
    }

    /// Takes the number of corrupt values that were replaced since the last call.
    pub fn take_corrupt(&self) -> u64 {
        self.cell.take_corrupt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: u8 = 1;

    fn claimant(config: u64, configured: u64) -> Claimant {
        Claimant {
            config,
            work: FEED,
            configured: Mono::from_millis(configured),
            ..Claimant::default()
        }
    }

    /// Notes each config that ticks in a second, with or without requests.
    fn second(claimants: &mut Claimants, ms: u64, ticks: &[(Claimant, bool)]) {
        for (own, judges) in ticks {
            claimants.note(own, *judges, Mono::from_millis(ms));
        }
    }

    #[test]
    fn requests_decide_and_arrival_where_there_are_none() {
        let (a, b) = (claimant(1, 1_000), claimant(2, 20_000));
        let mut all = Claimants::default();
        let holder = |all: &Claimants, ms| all.holder(Work::Feed, Mono::from_millis(ms));
        second(&mut all, 1_000, &[(a, false)]);
        assert_eq!(holder(&all, 1_000), Some(1), "before any request");
        for s in 2..20 {
            second(&mut all, s * 1_000, &[(a, true)]);
        }
        second(&mut all, 20_000, &[(a, true), (b, false)]);
        assert_eq!(
            holder(&all, 20_000),
            Some(1),
            "the new one has no request yet"
        );
        second(&mut all, 21_000, &[(a, true), (b, true)]);
        assert_eq!(holder(&all, 21_000), Some(2), "it arrived last");
        // A kept-alive connection polls the old one, with pauses.
        for s in 22..60 {
            second(&mut all, s * 1_000, &[(a, s % 12 == 0), (b, true)]);
            assert_eq!(holder(&all, s * 1_000), Some(2), "at {s} s");
        }
        // A rollback: the old one gets the requests again, and the new one gets none.
        for s in 60..75 {
            second(&mut all, s * 1_000, &[(a, true), (b, false)]);
            let holds = if s < 69 { 2 } else { 1 };
            assert_eq!(holder(&all, s * 1_000), Some(holds), "at {s} s");
        }
        // All is quiet: the one that arrived last holds, while it is alive.
        for s in 75..90 {
            second(&mut all, s * 1_000, &[(a, false), (b, false)]);
        }
        assert_eq!(holder(&all, 89_000), Some(2));
        for s in 90..110 {
            second(&mut all, s * 1_000, &[(a, false)]);
        }
        assert_eq!(holder(&all, 109_000), Some(1), "the other one is gone");
        assert_eq!(all.holder(Work::Overload, Mono::from_millis(109_000)), None);
    }

    #[test]
    fn a_quiet_second_writes_nothing() {
        let a = claimant(1, 1_000);
        let mut all = Claimants::default();
        second(&mut all, 1_000, &[(a, true)]);
        let before = all.clone();
        second(&mut all, 1_900, &[(a, true), (a, false)]);
        assert_eq!(all, before);
        second(&mut all, 2_000, &[(a, true)]);
        assert_ne!(all, before);
    }

    #[test]
    fn times_ahead_of_the_clock_give_no_claim_for_ever() {
        let mut ahead = claimant(9, 1_000_000);
        ahead.seen = Mono::from_millis(1_000_000);
        ahead.judged = ahead.seen;
        let mut all = Claimants(vec![ahead]);
        for s in 1..=11 {
            second(&mut all, s * 1_000, &[(claimant(1, 500), true)]);
        }
        assert_eq!(all.holder(Work::Feed, Mono::from_millis(11_000)), Some(1));
    }

    #[test]
    fn configs_are_bounded() {
        let mut all = Claimants::default();
        second(&mut all, 1_000, &[(claimant(500, 1), true)]);
        for config in 1..100 {
            let one = claimant(config, config);
            second(&mut all, 1_000 + config, &[(one, false)]);
            assert!(all.is_valid());
        }
        let now = Mono::from_millis(1_100);
        assert_eq!(all.holder(Work::Feed, now), Some(500), "the busy one stays");
    }
}
