//! The items of one request, as many as Redis does in the time that a request has.
//!
//! Redis takes about 0.2 ms for a step, so the 500 items of a large report are 100 ms. Sent at once, they
//! delay the asks of all edges beyond their time-out.

use futures_util::stream::{self, StreamExt as _};
use std::time::Duration;
use tiergate::fleet::message::StepItem;

/// The maximum number of steps of one request that Redis has in line.
pub const AT_ONCE: usize = 16;

/// Returns the indexes of the items in the order of their steps. Requests wait for asks, so these come
/// first. Reports follow from the one at `turn` on: where all do not fit, each has its turn.
pub fn order(items: &[StepItem], turn: usize) -> Vec<usize> {
    let asks = |item: &StepItem| {
        let mut meters = item.meters.iter().map(|ask| ask.need);
        let mut leases = item.leases.iter().map(|ask| ask.need);
        meters.any(|need| need > 0) || leases.any(|need| need > 0)
    };
    let all = items.iter().enumerate();
    let (mut order, mut reports): (Vec<_>, Vec<_>) = all.partition(|(_, item)| asks(item));
    if let Some(first) = turn.checked_rem(reports.len()) {
        reports.rotate_left(first);
    }
    order.append(&mut reports);
    order.into_iter().map(|(at, _)| at).collect()
}

/// Runs `one` for each of `order`, [`AT_ONCE`] at a time, and ends `within` a time. Returns what has
/// ended, with its index; no step was begun of most others.
pub async fn in_time<T, F: Future<Output = T>>(
    order: Vec<usize>,
    within: Duration,
    one: impl Fn(usize) -> F,
) -> Vec<(usize, T)> {
    let mut ended = Vec::with_capacity(order.len());
    let one = &one;
    let running = stream::iter(order).map(|at| async move { (at, one(at).await) });
    let mut running = std::pin::pin!(running.buffer_unordered(AT_ONCE));
    let all = async {
        while let Some(end) = running.next().await {
            ended.push(end);
        }
    };
    // Results that came before are kept.
    let _late = tokio::time::timeout(within, all).await;
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiergate::fleet::hex::{AccountId, Incarnation};
    use tiergate::fleet::message::{LeaseAsk, MeterAsk};

    fn item(need: u64, leases: u64) -> StepItem {
        let meter = MeterAsk {
            need,
            ..MeterAsk::default()
        };
        let lease = LeaseAsk {
            need: leases,
            ..LeaseAsk::default()
        };
        StepItem {
            account: AccountId::default(),
            incarnation: Incarnation::from(1),
            seq: 1,
            generation: 0,
            meters: vec![meter],
            leases: vec![lease],
        }
    }

    #[test]
    fn asks_come_first_and_each_report_has_its_turn() {
        let items = [item(0, 0), item(1, 0), item(0, 0), item(0, 1), item(0, 0)];
        assert_eq!(order(&items, 0), [1, 3, 0, 2, 4]);
        assert_eq!(order(&items, 1), [1, 3, 2, 4, 0]);
        assert_eq!(order(&items, 5), [1, 3, 4, 0, 2]);
        assert_eq!(order(&items[1..2], 7), [0]);
        assert_eq!(order(&[], 7), [0_usize; 0]);
    }
}
