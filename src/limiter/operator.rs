//! What an operator does to the load, and is told of it.

use super::Limiter;
use crate::admin::overload;
use crate::admin::overload::{AdaptiveView, OverloadStatus};
use crate::admin::{AdminResponse, Problem};
use crate::host::Host;
use crate::overload::ManualScale;
use crate::shared::ValueError;
use std::collections::BTreeMap;

impl From<ValueError> for Problem {
    fn from(error: ValueError) -> Self {
        Self::Fault(error.into())
    }
}

impl Limiter {
    /// What is in force, and reason.
    pub(super) fn overload_status(&self, host: &dyn Host) -> OverloadStatus {
        let (state, now) = (self.overload_state(), host.mono());
        let manual = state.manual.as_ref().filter(|s| now < s.ends);
        let named = manual.map(|setting| &setting.tiers);
        let named = named.into_iter().flatten();
        let is_fresh = state.controller.is_fresh(now);
        let ours = self
            .config
            .overload
            .as_ref()
            .map(|policy| policy.origin.kind());
        let from = state.controller.from.filter(|_| is_fresh).or(ours);
        let part = |millionths| f64::from(millionths) / 1e6;
        let adaptive = from.map(|from| AdaptiveView {
            from: from.as_str().to_owned(),
            load: if is_fresh {
                part(state.controller.load)
            } else {
                0.0
            },
            pressure: if is_fresh {
                part(state.controller.pressure)
            } else {
                0.0
            },
        });
        let policy = self.config.overload.as_ref();
        let in_force = self.config.tiers.iter().map(|tier| {
            let scale = state.lowering(&tier.name, policy).scale(now);
            (tier.name.clone(), scale.as_f64())
        });
        OverloadStatus {
            scale: manual.map_or(1.0, |setting| setting.scale.as_f64()),
            tiers: named
                .map(|(n, scale)| (n.clone(), scale.as_f64()))
                .collect(),
            ttl_ms: manual.map(|setting| setting.ends.since(now).as_millis()),
            set_ms_ago: manual.map(|setting| now.since(setting.set).as_millis()),
            auto: adaptive,
            in_force: in_force.collect::<BTreeMap<_, _>>(),
        }
    }

    pub(super) fn get_overload(&mut self, host: &dyn Host) -> Result<AdminResponse, Problem> {
        self.read_overload(host)?;
        Ok(AdminResponse::ok(&self.overload_status(host)))
    }

    pub(super) fn put_manual(
        &mut self,
        host: &dyn Host,
        body: &[u8],
    ) -> Result<AdminResponse, Problem> {
        let put = overload::put(body)?;
        for (name, _) in &put.tiers {
            self.known_tier(name, &format!("tiers.{name}"))?;
        }
        self.set_manual(host, |now| {
            Some(ManualScale {
                scale: put.scale,
                tiers: put.tiers.clone(),
                set: now,
                ends: now.after(put.ttl),
            })
        })?;
        Ok(AdminResponse::ok(&self.overload_status(host)))
    }

    pub(super) fn delete_manual(&mut self, host: &dyn Host) -> Result<AdminResponse, Problem> {
        self.set_manual(host, |_| None)?;
        Ok(AdminResponse::ok(&self.overload_status(host)))
    }
}
