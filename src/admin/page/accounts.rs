//! The newest refused accounts, each with a link to its look-up.

use super::sections::reason;
use crate::admin::status::{RefusedAccountView, Status};
use crate::text::{number, time};
use maud::{Markup, html};

/// Renders the newest refused accounts.
pub fn newest(status: &Status) -> Markup {
    let accounts = &status.refusals.accounts;
    html! {
        section #accounts data-live aria-labelledby="h-accounts" {
            h2 #h-accounts { "Newest refused accounts" }
            div.scroll.tall tabindex="0" role="region" aria-labelledby="h-accounts" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Account" }
                            th scope="col" { "Tier" }
                            th scope="col" { "Reason" }
                            th.n scope="col" { "Refused" }
                            th.n scope="col" { "Ago" }
                        }
                    }
                    tbody {
                        @for refused in accounts { (row(refused)) }
                        @if accounts.is_empty() {
                            tr { td.none colspan="5" { "None in the last 5 minutes." } }
                        }
                    }
                }
            }
        }
    }
}

fn row(refused: &RefusedAccountView) -> Markup {
    html! {
        tr {
            td.id { bdi { (account(refused)) } }
            td { (refused.tier) }
            td { (reason(&refused.code, refused.overloaded, refused.shadowed)) }
            td.n { (number(refused.count)) }
            td.n { (time(refused.seconds_ago.saturating_mul(1000))) }
        }
    }
}

fn account(refused: &RefusedAccountView) -> Markup {
    html! {
        @match (&refused.account, &refused.id) {
            (Some(account), Some(id)) => a href={ "?account=" (id) } { (account) },
            (Some(account), None) => (account),
            (None, _) => span.quiet { "no account given" },
        }
    }
}
