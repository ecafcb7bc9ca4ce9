//! The page at `{p}/`: how the filter is, for people. All of it is HTML from here, without outside
//! assets; the one script only fetches the same page again and takes over what changed.
//!
//! What clients sent reaches the page as text that `maud` escapes, and is made safe to look at by
//! [`shown`](crate::http::visible::visible) before. The content security policy lets nothing run but
//! that script, by its hash.

mod accounts;
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

/// The page, with the account that was looked up.
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
    }
}

/// To the page, whose relative links need the slash at its end. The location is relative too, so
/// that it holds behind a proxy that takes a prefix off.
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
    }
}

/// Nothing is loaded and nothing runs but the style and the script of this page; the icon is empty,
/// or browsers would ask the host for one.
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
                span.fact { span.key { "config of this listener" } " " code { (digest) } }
                span.fact { span.key { "mode" } " " span.mode.(mode) { (mode) } " " span.quiet { (says) } }
                span.fact { span.key { "workers alive" } " " b { (live_vms) } @if live_vms == 0 { span.quiet { " (none has admitted a request yet)" } } }
            }
            p #stale role="status" {}
        }
    }
}
