//! The look-up of one account: its state, and a bar for each of its limits.

use super::fleet;
use crate::admin::AccountView;
use crate::http::visible::visible;
use crate::json::Named;
use crate::limiter::FleetUse;
use crate::limits::{LimitKind, Shown};
use crate::reply::usage::{UsageByName, UsageView, UseView};
use crate::text::{dollars, number, per_mille, time};
use maud::{Markup, html};
use std::borrow::Cow;

/// The maximum number of an id's characters on the page.
const VISIBLE_CHARS: usize = 256;

/// An account that was looked up.
#[derive(Debug)]
pub struct LookUp {
    /// The account's id.
    pub id: Vec<u8>,
    /// The result of the look-up.
    pub result: LookUpResult,
    /// The account's use over all edges of the fleet; `None` for one that takes no part.
    pub fleet: Option<FleetUse>,
}

/// The result of a look-up.
#[derive(Debug)]
pub enum LookUpResult {
    /// The id is longer than any account's.
    TooLong,
    /// The directory has the account and a tier for it.
    WithTier {
        /// The directory's data.
        view: Box<AccountView>,
        /// The other tier of the last refusal, and its age in seconds.
        refused_in: Option<(String, u64)>,
    },
    /// The directory has the account without a tier. The usage is the ledger's.
    WithoutTier(Box<AccountView>, Box<UsageView>),
    /// The directory does not have the account.
    Unlisted {
        /// The tier of the last refusal.
        refused_in: Option<String>,
        /// The ledger's usage; without that tier, the limits are unknown.
        usage: Box<UsageView>,
    },
}

/// Renders the look-up form. It shows the id of the last look-up if all of the id is visible.
pub fn form(look_up: Option<&LookUp>) -> Markup {
    let asked = look_up.map(|l| visible(&l.id, VISIBLE_CHARS));
    let asked = asked.filter(|text| look_up.is_some_and(|l| l.id == text.as_bytes()));
    html! {
        section #look-up.wide aria-labelledby="h-look-up" {
            h2 #h-look-up { label for="account" { "Look an account up" } }
            form method="get" action="./" role="search" {
                input #account type="text" name="account" value=[asked] placeholder="account id, or the SHA-256 of a credential"
                    autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="4096";
                button type="submit" { "Look up" }
                @if look_up.is_some() { a href="./" { "Close" } }
            }
        }
    }
}

/// Renders the result; an empty section without a look-up.
pub fn result(look_up: Option<&LookUp>) -> Markup {
    html! {
        section #found.wide data-live aria-labelledby="h-found" hidden[look_up.is_none()] {
            @if let Some(look_up) = look_up {
                h2 #h-found { "Account " bdi.id { (visible(&look_up.id, VISIBLE_CHARS)) } }
                (found(&look_up.result))
                (fleet::account(look_up.fleet.as_ref()))
            }
        }
    }
}

fn found(result: &LookUpResult) -> Markup {
    html! {
        @match result {
            LookUpResult::TooLong => p.warn { "No account has an id of more than 4096 bytes." },
            LookUpResult::WithTier { view, refused_in } => {
                (facts(view))
                @if let Some((tier, ago)) = refused_in {
                    p.warn {
                        "It was last refused in " (tier) ", " (time(ago.saturating_mul(1000))) " ago. Where its requests bring that tier along, "
                        "they have the limits of " (tier) ", not these."
                    }
                }
                @if let Some(usage) = &view.usage { (bars(usage, &view.models, true)) }
            }
            LookUpResult::WithoutTier(view, usage) => {
                (facts(view))
                p.warn { "The directory gives it no tier: it is refused, unless its requests bring one." }
                (bars(&usage.limits, &usage.models, false))
            }
            LookUpResult::Unlisted { refused_in: Some(tier), usage } => {
                p { "The directory does not know this account. Its requests bring their tier along: it was last refused in " b { (tier) } ", whose limits these are." }
                (bars(&usage.limits, &usage.models, true))
            }
            LookUpResult::Unlisted { refused_in: None, usage } => {
                p { "The directory does not know this account" @if is_idle(usage) { ", and nothing is counted for it." } @else { ". Its requests bring their tier along; this is what is counted for it." } }
                (bars(&usage.limits, &usage.models, false))
            }
        }
    }
}

fn facts(view: &AccountView) -> Markup {
    let from = match view.entry.tier_from {
        Some("tier") => "put into it by name",
        Some("account") => "by the account that it stands for",
        Some(_) => "by its recharge",
        None => "nothing is known that gives one",
    };
    html! {
        p.facts {
            span.fact { span.key { "tier" } " " b { (view.entry.tier.as_deref().unwrap_or("none")) } " " span.quiet { (from) } }
            @if let Some(recharge) = &view.entry.recharge { span.fact { span.key { "recharge" } " " (dollars(recharge)) } }
            span.fact { span.key { "in flight" } " " b { @if let Some(n) = view.in_flight { (number(n)) } @else { "not counted" } } }
            span.fact { span.key { "written by" } " " (view.entry.written_by.unwrap_or("nobody")) }
            @if view.entry.disabled { span.fact.warn { "switched off" } }
            @if view.entry.exempt { span.fact { "exempt: it passes uncounted" } }
            @if let Some(account) = &view.entry.account { span.fact { span.key { "stands for" } " " bdi.id { (visible(account.as_bytes(), VISIBLE_CHARS)) } } }
        }
    }
}

fn is_idle(usage: &UsageView) -> bool {
    usage.limits.0.iter().all(|(_, one)| !one.is_used())
}

/// Renders a bar for each limit, then for those on each family; `known`: the limits are known.
fn bars(usage: &UsageByName, models: &Named<UsageByName>, known: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="h-found" {
            table.bars {
                thead {
                    tr {
                        th scope="col" { "Limit" }
                        th scope="col" { span.sr { "Share in use" } }
                        th.n scope="col" { "Used" }
                        th.n scope="col" { "Limit" }
                        th.n scope="col" { "Remaining" }
                        th.n scope="col" { "Empty in" }
                    }
                }
                tbody {
                    @for (name, one) in &usage.0 { (line(&heading(name), one, known)) }
                    @for (model, usage) in &models.0 {
                        @for (name, one) in &usage.0 { (line(&format!("{model} {}", heading(name)), one, known)) }
                    }
                }
            }
        }
    }
}

fn heading(name: &str) -> Cow<'_, str> {
    match LimitKind::known(name) {
        Some(kind) if kind.is_concurrency() => "In flight".into(),
        Some(kind) => kind.heading(),
        None => name.into(),
    }
}

fn line(name: &str, usage: &UseView, known: bool) -> Markup {
    let finite = usage.in_force.unwrap_or(usage.limit).finite();
    let used = usage.used.and_then(Shown::finite).unwrap_or(0);
    let share = finite.map_or(0, |most| per_mille(used, most));
    let class = match (finite, share) {
        (None, _) => "open",
        (_, 1000) => "full",
        (_, 800..) => "high",
        _ => "used",
    };
    html! {
        tr {
            th scope="row" { (name) }
            td.share { (bar(share, class)) }
            td.n { @if let Some(used) = usage.used { (used.grouped()) } @else { span.quiet { "–" } } }
            td.n.lowered[usage.in_force.is_some()] {
                @match (known, usage.in_force) {
                    (false, _) => span.quiet { "not known" },
                    (true, None) => (usage.limit.grouped()),
                    (true, Some(n)) => { (n.grouped()) " " s.quiet { (usage.limit.grouped()) } },
                }
            }
            td.n { @if let Some(left) = usage.remaining { (left.grouped()) } @else { span.quiet { "–" } } }
            td.n { @match usage.reset_ms {
                Some(ms) if usage.is_used() => (time(ms)),
                _ => span.quiet { "–" },
            } }
        }
    }
}

/// Renders a bar of `share` thousandths, as a picture of the numbers beside it.
pub fn bar(share: u64, class: &str) -> Markup {
    // The minimum width keeps a small share visible.
    let width = if share == 0 { 0 } else { share.max(8) };
    html! {
        svg.bar.(class) viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="1000" height="10" {}
            rect.part width=(width) height="10" {}
        }
    }
}
