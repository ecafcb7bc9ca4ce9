//! The controller before its split, kept word for word: the other side of the differential test
//! in [`super::differential`].

use super::policy::{Candidate, Origin, OriginKind, Policy};
use super::{Observed, OverloadEvent, Part, TierScales, find};
use crate::limits::{AdaptiveLowering, Scale};
use crate::time::{Mono, Span};

/// For how long a pressure stands that nobody renews.
const STALE: Span = Span::from_secs(10);
/// For how long a load is believed without another report, or another answer.
const BELIEVED: Span = Span::from_secs(30);
/// Answers without which a share says nothing.
const LEAST_ANSWERS: f64 = 10.0;
/// Fewer overloaded answers may be chance.
const LEAST_OVERLOADED: f64 = 3.0;
/// By what part a share just over `start` cuts what is let through, and one of `full` or more.
const CUTS: (f64, f64) = (0.1, 0.5);
/// What is let through is not cut further under this part: it is nothing.
const LEAST_LET_THROUGH: f64 = 0.02;
/// By how much the pressure falls in the first step of a recovery, by twice as much in the second,
/// and so on.
const EASE: f64 = 0.005;
/// This far around where there was last too much, all steps of a recovery are like the first.
const NEAR: f64 = 0.03;
/// How far the target must be from the pressure to move it: up, and down.
const BANDS: (f64, f64) = (0.02, 0.05);

/// Where the loop stands. Parts are in millionths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controller {
    /// What the policy in force reads the load from.
    pub from: Option<OriginKind>,
    /// That policy's hash.
    pub policy: u64,
    /// When the newest config with that policy came.
    pub configured: Mono,
    /// What all workers saw since the last step.
    pub observed: Observed,
    /// The last step.
    pub stepped: Mono,
    /// The smoothed load, or the share of overloaded answers.
    pub load: u32,
    /// When a load was last reported, or an answer observed.
    pub reported: Mono,
    /// Answers of late, and overloaded ones, in thousandths; each step forgets a quarter.
    pub late: (u64, u64),
    /// How much the tiers are pressed: none to all.
    pub pressure: u32,
    /// When it last rose.
    pub rose: Mono,
    /// When there was last reason for it.
    pub kept: Mono,
    /// Whether the last step was a cut, so that the answers of the next are not its fruit yet.
    pub cut: bool,
    /// Where the pressure was when there was last too much; 0: nowhere yet.
    pub edge: u32,
    /// Steps that it has fallen in a row, each larger than the one before.
    pub eased: u32,
    /// What the policy makes of the pressure.
    pub tiers: TierScales,
}

impl Controller {
    /// By how much a tier is lowered; by `policy`, where this config has one, and as the policy in force
    /// has it otherwise.
    pub fn of(&self, tier: &str, policy: Option<&Policy>) -> AdaptiveLowering {
        let scale = match policy {
            Some(policy) => policy.scale(tier, Part::from_millionths(self.pressure)),
            None => find(&self.tiers, tier).unwrap_or(Scale::ONE),
        };
        AdaptiveLowering {
            scale,
            since: self.rose,
            expires_at: self.stepped.after(STALE),
        }
    }

    /// Whether somebody renewed it of late.
    pub fn is_fresh(&self, now: Mono) -> bool {
        now < self.stepped.after(STALE)
    }

    /// Moves times that are ahead of the clock to it: it stepped back, or the bytes were not ours.
    pub fn correct(&mut self, now: Mono) {
        for time in [
            &mut self.stepped,
            &mut self.reported,
            &mut self.rose,
            &mut self.kept,
            &mut self.configured,
        ] {
            *time = (*time).min(now);
        }
    }

    /// Adds what a worker saw, and takes a step when one is due; what it changed.
    ///
    /// Of several configs with a policy, the newest one's is in force: the others only add what they
    /// saw, where it reads the same.
    pub fn advance(
        &mut self,
        observed: &Observed,
        candidate: &Candidate,
        now: Mono,
    ) -> Option<OverloadEvent> {
        let idle = self.pressure == 0 && self.load == 0 && *observed == Observed::default();
        if idle && self.observed == Observed::default() {
            return None;
        }
        let kind = candidate.policy.origin.kind();
        let theirs = (self.configured, self.policy);
        // Whoever has it, and takes no steps any more, is gone.
        let is_ours = self.policy == candidate.hash
            || theirs <= (candidate.configured, candidate.hash)
            || !self.is_fresh(now);
        if self.from == Some(kind) || is_ours {
            self.observed.add(observed);
        }
        if !is_ours {
            return None;
        }
        let lost = self.take_over(observed, candidate, now);
        if lost.is_some() || now < self.stepped.after(candidate.policy.interval) {
            return lost;
        }
        let before = self.pressure;
        match candidate.policy.origin {
            Origin::Header(_) => self.follow(&candidate.policy, now),
            Origin::Overload => self.react(&candidate.policy, now),
        }
        self.observed = Observed::default();
        self.stepped = now;
        let tiers = match self.pressure {
            0 => TierScales::new(),
            pressure => candidate.policy.scales(Part::from_millionths(pressure)),
        };
        let moved = tiers != self.tiers;
        self.tiers = tiers;
        moved.then(|| self.moved(self.pressure > before))
    }

    /// Makes it ours, and begins anew where it is somebody else's load, or one that nobody renewed;
    /// what is given up by that.
    fn take_over(
        &mut self,
        observed: &Observed,
        candidate: &Candidate,
        now: Mono,
    ) -> Option<OverloadEvent> {
        let kind = Some(candidate.policy.origin.kind());
        let mut lost = None;
        if self.from != kind || !self.is_fresh(now) {
            let pressed = !self.tiers.is_empty();
            *self = Self {
                from: kind,
                observed: *observed,
                stepped: now,
                ..Self::default()
            };
            lost = pressed.then(|| self.moved(false));
        }
        self.configured = match self.policy == candidate.hash {
            true => self.configured.max(candidate.configured),
            false => candidate.configured,
        };
        self.policy = candidate.hash;
        lost
    }

    fn moved(&self, down: bool) -> OverloadEvent {
        OverloadEvent::Moved {
            load: Part::from_millionths(self.load),
            down,
            tiers: self.tiers.clone(),
        }
    }

    /// A step by reported loads.
    fn follow(&mut self, policy: &Policy, now: Mono) {
        let observed = self.observed;
        if let Some(mean) = observed.sum.checked_div(observed.reports) {
            let since = match now.since(self.reported) {
                known if known < BELIEVED => known,
                _ => now.since(self.stepped),
            };
            let time = float(since.as_millis());
            let weight = time / (time + float(policy.smooth.as_millis()));
            let load = part(self.load);
            self.load = millionths(load + (float(mean) / 1e6 - load) * weight);
            self.reported = now;
        } else if now.since(self.reported) >= BELIEVED {
            self.load = 0;
        }
        let (load, pressure) = (part(self.load), part(self.pressure));
        let target = strength(load, policy);
        let (up, down) = BANDS;
        if target > pressure + up || (target >= 1.0 && pressure < 1.0) {
            self.rise(target, now);
        } else if target + down < pressure || target <= 0.0 {
            self.ease(target, policy, now);
        } else {
            self.keep(now);
        }
    }

    /// A step by the share of overloaded answers.
    fn react(&mut self, policy: &Policy, now: Mono) {
        let less = |n: u64| n.saturating_mul(3).div_euclid(4);
        let more = |n: u64, more: u64| less(n).saturating_add(more.saturating_mul(1_000));
        let (answers, overloaded) = self.late;
        self.late = (
            more(answers, self.observed.answers),
            more(overloaded, self.observed.overloaded),
        );
        if self.observed.answers > 0 {
            self.reported = now;
        }
        let (answers, overloaded) = (float(self.late.0), float(self.late.1));
        let share = overloaded / answers.max(1.0);
        self.load = millionths(share);
        // What was let through before the last cut is still being answered.
        if std::mem::take(&mut self.cut) {
            self.late = (0, 0);
            return;
        }
        let start = part(policy.start.millionths());
        if now.since(self.reported) >= BELIEVED {
            // Nobody knows any more: not even where there was too much.
            (self.kept, self.edge) = (Mono::default(), 0);
            self.ease(0.0, policy, now);
        } else if share > start
            && answers >= LEAST_ANSWERS * 1e3
            && overloaded >= LEAST_OVERLOADED * 1e3
        {
            let (least, most) = CUTS;
            let cut = least + (most - least) * strength(share, policy);
            let through = (1.0 - part(self.pressure)) * (1.0 - cut);
            let through = if through < LEAST_LET_THROUGH {
                0.0
            } else {
                through
            };
            self.edge = self.pressure;
            self.rise(1.0 - through, now);
            self.late = (0, 0);
            self.cut = true;
        } else if share <= start / 2.0 {
            self.ease(0.0, policy, now);
        } else {
            self.keep(now);
        }
    }

    fn rise(&mut self, pressure: f64, now: Mono) {
        let before = std::mem::replace(&mut self.pressure, millionths(pressure.min(1.0)));
        if self.pressure > before {
            self.rose = now;
        }
        self.keep(now);
    }

    fn keep(&mut self, now: Mono) {
        self.kept = now;
        self.eased = 0;
    }

    fn ease(&mut self, target: f64, policy: &Policy, now: Mono) {
        if self.pressure > 0 && now.since(self.kept) >= policy.hold {
            let (pressure, edge) = (part(self.pressure), part(self.edge));
            let (above, below) = (edge + NEAR, edge - NEAR);
            let is_near = self.edge > 0 && pressure <= above + 1e-9 && pressure > below;
            self.eased = match is_near {
                true => 1,
                false => self.eased.saturating_add(1),
            };
            let mut eased = pressure - EASE * f64::from(self.eased);
            if self.edge > 0 && !is_near && pressure > above {
                eased = eased.max(above);
            }
            self.pressure = millionths(eased.max(target));
        }
    }
}

/// How far `load` is from `start` to `full`: 0 to 1.
fn strength(load: f64, policy: &Policy) -> f64 {
    let (start, full) = (
        part(policy.start.millionths()),
        part(policy.full.millionths()),
    );
    ((load - start) / (full - start)).clamp(0.0, 1.0)
}

fn part(millionths: u32) -> f64 {
    f64::from(millionths) / 1e6
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of seconds, far under 2^53"
)]
fn float(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn millionths(part: f64) -> u32 {
    (part.clamp(0.0, 10.0) * 1e6).round() as u32
}
