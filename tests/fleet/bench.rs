//! A store with a Redis of its own, and the messages of edges to it.

use crate::redis_server::RedisServer;
use crate::script::{Store, slot};
use crate::step::{MeterOver, MeterSlot, StepContext, StepReply};
use tiergate::fleet::hex::{EdgeId, Incarnation};
use tiergate::fleet::message::{ItemAnswer, LeaseAsk, MeterAsk, StepItem};

const WINDOW: u64 = 60_000;
pub const NOW: u64 = 1_000_000;
pub const DAY: (u64, u64) = (900_000, 2_000_000);

/// A store with a Redis of its own, and the messages of edges to it.
pub struct Bench {
    pub store: Store,
    _redis: RedisServer,
    pub node: &'static str,
    pub lost: Option<u64>,
    pub strict: bool,
    pub edges: u32,
    pub dead: Vec<EdgeId>,
    pub day: (u64, u64),
    /// The generation of the account that edges know.
    pub generation: u32,
}

/// One message: the edge and its number, and what it says of requests, of the day, and of leases.
#[derive(Clone, Default)]
pub struct Say {
    pub edge: u64,
    pub n: u32,
    pub incarnation: u64,
    pub requests: Option<MeterAsk>,
    pub day: Option<MeterAsk>,
    pub leases: Option<LeaseAsk>,
}

impl Bench {
    pub fn new() -> Self {
        Self::changed(&[])
    }

    /// A store whose script lacks a rule.
    pub fn changed(change: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start();
        Self {
            store: Store::changed(redis.connect(), "{t:a}:tg1", change),
            _redis: redis,
            node: "one",
            lost: None,
            strict: false,
            edges: 2,
            dead: Vec::new(),
            day: DAY,
            generation: 1,
        }
    }

    pub fn reply(&mut self, now: u64, say: &Say) -> StepReply {
        let slots: [MeterSlot; 3] = [
            slot("requests/60000/-", MeterOver::Window(WINDOW)),
            slot(
                "tokens/day@+00:00/-",
                MeterOver::Period(self.day.0, self.day.1),
            ),
            slot("leases/-/-", MeterOver::Leases),
        ];
        let day = say.day.clone().map(|day| MeterAsk { meter: 1, ..day });
        let item = StepItem {
            account: Default::default(),
            incarnation: Incarnation::from(say.incarnation),
            seq: say.n,
            generation: self.generation,
            meters: say.requests.clone().into_iter().chain(day).collect(),
            leases: say
                .leases
                .map(|leases| LeaseAsk { meter: 2, ..leases })
                .into_iter()
                .collect(),
        };
        let context = StepContext {
            node: self.node,
            peers: &[],
            lost: self.lost,
            life: 10_000,
            margin: 2_000,
            strict: self.strict,
            edges: self.edges,
            dead: &self.dead,
            edge: EdgeId::from(say.edge),
        };
        self.store.step(now, &context, &item, &slots)
    }

    /// Begins the use anew; returns the generation that begins.
    pub fn reset(&mut self, now: u64) -> u32 {
        self.store.reset(now).unwrap()
    }

    pub fn say(&mut self, now: u64, say: &Say) -> ItemAnswer {
        match self.reply(now, say) {
            StepReply::Done(answer, _) => answer,
            other => panic!("{other:?}"),
        }
    }
}

/// A meter that asks for `need` of 100.
pub fn need(need: u64) -> MeterAsk {
    MeterAsk {
        limit: 100,
        need,
        ..MeterAsk::default()
    }
}

pub fn ask(edge: u64, n: u32, requests: MeterAsk) -> Say {
    Say {
        edge,
        n,
        requests: Some(requests),
        ..Say::default()
    }
}

/// A message about the day alone.
pub fn day(edge: u64, n: u32, day: MeterAsk) -> Say {
    Say {
        edge,
        n,
        day: Some(day),
        ..Say::default()
    }
}
