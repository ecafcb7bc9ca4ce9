//! The adaptive lowering of one namespace: its owner, the observations of all workers, the
//! controller, and the scales that follow from the pressure.

use super::controller::{Controller, Sample};
use super::part::Part;
use super::policy::{Candidate, OriginKind, Policy};
use super::signal::Observed;
use super::{OverloadEvent, TierScales, find};
use crate::limits::{AdaptiveLowering, Scale};
use crate::time::{Mono, Span};

/// The time for which a pressure holds without another step.
const STALE: Span = Span::from_secs(10);

/// The active policy, and its last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ownership {
    /// The signal that the policy reads; `None` before the first policy.
    pub kind: Option<OriginKind>,
    /// Hash of the policy.
    pub policy_hash: u64,
    /// Time of the newest config with this policy; older code decides by it.
    pub configured: Mono,
    /// Time of the last step.
    pub last_step: Mono,
}

impl Ownership {
    /// True while the owner takes steps.
    fn is_fresh(&self, now: Mono) -> bool {
        now < self.last_step.after(STALE)
    }

    /// True when the policy of `candidate` is active, or replaces the active one.
    ///
    /// The config in force wins. Another one takes over when the owner stops taking steps.
    fn yields_to(&self, candidate: &Candidate, in_force: bool, now: Mono) -> bool {
        self.policy_hash == candidate.hash || in_force || !self.is_fresh(now)
    }

    /// True when the next step is due.
    fn is_due(&self, interval: Span, now: Mono) -> bool {
        now >= self.last_step.after(interval)
    }
}

/// The adaptive lowering, as stored in shared data.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Adaptive {
    /// The active policy.
    pub ownership: Ownership,
    /// Observations of all workers since the last step.
    pub observed: Observed,
    /// The controller after the last step.
    pub controller: Controller,
    /// The scales of the active policy at the controller's pressure; empty without pressure.
    pub tiers: TierScales,
    /// The last reduction of each tier's scale; none for a tier that is not lowered.
    pub reductions: Vec<(String, Mono)>,
}

impl Adaptive {
    /// Returns the lowering of a tier: by this config's `policy`, or else by the active policy.
    pub fn lowering(&self, tier: &str, policy: Option<&Policy>) -> AdaptiveLowering {
        let scale = match policy {
            Some(policy) => policy.scale(tier, self.controller.pressure),
            None => find(&self.tiers, tier).unwrap_or(Scale::ONE),
        };
        AdaptiveLowering {
            scale,
            since: self.reduced_at(tier),
            expires_at: self.ownership.last_step.after(STALE),
        }
    }

    /// Returns the time of a tier's last reduction; of the last increase of the pressure for a tier
    /// that another policy lowers.
    fn reduced_at(&self, tier: &str) -> Mono {
        let own = self.reductions.iter().find(|(name, _)| name == tier);
        own.map_or(self.controller.last_increase, |(_, at)| *at)
    }

    /// True while the owner takes steps; the pressure has expired otherwise.
    pub fn is_fresh(&self, now: Mono) -> bool {
        self.ownership.is_fresh(now)
    }

    /// Moves fields into their bounds, and times that are ahead of the clock to `now`: the clock
    /// stepped back, or the bytes were corrupt.
    pub fn correct(&mut self, now: Mono) {
        self.controller.correct(now);
        for time in [
            &mut self.ownership.configured,
            &mut self.ownership.last_step,
        ] {
            *time = (*time).min(now);
        }
        for (_, time) in &mut self.reductions {
            *time = (*time).min(now);
        }
    }

    /// Adds the observations of one worker, and takes a step when one is due. Returns the change.
    ///
    /// Of several policies, the one of the config in force is active. Workers with another policy
    /// contribute observations of the same kind, and take no steps.
    pub fn advance(
        &mut self,
        observed: &Observed,
        candidate: &Candidate,
        in_force: bool,
        now: Mono,
    ) -> Option<OverloadEvent> {
        if self.is_idle(observed) {
            return None;
        }
        let is_owner = self.ownership.yields_to(candidate, in_force, now);
        let lost = is_owner.then(|| self.adopt(candidate, now)).flatten();
        self.observe(observed, candidate.policy.origin.kind());
        let is_due = self.ownership.is_due(candidate.policy.interval, now);
        if !is_owner || lost.is_some() || !is_due {
            return lost;
        }
        self.step(&candidate.policy, now)
    }

    /// True without pressure, load and observations: a step would change nothing.
    fn is_idle(&self, observed: &Observed) -> bool {
        let none = Observed::default();
        self.controller.pressure == Part::ZERO
            && self.controller.load == Part::ZERO
            && self.observed == none
            && *observed == none
    }

    /// Makes the policy of `candidate` active.
    ///
    /// Restarts the controller after another kind of signal, or after a stale owner. Returns the
    /// change when that ends a lowering.
    fn adopt(&mut self, candidate: &Candidate, now: Mono) -> Option<OverloadEvent> {
        let kind = Some(candidate.policy.origin.kind());
        let mut lost = None;
        if self.ownership.kind != kind || !self.is_fresh(now) {
            let was_lowered = !self.tiers.is_empty();
            *self = Self::default();
            self.ownership.kind = kind;
            self.ownership.last_step = now;
            lost = was_lowered.then(|| self.moved(false));
        }
        let owner = &mut self.ownership;
        owner.configured = match owner.policy_hash == candidate.hash {
            true => owner.configured.max(candidate.configured),
            false => candidate.configured,
        };
        owner.policy_hash = candidate.hash;
        lost
    }

    /// Adds observations of the kind that the active policy reads.
    fn observe(&mut self, observed: &Observed, kind: OriginKind) {
        if self.ownership.kind == Some(kind) {
            self.observed.add(observed);
        }
    }

    /// Takes a step. Returns the change of the scales, if any.
    fn step(&mut self, policy: &Policy, now: Mono) -> Option<OverloadEvent> {
        let sample = Sample {
            observed: std::mem::take(&mut self.observed),
            last_step: std::mem::replace(&mut self.ownership.last_step, now),
            now,
        };
        let before = self.controller.pressure;
        self.controller = self.controller.step(&sample, policy);
        let tiers = match self.controller.pressure {
            Part::ZERO => TierScales::new(),
            pressure => policy.scales(pressure),
        };
        let has_moved = tiers != self.tiers;
        self.reductions = self.reductions_to(&tiers, now);
        self.tiers = tiers;
        has_moved.then(|| self.moved(self.controller.pressure > before))
    }

    /// Returns the last reduction of each lowered tier, when the scales become `tiers` at `now`. A tier
    /// whose scale stays or rises keeps its time: its limit is the same, or larger.
    fn reductions_to(&self, tiers: &TierScales, now: Mono) -> Vec<(String, Mono)> {
        let lowered = tiers.iter().filter(|(_, scale)| *scale < Scale::ONE);
        let reduced = lowered.map(|(name, scale)| {
            let before = find(&self.tiers, name).unwrap_or(Scale::ONE);
            let at = if *scale < before {
                now
            } else {
                self.reduced_at(name)
            };
            (name.clone(), at)
        });
        reduced.collect()
    }

    fn moved(&self, down: bool) -> OverloadEvent {
        OverloadEvent::Moved {
            load: self.controller.load,
            down,
            tiers: self.tiers.clone(),
        }
    }
}
