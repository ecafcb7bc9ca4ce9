//! The part `notices` of the config.

use crate::http::endpoint::Endpoint;
use crate::json::{Invalid, Object};
use crate::limits::notice::Shares;
use crate::tiers::{Tier, TierTable};
use serde::Deserialize;

/// The notices as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NoticesConfig {
    /// 1 to 8 shares of a limit, from 0.01 to 1.0.
    #[cfg_attr(feature = "cli", schemars(length(min = 1, max = Shares::MOST), inner(range(min = 0.01, max = 1.0))))]
    at: Vec<f64>,
    /// The receiver.
    to: Object<ReceiverConfig>,
}

/// The receiver as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct ReceiverConfig {
    /// The Envoy cluster of the receiver.
    cluster: String,
    /// The host of the call.
    authority: String,
    /// The path of the call.
    path: String,
    /// A bearer token for the receiver.
    token: Option<String>,
}

/// The notices of a config.
#[derive(Clone, Debug, PartialEq)]
pub struct Notices {
    /// The shares at which an account is noticed.
    pub shares: Shares,
    /// The receiver.
    pub to: Endpoint,
}

impl Notices {
    /// Checks the notices.
    ///
    /// # Errors
    /// [`Invalid`] for the first field that is wrong.
    pub fn check(
        Object(written): Object<NoticesConfig>,
        tiers: &TierTable,
    ) -> Result<Self, Invalid> {
        let percents = written.at.iter().map(|share| percent(*share)).collect();
        let shares: Option<Vec<u8>> = percents;
        let Some(shares) = shares.and_then(Shares::new) else {
            let problem = "1 to 8 different shares from 0.01 to 1.0, with at most two decimals";
            return Err(Invalid::new("notices.at", problem));
        };
        let mut limits = tiers.iter().map(Tier::all_limits);
        if !limits.any(|limits| limits.finite().any(|(kind, _)| kind.is_noticed())) {
            let problem = "no tier has a limit that is noticed: give one a limit on a day, a week, a \
                           month or money, such as tpd, or leave notices out; own limits of accounts \
                           alone are not enough";
            return Err(Invalid::new("notices.at", problem));
        }
        let Object(to) = written.to;
        let to = Endpoint {
            cluster: to.cluster,
            authority: to.authority,
            path: to.path,
            token: to.token,
        };
        Ok(Self {
            shares,
            to: to.check("notices.to")?,
        })
    }
}

/// Returns a share in percent; `None` for one that is no whole percent from 1 to 100.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be from 1 to 100"
)]
fn percent(share: f64) -> Option<u8> {
    let percent = (share * 100.0).round();
    let is_whole = (share * 100.0 - percent).abs() < 1e-9;
    (is_whole && (1.0..=100.0).contains(&percent)).then_some(percent as u8)
}
