//! What the admin API asks for, done: on the directory, and on an account's record.

use super::Limiter;
use super::look_up::NO_LIMITS;
use crate::admin::call::Call;
use crate::admin::page;
use crate::admin::schema;
use crate::admin::schema::{AccountView, Written};
use crate::admin::{AdminResponse, Problem};
use crate::directory::Directory;
use crate::directory::WriteError;
use crate::directory::entry::{AccountEntry, ResolvedTier, TierBasis};
use crate::directory::feed::leader::feed_state;
use crate::host::{Host, HostError};
use crate::ledger::Change;
use crate::ledger::Fault;
use crate::tiers::Tier;
use crate::tiers::recharge::{Event, History};

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full => Self::Full,
            WriteError::Fault(fault) => fault.into(),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        Self::Fault(error.into())
    }
}

impl Limiter {
    /// Does what an admin call asks for.
    pub fn administer(&mut self, host: &dyn Host, call: &Call, body: &[u8]) -> AdminResponse {
        let done = match call {
            Call::Get(id) => self.view(host, id),
            Call::Put(id) => self.put(host, id, body),
            Call::Delete(id) => self.delete(host, id),
            Call::Recharge(id) => self.recharge(host, id, body),
            Call::Reset(id) => self.reset(host, id),
            Call::Status => self.status(host).map(|status| AdminResponse::ok(&status)),
            Call::Overload => self.get_overload(host),
            Call::PutManual => self.put_manual(host, body),
            Call::DeleteManual => self.delete_manual(host),
            Call::Page(account) => self.page(host, account.as_deref()),
            Call::PageWithoutSlash => Ok(page::with_slash(&self.config)),
        };
        done.unwrap_or_else(|problem| problem.response())
    }

    pub(super) fn in_use_directory(&self) -> Result<&Directory, Problem> {
        self.directory().ok_or(Problem::NoSuchPath)
    }

    /// The tier that an entry comes to, if it does.
    fn tier_of(&self, entry: &AccountEntry) -> Option<&Tier> {
        match entry.resolve_tier(&self.config.tiers) {
            ResolvedTier::Tier(place) => self.config.tiers.get(place),
            ResolvedTier::RechargeRequired(_)
            | ResolvedTier::Unknown(_)
            | ResolvedTier::Nothing => None,
        }
    }

    fn view(&self, host: &dyn Host, id: &[u8]) -> Result<AdminResponse, Problem> {
        let view = self.known(host, id)?.ok_or(Problem::UnknownAccount)?;
        Ok(AdminResponse::ok(&view))
    }

    /// What is known of an account; `None` when the directory has no such account.
    pub(super) fn known(&self, host: &dyn Host, id: &[u8]) -> Result<Option<AccountView>, Problem> {
        let key = self.ledger.key(id);
        let Some(entry) = self.in_use_directory()?.find(host, key)? else {
            return Ok(None);
        };
        let tier = self.tier_of(&entry);
        let place = tier.and_then(|tier| self.config.tiers.by_name(tier.name.as_bytes()));
        let base = tier.map(|tier| entry.limits.over(&tier.limits));
        let lowered = place.zip(base);
        let lowered = lowered.and_then(|(id, base)| self.lowered(id, &base));
        // Its requests may have brought a tier along, so without one here it can be in process too.
        let inspected = self.inspect(host, key, &base.unwrap_or(NO_LIMITS), lowered)?;
        let history = entry.history.as_ref();
        Ok(Some(AccountView {
            id: text(id),
            recharge: history.map(|h| schema::dollars(h.cash)),
            vouchers: history.map(|h| schema::dollars(h.vouchers)),
            tier: tier.map(|t| t.name.clone()),
            tier_from: match (&entry.tier, history) {
                (Some(_), _) => Some("tier"),
                (None, Some(_)) => Some("recharge"),
                (None, None) => None,
            },
            written_by: if entry.by_feed { "feed" } else { "admin" },
            disabled: entry.disabled,
            in_flight: inspected.usage.concurrency.used,
            limits: base.map(|_| inspected.in_force),
            usage: base.map(|_| inspected.usage),
        }))
    }

    fn put(&mut self, host: &dyn Host, id: &[u8], body: &[u8]) -> Result<AdminResponse, Problem> {
        let put = schema::put(body)?;
        if let TierBasis::Tier(name) = &put.basis {
            self.known_tier(name, "tier")?;
        }
        let rule = self.config.voucher;
        self.write(host, id, |entry| {
            let mut due = false;
            match &put.basis {
                TierBasis::Recharge(total) => {
                    let history = entry.history.get_or_insert_default();
                    due = history.set(*total, rule.as_ref());
                    entry.tier = None;
                }
                TierBasis::Tier(name) => entry.tier = Some(name.to_string()),
            }
            entry.limits = put.limits;
            entry.disabled = put.disabled;
            (due, true)
        })
    }

    /// Refuses the name of a tier that there is not, at that JSON path.
    pub(super) fn known_tier(&self, name: &str, path: &str) -> Result<(), Problem> {
        let tiers = &self.config.tiers;
        if tiers.by_name(name.as_bytes()).is_some() {
            return Ok(());
        }
        let names: Vec<_> = tiers.iter().map(|t| t.name.as_str()).collect();
        let problem = format!("{name:?} is no tier: {} are", names.join(", "));
        Err(Problem::body(path, problem))
    }

    fn recharge(
        &mut self,
        host: &dyn Host,
        id: &[u8],
        body: &[u8],
    ) -> Result<AdminResponse, Problem> {
        let recharge = schema::recharge(body)?;
        let rule = self.config.voucher;
        let event = Event {
            id: self.ledger.hash(recharge.id.as_bytes()),
            kind: recharge.kind,
            amount: recharge.amount,
        };
        self.write(host, id, |entry| {
            let history = entry.history.get_or_insert_default();
            let applied = history.apply(&event, rule.as_ref());
            (applied.voucher_due, applied.is_new)
        })
    }

    /// Changes an entry; `change` says whether a voucher is due by it, and whether it is new.
    fn write(
        &mut self,
        host: &dyn Host,
        id: &[u8],
        change: impl Fn(&mut AccountEntry) -> (bool, bool),
    ) -> Result<AdminResponse, Problem> {
        let key = self.ledger.key(id);
        let directory = self.in_use_directory()?;
        let (entry, (voucher_due, new)) = directory.change(host, key, |entry| {
            let mut entry = entry.unwrap_or_default();
            let done = change(&mut entry);
            if done.1 {
                entry.by_feed = false;
            }
            (Some(entry.clone()), (entry, done))
        })?;
        // With a feed, of whatever config, only a whole feed makes it ready.
        if !self.directory_ready
            && host
                .get(feed_state(&self.config.namespace).key())?
                .is_none()
        {
            directory.set_ready(host)?;
            self.directory_ready = true;
        }
        let tier = self.tier_of(&entry).map(|tier| tier.name.clone());
        let cash = |history: &History| schema::dollars(history.cash);
        Ok(AdminResponse::ok(&Written {
            id: text(id),
            recharge: entry.history.as_ref().map(cash),
            tier,
            voucher_due,
            new,
        }))
    }

    fn delete(&mut self, host: &dyn Host, id: &[u8]) -> Result<AdminResponse, Problem> {
        let key = self.ledger.key(id);
        let was_there = self
            .in_use_directory()?
            .change(host, key, |entry| (None, entry.is_some()))?;
        match was_there {
            true => Ok(AdminResponse::ok(
                &serde_json::json!({"id": text(id), "deleted": true}),
            )),
            false => Err(Problem::UnknownAccount),
        }
    }

    fn reset(&mut self, host: &dyn Host, id: &[u8]) -> Result<AdminResponse, Problem> {
        let key = self.ledger.key(id);
        let windows = (&self.config.windows, false);
        let table = self.vm.table();
        self.ledger.change(host, key, windows, table, |record, _| {
            record.clear_usage();
            Change::Write(())
        })?;
        Ok(AdminResponse::ok(
            &serde_json::json!({"id": text(id), "reset": true}),
        ))
    }
}

/// An id as text; what is not is replaced.
fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}
