//! Recharge: an account's total payments, and the voucher that is due once.
//!
//! Cash counts, vouchers are only recorded, and a refund is cash below zero. An event changes
//! nothing while its id is among the last [`REMEMBERED`] ones.

use super::money::{Cents, SignedCents};
use std::collections::VecDeque;

/// The number of event ids that an account's history keeps.
pub const REMEMBERED: usize = 64;

/// The kind of a recharge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RechargeKind {
    /// Money that was paid or paid back.
    Cash,
    /// A gift, which never counts towards a tier.
    Voucher,
}

/// One recharge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RechargeEvent {
    /// A hash of the event's id.
    pub id: u64,
    /// The kind.
    pub kind: RechargeKind,
    /// The amount; below zero for a refund.
    pub amount: SignedCents,
}

/// The rule of the voucher, by config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoucherRule {
    /// The cumulative recharge that makes the voucher due.
    pub at: Cents,
    /// The value of the voucher.
    pub amount: Cents,
}

impl Default for VoucherRule {
    /// $5 when cumulative recharge reaches $5.
    fn default() -> Self {
        Self {
            at: Cents::new(500),
            amount: Cents::new(500),
        }
    }
}

/// The payments and vouchers of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The total cash, less refunds.
    pub cash: SignedCents,
    /// The total of vouchers.
    pub vouchers: SignedCents,
    /// The hash of the event that made the voucher due; 0 when a set total did.
    pub voucher_by: Option<u64>,
    /// The hashes of the last events, oldest first.
    pub recent_ids: VecDeque<u64>,
}

/// The effect of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// True when the event was new.
    pub is_new: bool,
    /// True when this event made the voucher due, also when the event is repeated.
    pub voucher_due: bool,
}

impl History {
    /// Applies an event, unless its id is known, and keeps the id.
    pub fn apply(&mut self, event: &RechargeEvent, rule: Option<&VoucherRule>) -> Applied {
        let is_new = !self.recent_ids.contains(&event.id);
        if is_new {
            self.add(event, rule);
            if self.recent_ids.len() >= REMEMBERED {
                self.recent_ids.pop_front();
            }
            self.recent_ids.push_back(event.id);
        }
        Applied {
            is_new,
            voucher_due: self.voucher_by == Some(event.id),
        }
    }

    /// Applies a new event without keeping its id.
    pub fn add(&mut self, event: &RechargeEvent, rule: Option<&VoucherRule>) {
        let sum = match event.kind {
            RechargeKind::Cash => &mut self.cash,
            RechargeKind::Voucher => &mut self.vouchers,
        };
        *sum = sum.plus(event.amount);
        self.reach(event.id, rule);
    }

    /// Sets the cumulative recharge; true when that makes the voucher due.
    pub fn set(&mut self, total: Cents, rule: Option<&VoucherRule>) -> bool {
        self.cash = total.into();
        self.reach(0, rule)
    }

    fn reach(&mut self, event: u64, rule: Option<&VoucherRule>) -> bool {
        let due = self.voucher_by.is_none()
            && rule.is_some_and(|rule| self.cash >= SignedCents::from(rule.at));
        if due {
            self.voucher_by = Some(event);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiers::money::NotAnAmount;

    fn cash(id: u64, cents: i64) -> RechargeEvent {
        RechargeEvent {
            id,
            kind: RechargeKind::Cash,
            amount: SignedCents::new(cents),
        }
    }

    #[test]
    fn the_voucher_is_due_once_and_a_refund_does_not_take_it_back() {
        let rule = VoucherRule::default();
        let mut history = History::default();
        let mut due = |event| history.apply(&event, Some(&rule)).voucher_due;
        assert!(!due(cash(1, 499)));
        let gift = RechargeEvent {
            id: 2,
            kind: RechargeKind::Voucher,
            amount: SignedCents::new(500),
        };
        assert!(!due(gift), "a voucher never counts");
        assert!(due(cash(3, 1)));
        assert!(due(cash(3, 1)), "the same event, the same answer");
        assert!(!due(cash(4, -400)));
        assert!(!due(cash(5, 400)), "once");
        assert_eq!(history.cash, SignedCents::new(500));
        assert_eq!(history.vouchers, SignedCents::new(500));
    }

    #[test]
    fn an_event_that_was_seen_changes_nothing() {
        let mut history = History::default();
        for round in 0..3 {
            for id in 1..=64 {
                let applied = history.apply(&cash(id, 100), None);
                assert_eq!(applied.is_new, round == 0);
            }
        }
        assert_eq!(history.cash, SignedCents::new(6_400));
        assert_eq!(history.recent_ids.len(), REMEMBERED);
    }

    #[test]
    fn amounts_may_be_negative_and_nothing_else() {
        for (text, cents) in [("5", 500), ("-4.99", -499), ("0.5", 50)] {
            assert_eq!(
                SignedCents::parse(text.as_bytes()),
                Ok(SignedCents::new(cents))
            );
        }
        for text in ["1e3", "-0.001", "NaN", "٣", "--1", "-", "+1", ""] {
            assert_eq!(
                SignedCents::parse(text.as_bytes()),
                Err(NotAnAmount),
                "{text}"
            );
        }
        assert_eq!(SignedCents::new(-5).at_least_nothing(), Cents::new(0));
    }
}
