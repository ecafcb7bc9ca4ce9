//! One worker's part in the load: it tells on ticks what it saw of the upstream, and learns there
//! what is in force. A request finds that in memory.

use super::Limiter;
use crate::config::Config;
use crate::host::{Host, HostError, MetricSink};
use crate::limits::{Limits, Lowered, Lowering};
use crate::overload::{Candidate, ManualScale, Observed, Origin, OverloadEvent, State, load_of};
use crate::overload::{StoredOverload, overload};
use crate::shared::ValueError;
use crate::tiers::{Tier, TierId};
use crate::time::Mono;

/// Statuses that say that the upstream has too much to do.
const OVERLOADED: [&[u8]; 3] = [b"503", b"529", b"429"];

/// One worker's view of the load.
#[derive(Debug)]
pub(super) struct OverloadView {
    stored: StoredOverload,
    /// This config's policy, if it has one.
    candidate: Option<Candidate>,
    /// The load as it was last read.
    state: State,
    /// By how much each tier's limits are lowered.
    lowerings: Vec<Lowering>,
    /// What was observed of the upstream since the last tick.
    observed: Observed,
    /// Changes that this worker made, until they are logged.
    events: Vec<OverloadEvent>,
    /// What the gauge of each tier shows, in thousandths.
    reported: Vec<Option<u32>>,
}

impl OverloadView {
    pub fn open(host: &dyn Host, config: &Config) -> Result<Self, HostError> {
        let stored = overload(&config.namespace);
        stored.create(host)?;
        let tiers = config.tiers.iter().count();
        let mut view = Self {
            stored,
            candidate: config
                .overload
                .clone()
                .map(|policy| Candidate::new(policy, host.mono())),
            state: State::default(),
            lowerings: vec![Lowering::NONE; tiers],
            observed: Observed::default(),
            events: Vec::new(),
            reported: vec![None; tiers],
        };
        // What can't be read now is read on the next tick.
        if let Ok((state, now)) = view.stored.read(host) {
            view.learn(state, config, now);
        }
        Ok(view)
    }

    /// Tells what was observed, and learns what is in force.
    fn tick(&mut self, host: &dyn Host, config: &Config) -> Result<(), ValueError> {
        let observed = std::mem::take(&mut self.observed);
        let done = self.stored.change(host, |state, now| {
            state.correct(now);
            let manual = &mut state.manual;
            let ended = manual.take_if(|setting| setting.ends <= now);
            let candidate = self.candidate.as_ref();
            let moved =
                candidate.and_then(|candidate| state.controller.advance(&observed, candidate, now));
            (ended.map(OverloadEvent::Ended), moved, now)
        });
        let (state, (ended, moved, now)) = done.inspect_err(|_| self.observed.add(&observed))?;
        self.events.extend(ended);
        self.events.extend(moved);
        self.learn(state, config, now);
        Ok(())
    }

    fn learn(&mut self, mut state: State, config: &Config, now: Mono) {
        state.correct(now);
        let policy = config.overload.as_ref();
        let lowering = |tier: &Tier| state.lowering(&tier.name, policy);
        self.lowerings = config.tiers.iter().map(lowering).collect();
        self.state = state;
    }

    fn flush(&mut self, config: &Config, now: Mono, unreadable: u64, sink: &mut dyn MetricSink) {
        let namespace = &config.namespace;
        let tiers = config.tiers.iter().zip(&self.lowerings);
        for ((tier, lowering), reported) in tiers.zip(&mut self.reported) {
            let thousandths = lowering.scale(now).millionths().div_euclid(1_000);
            if *reported != Some(thousandths) {
                *reported = Some(thousandths);
                let name = &tier.name;
                let name = format!("tiergate_limit_scale.namespace.{namespace}.tier.{name}");
                sink.set(&name, thousandths.into());
            }
        }
        if unreadable > 0 {
            let name = format!("tiergate_load_unreadable.namespace.{namespace}");
            sink.count(&name, unreadable);
        }
    }

    pub fn take_corrupt(&self) -> u64 {
        self.stored.take_corrupt()
    }
}

impl Limiter {
    /// What is in force of the limits of an account in that tier; `None` when they are as base.
    pub(super) fn lowered(&self, tier: TierId, base: &Limits) -> Option<Lowered> {
        self.overload.lowerings.get(tier.index())?.of(base)
    }

    /// What is in force of the limits of that tier at `now`.
    pub(super) fn in_force(&self, tier: TierId, base: &Limits, now: Mono) -> Limits {
        let lowering = self.overload.lowerings.get(tier.index());
        let lowered = lowering.and_then(|lowering| lowering.of(base));
        lowered.map_or(*base, |lowered| lowered.at(now).over(base))
    }

    /// The load as this worker knows it.
    pub(super) fn overload_state(&self) -> &State {
        &self.overload.state
    }

    /// Takes note of what the upstream answered to a request that was let through; `load` is the
    /// header in which it says its load, where the config has one.
    pub fn observe(&mut self, status: Option<&[u8]>, load: Option<&[u8]>) {
        let Some(policy) = &self.config.overload else {
            return;
        };
        let observed = &mut self.overload.observed;
        let one = |n: &mut u64, more: u64| *n = n.saturating_add(more);
        match (&policy.origin, load.map(load_of)) {
            (Origin::Overload, _) => {
                one(&mut observed.answers, 1);
                let overloaded = status.is_some_and(|s| OVERLOADED.contains(&s));
                one(&mut observed.overloaded, overloaded.into());
            }
            (Origin::Header(_), None) => {}
            (Origin::Header(_), Some(None)) => one(&mut observed.unreadable, 1),
            (Origin::Header(_), Some(Some(load))) => {
                one(&mut observed.reports, 1);
                one(&mut observed.sum, load.into());
            }
        }
    }

    /// Changes that this worker made to the limits in force, each to be logged once.
    pub fn drain_events(&mut self) -> Vec<OverloadEvent> {
        std::mem::take(&mut self.overload.events)
    }

    /// Tells and learns, and shows the gauges.
    pub(super) fn tick_overload(&mut self, host: &dyn Host, sink: &mut dyn MetricSink) {
        let unreadable = std::mem::take(&mut self.overload.observed.unreadable);
        if let Err(error) = self.overload.tick(host, &self.config) {
            self.fault = Some(error.into());
        }
        self.overload
            .flush(&self.config, host.mono(), unreadable, sink);
    }

    /// Learns what is in force now.
    pub(super) fn read_overload(&mut self, host: &dyn Host) -> Result<(), ValueError> {
        let (state, now) = self.overload.stored.read(host)?;
        self.overload.learn(state, &self.config, now);
        Ok(())
    }

    /// Sets what is in force, or takes back what was set.
    pub(super) fn set_manual(
        &mut self,
        host: &dyn Host,
        setting: impl Fn(Mono) -> Option<ManualScale>,
    ) -> Result<(), ValueError> {
        let (state, (events, now)) = self.overload.stored.change(host, |state, now| {
            state.correct(now);
            let before = std::mem::replace(&mut state.manual, setting(now));
            let (before, ended) = match before {
                Some(setting) if setting.ends <= now => (None, Some(setting)),
                before => (before, None),
            };
            let events = match &state.manual {
                Some(setting) => Some(OverloadEvent::Set {
                    now: setting.clone(),
                    before,
                }),
                None => before.map(OverloadEvent::Withdrawn),
            };
            let events: Vec<_> = ended
                .map(OverloadEvent::Ended)
                .into_iter()
                .chain(events)
                .collect();
            (events, now)
        })?;
        self.overload.events.extend(events);
        self.overload.learn(state, &self.config, now);
        Ok(())
    }
}
