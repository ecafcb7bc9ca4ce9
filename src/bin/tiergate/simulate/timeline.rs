//! Decisions over time, in a bounded number of steps of equal length.

use super::tally::RefusalReason;

/// The maximum number of steps; over it, two neighbours become one.
const MOST_STEPS: usize = 360;
/// The shortest step, in milliseconds.
const SHORTEST: u64 = 1_000;

/// Counts of decisions in steps of time.
pub struct Timeline {
    /// The beginning of the first step, in milliseconds since 1970.
    begins: u64,
    /// The length of a step, in milliseconds.
    step: u64,
    /// The reasons that have a column, in the order of their first refusal.
    reasons: Vec<RefusalReason>,
    /// For each step: admitted requests, then refused ones by reason.
    steps: Vec<Vec<u64>>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            begins: 0,
            step: SHORTEST,
            reasons: Vec::new(),
            steps: Vec::new(),
        }
    }
}

impl Timeline {
    /// Adds a decision: an admission, or a refusal with its reason. Decisions come in order.
    pub fn add(&mut self, now: u64, refused: Option<RefusalReason>) {
        if self.steps.is_empty() {
            self.begins = now.saturating_sub(now.checked_rem(SHORTEST).unwrap_or(0));
        }
        let column = refused.map_or(0, |reason| self.column(reason));
        let place = loop {
            let place = now.saturating_sub(self.begins).checked_div(self.step);
            let place = usize::try_from(place.unwrap_or(0)).unwrap_or(usize::MAX);
            if place < MOST_STEPS {
                break place;
            }
            self.join_neighbours();
        };
        let needed = place.saturating_add(1).max(self.steps.len());
        self.steps.resize_with(needed, Vec::new);
        if let Some(step) = self.steps.get_mut(place) {
            let columns = column.saturating_add(1).max(step.len());
            step.resize(columns, 0);
            if let Some(count) = step.get_mut(column) {
                *count = count.saturating_add(1);
            }
        }
    }

    fn column(&mut self, reason: RefusalReason) -> usize {
        let known = self.reasons.iter().position(|one| *one == reason);
        let place = known.unwrap_or_else(|| {
            self.reasons.push(reason);
            self.reasons.len().saturating_sub(1)
        });
        place.saturating_add(1)
    }

    fn join_neighbours(&mut self) {
        self.step = self.step.saturating_mul(2);
        let pairs = self.steps.chunks(2).map(|pair| {
            let columns = pair.iter().map(Vec::len).max().unwrap_or(0);
            let sum = |column| {
                let counts = pair.iter().filter_map(|step: &Vec<u64>| step.get(column));
                counts.fold(0_u64, |sum, count| sum.saturating_add(*count))
            };
            (0..columns).map(sum).collect()
        });
        self.steps = pairs.collect();
    }

    /// Returns the beginning of the first step, in milliseconds since 1970.
    pub const fn begins(&self) -> u64 {
        self.begins
    }

    /// Returns the length of a step, in milliseconds.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// Returns the reasons of refusals, in the order of their first one.
    pub fn reasons(&self) -> &[RefusalReason] {
        &self.reasons
    }

    /// Returns the counts of each step: admitted requests, then refused ones by reason.
    pub fn steps(&self) -> impl Iterator<Item = Vec<u64>> {
        let columns = self.reasons.len().saturating_add(1);
        self.steps.iter().map(move |step| {
            let mut step = step.clone();
            step.resize(columns, 0);
            step
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_and_lose_no_decision() {
        let mut timeline = Timeline::default();
        for second in 0..5_000 {
            let refused = (second % 3 == 0).then_some(RefusalReason::TierUnknown);
            timeline.add(1_767_225_600_500 + second * 1_000, refused);
        }
        assert_eq!(
            (timeline.begins(), timeline.step()),
            (1_767_225_600_000, 16_000)
        );
        let steps: Vec<_> = timeline.steps().collect();
        assert!(steps.len() <= MOST_STEPS, "{}", steps.len());
        let sum = |column: usize| steps.iter().map(|step| step[column]).sum::<u64>();
        assert_eq!((sum(0), sum(1)), (3_333, 1_667));
    }
}
