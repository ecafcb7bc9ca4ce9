//! The call of `step.lua`: its message and its reply. The script is the store's half of the
//! protocol; a key's name has the layout (`tg1`), so other layouts are other keys.

use redis::Value;
use serde::Serialize;
use tiergate::fleet::hex::{AccountId, EdgeId, Incarnation};
use tiergate::fleet::message::{
    Cumulative, ItemAnswer, LeaseGrant, MOST_AMOUNT, MOST_ITEM_METERS, MOST_PARTS, MeterAsk,
    MeterGrant, StepItem, StepObstacle, StepRefusal,
};

/// The script.
pub const SCRIPT: &str = include_str!("step.lua");

/// The service's knowledge of the store, the edges and the sender of a message.
#[derive(Clone, Copy, Debug)]
pub struct StepContext<'a> {
    /// The incarnation of the Redis node that has the account.
    pub node: &'a str,
    /// The incarnations of the other nodes of a cluster.
    pub peers: &'a [String],
    /// The time since the node lost writes, in milliseconds; `None` for a node that lost none.
    pub lost: Option<u64>,
    /// The life of an allowance, in milliseconds.
    pub life: u64,
    /// The time that the store adds to it, in milliseconds.
    pub margin: u64,
    /// True for `after_loss: strict`.
    pub strict: bool,
    /// The number of edges.
    pub edges: u32,
    /// Edges that are silent for longer than leases live.
    pub dead: &'a [EdgeId],
    /// The edge.
    pub edge: EdgeId,
}

/// A meter of a request, at the present time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterSlot {
    /// Its name.
    pub name: String,
    /// The time that it counts over.
    pub over: MeterOver,
    /// The largest limit that the service lets an edge name.
    pub most: u64,
}

/// The time that a meter counts over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeterOver {
    /// Requests in flight.
    Leases,
    /// A sliding window, in milliseconds.
    Window(u64),
    /// A period, by its start and its end in milliseconds of the wall clock.
    Period(u64, u64),
    /// The name is wrong, for this reason.
    Nothing(String),
}

/// The message of the script, which is one JSON text.
#[derive(Clone, Debug, Serialize)]
pub struct StepCall<'a> {
    node: &'a str,
    peers: &'a [String],
    /// -1 for none.
    lost: i64,
    life: u64,
    margin: u64,
    strict: bool,
    edges: u32,
    dead: &'a [EdgeId],
    edge: EdgeId,
    i: Incarnation,
    n: u32,
    g: u32,
    m: Vec<MeterArgs<'a>>,
    /// Name, limit, in process, held, need, want.
    l: Vec<(&'a str, u64, u64, u64, u64, u64)>,
}

impl<'a> StepCall<'a> {
    /// Makes the message of an item whose meters are these.
    ///
    /// # Errors
    /// The reason why the item can't be used.
    pub fn new(
        context: &StepContext<'a>,
        item: &'a StepItem,
        slots: &'a [MeterSlot],
    ) -> Result<Self, String> {
        let slot = |index: u32| {
            let found = usize::try_from(index).ok().and_then(|at| slots.get(at));
            found.ok_or_else(|| format!("the request names no meter {index}"))
        };
        if item.seq == 0 {
            return Err("n is 0: messages are counted from 1".to_owned());
        }
        if item.meters.len().max(item.leases.len()) > MOST_ITEM_METERS {
            return Err(format!("over {MOST_ITEM_METERS} meters"));
        }
        let indexes = item.meters.iter().map(|ask| ask.meter);
        let mut indexes: Vec<_> = indexes
            .chain(item.leases.iter().map(|ask| ask.meter))
            .collect();
        indexes.sort_unstable();
        if indexes.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err("a meter stands twice".to_owned());
        }
        let mut m = Vec::with_capacity(item.meters.len());
        for ask in &item.meters {
            m.push(meter_args(ask, slot(ask.meter)?)?);
        }
        let mut l = Vec::with_capacity(item.leases.len());
        for ask in &item.leases {
            let slot = slot(ask.meter)?;
            if slot.over != MeterOver::Leases {
                return Err(format!("{} does not count leases", slot.name));
            }
            let all = [ask.limit, ask.in_process, ask.held, ask.need, ask.want];
            in_range(&all)?;
            let limit = ask.limit.min(slot.most);
            l.push((
                slot.name.as_str(),
                limit,
                ask.in_process,
                ask.held,
                ask.need,
                ask.want,
            ));
        }
        Ok(Self {
            node: context.node,
            peers: context.peers,
            lost: context
                .lost
                .map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX)),
            life: context.life,
            margin: context.margin,
            strict: context.strict,
            edges: context.edges,
            dead: context.dead,
            edge: context.edge,
            i: item.incarnation,
            n: item.seq,
            g: item.generation,
            m,
            l,
        })
    }

    /// Returns the text of the message.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn meter_args<'a>(ask: &'a MeterAsk, slot: &'a MeterSlot) -> Result<MeterArgs<'a>, String> {
    let (window, start, end) = match &slot.over {
        MeterOver::Window(ms) => (*ms, 0, 0),
        MeterOver::Period(start, end) => (0, *start, *end),
        MeterOver::Leases => return Err(format!("{} counts leases", slot.name)),
        MeterOver::Nothing(why) => return Err(why.clone()),
    };
    in_range(&[ask.limit, ask.held, ask.own, ask.need, ask.want])?;
    for list in [&ask.spent, &ask.extra, &ask.refunded] {
        in_range(list)?;
        if list.len() > MOST_PARTS.saturating_mul(2).saturating_add(1) {
            return Err(format!("{}: a total of over {MOST_PARTS} parts", slot.name));
        }
        if !list.is_empty() && list.len().is_multiple_of(2) {
            return Err(format!("{}: a part of a total has no total", slot.name));
        }
    }
    Ok((
        &slot.name,
        window,
        start,
        end,
        ask.limit.min(slot.most),
        ask.held,
        &ask.spent,
        &ask.extra,
        &ask.refunded,
        ask.own,
        ask.need,
        ask.want,
    ))
}

fn in_range(amounts: &[u64]) -> Result<(), String> {
    let huge = amounts.iter().find(|amount| **amount > MOST_AMOUNT);
    huge.map_or(Ok(()), |huge| Err(format!("{huge} is over {MOST_AMOUNT}")))
}

/// A meter in the message of the script: name, length of the window (0 for a period), start and end
/// of the period, limit, held, spent, extra, refunded, own, need, want.
type MeterArgs<'a> = (
    &'a str,
    u64,
    u64,
    u64,
    u64,
    u64,
    &'a Cumulative,
    &'a Cumulative,
    &'a Cumulative,
    u64,
    u64,
    u64,
);

/// The script's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepReply {
    /// The answer to the edge, and what happened on the way.
    Done(ItemAnswer, Happened),
    /// A period of the message is not the present one, by the store's clock in milliseconds.
    Turn(u64),
    /// The account can't be used.
    Fault(String),
}

/// The events of a step, as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Amounts that were absurd.
    pub clamped: u64,
    /// Amounts held that the store did not know of.
    pub restated: u64,
    /// Allowances of silent edges that count as used now.
    pub written_off: u64,
}

/// Returns the key of an account.
pub fn key(ns: &str, account: AccountId) -> String {
    format!("{{{ns}:{account}}}:tg1")
}

/// Reads the reply of the script to a message about `item`; `None` for a reply of another script.
pub fn read(reply: &Value, item: &StepItem) -> Option<StepReply> {
    let Value::Array(list) = reply else {
        return None;
    };
    let (kind, rest) = list.split_first()?;
    let answer = ItemAnswer {
        account: item.account,
        incarnation: item.incarnation,
        seq: item.seq,
        ..ItemAnswer::default()
    };
    match text(kind)? {
        "done" => done(&mut Numbers(rest.iter()), item, answer),
        "stale" => {
            let generation = u32::try_from(Numbers(rest.iter()).take()?).ok()?;
            let answer = ItemAnswer {
                stale: true,
                generation,
                ..answer
            };
            Some(StepReply::Done(answer, Happened::default()))
        }
        "turn" => Some(StepReply::Turn(Numbers(rest.iter()).take()?)),
        "fault" => Some(StepReply::Fault(text(rest.first()?)?.to_owned())),
        _ => None,
    }
}

struct Numbers<'a>(std::slice::Iter<'a, Value>);

impl Numbers<'_> {
    fn take(&mut self) -> Option<u64> {
        match self.0.next()? {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn done(numbers: &mut Numbers<'_>, item: &StepItem, mut answer: ItemAnswer) -> Option<StepReply> {
    answer.ok = numbers.take()? == 1;
    answer.generation = u32::try_from(numbers.take()?).ok()?;
    answer.tight = numbers.take()? == 1;
    let (by, blocked, wait) = (numbers.take()?, numbers.take()?, numbers.take()?);
    let happened = Happened {
        clamped: numbers.take()?,
        restated: numbers.take()?,
        written_off: numbers.take()?,
    };
    (answer.time, answer.clock) = (numbers.take()?, numbers.take()?);
    answer.edges = u32::try_from(numbers.take()?).ok()?;
    // A repeated message has the meters of the first: the answer names no more than both have.
    let meters = usize::try_from(numbers.take()?).ok()?;
    for place in 0..meters {
        let grant = MeterGrant {
            meter: 0,
            grant: numbers.take()?,
            used: numbers.take()?,
            left: numbers.take()?,
            ends_ms: numbers.take()?,
        };
        let asked = item.meters.get(place);
        answer.meters.extend(asked.map(|ask| MeterGrant {
            meter: ask.meter,
            ..grant
        }));
    }
    let leases = usize::try_from(numbers.take()?).ok()?;
    for place in 0..leases {
        let (grant, left) = (numbers.take()?, numbers.take()?);
        let asked = item.leases.get(place);
        answer.leases.extend(asked.map(|ask| LeaseGrant {
            meter: ask.meter,
            grant,
            left,
        }));
    }
    let by = match by {
        0 => return Some(StepReply::Done(answer, happened)),
        1 => StepObstacle::Used,
        2 => StepObstacle::Held,
        _ => StepObstacle::Closed,
    };
    let place = usize::try_from(blocked).ok()?.checked_sub(1)?;
    let mut all = item.meters.iter().map(|ask| ask.meter);
    let mut leases = item.leases.iter().map(|ask| ask.meter);
    let meter = match place.checked_sub(item.meters.len()) {
        None => all.nth(place),
        // A closed account is closed for leases alone as well.
        Some(place) => leases.nth(place),
    };
    answer.no = Some(StepRefusal {
        meter: meter?,
        wait_ms: u32::try_from(wait).unwrap_or(u32::MAX),
        by,
    });
    Some(StepReply::Done(answer, happened))
}
