//! The tokens that a request reserves under its limits.

use crate::host::{Header, Request};
use crate::limits::kinds::Counted;
use crate::limits::units::Unit;
use crate::limits::{Amounts, Limits};
use crate::tokens::request::Asked;
use crate::tokens::{Estimate, Reserve};

/// Returns the reserve of a request; `asked` is the demand in the body, if it was read.
///
/// Assumed tokens are cut to the smallest limit on tokens: no request is refused for good for a
/// number that it did not say.
pub(super) fn reserve(
    estimate: &Estimate,
    limits: &Limits,
    request: &dyn Request,
    asked: Option<&Asked>,
) -> Reserve {
    let length = match request.header("content-length") {
        Header::Once(length) => Some(length),
        Header::Absent | Header::Repeated => None,
    };
    let mut reserve = match asked {
        Some(asked) => estimate.by_body(asked),
        None => estimate.by_length(length),
    };
    if asked.is_none() && length.is_none() {
        let most = smallest(limits, Unit::InputTokens).min(smallest(limits, Unit::Tokens));
        reserve.prompt = reserve.prompt.min(most);
    }
    if asked.is_none_or(|asked| asked.completion.is_none()) {
        let left = smallest(limits, Unit::Tokens).saturating_sub(reserve.prompt);
        let most = smallest(limits, Unit::OutputTokens).min(left);
        reserve.completion = reserve.completion.min(most);
    }
    reserve
}

/// Returns the smallest limit on a unit; the largest number for none.
fn smallest(limits: &Limits, unit: Unit) -> u64 {
    let of_unit = limits.finite().filter(|(kind, _)| match kind.counted() {
        Counted::Sum(counted, _) => counted == unit,
        Counted::Leases => false,
    });
    of_unit.map(|(_, limit)| limit).min().unwrap_or(u64::MAX)
}

/// Returns the amounts of a reserve.
pub(super) const fn amounts(reserve: &Reserve) -> Amounts {
    Amounts {
        requests: 1,
        tokens: reserve.tokens(),
        input_tokens: reserve.prompt,
        output_tokens: reserve.completion,
        usd: 0,
    }
}
