//! The sections on the filter itself: now, tiers, refusals by limit, pages and memory.

use super::look_up::bar;
use crate::admin::status::{FeedView, RefusedView, Status};
use crate::limits::LimitKind;
use crate::shared::Fill;
use crate::text::{bytes, dollars, number, per_mille, time};
use maud::{Markup, html};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Renders the most important numbers.
pub fn now(status: &Status) -> Markup {
    let rows = status.refusals.by_limit.iter();
    let (minute, window) = rows.fold((0_u64, 0_u64), |(minute, window), row| {
        (
            minute.saturating_add(row.last_minute),
            window.saturating_add(row.last_5_minutes),
        )
    });
    let memory = &status.memory;
    // The configs that saw the requests may have another mode than this listener's config.
    let mut shadowed = status.refusals.by_limit.iter().map(|row| row.shadowed);
    let refused = match (shadowed.clone().any(|s| s), shadowed.all(|s| s)) {
        (false, _) => "Refused",
        (true, false) => "Refused or let through in shadow",
        (true, true) => "Would be refused",
    };
    let accounts = status.refusals.accounts.iter();
    let mut named = BTreeSet::new();
    named.extend(accounts.filter_map(|r| r.account.as_deref()));
    html! {
        section #now.wide data-live aria-label="Now" {
            dl.tiles {
                (tile(&format!("{refused}, last minute"), &number(minute), "", minute > 0))
                (tile(&format!("{refused}, last 5 minutes"), &number(window), "", false))
                (tile("Accounts in the list of refused", &number(u64::try_from(named.len()).unwrap_or(u64::MAX)), "", false))
                (tile("Memory in use", &bytes(memory.bytes), &format!("of at most {}", bytes(memory.bound)), false))
            }
        }
    }
}

fn tile(name: &str, value: &str, more: &str, warns: bool) -> Markup {
    html! {
        div.tile.warns[warns] {
            dt { (name) }
            dd { b { (value) } @if !more.is_empty() { " " span.quiet { (more) } } }
        }
    }
}

/// Renders the tiers with their effective limits.
pub fn tiers(status: &Status) -> Markup {
    let limits = status.tiers.iter().flat_map(|tier| tier.limits.iter());
    let mut kinds: BTreeSet<LimitKind> = BTreeSet::new();
    kinds.extend(limits.map(|(kind, _)| kind));
    html! {
        section #tiers.wide data-live aria-labelledby="h-tiers" {
            h2 #h-tiers { "Tiers " span.quiet { "effective limits, by the config in force" } }
            div.scroll tabindex="0" role="region" aria-labelledby="h-tiers" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Tier" }
                            th.n scope="col" { "Recharge from" }
                            @for &kind in &kinds { th.n scope="col" { abbr title=(title(kind)) { (kind.heading()) } } }
                        }
                    }
                    tbody {
                        @for tier in &status.tiers {
                            tr {
                                th scope="row" { (tier.name) @if let Some(mode) = &tier.mode { " " (tag(mode)) } }
                                td.n { @if let Some(recharge) = &tier.recharge { (dollars(recharge)) } @else { span.quiet { "–" } } }
                                @for (base, effective) in kinds.iter().map(|kind| (kind.limit(tier.limits.of(*kind)), kind.limit(tier.in_force.of(*kind)))) {
                                    td.n.lowered[base != effective].quiet[effective.finite().is_none()] {
                                        (effective.grouped())
                                        @if base != effective { " " s.quiet { (base.grouped()) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the explanation of a column.
fn title(kind: LimitKind) -> Cow<'static, str> {
    match kind.is_concurrency() {
        true => "requests at the same time".into(),
        false => kind.in_words(),
    }
}

/// Renders refusals by tier and reason.
pub fn refusals(status: &Status) -> Markup {
    let rows = &status.refusals.by_limit;
    let most = rows.iter().map(|r| r.last_5_minutes).max().unwrap_or(0);
    html! {
        section #refusals data-live aria-labelledby="h-refusals" {
            h2 #h-refusals { "Refusals by tier and reason" }
            div.scroll tabindex="0" role="region" aria-labelledby="h-refusals" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Tier" }
                            th scope="col" { "Reason" }
                            th.n scope="col" { "Last minute" }
                            th.n scope="col" { "Last 5 min" }
                            th.share aria-hidden="true" {}
                        }
                    }
                    tbody {
                        @for row in rows { (refused(row, most)) }
                        @if rows.is_empty() {
                            tr { td.none colspan="5" { "Nothing was refused in the last 5 minutes." } }
                        }
                    }
                }
            }
            @if rows.iter().any(|row| row.overloaded) {
                p.note { (tag("load")) " over a lowered limit, and within the base limit" }
            }
            @if rows.iter().any(|row| row.shadowed) {
                p.note { (tag("shadow")) " let through: the config that saw it is in shadow mode" }
            }
        }
    }
}

fn refused(row: &RefusedView, most: u64) -> Markup {
    html! {
        tr {
            th scope="row" { (row.tier) }
            td { (reason(&row.code, row.overloaded, row.shadowed)) }
            td.n { (number(row.last_minute)) }
            td.n { (number(row.last_5_minutes)) }
            td.share { (bar(per_mille(row.last_5_minutes, most), "refused")) }
        }
    }
}

/// Renders a code, and marks a refusal that is due to overload alone or was let through.
pub fn reason(code: &str, overloaded: bool, shadowed: bool) -> Markup {
    html! {
        code { (code) }
        @if overloaded { " " (tag("load")) }
        @if shadowed { " " (tag("shadow")) }
    }
}

fn tag(name: &str) -> Markup {
    html! { span.tag { (name) } }
}

/// Renders pages, memory and the feed.
pub fn pages(status: &Status) -> Markup {
    let memory = &status.memory;
    html! {
        section #pages.wide data-live aria-labelledby="h-pages" {
            h2 #h-pages { "Pages and memory" }
            div.scroll tabindex="0" role="region" aria-labelledby="h-pages" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Part" }
                            th.n scope="col" { "Accounts" }
                            th.n scope="col" { "Pages" }
                            th.n scope="col" { "Fullest page" }
                            th.n scope="col" { "Memory" }
                        }
                    }
                    tbody {
                        (fill("Ledger", &status.ledger))
                        (fill("Directory", &status.directory))
                    }
                }
            }
            @if [&status.ledger, &status.directory].iter().any(|fill| fill.looked_at < fill.pages) {
                p.note { "Counted on the first " (number(status.ledger.looked_at.max(status.directory.looked_at).into())) " pages." }
            }
            div.line {
                (bar(per_mille(memory.bytes, memory.bound), "used"))
                span { (bytes(memory.bytes)) " of at most " (bytes(memory.bound)) " of shared data" }
            }
            p { (directory(status.ready, status.feed.as_ref())) " Shared data has layout " (status.layout) "." }
        }
    }
}

fn fill(name: &str, fill: &Fill) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            td.n { (fill.all_records()) }
            td.n { (number(fill.pages.into())) }
            td.n { (number(fill.fullest)) }
            td.n { @if fill.looked_at < fill.pages { "about " } (bytes(fill.estimate())) }
        }
    }
}

fn directory(ready: Option<bool>, feed: Option<&FeedView>) -> Markup {
    html! {
        @match ready {
            None => "No tier source of this config is the directory.",
            Some(true) => "The directory is ready.",
            Some(false) => "The directory is not ready: it does not hold all accounts yet.",
        }
        @if let Some(feed) = feed {
            @match feed.age_ms {
                Some(age) => { " Its feed was last whole " (time(age)) " ago" },
                None => " Its feed was never whole yet",
            }
            @if feed.loading { ", and is being loaded" } @else { ", and is due in " (time(feed.due_in_ms)) }
            @if feed.failures > 0 { "; it failed " b.warn { (feed.failures) } " times in a row" }
            "."
        }
    }
}
