//! One worker's view of the overload control. Ticks store the worker's observations of the upstream
//! and read the lowerings, which requests find in memory.

use super::{
    Candidate, ManualScale, Observed, Origin, OverloadEvent, Policy, State, StoredOverload, load_of,
};
use crate::host::{Host, HostError, MetricSink};
use crate::limits::{Limits, Lowered, Lowering};
use crate::metrics::names;
use crate::shared::StoreError;
use crate::tiers::{TierId, TierTable};
use crate::time::Mono;

/// The response statuses that mean overload.
const OVERLOADED: [&[u8]; 3] = [b"503", b"529", b"429"];

/// One worker's view of the overload control.
#[derive(Debug)]
pub struct OverloadView {
    namespace: String,
    tiers: TierTable,
    stored: StoredOverload,
    /// This config's policy, if it has one.
    candidate: Option<Candidate>,
    /// The state as last read.
    state: State,
    /// The lowering of each tier.
    lowerings: Vec<Lowering>,
    /// Observations since the last tick.
    observed: Observed,
    /// Changes that this worker made, until they are logged.
    events: Vec<OverloadEvent>,
    /// The last reported value of each tier's gauge, in thousandths.
    reported: Vec<Option<u32>>,
}

impl OverloadView {
    /// Opens the view; creates the shared state on the first start.
    ///
    /// # Errors
    /// The host's status.
    pub fn open(
        host: &dyn Host,
        namespace: &str,
        tiers: &TierTable,
        policy: Option<&Policy>,
    ) -> Result<Self, HostError> {
        let stored = StoredOverload::of(namespace);
        stored.create(host)?;
        let count = tiers.iter().count();
        let mut view = Self {
            namespace: namespace.to_owned(),
            tiers: tiers.clone(),
            stored,
            candidate: policy.map(|policy| Candidate::new(policy.clone(), host.mono())),
            state: State::default(),
            lowerings: vec![Lowering::NONE; count],
            observed: Observed::default(),
            events: Vec::new(),
            reported: vec![None; count],
        };
        // A state that can't be read now is read on the next tick.
        if let Ok((state, now)) = view.stored.read(host) {
            view.learn(state, now);
        }
        Ok(view)
    }

    fn policy(&self) -> Option<&Policy> {
        self.candidate.as_ref().map(|candidate| &candidate.policy)
    }

    /// Stores the observations, reads the lowerings, and flushes the gauges. `in_force`: this config's
    /// policy decides.
    ///
    /// # Errors
    /// [`StoreError`] when the shared state can't be used; the observations wait for the next tick.
    pub fn tick(
        &mut self,
        host: &dyn Host,
        in_force: bool,
        sink: &mut dyn MetricSink,
    ) -> Result<(), StoreError> {
        let unreadable = std::mem::take(&mut self.observed.unreadable);
        let done = self.exchange(host, in_force);
        self.flush(host.mono(), unreadable, sink);
        done
    }

    fn exchange(&mut self, host: &dyn Host, in_force: bool) -> Result<(), StoreError> {
        let observed = std::mem::take(&mut self.observed);
        let done = self.stored.change(host, |state, now| {
            state.correct(now);
            let manual = &mut state.manual;
            let ended = manual.take_if(|setting| setting.ends <= now);
            let candidate = self.candidate.as_ref();
            let moved = candidate.and_then(|candidate| {
                let adaptive = &mut state.adaptive;
                adaptive.advance(&observed, candidate, in_force, now)
            });
            (ended.map(OverloadEvent::Ended), moved, now)
        });
        let (state, (ended, moved, now)) = done.inspect_err(|_| self.observed.add(&observed))?;
        self.events.extend(ended);
        self.events.extend(moved);
        self.learn(state, now);
        Ok(())
    }

    fn learn(&mut self, mut state: State, now: Mono) {
        state.correct(now);
        let policy = self.policy();
        let tiers = self.tiers.iter();
        self.lowerings = tiers
            .map(|tier| state.lowering(&tier.name, policy))
            .collect();
        self.state = state;
    }

    fn flush(&mut self, now: Mono, unreadable: u64, sink: &mut dyn MetricSink) {
        let namespace = &self.namespace;
        let is_first = self.candidate.is_some() && self.reported.iter().all(Option::is_none);
        let tiers = self.tiers.iter().zip(&self.lowerings);
        for ((tier, lowering), reported) in tiers.zip(&mut self.reported) {
            let thousandths = lowering.scale(now).millionths().div_euclid(1_000);
            if *reported != Some(thousandths) {
                *reported = Some(thousandths);
                let name = names::LIMIT_SCALE.of_tier(namespace, &tier.name);
                sink.set(&name, thousandths.into());
            }
        }
        if unreadable > 0 || is_first {
            sink.count(&names::LOAD_UNREADABLE.of(namespace), unreadable);
        }
    }

    /// Takes the number of corrupt values that were replaced since the last call.
    pub fn take_corrupt(&self) -> u64 {
        self.stored.take_corrupt()
    }

    /// Returns the scales on the limits of a tier; `None` without a lowering.
    pub fn lowered(&self, tier: TierId) -> Option<Lowered> {
        self.lowerings.get(tier.index())?.lowered()
    }

    /// Returns the effective limits of an account of a tier at `now`.
    pub fn effective(&self, tier: TierId, base: &Limits, now: Mono) -> Limits {
        let lowered = self.lowered(tier);
        lowered.map_or_else(|| base.clone(), |lowered| lowered.at(now).over(base))
    }

    /// Returns the last state that this worker read, and this config's policy.
    pub fn state(&self) -> (&State, Option<&Policy>) {
        (&self.state, self.policy())
    }

    /// Records the upstream's answer to a forwarded request. `load` is the header in which the
    /// upstream reports its load, if the policy names one.
    pub fn observe(&mut self, status: Option<&[u8]>, load: Option<&[u8]>) {
        let Some(candidate) = &self.candidate else {
            return;
        };
        let observed = &mut self.observed;
        let add = |n: &mut u64, more: u64| *n = n.saturating_add(more);
        match (&candidate.policy.origin, load.map(load_of)) {
            (Origin::Overload, _) => {
                add(&mut observed.answers, 1);
                let overloaded = status.is_some_and(|s| OVERLOADED.contains(&s));
                add(&mut observed.overloaded, overloaded.into());
            }
            (Origin::Header(_), None) => {}
            (Origin::Header(_), Some(None)) => add(&mut observed.unreadable, 1),
            (Origin::Header(_), Some(Some(load))) => {
                add(&mut observed.reports, 1);
                add(&mut observed.sum, load.into());
            }
        }
    }

    /// Takes the changes that this worker made to the effective limits, for the log.
    pub fn drain_events(&mut self) -> Vec<OverloadEvent> {
        std::mem::take(&mut self.events)
    }

    /// Reads the shared state now.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn refresh(&mut self, host: &dyn Host) -> Result<(), StoreError> {
        let (state, now) = self.stored.read(host)?;
        self.learn(state, now);
        Ok(())
    }

    /// Sets the manual scale, or withdraws it.
    ///
    /// # Errors
    /// [`StoreError`] when it was not stored.
    pub fn set_manual(
        &mut self,
        host: &dyn Host,
        setting: impl Fn(Mono) -> Option<ManualScale>,
    ) -> Result<(), StoreError> {
        let (state, (events, now)) = self.stored.change(host, |state, now| {
            state.correct(now);
            let before = std::mem::replace(&mut state.manual, setting(now));
            let (before, ended) = match before {
                Some(setting) if setting.ends <= now => (None, Some(setting)),
                before => (before, None),
            };
            let event = match &state.manual {
                Some(setting) => Some(OverloadEvent::Set {
                    now: setting.clone(),
                    before,
                }),
                None => before.map(OverloadEvent::Withdrawn),
            };
            let ended = ended.map(OverloadEvent::Ended);
            (ended.into_iter().chain(event).collect::<Vec<_>>(), now)
        })?;
        self.events.extend(events);
        self.learn(state, now);
        Ok(())
    }
}
