//! The plans of all tiers and families of a config, made once.

use super::outcome::AccessLog;
use crate::config::Config;
use crate::limits::Plan;
use crate::metrics::Outcome;
use crate::models::FamilyId;
use crate::routes::{LimitList, Routes};
use crate::tiers::{Tier, TierId};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The plan that all requests of one tier and one family share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// The limits.
    pub plan: Rc<Plan>,
    /// The line for access logs of an admitted request; `None` without `log_admitted`.
    pub line: Option<Rc<str>>,
}

/// The plans by tier, and by family: the first is that of requests without a family.
#[derive(Debug)]
pub(super) struct Plans {
    tiers: Vec<Vec<Shared>>,
    /// The plans with only the limits that a rule of the routes names, as they are used.
    narrow: BTreeMap<(TierId, Option<FamilyId>, LimitList), Rc<Plan>>,
    /// The bytes of the windows, periods and leases of the largest record.
    record_bytes: usize,
}

impl Plans {
    /// Makes the plans of a config.
    pub fn new(config: &Config) -> Self {
        let of_tier = |tier: &Tier| {
            let families = config.models.iter().map(|family| Some(&*family.name));
            let models = std::iter::once(None).chain(families);
            models.map(|model| shared(config, tier, model)).collect()
        };
        let all = config.tiers.iter().map(Tier::all_limits);
        let bytes = all.map(|limits| Plan::new(limits, config.windows).awake_bytes());
        Self {
            record_bytes: bytes.max().unwrap_or(0),
            tiers: config.tiers.iter().map(of_tier).collect(),
            narrow: BTreeMap::new(),
        }
    }

    /// Returns the plan of a tier and a family.
    pub fn get(&self, tier: TierId, family: Option<FamilyId>) -> Option<&Shared> {
        let family = family.map_or(0, |id| id.index().saturating_add(1));
        self.tiers.get(tier.index())?.get(family)
    }

    /// Returns the plan of a tier and a family, with all limits or those of a list alone.
    pub fn of(
        &mut self,
        tier: TierId,
        family: Option<FamilyId>,
        list: Option<LimitList>,
        routes: &Routes,
    ) -> Option<Rc<Plan>> {
        let all = Rc::clone(&self.get(tier, family)?.plan);
        let Some(list) = list else {
            return Some(all);
        };
        let narrow = self.narrow.entry((tier, family, list));
        let narrow = narrow.or_insert_with(|| Rc::new(all.only(routes.names(list))));
        Some(Rc::clone(narrow))
    }

    /// Returns the bytes of the largest record, without its head, while requests of all families
    /// come slowly: one account's families must not take the room of another's record.
    pub const fn record_bytes(&self) -> usize {
        self.record_bytes
    }
}

fn shared(config: &Config, tier: &Tier, model: Option<&str>) -> Shared {
    let log = AccessLog {
        tier: tier.name.clone(),
        outcome: Outcome::Admitted,
        code: None,
        model: model.map(str::to_owned),
        account: None,
        sources: None,
    };
    Shared {
        plan: Plan::new(tier.limits_of(model), config.windows).into(),
        line: config.log_admitted.then(|| log.to_string().into()),
    }
}
