//! This edge's knowledge of the fleet, for operators: of itself, and of an account.

use super::super::Limiter;
use crate::fleet::allowances::{Allowance, Allowances};
use crate::host::Host;
use crate::json::Named;
use crate::ledger::{AccountKey, Fault, RecordChange};
use serde::{Deserialize, Serialize};

/// This edge in the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FleetStatus {
    /// The edge's id: 16 hex digits.
    pub edge: String,
    /// Its rank among the edges, from 0; null before the first answer.
    pub rank: Option<u32>,
    /// The number of edges; 0 before the first answer.
    pub edges: u32,
    /// True while the service is away, so that `on_failure` decides.
    pub away: bool,
    /// The time since the last answer; null before the first.
    pub heard_ms_ago: Option<u64>,
    /// The incarnation of the store, as last said.
    pub store: String,
    /// The number of times that the store lost writes, or another one answered.
    pub losses: u32,
}

/// An account in the fleet, as this edge last heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetUse {
    /// The time since the message that was answered last; null before the first.
    pub heard_ms_ago: Option<u64>,
    /// The time for which the store admits nothing, since it lost writes; null otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
    /// The meters, by their names.
    pub meters: Named<MeterUse>,
}

/// A meter of an account in the fleet, in the unit of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MeterUse {
    /// The limit.
    pub limit: u64,
    /// The use by all edges, as far as they told the store.
    pub used: u64,
    /// The amount that this edge may spend without asking.
    pub held: u64,
    /// The amount that is neither used nor held by any edge.
    pub left: u64,
}

impl MeterUse {
    const fn of(one: &Allowance) -> Self {
        Self {
            limit: one.limit,
            used: one.used,
            held: one.held,
            left: one.left,
        }
    }
}

impl Limiter {
    /// Returns this edge in the fleet; `None` without one.
    pub fn fleet_status(&self, host: &dyn Host) -> Option<FleetStatus> {
        self.config.fleet.as_ref()?;
        let vm = self.vm.borrow();
        let edge = vm.desk.edge.as_ref()?;
        let view = edge.view();
        Some(FleetStatus {
            edge: format!("{:016x}", view.epoch),
            rank: view.rank,
            edges: view.edges,
            away: view.away,
            heard_ms_ago: edge.age(host.mono()).map(|age| age.as_millis()),
            store: edge.store().to_owned(),
            losses: edge.losses(),
        })
    }

    /// Returns what this edge knows of an account in the fleet; `None` for one that takes no part.
    ///
    /// # Errors
    /// [`Fault`] when the ledger can't be read.
    pub fn fleet_use(&self, host: &dyn Host, key: AccountKey) -> Result<Option<FleetUse>, Fault> {
        if self.config.fleet.is_none() {
            return Ok(None);
        }
        self.change_stake(host, key, |record, now| {
            let own = Allowances::read(record).map(|mut own| {
                own.advance(now.mono);
                self.use_of(&own, now.mono.as_millis())
            });
            RecordChange::Keep(own)
        })
    }

    fn use_of(&self, own: &Allowances, now: u64) -> FleetUse {
        let meters = own.meters.iter();
        let meters = meters.filter_map(|one| Some((self.meter_name(one.key)?, MeterUse::of(one))));
        let closed = own.closed_until.saturating_sub(now);
        FleetUse {
            heard_ms_ago: (own.heard_at > 0).then(|| now.saturating_sub(own.heard_at)),
            closed_ms: (closed > 0).then_some(closed),
            meters: Named(meters.collect()),
        }
    }
}
