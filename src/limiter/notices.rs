//! Notices of accounts that come to a share of a limit: written in the compare-and-set that crosses
//! it, kept in the VM's outbox, and sent by the shell off the request path.

use super::Limiter;
use crate::config::{Config, Mode};
use crate::directory::stored_entry::EntryId;
use crate::host::Host;
use crate::identity::Account;
use crate::limits::notice::{Occasion, ShareReport, mark_bytes, notice};
use crate::limits::{Decision, LimitKind, Plan, Record};
use crate::metrics::names;
use crate::notices::{self, Addressee, Letter};
use crate::tiers::TierId;
use crate::time::{Mono, Now};
use std::rc::Rc;

impl Limiter {
    /// Returns the one that notices of a request are about; `None` where there are none: without
    /// them in the config, and in shadow mode, which decides nothing.
    pub(super) fn addressee(&self, account: &Account, tier: TierId) -> Option<Rc<Addressee>> {
        let enforces = self.config.mode_of(Some(tier)) == Mode::Enforce;
        if self.config.notices.is_none() || !enforces {
            return None;
        }
        Some(Rc::new(Addressee {
            account: EntryId::of(&account.id).text(),
            tier: self.config.tiers.get(tier)?.name.clone(),
        }))
    }

    /// Marks the shares that an account has come to in its record, with a decision or without one.
    pub(super) fn report(
        &self,
        to: Option<&Rc<Addressee>>,
        record: &mut Record,
        plan: &Plan,
        decision: Option<&Decision>,
        now: Now,
    ) -> ShareReport {
        let (Some(notices), Some(_)) = (&self.config.notices, to) else {
            return ShareReport::default();
        };
        let occasion = match decision {
            Some(Decision::Limited(limited)) if !limited.overloaded => {
                Occasion::Refused(limited.kind)
            }
            Some(_) => Occasion::Decided,
            None => Occasion::Settled,
        };
        notice(record, plan, &notices.shares, occasion, now)
    }

    /// Puts what a change of a record had to say into the outbox.
    pub(super) fn tell(&self, host: &dyn Host, to: Option<&Rc<Addressee>>, report: &ShareReport) {
        let Some(to) = to.filter(|_| !report.crossed.is_empty()) else {
            return;
        };
        let now = self.ledger.wall(host);
        let mut vm = self.vm.borrow_mut();
        for crossing in &report.crossed {
            let body = notices::body(&self.config.namespace, to, crossing, now);
            vm.outbox.add(body);
        }
    }

    /// Takes a notice that is due at `now`. `None`: none is due, or enough are on their way.
    pub fn take_letter(&self, now: Mono) -> Option<Letter> {
        self.config.notices.as_ref()?;
        self.vm.borrow_mut().outbox.take(now)
    }

    /// Ends the way of a notice.
    pub fn end_letter(&self, letter: Letter, delivered: bool, now: Mono) {
        self.vm.borrow_mut().outbox.end(letter, delivered, now);
    }

    /// Takes back a notice whose answer this config does not wait for.
    pub fn take_back(&self, letter: Letter) {
        self.vm.borrow_mut().outbox.take_back(letter);
    }

    /// Counts notices by their outcome.
    pub(super) fn flush_notices(&self, sink: &mut dyn crate::host::MetricSink) {
        let counts = self.vm.borrow_mut().outbox.take_counts();
        for (outcome, n) in [
            ("delivered", counts.delivered),
            ("failed", counts.failed),
            ("lost", counts.lost),
        ] {
            if n > 0 || (!self.told_build && self.config.notices.is_some()) {
                let name = names::NOTICES.of_label(&self.config.namespace, "outcome", outcome);
                sink.count(&name, n);
            }
        }
    }
}

/// Returns the bytes that marks take in the largest record.
pub(super) fn record_bytes(config: &Config) -> usize {
    if config.notices.is_none() {
        return 0;
    }
    let tiers = config.tiers.iter();
    let bytes = tiers.map(|tier| mark_bytes(&tier.all_limits()));
    bytes.max().unwrap_or(0)
}

/// Returns the value of the header that warns a client: `tpd=80, k2/monthly=95`.
pub(super) fn warning(at: &[(LimitKind, u8)]) -> Option<String> {
    let line = |(kind, percent): &(LimitKind, u8)| format!("{kind}={percent}");
    let lines: Vec<String> = at.iter().map(line).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}
