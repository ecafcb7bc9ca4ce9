//! The loop: from what the upstream answers to a pressure on the tiers.
//!
//! By a header, the pressure follows the smoothed load: none up to `start`, all of it from `full` on.
//! By overload there is no load to read, only that there was too much: what is let through is cut
//! by a part (multiplicative decrease) and given back in small steps that grow while all is well
//! (additive increase; Chiu and Jain, "Analysis of the increase and decrease algorithms for
//! congestion avoidance", 1989). In both, limits fall at once, and come back late and slowly.

use super::rule::{Kind, Origin, Rule};
use super::{News, TierScales, find};
use crate::limit::Scale;
use crate::time::{Mono, Span};

/// For how long a pressure stands that nobody renews.
const STALE: Span = Span::from_secs(10);
/// For how long a reported load is believed.
const BELIEVED: Span = Span::from_secs(30);
/// Answers without which a share says nothing.
const LEAST_ANSWERS: f64 = 10.0;
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

/// What one worker saw of the upstream since it last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Answers.
    pub answers: u64,
    /// Answers that said that the upstream is overloaded.
    pub overloaded: u64,
    /// Loads that were reported.
    pub reports: u64,
    /// The sum of those, in millionths.
    pub sum: u64,
    /// Reports that could not be read.
    pub unreadable: u64,
}

impl Seen {
    /// Adds what another saw.
    pub fn add(&mut self, more: &Self) {
        for (n, more) in [
            (&mut self.answers, more.answers),
            (&mut self.overloaded, more.overloaded),
            (&mut self.reports, more.reports),
            (&mut self.sum, more.sum),
            (&mut self.unreadable, more.unreadable),
        ] {
            *n = n.saturating_add(more);
        }
    }
}

/// Where the loop stands. Parts are in millionths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auto {
    /// What the last step read the load from.
    pub from: Option<Kind>,
    /// What all workers saw since the last step.
    pub seen: Seen,
    /// The last step.
    pub stepped: Mono,
    /// The smoothed load, or the share of overloaded answers.
    pub load: u32,
    /// When a load was last reported.
    pub reported: Mono,
    /// Answers of late, and overloaded ones; each step forgets half.
    pub late: (u64, u64),
    /// How much the tiers are pressed: none to all.
    pub pressure: u32,
    /// When the pressure last rose.
    pub rose: Mono,
    /// Where it was when there was last too much; 0: nowhere yet.
    pub edge: u32,
    /// Steps that it has fallen in a row, each larger than the one before.
    pub eased: u32,
    /// What the rule makes of the pressure.
    pub tiers: TierScales,
}

impl Auto {
    /// The scale of a tier.
    pub fn of(&self, tier: &str, now: Mono) -> Scale {
        if !self.stands(now) {
            return Scale::ONE;
        }
        find(&self.tiers, tier).unwrap_or(Scale::ONE)
    }

    /// Whether somebody renewed it of late.
    pub fn stands(&self, now: Mono) -> bool {
        now < self.stepped.after(STALE)
    }

    /// Adds what a worker saw, and takes a step when one is due; what it changed.
    pub fn advance(&mut self, seen: &Seen, rule: &Rule, now: Mono) -> Option<News> {
        let idle = self.pressure == 0 && self.load == 0 && *seen == Seen::default();
        if idle && self.seen == Seen::default() {
            return None;
        }
        if !self.stands(now) {
            *self = Self {
                seen: self.seen,
                stepped: now,
                ..Self::default()
            };
        }
        self.seen.add(seen);
        if now < self.stepped.after(rule.interval) {
            return None;
        }
        let before = self.pressure;
        match rule.origin {
            Origin::Header(_) => self.follow(rule, now),
            Origin::Overload => self.react(rule, now),
        }
        self.from = Some(rule.origin.kind());
        self.seen = Seen::default();
        self.stepped = now;
        let tiers = match self.pressure {
            0 => TierScales::new(),
            pressure => rule.scales(pressure),
        };
        let moved = tiers != self.tiers;
        self.tiers = tiers;
        moved.then(|| News::Moved {
            load: self.load,
            down: self.pressure > before,
            tiers: self.tiers.clone(),
        })
    }

    /// A step by reported loads.
    fn follow(&mut self, rule: &Rule, now: Mono) {
        let seen = self.seen;
        if let Some(mean) = seen.sum.checked_div(seen.reports) {
            let time = float(now.since(self.stepped).as_millis());
            let weight = time / (time + float(rule.smooth.as_millis()));
            let load = part(self.load);
            self.load = millionths(load + (float(mean) / 1e6 - load) * weight);
            self.reported = now;
        } else if now.since(self.reported) >= BELIEVED {
            self.load = 0;
        }
        let (load, pressure) = (part(self.load), part(self.pressure));
        let target = strength(load, rule);
        let (up, down) = BANDS;
        if target > pressure + up || (target >= 1.0 && pressure < 1.0) {
            self.rise(target, now);
        } else if target + down < pressure || target <= 0.0 {
            self.ease(target, rule, now);
        } else {
            self.eased = 0;
        }
    }

    /// A step by the share of overloaded answers.
    fn react(&mut self, rule: &Rule, now: Mono) {
        let (answers, overloaded) = self.late;
        let half = |n: u64, more: u64| n.div_euclid(2).saturating_add(more);
        let (answers, overloaded) = (
            half(answers, self.seen.answers),
            half(overloaded, self.seen.overloaded),
        );
        self.late = (answers, overloaded);
        let answers = float(answers);
        let share = if answers > 0.0 {
            float(overloaded) / answers
        } else {
            0.0
        };
        self.load = millionths(share);
        // What was let through before the last cut is still being answered.
        if self.pressure > 0 && self.rose == self.stepped {
            self.late = (0, 0);
            return;
        }
        let enough = answers >= LEAST_ANSWERS;
        if enough && share > part(rule.start) {
            let (least, most) = CUTS;
            let cut = least + (most - least) * strength(share, rule);
            let through = (1.0 - part(self.pressure)) * (1.0 - cut);
            let through = if through < LEAST_LET_THROUGH {
                0.0
            } else {
                through
            };
            self.edge = self.pressure;
            self.rise(1.0 - through, now);
            self.late = (0, 0);
        } else if !enough || share <= part(rule.start) / 2.0 {
            self.ease(0.0, rule, now);
        }
    }

    fn rise(&mut self, pressure: f64, now: Mono) {
        self.pressure = millionths(pressure);
        self.rose = now;
        self.eased = 0;
    }

    fn ease(&mut self, target: f64, rule: &Rule, now: Mono) {
        if self.pressure > 0 && now.since(self.rose) >= rule.hold {
            let from_edge = part(self.pressure) - part(self.edge);
            self.eased = match self.edge > 0 && from_edge.abs() < NEAR {
                true => 1,
                false => self.eased.saturating_add(1),
            };
            let eased = part(self.pressure) - EASE * f64::from(self.eased);
            self.pressure = millionths(eased.max(target));
        }
    }
}

/// How far `load` is from `start` to `full`: 0 to 1.
fn strength(load: f64, rule: &Rule) -> f64 {
    let (start, full) = (part(rule.start), part(rule.full));
    ((load - start) / (full - start)).clamp(0.0, 1.0)
}

fn part(millionths: u32) -> f64 {
    f64::from(millionths) / 1e6
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn millionths(part: f64) -> u32 {
    (part * 1e6).round().clamp(0.0, 1e7) as u32
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of seconds, far under 2^53"
)]
fn float(n: u64) -> f64 {
    n as f64
}
