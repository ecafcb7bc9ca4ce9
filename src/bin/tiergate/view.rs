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
    say(Look::Plain, "load", &in_force(&status.tiers));
    by_whom(&status.load)
        .iter()
        .for_each(|w| say(Look::Plain, "", w));
    if let Some(feed) = &status.feed {
        let failing = feed.failures > 0;
        let look = if failing { Look::Alarm } else { Look::Plain };
        say(look, "feed", &pulled(feed));
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
        // A worker takes its slot with the first admitted request.
        0 => "no worker admitted a request yet".to_owned(),
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
    let in_all = fill
        .records
        .saturating_mul(fill.pages.into())
        .checked_div(looked_at.into());
    match in_all {
        Some(0) if looked_at < fill.pages => {
            format!("no account on the {counted} of {pages} pages that were counted")
        }
        Some(about) if looked_at < fill.pages => format!(
            "about {} accounts, counted on {counted} of {pages} pages{fullest}",
            number(about)
        ),
        _ => format!(
            "{} accounts on {pages} pages{fullest}",
            number(fill.records)
        ),
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
mod tests {
    use super::*;
    use crate::visible::columns;

    const STATUS: &str = include_str!("../../../tests/cli/top/status.json");

    fn lines(json: &str, stale: Option<&Stale>, width: usize) -> Vec<String> {
        let status: Status = serde_json::from_str(json).unwrap();
        let lines = view(&status, stale, width);
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn eighty_columns_show_it_all() {
        let shown = lines(STATUS, None, 80).join("\n");
        let screen = include_str!("../../../tests/cli/top/screen_80.txt");
        assert_eq!(shown, screen.trim_end(), "\n{shown}");
    }

    #[test]
    fn forty_columns_show_it_all() {
        let shown = lines(STATUS, None, 40).join("\n");
        let screen = include_str!("../../../tests/cli/top/screen_40.txt");
        assert_eq!(shown, screen.trim_end(), "\n{shown}");
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let long = "x".repeat(500);
        let status = STATUS.replace("newcomer", &long).replace("tier0", &long);
        let stale = Stale {
            age: Duration::from_secs(75),
            reason: format!("can't connect: {long}"),
        };
        for width in [0, 1, 5, 12, 20, 40, 80, 120] {
            for line in lines(&status, Some(&stale), width) {
                assert!(columns(&line) <= width, "{width}: {line}");
            }
        }
        let wide = lines(STATUS, None, 120);
        assert!(
            wide.iter()
                .any(|l| l.contains("a-longer-account-id-of-somebody-who-pays"))
        );
    }

    #[test]
    fn what_was_let_through_in_shadow_mode_says_so() {
        let status = STATUS.replace(r#""code": "rpm","#, r#""code": "rpm", "shadowed": true,"#);
        assert_ne!(status, STATUS);
        let shown = lines(&status, None, 120).join("\n");
        assert_eq!(shown.matches("rpm (shadow)").count(), 2, "{shown}");
    }

    #[test]
    fn old_data_says_since_when_and_why() {
        let stale = Stale {
            age: Duration::from_secs(75),
            reason: "can't connect: connection refused".to_owned(),
        };
        let shown = lines(STATUS, Some(&stale), 120);
        let said = "data of 1m15s ago, trying again: can't connect: connection refused";
        assert!(shown[0].contains(said), "{}", shown[0]);
    }

    #[test]
    fn a_filter_that_reports_less_is_shown_with_less() {
        let shown = lines(r#"{"namespace": "n", "feed": null, "new": {}}"#, None, 80);
        assert_eq!(
            shown,
            [
                "tiergate   n",
                "load       not reported by this filter",
                "refused    not reported by this filter"
            ]
        );
    }

    #[test]
    fn a_filter_with_other_limits_and_modes_is_shown() {
        let shown = lines(
            r#"{"namespace": "n", "mode": "dry", "tiers": [{"name": "a", "limits": {"rph": 9}}]}"#,
            None,
            80,
        );
        let said = ["tiergate   n, dry", "load       all limits in full"];
        assert_eq!(shown[..2], said);
    }

    #[test]
    fn the_load_says_who_lowered_what() {
        let tier = |scale: f64| format!(r#"{{"name": "a", "scale": {scale}}}"#);
        for (tiers, load, said) in [
            (tier(1.0), "null", "load       all limits in full"),
            (tier(0.25), "null", "load       a x0.25"),
            (
                tier(1.0) + "," + &tier(0.5),
                "null",
                "load       a x0.5, the others in full",
            ),
            (
                tier(1.0),
                r#"{"scale": 0.5}"#,
                "           manual: all x0.5",
            ),
            (
                tier(1.0),
                r#"{"scale": 1, "ttl_ms": 61000}"#,
                "           manual: all x1, 1m01s left",
            ),
            (
                tier(1.0),
                r#"{"auto": {"from": "header", "load": 0.85, "pressure": 0.25}}"#,
                "           by the upstream's load: load 85%, pressure 25%",
            ),
            (
                tier(1.0),
                r#"{"auto": {"from": null, "load": 0.85, "pressure": 0.25}}"#,
                "           adaptive: load 85%, pressure 25%",
            ),
            (
                tier(0.5) + "," + &tier(0.5),
                "null",
                "load       all tiers x0.5",
            ),
            (
                tier(1.0),
                r#"{"auto": {"from": "overload", "load": null}}"#,
                "           by overload: load not known",
            ),
        ] {
            let json = format!(r#"{{"namespace": "n", "tiers": [{tiers}], "load": {load}}}"#);
            let shown = lines(&json, None, 80);
            assert!(shown.iter().any(|line| line == said), "{said}: {shown:?}");
        }
    }
}
