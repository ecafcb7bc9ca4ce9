//! Drafts of many accounts as one request of the edge, and its answer as one for each.

use super::answer::{AskRefused, Granted, GrantedMeter};
use super::draft::{Draft, DraftMeter};
use super::hex::Hex;
use super::message::{
    ItemAnswer, LeaseAsk, LossRule, MOST_ITEMS, MeterAsk, StepItem, StepObstacle, StepRequest,
    VERSION,
};
use super::meter_key::MeterKey;
use crate::time::Span;

/// The maximum number of accounts in one request.
pub const MOST_ACCOUNTS: usize = MOST_ITEMS;

/// The drafts of one request, with the names of their meters.
#[derive(Debug, Default)]
pub struct StepBatch {
    meters: Vec<(MeterKey, String)>,
    items: Vec<StepItem>,
}

/// The edge that speaks.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The edge.
    pub epoch: u64,
    /// The incarnation of the store, as last said.
    pub store: &'a str,
    /// The rule after a loss.
    pub after_loss: LossRule,
    /// The number of the last order that the edge followed.
    pub orders: u64,
}

impl StepBatch {
    /// Adds a draft. `name` names a meter; a meter without a name is left out.
    pub fn add(&mut self, draft: &Draft, name: impl Fn(MeterKey) -> Option<String>) {
        let mut item = StepItem {
            account: Hex(draft.account.0),
            incarnation: draft.incarnation.into(),
            seq: draft.seq,
            generation: draft.generation,
            meters: Vec::new(),
            leases: Vec::new(),
        };
        for one in &draft.meters {
            let Some(meter) = self.index(one.key, &name) else {
                continue;
            };
            match one.key.is_leases() {
                true => item.leases.push(lease(one, meter)),
                false => item.meters.push(windowed(one, meter)),
            }
        }
        self.items.push(item);
    }

    /// Returns the request, and its meters by their index.
    pub fn request(self, speaker: &Speaker<'_>) -> (StepRequest, Vec<MeterKey>) {
        let (keys, names) = self.meters.into_iter().unzip();
        let request = StepRequest {
            v: VERSION,
            ns: speaker.namespace.to_owned(),
            edge: speaker.epoch.into(),
            name: String::new(),
            meters: names,
            store: speaker.store.to_owned(),
            after_loss: Some(speaker.after_loss),
            orders: speaker.orders,
            items: self.items,
        };
        (request, keys)
    }

    fn index(&mut self, key: MeterKey, name: impl Fn(MeterKey) -> Option<String>) -> Option<u32> {
        let at = match self.meters.iter().position(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                self.meters.push((key, name(key)?));
                self.meters.len().saturating_sub(1)
            }
        };
        u32::try_from(at).ok()
    }
}

fn windowed(one: &DraftMeter, meter: u32) -> MeterAsk {
    let [spent, extra, refunded] = one.series.clone();
    MeterAsk {
        meter,
        limit: one.limit,
        held: one.held,
        spent,
        extra,
        refunded,
        own: one.own,
        need: one.need,
        want: one.want,
    }
}

const fn lease(one: &DraftMeter, meter: u32) -> LeaseAsk {
    LeaseAsk {
        meter,
        limit: one.limit,
        in_process: one.own,
        held: one.held,
        need: one.need,
        want: one.want,
        waiting: one.need,
    }
}

/// Returns what an answer grants to the account of a draft; `None` for one that is not its answer, or
/// grants more than was asked for. `meters` are those of the request, by their index.
pub fn granted(
    draft: &Draft,
    answer: &ItemAnswer,
    (edges, meters): (u32, &[MeterKey]),
) -> Option<Granted> {
    let is_same = answer.account == Hex(draft.account.0)
        && answer.incarnation == draft.incarnation.into()
        && answer.seq == draft.seq;
    if !is_same || answer.fault.is_some() || answer.stale {
        return None;
    }
    let asked = |index: u32| {
        let key = meters.get(usize::try_from(index).ok()?)?;
        draft.meters.iter().find(|one| one.key == *key)
    };
    let windows = answer.meters.iter().map(|one| {
        let asked = asked(one.meter)?;
        Some((asked, one.grant, (one.used, one.left, one.ends_ms)))
    });
    let leases = answer.leases.iter().map(|one| {
        let asked = asked(one.meter)?;
        let others = one.grant.saturating_add(one.left);
        let used = asked.limit.saturating_sub(others);
        Some((asked, one.grant, (used, one.left, 0)))
    });
    let granted = windows.chain(leases).map(|one| {
        let (asked, grant, (used, left, ends_in)) = one?;
        let key = asked.key;
        (grant <= asked.need.saturating_add(asked.want)).then_some(GrantedMeter {
            key,
            grant,
            used,
            left,
            ends_in,
        })
    });
    let granted: Option<Vec<_>> = granted.collect();
    let refused = answer.no.as_ref().map(|no| {
        let asked = asked(no.meter)?;
        Some(AskRefused {
            key: asked.key,
            need: asked.need,
            wait: Span::from_millis(no.wait_ms.into()),
            closed: no.by == StepObstacle::Closed,
        })
    });
    Some(Granted {
        incarnation: draft.incarnation,
        seq: answer.seq,
        generation: answer.generation,
        // A limit is shared by the edges that meet the account, as far as that is known.
        edges: match answer.edges {
            0 => edges,
            sharing => sharing,
        },
        tight: answer.tight,
        store_time: answer.time,
        meters: granted?,
        refused: match refused {
            None => None,
            Some(refused) => Some(refused?),
        },
    })
}
