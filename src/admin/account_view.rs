//! Accounts as the admin API shows them.

use super::{AdminResponse, Api, Problem};
use crate::directory::Listed;
use crate::directory::entry::{AccountEntry, AccountTerms, ResolvedTier};
use crate::directory::stored_entry::EntryId;
use crate::json::Named;
use crate::limiter::FleetUse;
use crate::limits::own::OwnLimit;
use crate::limits::{Limits, OwnLimits};
use crate::reply::usage::UsageByName;
use crate::shared::PageCursor;
use crate::tiers::{Tier, TierId};
use crate::zone::rfc3339;
use serde::Serialize;

/// The number of accounts in a list, where the call names none.
const USUAL_LIMIT: usize = 100;
/// The maximum number of accounts in a list.
const MOST_LISTED: usize = 1_000;

/// The directory's entry of an account, as the API shows it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct EntryView {
    /// Cumulative recharge.
    pub recharge: Option<String>,
    /// The sum of all vouchers.
    pub vouchers: Option<String>,
    /// The tier's name.
    pub tier: Option<String>,
    /// The tier basis: `recharge`, `tier` or `account`.
    pub tier_from: Option<&'static str>,
    /// The account that this id stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The day of the first recharge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The writer of recharge, tier or alias: `feed` or `admin`; null without an entry.
    pub written_by: Option<&'static str>,
    /// True when the account is disabled.
    pub disabled: bool,
    /// True when the account passes uncounted.
    pub exempt: bool,
    /// The terms of the feed.
    #[serde(skip_serializing_if = "TermsView::is_empty")]
    pub feed: TermsView,
    /// The terms of the admin API, which hold over those of the feed.
    #[serde(skip_serializing_if = "TermsView::is_empty")]
    pub admin: TermsView,
}

/// The terms that one source gives.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct TermsView {
    /// Own limits on all requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Named<OwnLimit>>,
    /// Own limits on families of models.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub models: Named<Named<OwnLimit>>,
    /// The end of the own limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// True when the account is switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// True when the account passes uncounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exempt: Option<bool>,
}

impl TermsView {
    fn of(terms: &AccountTerms) -> Self {
        let own = terms.limits.as_ref();
        let models = |own: &OwnLimits| {
            let models = own.models.iter();
            let models = models.map(|(model, own)| (model.clone(), Named(own.0.clone())));
            Named(models.collect())
        };
        Self {
            limits: own.map(|own| Named(own.account.0.clone())),
            models: own.map(models).unwrap_or_default(),
            until: terms.until.map(rfc3339::text),
            disabled: terms.disabled,
            exempt: terms.exempt,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An account as the API shows it.
#[derive(Debug, Serialize)]
pub struct AccountView {
    /// The account's id, as text.
    pub id: String,
    /// The directory's entry.
    #[serde(flatten)]
    pub entry: EntryView,
    /// Effective limits; null when the tier is unknown.
    pub limits: Option<Limits>,
    /// Live usage of each limit. Without a tier it tells what is counted.
    pub usage: Option<UsageByName>,
    /// Live usage of each limit on a family of models, by family.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub models: Named<UsageByName>,
    /// Requests in flight; null where no limit counts them.
    pub in_flight: Option<u64>,
    /// The account in the fleet, as this edge last heard; absent for one that takes no part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetUse>,
}

/// An entry in a list of accounts.
#[derive(Debug, Serialize)]
struct ListedView {
    /// The id as text, or the SHA-256 of an id over 128 bytes.
    id: String,
    /// True for a digest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_digest: bool,
    #[serde(flatten)]
    entry: EntryView,
}

/// A list of accounts.
#[derive(Debug, Serialize)]
struct AccountsView {
    accounts: Vec<ListedView>,
    /// The `after` of the next call; null at the end.
    next: Option<String>,
    ready: bool,
}

impl Api<'_> {
    /// Resolves an entry to a tier, if it has one.
    pub(super) fn tier_of(&self, entry: &AccountEntry) -> Option<(TierId, &Tier)> {
        let tiers = &self.config().tiers;
        match entry.resolve_tier(tiers, || self.host.wall()) {
            ResolvedTier::Tier(place) => Some((place, tiers.get(place)?)),
            ResolvedTier::RechargeRequired(_)
            | ResolvedTier::Unknown(_)
            | ResolvedTier::Nothing => None,
        }
    }

    pub(super) fn entry_view(&self, entry: &AccountEntry) -> EntryView {
        let history = entry.history.as_ref();
        EntryView {
            recharge: history.map(|h| h.cash.decimal()),
            vouchers: history.map(|h| h.vouchers.decimal()),
            tier: self.tier_of(entry).map(|(_, tier)| tier.name.clone()),
            tier_from: match (&entry.alias_of, &entry.tier, history) {
                (Some(_), _, _) => Some("account"),
                (None, Some(_), _) => Some("tier"),
                (None, None, Some(_)) => Some("recharge"),
                (None, None, None) => None,
            },
            account: entry.alias_of.as_deref().map(text),
            since: entry.since.map(rfc3339::date),
            written_by: Some(if entry.by_feed { "feed" } else { "admin" }),
            disabled: entry.is_disabled(),
            exempt: entry.is_exempt(),
            feed: TermsView::of(&entry.feed),
            admin: TermsView::of(&entry.admin),
        }
    }

    pub(super) fn get(&self, id: &[u8]) -> Result<AdminResponse, Problem> {
        if let Some(view) = self.known(id)? {
            return Ok(AdminResponse::ok(&view));
        }
        let view = self.unlisted(id)?.ok_or(Problem::UnknownAccount)?;
        Ok(AdminResponse::ok(&view))
    }

    /// Returns the entry of an account; of its target for an alias.
    fn standing(&self, id: &[u8]) -> Result<Option<(AccountEntry, AccountEntry)>, Problem> {
        let directory = self.in_use_directory()?;
        let find = |id: &[u8]| directory.find(self.host, self.limiter.ledger().key(id));
        let Some(own) = find(id)? else {
            return Ok(None);
        };
        let target = match &own.alias_of {
            None => Some(own.clone()),
            Some(target) => find(target)?.filter(|entry| entry.alias_of.is_none()),
        };
        Ok(Some((own, target.unwrap_or_default())))
    }

    /// Returns the view of an account; `None` when the directory has no such account. An alias has the
    /// tier, the limits and the usage of its target.
    pub(super) fn known(&self, id: &[u8]) -> Result<Option<AccountView>, Problem> {
        let Some((entry, target)) = self.standing(id)? else {
            return Ok(None);
        };
        let key = self
            .limiter
            .ledger()
            .key(entry.alias_of.as_deref().unwrap_or(id));
        let found = self.tier_of(&target);
        let own = target.own_limits(|| self.host.wall());
        let base = found.map(|(_, tier)| tier.limits_with(own));
        let lowered = found.and_then(|(place, _)| self.limiter.overload().lowered(place));
        // The account's requests may carry a tier, so requests can be in flight without a tier
        // here.
        let inspected = self
            .limiter
            .inspect(self.host, key, base.as_ref(), lowered)?;
        let usage = base.is_some().then_some(inspected.usage);
        let (usage, models) =
            usage.map_or_else(Default::default, |usage| (Some(usage.limits), usage.models));
        let mut view = self.entry_view(&entry);
        view.tier = found.map(|(_, tier)| tier.name.clone());
        view.disabled |= target.is_disabled();
        view.exempt |= target.is_exempt();
        Ok(Some(AccountView {
            id: text(id),
            entry: view,
            in_flight: inspected.in_flight,
            limits: base.is_some().then_some(inspected.in_force),
            usage,
            models,
            fleet: self.fleet_use(id)?,
        }))
    }

    /// Returns the view of an account that has usage alone: its requests bring their tier along.
    pub(super) fn unlisted(&self, id: &[u8]) -> Result<Option<AccountView>, Problem> {
        let key = self.limiter.ledger().key(id);
        let inspected = self.limiter.inspect(self.host, key, None, None)?;
        let models = inspected.usage.models.0.iter().map(|(_, usage)| usage);
        let mut scopes = std::iter::once(&inspected.usage.limits).chain(models);
        if !scopes.any(|usage| usage.0.iter().any(|(_, one)| one.is_used())) {
            return Ok(None);
        }
        Ok(Some(AccountView {
            id: text(id),
            entry: EntryView::default(),
            limits: None,
            in_flight: inspected.in_flight,
            usage: Some(inspected.usage.limits),
            models: inspected.usage.models,
            fleet: self.fleet_use(id)?,
        }))
    }

    /// Lists the directory from a place on.
    pub(super) fn list(
        &self,
        after: Option<&[u8]>,
        limit: Option<&[u8]>,
    ) -> Result<AdminResponse, Problem> {
        let (from, limit) = range(after, limit)?;
        let directory = self.in_use_directory()?;
        let page = directory.list(self.host, from, limit)?;
        let view = AccountsView {
            accounts: page.entries.iter().map(|one| self.listed(one)).collect(),
            next: page.next.map(|next| next.text()),
            ready: directory.is_ready(self.host)?,
        };
        Ok(AdminResponse::ok(&view))
    }

    fn listed(&self, one: &Listed) -> ListedView {
        ListedView {
            id: one.id.text(),
            is_digest: matches!(one.id, EntryId::Digest(_)),
            entry: self.entry_view(&one.entry),
        }
    }
}

/// Reads the query of a list.
pub(super) fn range(
    after: Option<&[u8]>,
    limit: Option<&[u8]>,
) -> Result<(PageCursor, usize), Problem> {
    let text = |value| std::str::from_utf8(value).ok();
    let from = match after {
        None => PageCursor::default(),
        Some(after) => text(after)
            .and_then(PageCursor::parse)
            .ok_or(Problem::BadQuery("after", "is not the `next` of a list"))?,
    };
    Ok((
        from,
        list_limit(limit.map(|limit| text(limit).unwrap_or_default()))?,
    ))
}

/// Reads the number of accounts that the query of a list asks for: 1 to 1,000, and 100 without one.
///
/// # Errors
/// [`Problem::BadQuery`] for another one.
pub fn list_limit(limit: Option<&str>) -> Result<usize, Problem> {
    let Some(limit) = limit else {
        return Ok(USUAL_LIMIT);
    };
    let limit = limit.parse().ok();
    let limit = limit.filter(|limit| (1..=MOST_LISTED).contains(limit));
    limit.ok_or(Problem::BadQuery("limit", "is a number from 1 to 1000"))
}

/// Converts an id to text, with replacement characters for invalid UTF-8.
pub(super) fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}
