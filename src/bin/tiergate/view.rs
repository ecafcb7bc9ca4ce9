//! A status as lines of text, for a screen and for `--once`.
//!
//! All text from the network passes [`visible`].

use crate::show::{binary, lasted, share, times};
use crate::table::{Column, Line, Look, paragraph, table};
use crate::visible::visible;
use std::time::Duration;
use tiergate::admin::overload::{AdaptiveView, OverloadStatus};
use tiergate::admin::status::{
    FeedView, RefusalsView, RefusedAccountView, RefusedView, Status, TierView,
};
use tiergate::limiter::FleetStatus;
use tiergate::shared::Fill;
use tiergate::text::number;

/// The characters of a digest that are shown.
const SHORT_DIGEST: usize = 8;
/// The text for data that an older filter does not report.
const NOT_REPORTED: &str = "not reported by this filter";

/// The age of outdated data, and its reason.
pub struct Stale {
    pub age: Duration,
    pub reason: String,
}

/// Lays out a status, on lines of at most `width` columns.
pub fn view(status: &Status, stale: Option<&Stale>, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |look, label: &str, words: &str| {
        lines.extend(paragraph(look, label, words, width));
    };
    if let Some(Stale { age, reason }) = stale {
        let words = format!("data of {} ago, trying again: {reason}", lasted(*age));
        say(Look::Alarm, "OLD", &words);
    }
    say(Look::Heading, "tiergate", &head(status));
    if status.ready == Some(false) {
        let words = "not ready: accounts that it does not hold get not_ready";
        say(Look::Alarm, "directory", words);
    }
    if let Some(words) = other_tables(status) {
        let look = match status.has_two_tables() {
            true => Look::Alarm,
            false => Look::Plain,
        };
        say(look, "configs", &words);
    }
    say(Look::Plain, "load", &in_force(&status.tiers));
    by_whom(&status.load)
        .iter()
        .for_each(|w| say(Look::Plain, "", w));
    if let Some(feed) = &status.feed {
        let failing = feed.failures > 0;
        let look = if failing { Look::Alarm } else { Look::Plain };
        say(look, "feed", &pulled(feed));
    }
    if let Some(fleet) = &status.fleet {
        let look = if fleet.away { Look::Alarm } else { Look::Plain };
        say(look, "fleet", &in_fleet(fleet));
    }
    if status.refusals == RefusalsView::default() {
        say(Look::Plain, "refused", NOT_REPORTED);
    } else {
        lines.extend(refused(&status.refusals, width));
    }
    // The least urgent data comes last: a small screen has no room for it.
    let room = room(status);
    if !room.is_empty() {
        lines.push(Line::new(Look::Plain, String::new()));
    }
    for (label, words) in room {
        lines.extend(paragraph(Look::Plain, label, &words, width));
    }
    lines
}

/// Describes the stored data.
fn room(status: &Status) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for (label, fill) in [("ledger", &status.ledger), ("directory", &status.directory)] {
        if fill.pages > 0 {
            all.push((label, filled(fill)));
        }
    }
    let memory = &status.memory;
    if memory.bound > 0 {
        let (bytes, bound) = (binary(memory.bytes), binary(memory.bound));
        all.push(("memory", format!("{bytes} of at most {bound}")));
    }
    all
}

fn head(status: &Status) -> String {
    let mut words = vec![visible(&status.namespace)];
    words.extend(match status.mode.as_str() {
        "" => None,
        "shadow" => Some("shadow (nothing is refused)".to_owned()),
        mode => Some(visible(mode)),
    });
    words.extend(status.live_vms.map(|n| match n {
        // A worker takes its slot with a request, and gives it back when it is idle.
        0 => "no worker busy".to_owned(),
        1 => "1 worker".to_owned(),
        n => format!("{} workers", number(u64::try_from(n).unwrap_or(u64::MAX))),
    }));
    if !status.config.is_empty() {
        let short: String = status.config.chars().take(SHORT_DIGEST).collect();
        words.push(format!("config {}", visible(&short)));
    }
    words.extend(match status.ready {
        Some(true) => Some("ready".to_owned()),
        Some(false) => Some("NOT READY".to_owned()),
        None => None,
    });
    words.join(", ")
}

/// Describes configs that judge by other tiers than the one in force.
fn other_tables(status: &Status) -> Option<String> {
    let since = status.tables_differ_s?;
    let other = status.configs.iter().filter(|one| !one.in_force);
    let named = other.map(|one| {
        let short: String = one.config.chars().take(SHORT_DIGEST).collect();
        visible(&short)
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let since = lasted(Duration::from_secs(since));
    Some(format!(
        "another table of tiers is alive for {since}, beside the one in force: {named}"
    ))
}

/// Describes the effective scale of each tier's limits.
fn in_force(tiers: &[TierView]) -> String {
    if tiers.is_empty() {
        return NOT_REPORTED.to_owned();
    }
    let scale = |tier: &TierView| Some(tier.scale).filter(|scale| lowers(*scale));
    let mut words: Vec<String> = tiers
        .iter()
        .filter_map(|tier| scale(tier).map(|s| format!("{} {}", visible(&tier.name), times(s))))
        .collect();
    if words.is_empty() {
        return "all limits in full".to_owned();
    }
    if let [first, rest @ ..] = tiers
        && !rest.is_empty()
        && rest.iter().all(|tier| scale(tier) == scale(first))
    {
        return format!("all tiers {}", times(first.scale));
    }
    if words.len() < tiers.len() {
        words.push("the others in full".to_owned());
    }
    words.join(", ")
}

/// True when a scale differs from 1.
fn lowers(scale: f64) -> bool {
    (scale - 1.0).abs() > 1e-6
}

/// Describes each cause of lowered limits, and its remaining time.
fn by_whom(load: &OverloadStatus) -> Vec<String> {
    let mut all = Vec::new();
    let lowers = lowers(load.scale);
    if load.ttl_ms.is_some() || lowers || !load.tiers.is_empty() {
        let mut scales = Vec::new();
        if lowers || load.tiers.is_empty() {
            scales.push(format!("all {}", times(load.scale)));
        }
        let tiers = load.tiers.iter();
        scales.extend(tiers.map(|(name, scale)| format!("{} {}", visible(name), times(*scale))));
        let left = load.ttl_ms.map(|ms| lasted(Duration::from_millis(ms)));
        let left = left
            .map(|left| format!(", {left} left"))
            .unwrap_or_default();
        all.push(format!("manual: {}{left}", scales.join(", ")));
    }
    all.extend(load.auto.as_ref().map(by_itself));
    all
}

fn by_itself(auto: &AdaptiveView) -> String {
    let from = match auto.from.as_str() {
        // The policy is in another config of the namespace, with either origin.
        "" => "adaptive".to_owned(),
        "overload" => "by overload".to_owned(),
        "header" => "by the upstream's load".to_owned(),
        from => format!("by the upstream's load ({})", visible(from)),
    };
    let load = auto.load.map_or_else(|| "not known".to_owned(), share);
    let pressure = auto.pressure.map(|p| format!(", pressure {}", share(p)));
    format!("{from}: load {load}{}", pressure.unwrap_or_default())
}

fn filled(fill: &Fill) -> String {
    let looked_at = fill.looked_at.min(fill.pages);
    let (pages, counted) = (number(fill.pages.into()), number(looked_at.into()));
    let fullest = format!(", fullest page {}", number(fill.fullest));
    let all = fill.all_records();
    match looked_at < fill.pages {
        true => format!("{all} accounts, counted on {counted} of {pages} pages{fullest}"),
        false => format!("{all} accounts on {pages} pages{fullest}"),
    }
}

fn pulled(feed: &FeedView) -> String {
    let age = feed.age_ms.map(Duration::from_millis);
    let mut words = vec![match age {
        Some(age) => format!("{} old", lasted(age)),
        None => "of unknown age".to_owned(),
    }];
    if feed.loading {
        words.push("loading".to_owned());
    }
    if feed.failures > 0 {
        let failures = number(feed.failures.into());
        words.push(format!("{failures} failures in a row"));
    }
    words.join(", ")
}

/// Describes this edge's part in the fleet.
fn in_fleet(fleet: &FleetStatus) -> String {
    let age = fleet.heard_ms_ago.map(Duration::from_millis);
    let mut words = vec![match fleet.edges {
        0 => "no answer yet".to_owned(),
        1 => "1 edge".to_owned(),
        n => format!("{} edges", number(n.into())),
    }];
    words.extend(age.map(|age| format!("last answer {} ago", lasted(age))));
    if fleet.away {
        words.push("the service is AWAY: on_failure decides".to_owned());
    }
    if fleet.losses > 0 {
        let losses = number(fleet.losses.into());
        words.push(format!("the store lost writes {losses} times"));
    }
    words.join(", ")
}

fn refused(refusals: &RefusalsView, width: usize) -> Vec<Line> {
    let (limits, accounts) = (&refusals.by_limit, &refusals.accounts);
    if limits.is_empty() && accounts.is_empty() {
        let words = "nobody in the last 5 minutes";
        return paragraph(Look::Plain, "refused", words, width);
    }
    let blank = || Line::new(Look::Plain, String::new());
    let mut lines = vec![blank()];
    lines.extend(limits_table(limits, width));
    if !accounts.is_empty() {
        lines.push(blank());
        lines.extend(accounts_table(accounts, width));
    }
    if limits.iter().any(|r| r.overloaded) || accounts.iter().any(|r| r.overloaded) {
        let words = "over a limit that is lowered for load, and under it otherwise";
        lines.push(blank());
        lines.extend(paragraph(Look::Quiet, "*", words, width));
    }
    lines
}

fn limits_table(limits: &[RefusedView], width: usize) -> Vec<Line> {
    let head = [
        text("TIER"),
        text("REFUSED BY"),
        count("1 MIN"),
        count("5 MIN"),
    ];
    let rows = limits.iter().map(|row| {
        [
            name(&row.tier),
            marked(&row.code, row.overloaded, row.shadowed),
            number(row.last_minute),
            number(row.last_5_minutes),
        ]
    });
    table(&head, &rows.collect::<Vec<_>>(), width)
}

fn accounts_table(accounts: &[RefusedAccountView], width: usize) -> Vec<Line> {
    let head = [
        text("ACCOUNT"),
        text("TIER"),
        text("REFUSED BY"),
        count("TIMES"),
        count("AGO"),
    ];
    let rows = accounts.iter().map(|row| {
        [
            name(row.account.as_deref().unwrap_or_default()),
            name(&row.tier),
            marked(&row.code, row.overloaded, row.shadowed),
            number(row.count),
            lasted(Duration::from_secs(row.seconds_ago)),
        ]
    });
    table(&head, &rows.collect::<Vec<_>>(), width)
}

fn text(heading: &'static str) -> Column {
    Column {
        heading,
        number: false,
    }
}

fn count(heading: &'static str) -> Column {
    Column {
        heading,
        number: true,
    }
}

/// Returns an account's or a tier's name; "-" for an empty one.
fn name(name: &str) -> String {
    match name {
        "" => "-".to_owned(),
        name => visible(name),
    }
}

fn marked(code: &str, overloaded: bool, shadowed: bool) -> String {
    let load = if overloaded { "*" } else { "" };
    let shadow = if shadowed { " (shadow)" } else { "" };
    visible(code) + load + shadow
}

#[cfg(test)]
mod tests;
