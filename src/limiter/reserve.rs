//! The amounts that a request reserves under its limits, and what tokens come to in each unit.

use crate::config::Config;
use crate::host::{Header, Request};
use crate::limits::units::{Unit, Units};
use crate::limits::{Amounts, Plan};
use crate::models::FamilyId;
use crate::routes::TokenCharge;
use crate::tokens::config::ReserveRule;
use crate::tokens::rates::{Prices, TokenCounts, Weights};
use crate::tokens::request::{self, Asked, ReadBody};
use crate::tokens::{Estimate, Reserve};

/// The weights and prices of one request's tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    weights: Weights,
    prices: Option<Prices>,
    /// The completion tokens of a request that states none.
    completion: u64,
    /// The number of requests that one counts as.
    requests: u64,
}

impl Rates {
    /// Returns the rates of a family; of the config for a request without one.
    pub fn of(config: &Config, family: Option<FamilyId>) -> Self {
        let completion = config.tokens.estimate.completion;
        match family.and_then(|id| config.models.get(id)) {
            Some(family) => Self {
                weights: family.weights,
                prices: family.prices,
                completion: family.completion.unwrap_or(completion),
                requests: 1,
            },
            None => Self {
                weights: config.tokens.weights,
                prices: None,
                completion,
                requests: 1,
            },
        }
    }

    /// Returns the rates of a request that counts as several requests, or as none.
    #[must_use]
    pub const fn as_requests(self, requests: u64) -> Self {
        Self { requests, ..self }
    }

    /// True when the tokens have a price.
    pub const fn is_priced(&self) -> bool {
        self.prices.is_some()
    }

    /// Returns the units of which a request with this charge costs nothing.
    pub fn free(&self, charge: TokenCharge) -> Units {
        let mut free = Units::default();
        if self.requests == 0 {
            free = free.with(Unit::Requests);
        }
        let generates = charge == TokenCharge::Generated;
        if !generates || !self.is_priced() {
            free = free.with(Unit::Usd);
        }
        if !generates {
            free = free
                .with(Unit::Tokens)
                .with(Unit::InputTokens)
                .with(Unit::OutputTokens);
        }
        free
    }

    /// Returns what one request with these tokens comes to.
    pub fn amounts(&self, counts: &TokenCounts) -> Amounts {
        Amounts {
            requests: self.requests,
            tokens: self.weights.of(counts),
            input_tokens: counts.all_input(),
            output_tokens: counts.output,
            usd: self.prices.map_or(0, |prices| prices.of(counts)),
        }
    }
}

/// Returns the tokens to reserve by body or length.
pub(super) fn written(
    config: &Config,
    rates: &Rates,
    request: &dyn Request,
    body: &ReadBody,
) -> Reserve {
    let estimate = Estimate {
        completion: rates.completion,
        ..config.tokens.estimate
    };
    let length = match request.header("content-length") {
        Header::Once(length) => Some(length),
        Header::Absent | Header::Repeated => None,
    };
    match &body.asked {
        Some(asked) => estimate.by_body(asked),
        None if request::is_media_upload(request) => estimate.by_media(),
        None => estimate.by_length(length, body.seen),
    }
}

/// The least number of completion tokens that an adaptive reserve has beside twice the usual length.
const FLOOR: u64 = 512;

/// A reserve that follows the account's smoothed completion length.
///
/// It is twice that length and a floor, but not more than the request asks for. The length counts as
/// assumed: no request is refused for good for the maximum that it asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdaptiveReserve {
    rates: Rates,
    written: Reserve,
    /// The maximum of completion tokens that the request asks for.
    asked: Option<u64>,
}

impl AdaptiveReserve {
    /// Returns the reserve of a request; `None` where the config has fixed ones.
    pub fn of(
        config: &Config,
        rates: &Rates,
        written: &Reserve,
        asked: Option<&Asked>,
    ) -> Option<Self> {
        let says = asked.is_some_and(|asked| asked.completion.is_some());
        let adapts = config.tokens.reserve == ReserveRule::Adaptive;
        adapts.then(|| Self {
            rates: *rates,
            written: *written,
            asked: says.then_some(written.completion),
        })
    }

    /// Returns the amounts for a smoothed length; without one, the assumed completion counts.
    pub fn amounts(&self, smoothed: Option<u64>, plan: &Plan) -> Amounts {
        let usual = smoothed.unwrap_or(self.rates.completion);
        let completion = usual.saturating_mul(2).saturating_add(FLOOR);
        let reserve = Reserve {
            completion: completion.min(self.asked.unwrap_or(u64::MAX)),
            said_completion: 0,
            ..self.written
        };
        amounts(&self.rates, plan, &reserve)
    }
}

/// Returns the amounts that a request reserves.
///
/// An assumed amount is cut to the smallest limit of its unit: no request is refused for good for a
/// number that was not read in its body.
pub(super) fn amounts(rates: &Rates, plan: &Plan, reserve: &Reserve) -> Amounts {
    let all = TokenCounts {
        input: reserve.prompt,
        output: reserve.completion,
        ..TokenCounts::default()
    };
    let said = TokenCounts {
        input: reserve.said_prompt,
        output: reserve.said_completion,
        ..TokenCounts::default()
    };
    cut(&rates.amounts(&all), &rates.amounts(&said), plan)
}

/// Cuts each amount to the smallest limit of its unit, but not below what the request said.
fn cut(all: &Amounts, said: &Amounts, plan: &Plan) -> Amounts {
    let of = |unit| all.get(unit).min(plan.smallest(unit)).max(said.get(unit));
    Amounts {
        requests: all.requests.min(plan.smallest(Unit::Requests)),
        tokens: of(Unit::Tokens),
        input_tokens: of(Unit::InputTokens),
        output_tokens: of(Unit::OutputTokens),
        usd: of(Unit::Usd),
    }
}
