//! An edge as the protocol has it, with one account: the model that the adversary plays against.

use tiergate::fleet::hex::{AccountId, EdgeId, Incarnation};
use tiergate::fleet::message::{ItemAnswer, LeaseAsk, MeterAsk, StepItem};

/// The sliding windows, in milliseconds.
pub const WINDOW: u64 = 10_000;
/// The length of a period.
pub const PERIOD: u64 = 20_000;
pub const LIFE: u64 = 3_000;
pub const TIMEOUT: u64 = 50;
/// Requests in a window, tokens in a window, tokens in a period.
pub const METERS: usize = 3;
const MOST_PARTS: usize = 4;

/// Rules of the edge that a test can take out.
#[derive(Clone, Copy, Default)]
pub struct Rules {
    pub takes_late_answers: bool,
    pub same_id_after_restart: bool,
}

/// A total, with the parts that are not acknowledged.
#[derive(Clone, Default)]
struct Total {
    base: u64,
    sent: u64,
    parts: Vec<(u64, u64)>,
}

impl Total {
    fn total(&self) -> u64 {
        self.parts.last().map_or(self.base, |part| part.1)
    }

    /// A part has the time of its newest event, or of refunds of its oldest.
    fn add(&mut self, at: u64, amount: u64, newest: bool) {
        if amount == 0 {
            return;
        }
        let total = self.total() + amount;
        self.parts.push((at, total));
        if self.parts.len() > MOST_PARTS {
            let (first, _) = self.parts.remove(0);
            let next = &mut self.parts[0];
            next.0 = if newest {
                next.0.max(first)
            } else {
                next.0.min(first)
            };
        }
    }

    fn list(&mut self, time: impl Fn(u64) -> u64) -> Vec<u64> {
        self.sent = self.total();
        if self.sent == 0 {
            return Vec::new();
        }
        let parts = self
            .parts
            .iter()
            .flat_map(|(at, total)| [time(*at), *total]);
        std::iter::once(self.base).chain(parts).collect()
    }

    fn acknowledge(&mut self) {
        self.base = self.base.max(self.sent);
        self.parts.retain(|part| part.1 > self.base);
    }
}

pub struct Edge {
    name: u64,
    /// Counts restarts.
    pub life: u64,
    pub rules: Rules,
    /// What its wall clock is off, in milliseconds.
    pub skew: i64,
    n: u32,
    generation: u32,
    spent: [Total; METERS],
    extra: [Total; METERS],
    refunded: [Total; METERS],
    own: [Vec<(u64, u64)>; METERS],
    held: [u64; METERS],
    leases: u64,
    pub in_process: u64,
    period_until: u64,
    pub good: u64,
    pub pending: Option<(u32, u64)>,
    pub tight: bool,
    pub refused_until: u64,
    pub last: u64,
    leases_told: u64,
    /// The incarnation of the store that it last heard of, and that it spoke of this account to.
    pub store: u32,
    store_told: u32,
    /// The account's clock in the store, and this one when it was heard.
    clock: (u64, u64),
}

impl Edge {
    pub fn new(name: u64, skew: i64, rules: Rules) -> Self {
        Self {
            name,
            life: 1,
            rules,
            skew,
            n: 0,
            generation: 0,
            spent: Default::default(),
            extra: Default::default(),
            refunded: Default::default(),
            own: Default::default(),
            held: [0; METERS],
            leases: 0,
            in_process: 0,
            period_until: 0,
            good: 0,
            pending: None,
            tight: false,
            refused_until: 0,
            last: 0,
            leases_told: 0,
            store: 1,
            store_told: 1,
            clock: (0, 0),
        }
    }

    /// A process that begins anew, or a record that was evicted.
    pub fn restart(&mut self) {
        let life = self.life + 1;
        *self = Self {
            life,
            ..Self::new(self.name, self.skew, self.rules)
        };
    }

    pub fn id(&self) -> EdgeId {
        let life = if self.rules.same_id_after_restart {
            1
        } else {
            self.life
        };
        EdgeId::from(self.name << 32 | life)
    }

    /// The end of the present period, by the edge's own clock.
    pub fn label(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.skew) / PERIOD * PERIOD + PERIOD
    }

    fn expire(&mut self, now: u64) {
        if now >= self.good {
            self.held = [0; METERS];
            self.leases = 0;
        }
        if now >= self.period_until {
            self.held[2] = 0;
        }
    }

    pub fn holds(&self) -> bool {
        self.leases > 0 || self.held.iter().any(|held| *held > 0)
    }

    /// True when there is something to tell.
    pub fn has_news(&self) -> bool {
        let totals = [&self.spent, &self.extra, &self.refunded];
        totals
            .into_iter()
            .flatten()
            .any(|total| !total.parts.is_empty())
            || self.store_told != self.store
            || self.leases_told != self.in_process + self.leases
    }

    /// Takes a request out of what is held.
    pub fn admit(&mut self, now: u64, tokens: u64) -> bool {
        self.expire(now);
        let need = [1, tokens, tokens];
        if now >= self.good || self.leases == 0 || (0..METERS).any(|i| self.held[i] < need[i]) {
            return false;
        }
        let label = self.label(now);
        for (i, need) in need.into_iter().enumerate() {
            self.held[i] -= need;
            let at = if i == 2 { label } else { now };
            self.spent[i].add(at, need, true);
            self.own[i].push((at, need));
        }
        self.leases -= 1;
        self.in_process += 1;
        self.last = now;
        true
    }

    pub fn settle(&mut self, now: u64, at: u64, label: u64, reserve: u64, used: u64, keeps: bool) {
        self.expire(now);
        self.in_process -= 1;
        if keeps && now < self.good {
            self.leases += 1;
        }
        for (i, time, admitted) in [(1, now, at), (2, self.label(now), label)] {
            if used > reserve {
                self.extra[i].add(time, used - reserve, true);
                self.own[i].push((time, used - reserve));
            } else if i == 2 || now < at + WINDOW {
                self.refunded[i].add(admitted, reserve - used, false);
            }
        }
    }

    pub fn give_back(&mut self) {
        self.held = [0; METERS];
        self.leases = 0;
    }

    /// The next message, with needs and wants of each meter and of leases.
    pub fn message(
        &mut self,
        now: u64,
        limits: &[u64; 4],
        need: [u64; 4],
        want: [u64; 4],
    ) -> StepItem {
        self.expire(now);
        self.n += 1;
        self.pending = Some((self.n, now));
        self.own[0].retain(|one| one.0 + WINDOW + WINDOW / 60 > now);
        self.own[1].retain(|one| one.0 + WINDOW + WINDOW / 60 > now);
        let label = self.label(now);
        self.own[2].retain(|one| one.0 >= label);
        let meters = (0..METERS).map(|i| {
            let time = |at: u64| if i == 2 { at } else { now - at };
            let by_store = |at: u64| match i {
                2 => at,
                _ => (self.clock.0 + at).saturating_sub(self.clock.1),
            };
            MeterAsk {
                meter: u32::try_from(i).unwrap(),
                limit: limits[i],
                held: self.held[i],
                spent: self.spent[i].list(time),
                extra: self.extra[i].list(time),
                refunded: self.refunded[i].list(by_store),
                own: self.own[i].iter().map(|one| one.1).sum(),
                need: need[i],
                want: want[i],
            }
        });
        let meters = meters.collect();
        self.leases_told = self.in_process + self.leases;
        StepItem {
            account: AccountId::default(),
            incarnation: Incarnation::from(1),
            seq: self.n,
            generation: self.generation,
            meters,
            leases: vec![LeaseAsk {
                meter: 3,
                limit: limits[3],
                in_process: self.in_process,
                held: self.leases,
                need: need[3],
                want: want[3],
                waiting: 0,
            }],
        }
    }

    /// Takes an answer to a message of this time, if it still counts.
    pub fn hear(&mut self, now: u64, sent: u64, node: u32, answer: &ItemAnswer) -> bool {
        let awaited = self.pending.is_some_and(|(n, _)| n == answer.seq) && now <= sent + TIMEOUT;
        if answer.stale || !(awaited || self.rules.takes_late_answers) {
            return false;
        }
        self.expire(now);
        self.pending = None;
        self.store_told = node;
        self.good = sent + LIFE;
        self.generation = answer.generation;
        self.tight = answer.tight;
        self.clock = (answer.time, now);
        for total in [&mut self.spent, &mut self.extra, &mut self.refunded]
            .into_iter()
            .flatten()
        {
            total.acknowledge();
        }
        for (held, granted) in self.held.iter_mut().zip(&answer.meters) {
            *held += granted.grant;
        }
        self.period_until = sent + answer.meters[2].ends_ms;
        self.leases += answer.leases[0].grant;
        self.leases_told += answer.leases[0].grant;
        true
    }
}

#[test]
fn h1_an_allowance_is_good_from_the_sending_of_its_ask() {
    let mut edge = Edge::new(1, 0, Rules::default());
    let sent = 1_000_000;
    let message = edge.message(sent, &[10, 1_000, 1_000, 4], [1, 50, 50, 1], [0; 4]);
    let granted = |grant| tiergate::fleet::message::MeterGrant {
        grant,
        ends_ms: 100_000,
        ..Default::default()
    };
    let answer = ItemAnswer {
        seq: message.seq,
        ok: true,
        meters: vec![granted(1), granted(50), granted(50)],
        leases: vec![tiergate::fleet::message::LeaseGrant {
            meter: 3,
            grant: 1,
            left: 3,
        }],
        ..ItemAnswer::default()
    };
    // The process stood still between the ask and the use of its answer.
    assert!(edge.hear(sent + TIMEOUT, sent, 1, &answer));
    assert!(!edge.admit(sent + LIFE, 50));
}
