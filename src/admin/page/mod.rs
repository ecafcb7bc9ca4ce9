//! The HTML page at `{p}/`: the state of the filter. The page has no outside assets. Its one script
//! fetches the page again and applies the changes.
//!
//! Text from clients is made safe by [`visible`](crate::http::visible::visible) and then escaped by
//! `maud`. The content security policy allows only that script, by its hash.

mod accounts;
mod fleet;
mod look_up;
mod overload;
mod sections;

pub use look_up::{LookUp, LookUpResult};

use super::AdminResponse;
use super::status::Status;
use crate::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Renders the page, with the result of a look-up.
pub fn response(status: &Status, look_up: Option<&LookUp>) -> AdminResponse {
    AdminResponse {
        status: 200,
        headers: vec![
            ("content-type", "text/html; charset=utf-8".to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("content-security-policy", policy()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("referrer-policy", "no-referrer".to_owned()),
        ],
        body: page(status, look_up).into_string().into_bytes(),
        writes: Vec::new(),
    }
}

/// Redirects to the page, whose relative links need the final slash. The location is relative too,
/// so that it works behind a proxy that removes a path prefix.
pub fn with_slash(config: &Config) -> AdminResponse {
    let path = config.admin.as_ref().map_or("", |admin| &admin.path);
    let last = path.rsplit('/').next().unwrap_or_default();
    AdminResponse {
        status: 308,
        headers: vec![
            ("location", format!("{last}/")),
            ("cache-control", "no-store".to_owned()),
        ],
        body: Vec::new(),
        writes: Vec::new(),
    }
}

/// Returns the content security policy: only this page's style and script. The `data:` icon keeps
/// browsers from requesting one.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

fn page(status: &Status, look_up: Option<&LookUp>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "tiergate · " (status.namespace) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(status))
                main {
                    (sections::now(status))
                    (look_up::form(look_up))
                    (look_up::result(look_up))
                    (overload::section(status))
                    (fleet::section(status.fleet.as_ref()))
                    (sections::refusals(status))
                    (accounts::newest(status))
                    (sections::tiers(status))
                    (sections::pages(status))
                }
                footer {
                    "The same as JSON: " a href="status" { "status" }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn header(status: &Status) -> Markup {
    let (mode, says) = match status.mode.as_str() {
        "shadow" => (
            "shadow",
            "(all is let through; refusals are what would have been)",
        ),
        _ => ("enforce", "(over a limit is refused)"),
    };
    let live_vms = status.live_vms.unwrap_or_default();
    let digest: String = status.config.chars().take(12).collect();
    html! {
        header {
            h1 { "tiergate" }
            div #facts data-live {
                span.fact { span.key { "namespace" } " " code { (status.namespace) } }
                span.fact { span.key { "config in force" } " " code { (digest) } }
                span.fact { span.key { "mode" } " " span.mode.(mode) { (mode) } " " span.quiet { (says) } }
                span.fact { span.key { "workers busy" } " " b { (live_vms) } @if live_vms == 0 { span.quiet { " (none has had a request in the last 2 s)" } } }
            }
            @if status.has_two_tables() {
                p.warn {
                    "Configs with different tiers, families or windows are alive for longer than a drain: two listeners of this "
                    "namespace judge the same accounts by different tables. Give both the same, or a namespace of its own to each."
                }
            }
            p #stale role="status" {}
        }
    }
}
