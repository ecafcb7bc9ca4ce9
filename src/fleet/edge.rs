//! What all workers of an edge share (key `{namespace}/fleet`): who it is, how the service answers,
//! and which VM speaks for it.
//!
//! The breaker opens after five failures in a row, or with the first one a second after the last
//! answer. Then one VM asks again, after 250 ms, 500 ms and so on up to 5 s.

use super::policy::EdgeView;
use crate::host::Host;
use crate::shared::cell::{Content, SharedCell};
use crate::shared::{Layout, StoreError};
use crate::time::{Mono, Span, Wall};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// Failures in a row that open the breaker.
const MOST_FAILURES: u32 = 5;
/// The silence after which one failure opens it.
const SILENCE: Span = Span::from_secs(1);
/// The first pause before another try, and the longest.
const PAUSES: (Span, Span) = (Span::from_millis(250), Span::from_secs(5));
/// The time for which a VM speaks for the edge, if it does not renew it.
const TERM: Span = Span::from_secs(2);
/// The longest silence of an edge.
const HEARTBEAT: Span = Span::from_secs(1);
/// The silence after which an edge ends its requests: a second less than the store waits, for the way
/// of the last message and for a tick.
const LEASES_LAST: Span = Span::from_secs(9);
/// The difference of the clocks after which the machine counts as one that stood still.
const STOOD_STILL: u64 = 1_000;
/// The least change of the clocks' difference that is written, in milliseconds.
const CLOCK_STEP: u64 = 100;
/// The longest name of a store, in bytes.
const LONGEST_STORE: usize = 256;

/// The edge as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeState {
    /// This edge: 64 random bits; 0 for none yet.
    epoch: u64,
    rank: Option<u32>,
    edges: u32,
    /// The incarnation of the store, as last said.
    store: String,
    /// The store's clock minus this host's, in milliseconds.
    clock_ahead_ms: i64,
    /// The number of the last order that this edge followed.
    orders: u64,
    /// The number of times that another store, or one that lost writes, answered.
    losses: u32,
    failures: u32,
    heard_at: Mono,
    away: bool,
    /// The time of the next try while the service is away, and the pause after that.
    probe_at: Mono,
    pause_ms: u64,
    /// The VM that speaks for the edge, and the end of its term.
    speaker: u64,
    until: Mono,
}

impl Content for EdgeState {
    const LAYOUT: Layout = Layout {
        name: "the edge's part in the fleet",
        version: 3,
        kind: b'E',
    };
    const KEY: &'static str = "fleet";

    fn is_valid(&self) -> bool {
        self.store.len() <= LONGEST_STORE
    }
}

/// Returns `time` minus `own`, both in milliseconds.
fn difference(time: u64, own: u64) -> i64 {
    let both = (i64::try_from(time), i64::try_from(own));
    let (Ok(time), Ok(own)) = both else { return 0 };
    time.saturating_sub(own)
}

impl EdgeState {
    fn hear(&mut self, said: &ServiceWords<'_>, wall: Wall, now: Mono) {
        self.rank = Some(said.rank);
        self.edges = said.edges;
        if self.store != said.store && said.store.len() <= LONGEST_STORE {
            let is_first = self.store.is_empty();
            self.losses = self.losses.saturating_add(u32::from(!is_first));
            said.store.clone_into(&mut self.store);
        }
        (self.failures, self.away) = (0, false);
        let ahead = said.time.map(|time| difference(time, wall.as_millis()));
        let ahead = ahead.filter(|ahead| ahead.abs_diff(self.clock_ahead_ms) >= CLOCK_STEP);
        self.clock_ahead_ms = ahead.unwrap_or(self.clock_ahead_ms);
        // A stamp within a beat says enough, and needs no write.
        if now.since(self.heard_at) >= PAUSES.0 {
            self.heard_at = now;
        }
    }

    fn fail(&mut self, now: Mono) {
        self.failures = self.failures.saturating_add(1);
        let is_silent = now.since(self.heard_at) >= SILENCE;
        let (first, longest) = PAUSES;
        if self.away {
            let doubled = self.pause_ms.saturating_mul(2);
            self.pause_ms = doubled.clamp(first.as_millis(), longest.as_millis());
        } else if self.failures >= MOST_FAILURES || is_silent {
            (self.away, self.pause_ms) = (true, first.as_millis());
        }
        self.probe_at = now.after(Span::from_millis(self.pause_ms));
    }

    fn renew(&mut self, nonce: u64, now: Mono) -> bool {
        let is_free = self.until <= now || self.until > now.after(TERM);
        if self.speaker == nonce || is_free {
            (self.speaker, self.until) = (nonce, now.after(TERM));
        }
        self.speaker == nonce
    }
}

/// An answer's words about the edge.
#[derive(Clone, Copy, Debug)]
pub struct ServiceWords<'a> {
    /// The rank among the edges.
    pub rank: u32,
    /// The number of edges.
    pub edges: u32,
    /// The incarnation of the store.
    pub store: &'a str,
    /// The store's clock, in milliseconds, where an item said it.
    pub time: Option<u64>,
}

/// One VM's view of its edge.
#[derive(Debug)]
pub struct Edge {
    cell: SharedCell<EdgeState>,
    seen: EdgeState,
    /// This VM.
    nonce: u64,
    speaks: bool,
    /// The clocks at the last look.
    clocks: (Mono, Wall),
}

impl Edge {
    /// Opens the edge of a namespace, and makes it up on the first start; `nonce` is this VM's.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn open(host: &dyn Host, namespace: &str, nonce: u64) -> Result<Self, StoreError> {
        let cell = SharedCell::of(namespace);
        let failed = |error| StoreError::Host(EdgeState::LAYOUT.name, error);
        cell.create(host).map_err(failed)?;
        let mut edge = Self {
            cell,
            seen: EdgeState::default(),
            nonce,
            speaks: false,
            clocks: (host.mono(), host.wall()),
        };
        edge.look(host)?;
        Ok(edge)
    }

    /// Returns what a decision needs to know.
    pub const fn view(&self) -> EdgeView {
        EdgeView {
            epoch: self.seen.epoch,
            rank: self.seen.rank,
            edges: self.seen.edges,
            away: self.seen.away,
        }
    }

    /// Returns the incarnation of the store, as last said.
    pub fn store(&self) -> &str {
        &self.seen.store
    }

    /// Returns the store's clock minus this host's, in milliseconds, as last heard; 0 before that.
    pub const fn clock_ahead_ms(&self) -> i64 {
        self.seen.clock_ahead_ms
    }

    /// Returns how often another store, or one that lost writes, answered: then it has to be told
    /// again what this edge used, of accounts too that have nothing new.
    pub const fn losses(&self) -> u32 {
        self.seen.losses
    }

    /// True when this VM speaks for the edge.
    pub const fn speaks(&self) -> bool {
        self.speaks
    }

    /// True when the edge has been silent for long enough.
    pub fn is_silent(&self, now: Mono) -> bool {
        now.since(self.seen.heard_at) >= HEARTBEAT
    }

    /// Returns the time since the last answer; `None` before the first one.
    pub fn age(&self, now: Mono) -> Option<Span> {
        self.seen.rank.map(|_| now.since(self.seen.heard_at))
    }

    /// Returns the time of the last answer, where it is so long ago that the store gives the leases of
    /// this edge to others; `None` otherwise.
    pub fn cut_off_since(&self, now: Mono) -> Option<Mono> {
        let heard = self.seen.rank.map(|_| self.seen.heard_at)?;
        // Answers within a beat of the stamp left none.
        (now.since(heard) >= LEASES_LAST).then(|| heard.after(PAUSES.0))
    }

    /// Looks at the shared state: what other VMs heard, and who speaks.
    ///
    /// A machine that stood still longer than its monotonic clock says makes the edge another one:
    /// its allowances were given away.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn look(&mut self, host: &dyn Host) -> Result<(), StoreError> {
        let clocks = (host.mono(), host.wall());
        let by_mono = clocks.0.since(self.clocks.0).as_millis();
        let by_wall = clocks.1.as_millis().abs_diff(self.clocks.1.as_millis());
        let stood_still = by_mono.abs_diff(by_wall) > STOOD_STILL;
        self.clocks = clocks;
        let (nonce, known) = (self.nonce, self.seen.epoch);
        let (seen, speaks) = self.cell.change(host, |edge, now| {
            // Another VM may have seen it before.
            if edge.epoch == 0 || (stood_still && edge.epoch == known) {
                edge.epoch = another(edge.epoch, nonce, clocks.1);
            }
            edge.renew(nonce, now)
        })?;
        (self.seen, self.speaks) = (seen, speaks);
        Ok(())
    }

    /// Notes an answer.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn hear(&mut self, host: &dyn Host, said: &ServiceWords<'_>) -> Result<(), StoreError> {
        let wall = host.wall();
        let hear = |edge: &mut EdgeState, now| edge.hear(said, wall, now);
        let (seen, ()) = self.cell.change(host, hear)?;
        self.seen = seen;
        Ok(())
    }

    /// Notes a call without a valid answer.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn fail(&mut self, host: &dyn Host) -> Result<(), StoreError> {
        let (seen, ()) = self.cell.change(host, EdgeState::fail)?;
        self.seen = seen;
        Ok(())
    }

    /// Returns the number of the last order of the service that this edge followed.
    pub const fn orders(&self) -> u64 {
        self.seen.orders
    }

    /// Notes that this edge followed the orders up to a number.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn follow(&mut self, host: &dyn Host, orders: u64) -> Result<(), StoreError> {
        let (seen, ()) = self.cell.change(host, |edge, _| edge.orders = orders)?;
        self.seen = seen;
        Ok(())
    }

    /// Begins as another edge, as the service asks of one that it does not trust any more.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn begin_anew(&mut self, host: &dyn Host) -> Result<(), StoreError> {
        let (nonce, wall, old) = (self.nonce, host.wall(), self.seen.epoch);
        let (seen, ()) = self.cell.change(host, |edge, _| {
            if edge.epoch == old {
                edge.epoch = another(old, nonce, wall);
            }
        })?;
        self.seen = seen;
        Ok(())
    }

    /// True for the one VM that asks again now while the service is away.
    ///
    /// # Errors
    /// [`StoreError`] when shared data can't be used.
    pub fn takes_probe(&mut self, host: &dyn Host, now: Mono) -> Result<bool, StoreError> {
        if !self.seen.away || now < self.seen.probe_at {
            return Ok(false);
        }
        let (seen, takes) = self.cell.change(host, |edge, now| {
            let takes = edge.away && edge.probe_at <= now;
            if takes {
                edge.probe_at = now.after(SILENCE);
            }
            takes
        })?;
        self.seen = seen;
        Ok(takes)
    }

    /// Returns the number of overwritten corrupt values since the last call.
    pub fn take_corrupt(&self) -> u64 {
        self.cell.take_corrupt()
    }
}

/// Returns another epoch, never 0.
fn another(epoch: u64, nonce: u64, wall: Wall) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(epoch, nonce);
    hasher.write_u64(wall.as_millis());
    hasher.finish().max(1)
}
