//! Requests of the past: an access log's events, decided as the filter would have decided them.
//!
//! A log names the account, the tier and the family, so nothing is looked up. The rest is the way of a
//! live request: its plan, its reserve, its turn in the queue, the ledger, and its settlement. Nothing
//! is answered: a refusal is a value, in shadow mode too.

use super::admit::Taken;
use super::fleet::FleetWait;
use super::queue::Ticket;
use super::reserve::{self, AdaptiveReserve, Rates};
use super::{Admission, CheckResult, Limiter, Next};
use crate::config::Config;
use crate::host::Host;
use crate::identity::{Account, TierSource};
use crate::limits::units::Unit;
use crate::limits::{Amounts, Decision, LimitKind, Limited, Plan};
use crate::models::FamilyId;
use crate::reply::api::CalledApi;
use crate::routes::{Charge, TokenCharge};
use crate::tiers::TierId;
use crate::time::Mono;
use crate::tokens::consumed::Consumed;
use crate::tokens::rates::{TokenCounts, Weights};
use crate::tokens::{Estimate, Reserve, Used};
use std::rc::Rc;

/// A request as a log tells of it.
#[derive(Clone, Copy, Debug)]
pub struct PastRequest<'a> {
    /// A number that no other queued request has.
    pub id: u32,
    /// The account's id; any bytes.
    pub account: &'a [u8],
    /// The tier.
    pub tier: TierId,
    /// The family of the request's model, if it has one.
    pub family: Option<FamilyId>,
    /// The amounts that the request counts, as the routes say.
    pub charge: Charge,
    /// The length of the body in bytes, if the log has it.
    pub length: Option<u64>,
    /// The weighted tokens that were reserved, if the log has them; else the config assumes them.
    pub reserved: Option<u64>,
}

/// The tokens that a log says of a request.
#[derive(Clone, Copy, Debug)]
pub struct PastUsage {
    /// The tokens by kind, unweighted.
    pub tokens: TokenCounts,
    /// True when the response did not say them all.
    pub estimated: bool,
}

/// The decision on a request of the past.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "most requests are admitted, and the caller takes them apart at once"
)]
pub enum Replayed {
    /// Admitted and recorded; it must be settled once.
    Admitted(Admission),
    /// Over a limit; nothing is recorded.
    Limited(Limited),
    /// It alone needs more than a limit in all.
    TooLarge {
        /// A limit on tokens or money.
        kind: LimitKind,
        /// The limit's size.
        limit: u64,
        /// The amount that the request needs of it.
        need: u64,
    },
    /// It waits for a lease of its account, at most until that moment.
    Waits(Box<Ticket>, Mono),
    /// The tier is of another config, or the ledger can't be used.
    Unavailable,
}

/// Returns a config that judges as `config` does and does nothing else: without directory, fleet,
/// notices, the overload loop and the admin API, in a ledger for `accounts`.
#[must_use]
pub fn for_replay(mut config: Config, accounts: u32) -> Config {
    config.accounts = Some(accounts);
    config.tier.retain(|one| *one != TierSource::Directory);
    config.tokens.join = false;
    Config {
        admin: None,
        feed: None,
        fleet: None,
        notices: None,
        overload: None,
        scheduler: None,
        usage_names: false,
        ..config
    }
}

impl Limiter {
    /// Decides on a request of the past, at the host's time.
    pub fn replay(&mut self, host: &dyn Host, request: &PastRequest<'_>) -> Replayed {
        match self.ticket_of(request) {
            Some(ticket) => self.replay_ticket(host, ticket),
            None => Replayed::Unavailable,
        }
    }

    /// Decides again on a request that waits; `at_once` for the last time: its wait is over.
    pub fn replay_waiting(
        &mut self,
        host: &dyn Host,
        mut ticket: Ticket,
        at_once: bool,
    ) -> Replayed {
        if at_once {
            ticket.until = Some(Mono::default());
        }
        self.replay_ticket(host, ticket)
    }

    /// Settles a request of the past: by what the log says of its tokens, else its reserve stands.
    pub fn settle_past(
        &mut self,
        host: &dyn Host,
        mut admission: Admission,
        used: Option<PastUsage>,
    ) {
        let reserved = &admission.reservation.reserved;
        let consumed = match used {
            Some(used) if !is_estimate(&used, reserved) => Consumed {
                used: Used::Tokens(used.tokens.all_input().saturating_add(used.tokens.output)),
                input: Some(TokenCounts {
                    output: 0,
                    ..used.tokens
                }),
            },
            Some(_) | None => Used::Unknown.into(),
        };
        if admission.tokens == TokenCharge::Fetched && matches!(consumed.used, Used::Tokens(1..)) {
            admission.charge();
        }
        self.settle(host, admission, consumed);
    }

    /// Returns a request as the queue and the ledger take it; `None` for a tier of another config.
    fn ticket_of(&mut self, request: &PastRequest<'_>) -> Option<Ticket> {
        let config = Rc::clone(&self.config);
        let (tier, family, charge) = (request.tier, request.family, request.charge);
        let plan = self.plans.of(tier, family, charge.limits, &config.routes)?;
        let rates = Rates::of(&config, family).as_requests(charge.requests);
        let generates = charge.tokens == TokenCharge::Generated;
        let written = match generates {
            true => written(&config, family, request),
            false => Reserve::default(),
        };
        let assumed = reserve::amounts(&rates, &plan, &written);
        let said = request.reserved.filter(|_| generates);
        let adaptive = AdaptiveReserve::of(&config, &rates, &written, None);
        Some(Ticket {
            id: request.id,
            key: self.ledger.key(request.account),
            called: CalledApi::default(),
            addressee: None,
            account: Account {
                id: request.account.to_vec(),
                is_hidden: false,
            },
            tier,
            family,
            reserve: said.map_or(assumed, |tokens| with_tokens(assumed, tokens, &plan)),
            adaptive: adaptive.filter(|_| generates && said.is_none()),
            tokens: charge.tokens,
            long_completion: false,
            free: rates.free(charge.tokens),
            unpriced: false,
            plan,
            until: None,
            fleet: FleetWait::default(),
        })
    }

    fn replay_ticket(&mut self, host: &dyn Host, ticket: Ticket) -> Replayed {
        let config = Rc::clone(&self.config);
        let Some(tier) = config.tiers.get(ticket.tier) else {
            return Replayed::Unavailable;
        };
        let (ticket, decided) = match self.take_turn(host, ticket, tier) {
            Taken::Held(held) => return waits(held),
            Taken::Decided(ticket, decided) => (ticket, decided),
        };
        match decided {
            Err(fault) => {
                self.note_fault(fault);
                Replayed::Unavailable
            }
            Ok((Decision::Admitted(reservation, _), _, joins)) => Replayed::Admitted(Admission {
                key: ticket.key,
                reservation,
                charged: Amounts::default(),
                tier: ticket.tier,
                family: ticket.family,
                tokens: ticket.tokens,
                plan: ticket.plan,
                addressee: None,
                joins,
            }),
            Ok((Decision::Limited(limited), ..)) => Replayed::Limited(limited),
            Ok((Decision::TooLarge { kind, limit, need }, ..)) => {
                Replayed::TooLarge { kind, limit, need }
            }
        }
    }
}

fn waits(held: CheckResult) -> Replayed {
    match held.next {
        Next::Queue(ticket) => {
            let until = ticket.until.unwrap_or_default();
            Replayed::Waits(ticket, until)
        }
        Next::Forward(_) | Next::Reply(_) => Replayed::Unavailable,
    }
}

/// Returns the tokens to reserve for a request of the past, before they are cut to limits.
fn written(config: &Config, family: Option<FamilyId>, request: &PastRequest<'_>) -> Reserve {
    let family = family.and_then(|id| config.models.get(id));
    let completion = family.and_then(|family| family.completion);
    let estimate = Estimate {
        completion: completion.unwrap_or(config.tokens.estimate.completion),
        ..config.tokens.estimate
    };
    let weights = family.map_or(config.tokens.weights, |family| family.weights);
    let mut digits = itoa::Buffer::new();
    let length = request
        .length
        .map(|length| digits.format(length).as_bytes());
    let assumed = estimate.by_length(length, 0);
    match request.reserved {
        // Without weights, the log says the prompt too.
        Some(all) if weights == Weights::ONE => {
            let completion = assumed.completion.min(all);
            Reserve {
                prompt: all.saturating_sub(completion),
                completion,
                ..assumed
            }
        }
        Some(_) | None => assumed,
    }
}

/// Returns amounts with the weighted tokens that the log has, cut as any reserve.
fn with_tokens(amounts: Amounts, tokens: u64, plan: &Plan) -> Amounts {
    Amounts {
        tokens: tokens.min(plan.smallest(Unit::Tokens)),
        ..amounts
    }
}

/// True for tokens that are the reserve itself: the response said nothing.
fn is_estimate(used: &PastUsage, reserved: &Amounts) -> bool {
    used.estimated && used.tokens.output == reserved.output_tokens
}
