//! Notices: one POST to a receiver when an account first comes to a share of a limit.
//!
//! The rule is in [`crate::limits::notice`]. Here is what a notice says, to whom it goes, and the
//! outbox that a VM keeps it in until the receiver has it.

pub mod config;
pub mod outbox;

pub use config::Notices;
pub use outbox::{Letter, Outbox};

use crate::http::sha256::sha256_hex;
use crate::limits::Shown;
use crate::limits::notice::Crossing;
use crate::time::Wall;
use crate::zone::rfc3339;
use serde::Serialize;

/// The account that a notice is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// The account's id, as operators read it.
    pub account: String,
    /// The tier's name.
    pub tier: String,
}

/// The body of a POST.
#[derive(Debug, Serialize)]
struct Notice<'a> {
    id: String,
    namespace: &'a str,
    account: &'a str,
    tier: &'a str,
    limit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'static str>,
    share: f64,
    used: Shown,
    of: Shown,
    resets_at: String,
}

/// Returns the JSON body of a notice. The `id` is that of this crossing: of the account, the limit and
/// its size, the share, the end of the period, and the moment `now`. All tries send these bytes, so a
/// receiver can drop one that comes twice; after a reset, the same share is another crossing.
pub fn body(namespace: &str, to: &Addressee, crossing: &Crossing, now: Wall) -> Vec<u8> {
    let kind = crossing.kind;
    let end = now
        .as_millis()
        .saturating_add(crossing.resets_in.as_millis());
    // Two readings of the clock may differ by a little: an end is one to the second.
    let seconds = end.saturating_add(500).div_euclid(1_000);
    let resets_at = rfc3339::text(Wall::from_millis(seconds.saturating_mul(1_000)));
    let (limit, model) = (kind.as_str(), kind.model());
    let of = (
        namespace,
        &to.account,
        limit,
        model,
        crossing.percent,
        crossing.limit,
        &resets_at,
        now.as_millis(),
    );
    let mut id = sha256_hex(format!("{of:?}").as_bytes());
    id.truncate(32);
    let notice = Notice {
        id,
        namespace,
        account: &to.account,
        tier: &to.tier,
        limit,
        model,
        share: f64::from(crossing.percent) / 100.0,
        used: kind.used(crossing.used),
        of: kind.used(crossing.limit),
        resets_at,
    };
    // Strings and numbers always serialise.
    serde_json::to_vec(&notice).unwrap_or_default()
}
