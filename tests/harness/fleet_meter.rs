//! The use of a meter in the fleet's store in memory, and what an edge has of it.

use tiergate::fleet::message::MeterAsk;
use tiergate::fleet::meter_name::MeterTime;
use tiergate::time::Wall;

/// The use of a meter: parts of a window, or the amount of a period.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// The last moment of a part, the first one, and the amount.
    parts: Vec<(u64, u64, u64)>,
    period: u64,
    amount: u64,
}

/// What one edge has of a meter.
#[derive(Clone, Debug, Default)]
pub struct Held {
    totals: [u64; 3],
    /// The unspent part of what was granted.
    pub out: u64,
    /// What was written off.
    pub lost: u64,
    pub limit: u64,
    /// The period that it last spoke in, and what it used in that.
    period: u64,
    counted: u64,
}

/// The end of the period of a meter at a moment; `None` for a window.
pub fn period_end(meter: &str, now: u64) -> Option<u64> {
    match MeterTime::of(meter).unwrap() {
        MeterTime::Period(calendar, zone) => {
            let period = zone.period(calendar, Wall::from_millis(now));
            Some(period.ends_at.as_millis())
        }
        MeterTime::Window(_) | MeterTime::Leases => None,
    }
}

fn window(meter: &str) -> u64 {
    match MeterTime::of(meter).unwrap() {
        MeterTime::Window(length) => length.as_millis(),
        MeterTime::Period(..) | MeterTime::Leases => 0,
    }
}

impl Held {
    /// Counts what the totals of a message have beyond those before.
    pub fn count(&mut self, sum: &mut Sum, ask: &MeterAsk, (meter, now): (&str, u64), begun: u64) {
        if let Some(end) = period_end(meter, now) {
            return self.count_in_period(sum, ask, end);
        }
        for (kind, list) in [&ask.spent, &ask.extra, &ask.refunded]
            .into_iter()
            .enumerate()
        {
            let Some((base, parts)) = list.split_first() else {
                continue;
            };
            let mut known = self.totals[kind];
            if *base > known {
                if kind < 2 {
                    sum.add(meter, now, now, (base - known).min(ask.own));
                }
                known = *base;
            }
            for part in parts.chunks(2) {
                let [age, total] = *part else {
                    panic!("{part:?}")
                };
                let more = total.saturating_sub(known);
                known = known.max(total);
                let at = if kind == 2 { age } else { now - age };
                match kind {
                    _ if at < begun => {}
                    0 => {
                        let netted = more.min(self.lost);
                        self.lost -= netted;
                        sum.add(meter, at, now, more - netted);
                    }
                    1 => sum.add(meter, at, now, more),
                    _ => sum.refund(meter, at, now, more),
                }
            }
            self.totals[kind] = known;
        }
        self.lost = 0;
    }

    /// Counts in a period. What of the outstanding is gone was spent in the present one, whatever the
    /// edge's calendar says; and only what was counted in this one is taken back.
    fn count_in_period(&mut self, sum: &mut Sum, ask: &MeterAsk, end: u64) {
        if self.period != end {
            (self.period, self.counted) = (end, 0);
        }
        let [known_s, known_x, known_r] = self.totals;
        let (forgot_s, spent, s) = news(&ask.spent, known_s);
        let (forgot_x, extra, x) = news(&ask.extra, known_x);
        let (_, refunds, r) = news(&ask.refunded, known_r);
        self.totals = [s, x, r];
        let all = |parts: &[(u64, u64)], is: fn(u64, u64) -> bool| {
            let parts = parts.iter().filter(|(period, _)| is(*period, end));
            parts.map(|(_, amount)| amount).sum::<u64>()
        };
        let spent_now = all(&spent, |period, end| period >= end);
        let gone = (self.out + self.lost).saturating_sub(ask.held);
        let spent_now = spent_now.max(gone.min(all(&spent, |_, _| true)));
        let extra_now = all(&extra, |period, end| period >= end);
        let forgotten = ask.own.saturating_sub(spent_now + extra_now);
        let forgotten = forgotten.min(forgot_s + forgot_x);
        let is_same = |period, end| period == end;
        self.counted += all(&spent, is_same) + all(&extra, is_same) + forgotten;
        let back = all(&refunds, is_same).min(self.counted);
        self.counted -= back;
        let added = spent_now + extra_now + forgotten;
        sum.amount = (sum.amount + added).saturating_sub(self.lost + back);
        self.lost = 0;
    }
}

/// What a cumulative list says beyond what is known: the forgotten part, the parts, and the last
/// total.
fn news(list: &[u64], known: u64) -> (u64, Vec<(u64, u64)>, u64) {
    let base = list.first().copied().unwrap_or(0);
    let mut last = known.max(base);
    let mut parts = Vec::new();
    for part in list.get(1..).unwrap_or_default().chunks(2) {
        let [time, total] = *part else {
            panic!("{part:?}")
        };
        if total > last {
            parts.push((time, total - last));
            last = total;
        }
    }
    (base.saturating_sub(known), parts, last)
}

impl Sum {
    /// Drops what is over; true when a period ended.
    pub fn advance(&mut self, meter: &str, now: u64) -> bool {
        let Some(end) = period_end(meter, now) else {
            let length = window(meter);
            self.parts
                .retain(|part| part.0 + length + length / 240 > now);
            return false;
        };
        let ended = self.period != end;
        if ended {
            (self.period, self.amount) = (end, 0);
        }
        ended
    }

    /// Adds an amount of a moment, or of the period of that number.
    pub fn add(&mut self, meter: &str, at: u64, now: u64, amount: u64) {
        if amount == 0 {
            return;
        }
        match period_end(meter, now) {
            Some(_) => self.amount += amount,
            None => self.parts.push((at, at, amount)),
        }
    }

    fn refund(&mut self, meter: &str, at: u64, now: u64, amount: u64) {
        // The refund's time is no later than its use. So while a window from then holds, the part of
        // the use is there, and the oldest part that ends at that time or later is no newer.
        if at + window(meter) <= now {
            return;
        }
        self.parts.sort_unstable();
        if let Some(part) = self.parts.iter_mut().find(|part| at <= part.0) {
            part.2 = part.2.saturating_sub(amount);
        }
    }

    pub fn used(&self) -> u64 {
        self.amount + self.parts.iter().map(|part| part.2).sum::<u64>()
    }

    /// The time until enough has expired.
    pub fn wait(&self, meter: &str, now: u64, need: u64, limit: u64) -> u64 {
        if let Some(end) = period_end(meter, now) {
            return end - now;
        }
        let length = window(meter);
        let mut parts = self.parts.clone();
        parts.sort_unstable();
        let mut used = self.used();
        for (last, _, amount) in parts {
            used -= amount;
            if used + need <= limit {
                return last + length + length / 240 + 1 - now;
            }
        }
        length
    }
}
