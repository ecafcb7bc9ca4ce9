//! `GET usage`: the accounts with usage, page by page, by name where one is known.

use super::account_view::{range, text};
use super::{AdminResponse, Api, Problem};
use crate::directory::entry::AccountEntry;
use crate::json::Named;
use crate::ledger::{AccountKey, NamedAccount};
use crate::limits::Shown;
use crate::reply::usage::UsageByName;
use crate::shared::PageCursor;
use crate::tiers::TierId;
use crate::time::Span;
use serde::Serialize;
use std::collections::BTreeMap;

/// The maximum number of pages that one call reads.
const MOST_READ: u32 = 64;

/// A list of accounts with usage.
#[derive(Debug, Serialize)]
struct UsageList {
    accounts: Vec<UsedAccount>,
    /// The accounts of this part of the list whose names are not known.
    unnamed: Unnamed,
    /// The `after` of the next call; null at the end.
    next: Option<String>,
}

/// An account and its usage.
#[derive(Debug, Serialize)]
struct UsedAccount {
    /// The account's id, as text.
    id: String,
    /// The tier's name: that of the directory, else the one in which it was admitted first.
    tier: Option<String>,
    limits: UsageByName,
    #[serde(skip_serializing_if = "Named::is_empty")]
    models: Named<UsageByName>,
    in_flight: Option<u64>,
    /// The time since the last request that a window still has, in seconds.
    last_seen_s: Option<u64>,
}

/// The sum of accounts whose names are not known.
#[derive(Debug, Default, Serialize)]
struct Unnamed {
    accounts: u64,
    /// The sums of what is used, by the limit's name.
    used: BTreeMap<String, Shown>,
}

impl Unnamed {
    fn add(&mut self, usage: &UsageByName) {
        self.accounts = self.accounts.saturating_add(1);
        for (name, one) in &usage.0 {
            let Some(used) = one.used else { continue };
            let sum = self.used.entry(name.clone()).or_insert(used.nothing());
            *sum = sum.plus(used);
        }
    }
}

impl Api<'_> {
    /// Lists accounts with usage from a place on: at most `limit`, from at most 64 pages.
    pub(super) fn usage(
        &self,
        after: Option<&[u8]>,
        limit: Option<&[u8]>,
    ) -> Result<AdminResponse, Problem> {
        let (mut cursor, limit) = range(after, limit)?;
        let mut list = UsageList {
            accounts: Vec::new(),
            unnamed: Unnamed::default(),
            next: None,
        };
        let mut listed = 0_usize;
        for _ in 0..MOST_READ {
            let ledger = self.limiter.ledger();
            let Some(keys) = ledger.accounts_on(self.host, cursor.page)? else {
                return Ok(AdminResponse::ok(&list));
            };
            let names = match keys.is_empty() {
                true => Vec::new(),
                false => ledger.names_on(self.host, cursor.page)?,
            };
            let behind = cursor.behind;
            let is_next = |key: &AccountKey| behind.is_none_or(|behind| key.to_bytes() > behind);
            for key in keys.into_iter().filter(is_next) {
                if listed >= limit {
                    list.next = Some(cursor.text());
                    return Ok(AdminResponse::ok(&list));
                }
                listed = listed.saturating_add(1);
                cursor.behind = Some(key.to_bytes());
                self.add_usage(&mut list, key, &names)?;
            }
            cursor = cursor.next_page();
        }
        list.next = self.is_page(cursor)?.then(|| cursor.text());
        Ok(AdminResponse::ok(&list))
    }

    fn is_page(&self, cursor: PageCursor) -> Result<bool, Problem> {
        let ledger = self.limiter.ledger();
        Ok(ledger.accounts_on(self.host, cursor.page)?.is_some())
    }

    fn add_usage(
        &self,
        list: &mut UsageList,
        key: AccountKey,
        names: &[NamedAccount],
    ) -> Result<(), Problem> {
        let noted = names.iter().find(|name| name.key() == key);
        let known = self.in_use_directory()?.find_with_id(self.host, key)?;
        let entry = known.as_ref().map(|(_, entry)| entry);
        let place = self.place_of(entry, noted);
        let base = place.and_then(|place| self.config().tiers.get(place));
        let limits = base.map(|tier| {
            let own = entry.and_then(|entry| entry.own_limits(|| self.host.wall()));
            tier.limits_with(own)
        });
        let lowered = place.and_then(|place| self.limiter.overload().lowered(place));
        let inspected = self
            .limiter
            .inspect(self.host, key, limits.as_ref(), lowered)?;
        let id = noted.map(|name| text(&name.id));
        let id = id.or_else(|| known.as_ref().map(|(id, _)| id.text()));
        let Some(id) = id else {
            list.unnamed.add(&inspected.usage.limits);
            return Ok(());
        };
        list.accounts.push(UsedAccount {
            id,
            tier: base.map(|tier| tier.name.clone()),
            limits: inspected.usage.limits,
            models: inspected.usage.models,
            in_flight: inspected.in_flight,
            last_seen_s: inspected.last_seen.map(Span::as_secs_floor),
        });
        Ok(())
    }

    /// Returns the tier of an account: that of its entry, else the one that was noted with its name.
    fn place_of(
        &self,
        entry: Option<&AccountEntry>,
        noted: Option<&NamedAccount>,
    ) -> Option<TierId> {
        let of_entry = entry.and_then(|entry| self.tier_of(entry));
        let of_entry = of_entry.map(|(place, _)| place);
        of_entry.or_else(|| self.config().tiers.by_name(noted?.tier.as_bytes()))
    }
}
