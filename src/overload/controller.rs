//! The controller: a pure step from observations to a pressure.
//!
//! A *reported load* is followed in proportion. The target is 0 up to the policy's `start`, and 1
//! from `full` on (`step_proportional`).
//!
//! *Overloaded answers* show an overload, but not its size. Admission is cut by a part
//! (multiplicative decrease), and restored in steps that grow without overload (additive increase).
//! See Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in
//! computer networks", 1989 (`step_aimd`).
//!
//! A step reads no clock, allocates nothing, and can't fail.

use super::part::{Part, float};
use super::policy::{Origin, Policy};
use super::signal::Observed;
use crate::time::{Mono, Span};

/// The time for which a signal is trusted after the last report or answer.
pub(super) const SIGNAL_TTL: Span = Span::from_secs(30);
/// The minimum number of recent answers for a cut.
const MIN_ANSWERS: u64 = 10;
/// The minimum number of overloaded answers for a cut: fewer may be chance.
const MIN_OVERLOADED: u64 = 3;
/// The part by which admission is cut: at a share just over `start`, and from `full` on.
const DECREASE: (f64, f64) = (0.1, 0.5);
/// A smaller admission counts as zero.
const MIN_ADMISSION: f64 = 0.02;
/// The first step of a recovery lowers the pressure by this much, the second by twice as much, and
/// so on.
pub(super) const INCREASE_STEP: f64 = 0.005;
/// All steps within this distance of the knee are as small as the first.
const KNEE_RADIUS: f64 = 0.03;
/// A target this close above, or below, leaves the pressure as it is.
pub(super) const DEAD_BAND: (f64, f64) = (0.02, 0.05);
/// Units of a [`Recent`] count in one answer.
const PER_ANSWER: u64 = 1_000;

/// The state that a step reads and writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Controller {
    /// The smoothed load, or the share of overloaded answers.
    pub load: Part,
    /// Time of the last reported load, or of the last answer.
    pub last_observed: Mono,
    /// Recent answers; used by overload only.
    pub recent: Recent,
    /// The pressure on all tiers: from 0, where no limit is lowered, to 1.
    pub pressure: Part,
    /// Time of the last increase of the pressure.
    pub last_increase: Mono,
    /// The time from which a recovery waits for the policy's `hold`.
    pub hold_since: Mono,
    /// True when the last step was a cut: the next answers still reflect the rate before the cut.
    pub just_cut: bool,
    /// The pressure before the last cut, which was too low; 0 while unknown.
    pub knee: Part,
    /// The size of the last recovery step, in smallest steps; 0 after a hold.
    pub recovery_steps: u32,
}

/// The input of one step.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Observations of all workers since the last step.
    pub observed: Observed,
    /// Time of the last step.
    pub last_step: Mono,
    /// Time of this step.
    pub now: Mono,
}

impl Controller {
    /// Takes one step.
    #[must_use]
    pub fn step(&self, sample: &Sample, policy: &Policy) -> Self {
        match policy.origin {
            Origin::Header(_) => self.step_proportional(sample, policy),
            Origin::Overload => self.step_aimd(sample, policy),
        }
    }

    /// Moves bounded fields into their bounds, and times that are ahead of the clock to `now`.
    pub fn correct(&mut self, now: Mono) {
        self.pressure = self.pressure.min(Part::ONE);
        self.knee = self.knee.min(Part::ONE);
        for time in [
            &mut self.last_observed,
            &mut self.last_increase,
            &mut self.hold_since,
        ] {
            *time = (*time).min(now);
        }
    }

    /// Takes a step by reported loads.
    fn step_proportional(&self, sample: &Sample, policy: &Policy) -> Self {
        let next = self.smooth(sample, policy.smooth);
        let pressure = next.pressure.as_f64();
        let target = policy.strength(next.load.as_f64());
        let (above, below) = DEAD_BAND;
        if target > pressure + above || (target >= 1.0 && pressure < 1.0) {
            next.raise(target, sample.now)
        } else if target + below < pressure || target <= 0.0 {
            next.recover(target, policy, sample.now)
        } else {
            next.hold(sample.now)
        }
    }

    /// Takes a step by the share of overloaded answers.
    fn step_aimd(&self, sample: &Sample, policy: &Policy) -> Self {
        let next = self.count(sample);
        if next.just_cut {
            return Self {
                just_cut: false,
                recent: Recent::default(),
                ..next
            };
        }
        let now = sample.now;
        let (share, start) = (next.recent.share(), policy.start.as_f64());
        if now.since(next.last_observed) >= SIGNAL_TTL {
            next.forget_knee().recover(0.0, policy, now)
        } else if share > start && next.recent.is_significant() {
            next.cut(policy.strength(share), now)
        } else if share <= start / 2.0 {
            next.recover(0.0, policy, now)
        } else {
            next.hold(now)
        }
    }

    /// Merges reported loads into the smoothed one, as an exponentially weighted mean.
    fn smooth(&self, sample: &Sample, smooth: Span) -> Self {
        let silence = sample.now.since(self.last_observed);
        let Some(mean) = sample.observed.mean_load() else {
            let is_known = silence < SIGNAL_TTL;
            let load = if is_known { self.load } else { Part::ZERO };
            return Self { load, ..*self };
        };
        let span = match silence < SIGNAL_TTL {
            true => silence,
            false => sample.now.since(sample.last_step),
        };
        let time = float(span.as_millis());
        let weight = time / (time + float(smooth.as_millis()));
        let load = self.load.as_f64();
        Self {
            load: Part::from_f64(load + (mean - load) * weight),
            last_observed: sample.now,
            ..*self
        }
    }

    /// Merges answers into the recent ones.
    fn count(&self, sample: &Sample) -> Self {
        let recent = self.recent.merge(&sample.observed);
        let last_observed = match sample.observed.answers {
            0 => self.last_observed,
            _ => sample.now,
        };
        Self {
            recent,
            last_observed,
            load: Part::from_f64(recent.share()),
            ..*self
        }
    }

    /// Cuts admission, more for a higher `strength` of the overload, and records the knee.
    fn cut(&self, strength: f64, now: Mono) -> Self {
        let (least, most) = DECREASE;
        let decrease = least + (most - least) * strength;
        let admission = (1.0 - self.pressure.as_f64()) * (1.0 - decrease);
        let admission = match admission < MIN_ADMISSION {
            true => 0.0,
            false => admission,
        };
        let cut = Self {
            knee: self.pressure,
            just_cut: true,
            recent: Recent::default(),
            ..*self
        };
        cut.raise(1.0 - admission, now)
    }

    fn raise(&self, target: f64, now: Mono) -> Self {
        let pressure = Part::from_f64(target.min(1.0));
        let last_increase = match pressure > self.pressure {
            true => now,
            false => self.last_increase,
        };
        let raised = Self {
            pressure,
            last_increase,
            ..*self
        };
        raised.hold(now)
    }

    /// Keeps the pressure, and ends a recovery.
    fn hold(&self, now: Mono) -> Self {
        Self {
            hold_since: now,
            recovery_steps: 0,
            ..*self
        }
    }

    /// Clears the knee, and lets a recovery begin at once.
    fn forget_knee(&self) -> Self {
        Self {
            hold_since: Mono::default(),
            knee: Part::ZERO,
            ..*self
        }
    }

    /// Lowers the pressure by one step of a recovery, not below `target`, once `hold` is over.
    fn recover(&self, target: f64, policy: &Policy, now: Mono) -> Self {
        if self.pressure == Part::ZERO || now.since(self.hold_since) < policy.hold {
            return *self;
        }
        let (pressure, knee) = (self.pressure.as_f64(), self.knee.as_f64());
        let (above, below) = (knee + KNEE_RADIUS, knee - KNEE_RADIUS);
        let has_knee = self.knee > Part::ZERO;
        let is_near = has_knee && pressure <= above + 1e-9 && pressure > below;
        let recovery_steps = match is_near {
            true => 1,
            false => self.recovery_steps.saturating_add(1),
        };
        let mut lower = pressure - INCREASE_STEP * f64::from(recovery_steps);
        if has_knee && !is_near && pressure > above {
            // A large step must not jump over the knee.
            lower = lower.max(above);
        }
        Self {
            pressure: Part::from_f64(lower.max(target)),
            recovery_steps,
            ..*self
        }
    }
}

/// Recent answers, in thousandths of an answer. Each step drops a quarter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Recent {
    /// All answers.
    pub answers: u64,
    /// Overloaded answers.
    pub overloaded: u64,
}

impl Recent {
    fn merge(self, observed: &Observed) -> Self {
        let merge = |old: u64, new: u64| {
            let kept = old.saturating_mul(3).div_euclid(4);
            kept.saturating_add(new.saturating_mul(PER_ANSWER))
        };
        Self {
            answers: merge(self.answers, observed.answers),
            overloaded: merge(self.overloaded, observed.overloaded),
        }
    }

    /// Returns the share of overloaded answers.
    fn share(self) -> f64 {
        float(self.overloaded) / float(self.answers).max(1.0)
    }

    /// True when there are enough answers for a cut.
    const fn is_significant(self) -> bool {
        self.answers >= MIN_ANSWERS.saturating_mul(PER_ANSWER)
            && self.overloaded >= MIN_OVERLOADED.saturating_mul(PER_ANSWER)
    }
}
