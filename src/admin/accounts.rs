//! The calls on one account: its directory entry and its ledger record.

use super::{AdminResponse, Api, Problem, body};
use crate::directory::Directory;
use crate::directory::entry::{AccountEntry, ResolvedTier, TierBasis};
use crate::json::{Invalid, Named};
use crate::ledger::RecordChange;
use crate::limits::{Limits, Overrides, Plan, Terms};
use crate::reply::usage::UsageByName;
use crate::tiers::Tier;
use crate::tiers::recharge::{History, RechargeEvent};
use crate::time::Span;
use serde::Serialize;

/// The account as the API shows it.
#[derive(Debug, Serialize)]
pub struct AccountView {
    /// The account's id, as text.
    pub id: String,
    /// Cumulative recharge.
    pub recharge: Option<String>,
    /// The sum of all vouchers.
    pub vouchers: Option<String>,
    /// The tier's name.
    pub tier: Option<String>,
    /// The tier basis: `recharge` or `tier`.
    pub tier_from: Option<&'static str>,
    /// `feed` or `admin`.
    pub written_by: &'static str,
    /// True when the account is disabled.
    pub disabled: bool,
    /// Effective limits; null when the tier is unknown.
    pub limits: Option<Limits>,
    /// Live usage of each limit.
    pub usage: Option<UsageByName>,
    /// Live usage of each limit on a family of models, by family.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub models: Named<UsageByName>,
    /// Requests in flight; null where no limit counts them.
    pub in_flight: Option<u64>,
}

/// The result of a write.
#[derive(Debug, Serialize)]
pub struct WrittenAccount {
    /// The account's id, as text.
    pub id: String,
    /// Cumulative recharge.
    pub recharge: Option<String>,
    /// The tier's name.
    pub tier: Option<String>,
    /// True when the write makes a voucher due.
    pub voucher_due: bool,
    /// False for a recharge that was already recorded.
    pub new: bool,
}

impl Api<'_> {
    pub(super) fn in_use_directory(&self) -> Result<&Directory, Problem> {
        self.limiter.directory().ok_or(Problem::NoSuchPath)
    }

    /// Resolves an entry to a tier, if it has one.
    fn tier_of(&self, entry: &AccountEntry) -> Option<&Tier> {
        match entry.resolve_tier(&self.config().tiers) {
            ResolvedTier::Tier(place) => self.config().tiers.get(place),
            ResolvedTier::RechargeRequired(_)
            | ResolvedTier::Unknown(_)
            | ResolvedTier::Nothing => None,
        }
    }

    pub(super) fn get(&self, id: &[u8]) -> Result<AdminResponse, Problem> {
        let view = self.known(id)?.ok_or(Problem::UnknownAccount)?;
        Ok(AdminResponse::ok(&view))
    }

    /// Returns the view of an account; `None` when the directory has no such account.
    pub(super) fn known(&self, id: &[u8]) -> Result<Option<AccountView>, Problem> {
        let key = self.limiter.ledger().key(id);
        let Some(entry) = self.in_use_directory()?.find(self.host, key)? else {
            return Ok(None);
        };
        let tier = self.tier_of(&entry);
        let place = tier.and_then(|tier| self.config().tiers.by_name(tier.name.as_bytes()));
        let base = tier.map(|tier| entry.limits.over(&tier.all_limits()));
        let lowered = place.and_then(|id| self.limiter.overload().lowered(id));
        // The account's requests may carry a tier, so requests can be in flight without a tier
        // here.
        let inspected = self
            .limiter
            .inspect(self.host, key, base.as_ref(), lowered)?;
        let history = entry.history.as_ref();
        let usage = base.is_some().then_some(inspected.usage);
        let (usage, models) =
            usage.map_or_else(Default::default, |usage| (Some(usage.limits), usage.models));
        Ok(Some(AccountView {
            id: text(id),
            recharge: history.map(|h| h.cash.decimal()),
            vouchers: history.map(|h| h.vouchers.decimal()),
            tier: tier.map(|t| t.name.clone()),
            tier_from: match (&entry.tier, history) {
                (Some(_), _) => Some("tier"),
                (None, Some(_)) => Some("recharge"),
                (None, None) => None,
            },
            written_by: if entry.by_feed { "feed" } else { "admin" },
            disabled: entry.disabled,
            in_flight: inspected.in_flight,
            limits: base.is_some().then_some(inspected.in_force),
            usage,
            models,
        }))
    }

    pub(super) fn put(&mut self, id: &[u8], body: &[u8]) -> Result<AdminResponse, Problem> {
        let put = body::put(body)?;
        if let TierBasis::Tier(name) = &put.basis {
            self.known_tier(name, "tier")?;
        }
        put.limits.check().map_err(Problem::BadBody)?;
        let tier = self.tier_of(&AccountEntry {
            tier: match &put.basis {
                TierBasis::Tier(name) => Some(name.to_string()),
                TierBasis::Recharge(_) => None,
            },
            ..AccountEntry::default()
        });
        match tier {
            Some(tier) => self.check_limits(&put.limits, tier),
            // Its recharge may lead to any tier.
            None => {
                let mut tiers = self.config().tiers.iter();
                tiers.try_for_each(|tier| self.check_limits(&put.limits, tier))
            }
        }
        .map_err(Problem::BadBody)?;
        if put.limits.count_money() && !self.config().is_priced {
            let problem = "a limit on usd needs a price for every model: see \"price\" in the docs";
            return Err(Problem::BadBody(Invalid::new("limits", problem)));
        }
        let rule = self.config().voucher;
        self.write(id, |entry| {
            let mut due = false;
            match &put.basis {
                TierBasis::Recharge(total) => {
                    let history = entry.history.get_or_insert_default();
                    due = history.set(*total, rule.as_ref());
                    entry.tier = None;
                }
                TierBasis::Tier(name) => entry.tier = Some(name.to_string()),
            }
            entry.limits = put.limits.clone();
            entry.disabled = put.disabled;
            (due, true)
        })
    }

    /// Checks own limits beside those of a tier, for each family of models.
    fn check_limits(&self, own: &Overrides, tier: &Tier) -> Result<(), Invalid> {
        let families = self
            .config()
            .models
            .iter()
            .map(|family| Some(&*family.name));
        let mut models = std::iter::once(None).chain(families);
        models.try_for_each(|model| own.check_in(&tier.limits_of(model)))
    }

    /// Rejects an unknown tier name, with the JSON path of the name.
    pub(super) fn known_tier(&self, name: &str, path: &str) -> Result<(), Problem> {
        let tiers = &self.config().tiers;
        if tiers.by_name(name.as_bytes()).is_some() {
            return Ok(());
        }
        let names: Vec<_> = tiers.iter().map(|t| t.name.as_str()).collect();
        let problem = format!("{name:?} is no tier: {} are", names.join(", "));
        Err(Problem::body(path, problem))
    }

    pub(super) fn recharge(&mut self, id: &[u8], body: &[u8]) -> Result<AdminResponse, Problem> {
        let recharge = body::recharge(body)?;
        let rule = self.config().voucher;
        let event = RechargeEvent {
            id: self.limiter.ledger().hash(recharge.id.as_bytes()),
            kind: recharge.kind,
            amount: recharge.amount,
        };
        self.write(id, |entry| {
            let history = entry.history.get_or_insert_default();
            let applied = history.apply(&event, rule.as_ref());
            (applied.voucher_due, applied.is_new)
        })
    }

    /// Changes an entry; `change` returns whether a voucher is due and whether the write is new.
    fn write(
        &mut self,
        id: &[u8],
        change: impl Fn(&mut AccountEntry) -> (bool, bool),
    ) -> Result<AdminResponse, Problem> {
        let key = self.limiter.ledger().key(id);
        let directory = self.in_use_directory()?;
        let (entry, (voucher_due, new)) = directory.change(self.host, key, |entry| {
            let mut entry = entry.unwrap_or_default();
            let done = change(&mut entry);
            if done.1 {
                entry.by_feed = false;
            }
            (Some(entry.clone()), (entry, done))
        })?;
        self.limiter.directory_was_written(self.host)?;
        let tier = self.tier_of(&entry).map(|tier| tier.name.clone());
        let cash = |history: &History| history.cash.decimal();
        Ok(AdminResponse::ok(&WrittenAccount {
            id: text(id),
            recharge: entry.history.as_ref().map(cash),
            tier,
            voucher_due,
            new,
        }))
    }

    pub(super) fn delete(&mut self, id: &[u8]) -> Result<AdminResponse, Problem> {
        let key = self.limiter.ledger().key(id);
        let was_there = self
            .in_use_directory()?
            .change(self.host, key, |entry| (None, entry.is_some()))?;
        match was_there {
            true => Ok(AdminResponse::ok(
                &serde_json::json!({"id": text(id), "deleted": true}),
            )),
            false => Err(Problem::UnknownAccount),
        }
    }

    pub(super) fn reset(&mut self, id: &[u8]) -> Result<AdminResponse, Problem> {
        let key = self.limiter.ledger().key(id);
        let plan = Plan::new(Limits::default(), self.config().windows);
        let terms = Terms {
            plan: &plan,
            lowered: None,
            tells: false,
            concurrency_wait: Span::ZERO,
        };
        let table = self.limiter.vm_table();
        // The overflow record has the use of other accounts too.
        let reset =
            self.limiter
                .ledger()
                .change(self.host, key, &terms, &*table, |record, _| {
                    if record.is_overflow() {
                        return RecordChange::Keep(false);
                    }
                    record.clear_usage();
                    RecordChange::Write(true)
                })?;
        Ok(AdminResponse::ok(
            &serde_json::json!({"id": text(id), "reset": reset}),
        ))
    }
}

/// Converts an id to text, with replacement characters for invalid UTF-8.
fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}
