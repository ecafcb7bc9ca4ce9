//! One worker's gate: a request comes in, a verdict goes out, and later the request is settled.
//!
//! Puts identity, limits, ledger and reply together, and counts what happens. It holds no request:
//! the shell keeps the [`Pass`] of each stream and hands it back exactly once.

use crate::account::{Account, IdentityError, TierSource, identity};
use crate::config::{Config, Mode, OnFault, Settle};
use crate::host::{Header, Host, MetricSink, Request};
use crate::limit::decision::Terms;
use crate::limit::{
    Ask, Claim, Decision, Holder, Limit, LimitName, Limits, Standing, admit, settle,
};
use crate::metrics::{Counts, NO_TIER, Outcome, TokenKind};
use crate::reply::headers::{self, HeaderLine};
use crate::reply::{Refusal, Reply};
use crate::store::in_flight::Moves;
use crate::store::ledger::{Change, OpenError};
use crate::store::{AccountKey, Fault, InFlight, Ledger, SlotError, Slots, VmSlot, ledger};
use crate::usage::request::Asked;
use crate::usage::response::Streamed;
use crate::usage::{Estimate, Reserve, Used};
use std::collections::VecDeque;
use std::rc::Rc;

/// Settlements that wait for a ledger that failed.
const MOST_PENDING: usize = 1024;

/// What is to be done with a request.
#[derive(Debug)]
pub struct Verdict {
    /// What access logs show: `tier=tier0 outcome=limited limit=rpm`.
    pub log: String,
    /// Let it through, or answer it.
    pub action: Action,
}

/// Let a request through, or answer it.
#[derive(Debug)]
pub enum Action {
    /// Let it through.
    Pass(Pass),
    /// Answer it with this.
    Reply(Reply),
}

/// What a request that was let through carries until its end.
#[derive(Debug, Default)]
pub struct Pass {
    /// Headers to set on the response.
    pub headers: Vec<HeaderLine>,
    /// What is to be settled; `None` when nothing was recorded.
    pub held: Option<Held>,
}

/// An admitted request that has not been settled.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    key: AccountKey,
    claim: Claim,
    tier: usize,
    /// How many of the reserved tokens are for the prompt.
    prompt: u64,
}

/// One worker's gate.
#[derive(Debug)]
pub struct Gate {
    config: Rc<Config>,
    ledger: Ledger,
    vm: VmSlot,
    counts: Counts,
    in_flight: InFlight,
    /// Settlements that the ledger did not take; tried again on each tick.
    pending: VecDeque<(Held, u64)>,
    /// The last fault, until it is logged.
    fault: Option<Fault>,
}

impl Gate {
    /// A gate for a checked config; creates the ledger if this is the first time.
    ///
    /// # Errors
    /// [`OpenError`] when the ledger in shared data does not fit the config.
    pub fn open(
        host: &dyn Host,
        config: Config,
        new_secret: impl FnOnce() -> [u8; 16],
    ) -> Result<Self, OpenError> {
        let (ledger, table) = Ledger::open(host, &config.namespace, config.accounts, new_secret)?;
        let vm = VmSlot::new(ledger::slots_key(&config.namespace), table);
        Ok(Self {
            counts: Counts::new(&config.namespace, &config.tiers),
            in_flight: InFlight::new(&config.namespace),
            config: Rc::new(config),
            ledger,
            vm,
            pending: VecDeque::new(),
            fault: None,
        })
    }

    /// The config in force.
    pub fn config(&self) -> &Rc<Config> {
        &self.config
    }

    /// Who lives, as this worker last saw.
    pub fn table(&self) -> &Slots {
        self.vm.table()
    }

    /// The verdict on a request; `asked` is what its body asks for, where it was read.
    pub fn judge(
        &mut self,
        host: &dyn Host,
        request: &dyn Request,
        asked: Option<&Asked>,
    ) -> Verdict {
        let (account, tier) = match self.identify(host, request) {
            Ok(found) => found,
            Err(error) => {
                let first = self.config.tiers.first_recharge();
                return self.refuse(None, Refusal::Identity(error, first));
            }
        };
        let config = Rc::clone(&self.config);
        let Some(bought) = config.tiers.get(tier) else {
            return self.refuse(None, Refusal::Unavailable);
        };
        let reserve = reserve(&config.tokens.estimate, request, asked);
        let tokens = reserve.tokens();
        let key = self.ledger.key(&account.id);
        match self.admit(host, key, &bought.limits, tokens) {
            Ok(Decision::Admitted(claim, standing)) => {
                let prompt = reserve.prompt;
                self.admitted(
                    Held {
                        key,
                        claim,
                        tier,
                        prompt,
                    },
                    &standing,
                )
            }
            Ok(Decision::Limited(limited)) => {
                let tier_name = bought.name.clone();
                let refusal = Refusal::Limited {
                    account,
                    tier: tier_name,
                    limited,
                };
                self.limited(tier, limited.name, &limited.standing, &refusal)
            }
            Ok(Decision::TooLarge { name, limit }) => {
                let refusal = Refusal::TooLarge {
                    account,
                    tier: bought.name.clone(),
                    tokens,
                    name,
                    limit,
                };
                self.refuse(Some(tier), refusal)
            }
            Err(fault) => self.faulted(Some(tier), fault),
        }
    }

    fn identify(
        &self,
        host: &dyn Host,
        request: &dyn Request,
    ) -> Result<(Account, usize), IdentityError> {
        let account = identity::account(request, &self.config.account)?;
        let sources: &[TierSource] = &self.config.tier;
        let tier = match identity::tier(request, host, &account, sources, &self.config.tiers) {
            Err(IdentityError::TierMissing) => {
                self.config.unknown_tier.ok_or(IdentityError::TierMissing)?
            }
            other => other?,
        };
        Ok((account, tier))
    }

    fn admit(
        &mut self,
        host: &dyn Host,
        key: AccountKey,
        limits: &Limits,
        tokens: u64,
    ) -> Result<Decision, Fault> {
        if limits.all_unlimited() {
            let claim = Claim::unrecorded(tokens);
            return Ok(Decision::Admitted(claim, Standing::default()));
        }
        // A slot is claimed before the page is read, or this VM's lease would count as dead.
        let holder = match self.vm.holder() {
            Some(holder) => holder,
            None => self.vm.beat(host)?,
        };
        if let Some(decision) = self.try_admit(host, key, limits, tokens, holder)? {
            return Ok(decision);
        }
        let holder = self.vm.beat(host)?;
        let decision = self.try_admit(host, key, limits, tokens, holder)?;
        decision.ok_or(Fault::Slot(SlotError::Overdue))
    }

    /// `None`, and nothing recorded, when this VM's heartbeat is overdue.
    ///
    /// The clock is read but once in an admission, so it is seen only here.
    fn try_admit(
        &self,
        host: &dyn Host,
        key: AccountKey,
        limits: &Limits,
        tokens: u64,
        holder: Holder,
    ) -> Result<Option<Decision>, Fault> {
        let terms = terms(&self.config, limits);
        let ask = Ask {
            requests: 1,
            tokens,
            holder,
        };
        let windows = (terms.windows, limits.tpd != Limit::Unlimited);
        let vm = &self.vm;
        self.ledger
            .change(host, key, windows, vm.table(), |record, now| {
                if vm.is_overdue(now.mono) {
                    return Change::Keep(None);
                }
                match admit(record, &ask, &terms, now) {
                    decision @ Decision::Admitted(..) => Change::Write(Some(decision)),
                    decision => Change::Keep(Some(decision)),
                }
            })
    }

    fn admitted(&mut self, held: Held, standing: &Standing) -> Verdict {
        let tier = held.tier;
        self.counts.request(Some(tier), Outcome::Admitted);
        self.counts.begun(tier);
        self.counts
            .tokens(tier, TokenKind::Reserved, held.claim.reserved);
        Verdict {
            log: self.log(Some(tier), Outcome::Admitted, None),
            action: Action::Pass(Pass {
                headers: headers::lines(&self.config.headers, standing),
                held: Some(held),
            }),
        }
    }

    fn limited(
        &mut self,
        tier: usize,
        name: LimitName,
        standing: &Standing,
        refusal: &Refusal,
    ) -> Verdict {
        self.counts.limited(tier, name);
        let why = Some(("limit", name.as_str()));
        if self.config.mode == Mode::Shadow {
            let headers = headers::lines(&self.config.headers, standing);
            return self.shadowed(Some(tier), why, headers);
        }
        self.counts.request(Some(tier), Outcome::Limited);
        Verdict {
            log: self.log(Some(tier), Outcome::Limited, why),
            action: Action::Reply(refusal.reply(&self.config.headers)),
        }
    }

    fn refuse(&mut self, tier: Option<usize>, refusal: Refusal) -> Verdict {
        let why = Some(("code", refusal.code()));
        if self.config.mode == Mode::Shadow {
            return self.shadowed(tier, why, Vec::new());
        }
        self.counts.request(tier, Outcome::Refused);
        Verdict {
            log: self.log(tier, Outcome::Refused, why),
            action: Action::Reply(refusal.reply(&self.config.headers)),
        }
    }

    fn shadowed(
        &mut self,
        tier: Option<usize>,
        why: Option<(&str, &str)>,
        headers: Vec<HeaderLine>,
    ) -> Verdict {
        self.counts.request(tier, Outcome::Shadowed);
        Verdict {
            log: self.log(tier, Outcome::Shadowed, why),
            action: Action::Pass(Pass {
                headers,
                held: None,
            }),
        }
    }

    /// The verdict on a request that can't even be read.
    pub fn fault(&mut self, fault: Fault) -> Verdict {
        self.faulted(None, fault)
    }

    fn faulted(&mut self, tier: Option<usize>, fault: Fault) -> Verdict {
        self.fault = Some(fault);
        self.counts.request(tier, Outcome::Faulted);
        let deny = self.config.on_fault == OnFault::Deny && self.config.mode == Mode::Enforce;
        Verdict {
            log: self.log(tier, Outcome::Faulted, None),
            action: if deny {
                Action::Reply(Refusal::Unavailable.reply(&self.config.headers))
            } else {
                Action::Pass(Pass::default())
            },
        }
    }

    fn log(&self, tier: Option<usize>, outcome: Outcome, why: Option<(&str, &str)>) -> String {
        let tier = tier.and_then(|i| self.config.tiers.get(i));
        let name = tier.map_or(NO_TIER, |t| t.name.as_str());
        let outcome = outcome.as_str();
        match why {
            None => format!("tier={name} outcome={outcome}"),
            Some((key, value)) => format!("tier={name} outcome={outcome} {key}={value}"),
        }
    }

    /// Gives a request's lease back and replaces its reserve by what it used.
    ///
    /// Takes the [`Held`] of a request once: what it was admitted with must not be settled again.
    pub fn settle(&mut self, host: &dyn Host, held: Held, used: Used) {
        self.counts.ended(held.tier);
        let used = match self.config.tokens.settle {
            Settle::Usage => used,
            Settle::Reserve => Used::Unknown,
        };
        let reserved = held.claim.reserved;
        let (kind, tokens) = match used {
            Used::Tokens(n) => (TokenKind::Used, n),
            Used::Unknown => (TokenKind::Estimated, reserved),
            Used::Streamed(told) => (TokenKind::Estimated, estimate(&held, &told)),
        };
        self.counts.tokens(held.tier, kind, tokens);
        let refund = reserved.saturating_sub(tokens);
        self.counts.tokens(held.tier, TokenKind::Refunded, refund);
        self.finish(host, held, tokens);
    }

    fn finish(&mut self, host: &dyn Host, held: Held, used: u64) {
        if let Err(fault) = self.write_settlement(host, held, used) {
            self.fault = Some(fault);
            if self.pending.len() >= MOST_PENDING {
                self.pending.pop_front();
            }
            self.pending.push_back((held, used));
        }
    }

    fn write_settlement(&self, host: &dyn Host, held: Held, used: u64) -> Result<(), Fault> {
        let Some(tier) = self.config.tiers.get(held.tier) else {
            return Ok(());
        };
        let nothing_changes = used == held.claim.reserved && held.claim.holder.is_none();
        if tier.limits.all_unlimited() || nothing_changes {
            return Ok(());
        }
        let terms = terms(&self.config, &tier.limits);
        let windows = (terms.windows, tier.limits.tpd != Limit::Unlimited);
        let table = self.vm.table();
        self.ledger
            .change(host, held.key, windows, table, |record, now| {
                settle(record, &held.claim, used, &terms, now);
                Change::Write(())
            })
    }

    /// On each tick: proves life, tries failed settlements again, hands metrics over.
    ///
    /// Returns what went wrong since the last tick, for the log.
    pub fn tick(&mut self, host: &dyn Host, sink: &mut dyn MetricSink) -> Option<Fault> {
        let proof = match self.counts.in_process().is_empty() {
            true => self.vm.tick(host),
            // Also a VM whose tiers have no limits needs a slot, to be counted in the gauge.
            false => self.vm.beat(host).map(|_| ()),
        };
        match proof {
            Ok(()) => self.ledger.adopt(self.vm.table()),
            Err(error) => self.fault = Some(error.into()),
        }
        for _ in 0..self.pending.len() {
            let Some((held, used)) = self.pending.pop_front() else {
                break;
            };
            if let Err(fault) = self.write_settlement(host, held, used) {
                self.fault = Some(fault);
                self.pending.push_front((held, used));
                break;
            }
        }
        self.hand_over(host, sink);
        self.fault.take()
    }

    /// Hands metrics over.
    pub fn hand_over(&mut self, host: &dyn Host, sink: &mut dyn MetricSink) {
        let mut moves = Moves::new();
        let (counts, holder) = (self.counts.in_process(), self.vm.holder());
        let table = self.vm.table();
        let written = self
            .in_flight
            .update(host, holder, &counts, table, &mut moves);
        if let Err(error) = written {
            self.fault = Some(error.into());
        }
        let mut health = self.ledger.take_health();
        let damaged = self.in_flight.take_damaged();
        health.damaged = health.damaged.saturating_add(damaged);
        self.counts.hand_over(health, moves, sink);
    }
}

fn terms<'a>(config: &'a Config, limits: &'a Limits) -> Terms<'a> {
    Terms {
        limits,
        windows: &config.windows,
        concurrency_wait: config.concurrency_retry_after,
    }
}

fn reserve(estimate: &Estimate, request: &dyn Request, asked: Option<&Asked>) -> Reserve {
    match (asked, request.header("content-length")) {
        (Some(asked), _) => estimate.by_body(asked),
        (None, Header::Once(length)) => estimate.by_length(Some(length)),
        (None, Header::Absent | Header::Repeated) => estimate.by_length(None),
    }
}

/// The tokens of a stream that did not say them all.
///
/// Each event was at least one token. A stream that was cut is charged with what came by, one that
/// came to its end with the reserve at least.
fn estimate(held: &Held, told: &Streamed) -> u64 {
    let prompt = told.prompt.unwrap_or(held.prompt);
    let seen = prompt.saturating_add(told.events).max(told.said);
    if told.whole {
        seen.max(held.claim.reserved)
    } else {
        seen
    }
}
