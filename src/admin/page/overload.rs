//! The cause of lowered limits: an operator, the overload loop, or none.

use super::look_up::bar;
use crate::admin::overload::{AdaptiveView, OverloadStatus};
use crate::admin::status::Status;
use crate::text::time;
use maud::{Markup, html};

/// Renders the manual scales, the overload loop, and the effective scale of each tier.
pub fn section(status: &Status) -> Markup {
    let load = &status.load;
    let lowered = load.in_force.values().any(|scale| *scale < 1.0);
    html! {
        section #load.wide data-live aria-labelledby="h-load" {
            h2 #h-load { "Load" }
            @if !lowered { p { "Base limits are effective." } }
            @if let Some(left) = load.ttl_ms { (manual(load, left)) }
            @if let Some(auto) = &load.auto { (by_itself(auto)) }
            @if lowered { (scales(status)) }
        }
    }
}

fn manual(load: &OverloadStatus, left: u64) -> Markup {
    let rest = match load.tiers.is_empty() {
        true => "all tiers",
        false => "other tiers",
    };
    html! {
        p.facts {
            span.fact { "Manual:" }
            @for (tier, scale) in &load.tiers {
                span.fact { span.key { (tier) } " " b { (percent(*scale)) } }
            }
            span.fact { span.key { (rest) } " " b { (percent(load.scale)) } }
            span.fact { span.key { "ends in" } " " (time(left)) }
            @if let Some(ago) = load.set_ms_ago { span.fact { span.key { "set" } " " (time(ago)) " ago" } }
        }
    }
}

fn by_itself(auto: &AdaptiveView) -> Markup {
    let (from, what) = match auto.from.as_str() {
        "overload" => ("By overload:", "of answers overloaded"),
        _ => ("By the upstream's load:", "of what it takes"),
    };
    html! {
        p.facts {
            span.fact { (from) }
            span.fact { b { (percent(auto.load.unwrap_or_default())) } " " span.quiet { (what) } }
            span.fact { abbr.key title="0 %: no limit is lowered; 100 %: all tiers are at the floor" { "pressure" } " " b { (percent(auto.pressure.unwrap_or_default())) } }
        }
    }
}

fn scales(status: &Status) -> Markup {
    let in_force = &status.load.in_force;
    let names = status.tiers.iter().map(|tier| &tier.name);
    let tiers = names.filter_map(|name| Some((name, in_force.get(name)?)));
    html! {
        div.scroll.tall tabindex="0" role="region" aria-labelledby="h-load" {
            table.bars {
                thead { tr {
                    th scope="col" { "Tier" }
                    th scope="col" { span.sr { "Effective share of the limits" } }
                    th.n scope="col" { "Effective" }
                } }
                tbody {
                    @for (tier, scale) in tiers {
                        tr {
                            th scope="row" { (tier) }
                            td.share { (bar(per_mille(*scale), if *scale < 1.0 { "high" } else { "used" })) }
                            td.n { (percent(*scale)) }
                        }
                    }
                }
            }
        }
    }
}

fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 1000"
)]
fn per_mille(part: f64) -> u64 {
    (part * 1000.0).clamp(0.0, 1000.0) as u64
}
