//! The fleet on the page: this edge's part in it, and an account's use over all edges.

use crate::limiter::{FleetStatus, FleetUse, MeterUse};
use crate::text::{number, time};
use maud::{Markup, html};

/// Renders this edge's part in the fleet; nothing without one.
pub fn section(status: Option<&FleetStatus>) -> Markup {
    html! {
        section #fleet.wide data-live aria-labelledby="h-fleet" hidden[status.is_none()] {
            @if let Some(status) = status {
                h2 #h-fleet { "Fleet" }
                p.facts {
                    span.fact { span.key { "edges" } " " b { @if status.edges == 0 { "not known" } @else { (number(status.edges.into())) } } }
                    span.fact { span.key { "this edge" } " " code { (status.edge) } }
                    span.fact { span.key { "last answer" } " " @if let Some(ms) = status.heard_ms_ago { (time(ms)) " ago" } @else { "none yet" } }
                    @if status.away { span.fact.warn { "the service is away: on_failure decides" } }
                    @if status.losses > 0 { span.fact.warn { "the store lost writes " (number(status.losses.into())) " times" } }
                }
            }
        }
    }
}

/// Renders what this edge knows of an account's use over all edges; nothing for one that takes no part.
pub fn account(used: Option<&FleetUse>) -> Markup {
    html! {
        @if let Some(used) = used {
            div.scroll tabindex="0" role="region" aria-label="The account in the fleet" {
                table {
                    thead {
                        tr {
                            th scope="col" { "In the fleet" }
                            th.n scope="col" { "Used by all edges" }
                            th.n scope="col" { "Held here" }
                            th.n scope="col" { "Left" }
                            th.n scope="col" { "Limit" }
                        }
                    }
                    tbody { @for (name, one) in &used.meters.0 { (meter(name, one)) } }
                }
            }
            p.note {
                @match used.heard_ms_ago {
                    Some(ms) => { "As the store said " (time(ms)) " ago." },
                    None => "The store has not answered about this account yet.",
                }
                @if let Some(ms) = used.closed_ms { " It lost writes, and admits nothing for " (time(ms)) "." }
            }
        }
    }
}

fn meter(name: &str, one: &MeterUse) -> Markup {
    html! {
        tr {
            th scope="row" { code { (name) } }
            td.n { (number(one.used)) }
            td.n { (number(one.held)) }
            td.n { (number(one.left)) }
            td.n { (number(one.limit)) }
        }
    }
}
