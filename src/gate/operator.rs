//! What an operator does to the load, and is told of it.

use super::Gate;
use crate::admin::load::{self, AutoView, LoadView};
use crate::admin::{Answer, Problem};
use crate::host::Host;
use crate::load::Setting;
use crate::store::ValueError;
use std::collections::BTreeMap;

impl From<ValueError> for Problem {
    fn from(error: ValueError) -> Self {
        Self::Fault(error.into())
    }
}

impl Gate {
    /// What is in force, and why.
    pub(super) fn load_view(&self, host: &dyn Host) -> LoadView {
        let (state, now) = (self.load(), host.mono());
        let by_hand = state.by_hand.as_ref().filter(|s| now < s.ends);
        let named = by_hand.map(|setting| &setting.tiers);
        let named = named.into_iter().flatten();
        let stands = state.auto.stands(now);
        let ours = self.config.load.as_ref().map(|rule| rule.origin.kind());
        let from = state.auto.from.filter(|_| stands).or(ours);
        let part = |millionths| f64::from(millionths) / 1e6;
        let auto = from.map(|from| AutoView {
            from: from.as_str().to_owned(),
            load: if stands { part(state.auto.load) } else { 0.0 },
            pressure: if stands {
                part(state.auto.pressure)
            } else {
                0.0
            },
        });
        let rule = self.config.load.as_ref();
        let in_force = self.config.tiers.iter().map(|tier| {
            let scale = state.lowering(&tier.name, rule).scale(now);
            (tier.name.clone(), scale.as_f64())
        });
        LoadView {
            scale: by_hand.map_or(1.0, |setting| setting.scale.as_f64()),
            tiers: named
                .map(|(n, scale)| (n.clone(), scale.as_f64()))
                .collect(),
            ttl_ms: by_hand.map(|setting| setting.ends.since(now).as_millis()),
            set_ms_ago: by_hand.map(|setting| now.since(setting.set).as_millis()),
            auto,
            in_force: in_force.collect::<BTreeMap<_, _>>(),
        }
    }

    pub(super) fn get_load(&mut self, host: &dyn Host) -> Result<Answer, Problem> {
        self.read_load(host)?;
        Ok(Answer::ok(&self.load_view(host)))
    }

    pub(super) fn put_load(&mut self, host: &dyn Host, body: &[u8]) -> Result<Answer, Problem> {
        let put = load::put(body)?;
        for (name, _) in &put.tiers {
            self.known_tier(name, &format!("tiers.{name}"))?;
        }
        self.set_load(host, |now| {
            Some(Setting {
                scale: put.scale,
                tiers: put.tiers.clone(),
                set: now,
                ends: now.after(put.ttl),
            })
        })?;
        Ok(Answer::ok(&self.load_view(host)))
    }

    pub(super) fn delete_load(&mut self, host: &dyn Host) -> Result<Answer, Problem> {
        self.set_load(host, |_| None)?;
        Ok(Answer::ok(&self.load_view(host)))
    }
}
