//! How the filter is, put together for `GET {p}/status` and the page.

use super::Limiter;
use crate::admin::Problem;
use crate::admin::overload::OverloadStatus;
use crate::admin::schema;
use crate::admin::status::{
    FeedView, FillView, MemoryView, Mode, RefusalsView, RefusedAccountView, RefusedView, Status,
    TierView,
};
use crate::config;
use crate::directory::feed::leader::feed_state;
use crate::host::Host;
use crate::identity::TierSource;
use crate::ledger::page::LAYOUT;
use crate::refusals;
use crate::refusals::{Recent, RefusalLog, Total};
use crate::shared::Fill;
use crate::tiers::money::SignedCents;
use crate::tiers::{Cents, Tier, TierId};
use crate::time::{Mono, Span};
use crate::{directory, ledger};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use std::collections::BTreeMap;

impl Limiter {
    /// How the filter is.
    pub(super) fn status(&self, host: &dyn Host) -> Result<Status, Problem> {
        let directory = self.in_use_directory()?;
        let ledger = fill_view(self.ledger.fill(host)?);
        let entries = fill_view(directory.fill(host)?);
        let ready = match self.config.tier.contains(&TierSource::Directory) {
            true => Some(directory.is_ready(host)?),
            false => None,
        };
        let load = self.overload_status(host);
        let (mut log, now) = self.refusals.read(host)?;
        log.expire(now);
        Ok(Status {
            namespace: self.config.namespace.clone(),
            mode: match self.config.mode {
                config::Mode::Enforce => Mode::Enforce,
                config::Mode::Shadow => Mode::Shadow,
            },
            config: self.config.digest.clone(),
            layout: LAYOUT,
            live_vms: self.vm.table().alive(),
            ledger,
            directory: entries,
            ready,
            feed: self.feed_status(host),
            tiers: self.tier_views(&load, now),
            load,
            memory: MemoryView {
                bytes: ledger.estimate().saturating_add(entries.estimate()),
                bound: ledger::memory_bound(self.config.accounts)
                    .saturating_add(directory::memory_bound(self.config.directory_accounts))
                    .saturating_add(refusals::MOST_BYTES),
            },
            refusals: self.refusals_view(&log, now),
        })
    }

    fn tier_views(&self, load: &OverloadStatus, now: Mono) -> Vec<TierView> {
        let numbered = self.config.tiers.entries();
        let view = |(id, tier): (TierId, &Tier)| TierView {
            name: tier.name.clone(),
            recharge: dollars(tier.recharge),
            limits: tier.limits,
            in_force: self.in_force(id, &tier.limits, now),
            scale: load.in_force.get(&tier.name).copied().unwrap_or(1.0),
        };
        numbered.map(view).collect()
    }

    /// How the feed is; null without one, or while that can't be read.
    fn feed_status(&self, host: &dyn Host) -> Option<FeedView> {
        self.config.feed.as_ref()?;
        let was_whole = self.directory()?.is_ready(host).ok()?;
        let (feed, now) = feed_state(&self.config.namespace).read(host).ok()?;
        Some(FeedView {
            loading: feed.has_leader(now),
            age_ms: was_whole.then(|| now.since(feed.synced_at).as_millis()),
            due_in_ms: feed.due.since(now).as_millis(),
            failures: feed.failures,
            etag: String::from_utf8_lossy(&feed.etag).into_owned(),
        })
    }

    fn refusals_view(&self, log: &RefusalLog, now: Mono) -> RefusalsView {
        let mut by_limit: Vec<_> = log.totals(now).map(refused_view).collect();
        // Tiers of other configs of this namespace come last; a sort that is stable keeps the codes.
        let order = |row: &RefusedView| {
            let place = self.config.tiers.by_name(row.tier.as_bytes());
            place.map_or(usize::MAX, TierId::index)
        };
        by_limit.sort_by_key(order);
        RefusalsView {
            window_s: refusals::WINDOW_S,
            by_limit,
            accounts: refused_accounts(log, now),
        }
    }
}

fn dollars(cents: Cents) -> String {
    schema::dollars(SignedCents::from(cents))
}

fn fill_view(fill: Fill) -> FillView {
    FillView {
        pages: fill.pages,
        looked_at: fill.looked_at,
        records: fill.records,
        fullest: fill.fullest,
        bytes: fill.bytes,
    }
}

fn refused_view(total: Total<'_>) -> RefusedView {
    RefusedView {
        tier: total.reason.tier.clone(),
        code: total.reason.code.clone(),
        overloaded: total.reason.overloaded,
        shadowed: total.reason.shadowed,
        last_minute: total.last_minute,
        last_5_minutes: total.in_all,
    }
}

/// One of each account, tier and code, newest first: the board has one for each bucket.
fn refused_accounts(log: &RefusalLog, now: Mono) -> Vec<RefusedAccountView> {
    let mut views: Vec<RefusedAccountView> = Vec::new();
    let mut places = BTreeMap::new();
    for (recent, ago) in log.newest(now) {
        let place = *places
            .entry((&recent.account, &recent.reason))
            .or_insert(views.len());
        match views.get_mut(place) {
            Some(view) => view.count = view.count.saturating_add(recent.count),
            None => views.push(refused_account_view((recent, ago))),
        }
    }
    views
}

fn refused_account_view((recent, ago): (&Recent, Span)) -> RefusedAccountView {
    let account = recent.account.as_ref();
    let whole = account.filter(|id| !id.is_cut);
    RefusedAccountView {
        account: account.map(refusals::Id::visible),
        id: whole.map(|id| percent_encode(&id.bytes, NON_ALPHANUMERIC).to_string()),
        tier: recent.reason.tier.clone(),
        code: recent.reason.code.clone(),
        overloaded: recent.reason.overloaded,
        shadowed: recent.reason.shadowed,
        count: recent.count,
        seconds_ago: ago.as_secs_ceil(),
    }
}
