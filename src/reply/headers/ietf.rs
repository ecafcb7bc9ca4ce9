//! The headers of draft-ietf-httpapi-ratelimit-headers-11: lists of structured fields (RFC 9651) with
//! an item for each limit.

use crate::limits::kinds::Counted;
use crate::limits::units::Unit;
use crate::limits::{LimitKind, Shown, Snapshot};
use std::fmt::Write as _;

/// The quotas.
const POLICY: &str = "ratelimit-policy";
/// The rest of them.
const RATELIMIT: &str = "ratelimit";
/// The largest integer of structured fields (RFC 9651, 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// Calls `set` with both headers; `None` where nothing is limited. A limit that refuses tells the wait
/// of `retry-after`: a client that obeys either comes back at the same time.
pub(super) fn each(snapshot: &Snapshot, set: &mut impl FnMut(&'static str, Option<&str>)) {
    let (mut policy, mut left) = (String::new(), String::new());
    for (kind, gauge) in snapshot.all() {
        item(&mut policy, kind);
        item(&mut left, kind);
        // Writing to a String can't fail.
        let _ = write!(policy, ";q={}", amount(kind.used(gauge.limit)));
        if let Some(unit) = quota_unit(kind) {
            let _ = write!(policy, ";qu=\"{unit}\"");
        }
        if let Some(window) = gauge.window {
            let _ = write!(policy, ";w={}", window.as_secs_ceil().max(1));
        }
        let _ = write!(left, ";r={}", amount(kind.rest(gauge.remaining)));
        let refused = snapshot.refused.filter(|refused| refused.kind == kind);
        let seconds = match refused {
            Some(refused) => Some(refused.wait.as_secs_ceil().max(1)),
            // The end of a lease is unknown.
            None if kind.is_concurrency() => None,
            None => Some(gauge.resets_in.as_secs_ceil()),
        };
        if let Some(seconds) = seconds {
            let _ = write!(left, ";t={}", seconds.min(LARGEST));
        }
    }
    let value = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
    set(POLICY, value(&policy).as_deref());
    set(RATELIMIT, value(&left).as_deref());
}

/// Begins an item: a string with the limit's name.
fn item(list: &mut String, kind: LimitKind) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    // Names of limits and families have no character that a string must escape.
    let _ = write!(list, "\"{kind}\"");
}

/// Returns the unit of a quota; `None` for requests, the default of the draft.
const fn quota_unit(kind: LimitKind) -> Option<&'static str> {
    match kind.counted() {
        Counted::Leases => Some("concurrent-requests"),
        Counted::Sum(unit, _) => match unit {
            Unit::Requests => None,
            Unit::Tokens | Unit::InputTokens | Unit::OutputTokens => Some("tokens"),
            Unit::Usd => Some("usd-cents"),
        },
    }
}

fn amount(shown: Shown) -> u64 {
    match shown {
        Shown::Count(n) | Shown::Cents(n) => n.min(LARGEST),
        Shown::Unlimited => LARGEST,
    }
}
