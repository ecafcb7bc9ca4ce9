//! The part `fleet` of the config.

use super::FleetAccount;
use super::message::LossRule;
use super::policy::{CutOff, FleetPolicy, OnFailure};
use crate::http::endpoint::Endpoint;
use crate::json::values::{Count, Duration};
use crate::json::{Invalid, Object, in_range};
use crate::time::Span;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The path of the service's call.
const PATH: &str = "/v1/step";
/// The time between reports: a shorter one costs calls, a longer one leaves allowances stranded.
const SYNC: (Span, Span) = (Span::from_millis(50), Span::from_secs(1));
/// The longest wait for an answer.
const TIMEOUT: (Span, Span) = (Span::from_millis(5), Span::from_secs(1));
/// The largest number of edges.
const MOST_EDGES: u64 = 10_000;
/// The shortest secret, in bytes.
const SHORTEST_KEY: usize = 16;

/// The fleet as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FleetConfig {
    /// The Envoy cluster of the service.
    cluster: String,
    /// The host of the call.
    authority: String,
    /// The time between reports, `50ms` to `1s`.
    sync: Option<Duration>,
    /// The longest wait for an answer, `5ms` to `1s`.
    timeout: Option<Duration>,
    /// The rule while the service is away.
    on_failure: Option<OnFailure>,
    /// The rule of the store after a loss.
    after_loss: Option<LossRule>,
    /// The rule for requests in flight on an edge that is cut off.
    cut_off: Option<CutOff>,
    /// The least number of edges that a limit is shared among.
    #[cfg_attr(feature = "cli", schemars(range(min = 1, max = MOST_EDGES)))]
    edges: Option<Count>,
    /// A secret of at least 16 bytes that hides account ids from the store.
    key: Option<String>,
    /// A bearer token for the service.
    token: Option<String>,
}

/// The fleet of a config.
#[derive(Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The service.
    pub to: Endpoint,
    /// The rules.
    pub policy: FleetPolicy,
    key: Option<String>,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", self.policy, self.to)
    }
}

impl Fleet {
    /// Checks the fleet.
    ///
    /// # Errors
    /// [`Invalid`] for the first field that is wrong.
    pub fn check(Object(written): Object<FleetConfig>) -> Result<Self, Invalid> {
        let to = Endpoint {
            cluster: written.cluster,
            authority: written.authority,
            path: PATH.to_owned(),
            token: written.token,
        };
        let span = |at: &str, written: Option<Duration>, usual: u64, (from, to): (Span, Span)| {
            let span = written.map_or(Span::from_millis(usual), |d| d.0);
            in_range(at, span, from..=to)
        };
        let key = written.key;
        if key.as_ref().is_some_and(|key| key.len() < SHORTEST_KEY) {
            let problem = format!("shorter than {SHORTEST_KEY} bytes: it is a secret");
            return Err(Invalid::new("fleet.key", problem));
        }
        let edges = written.edges;
        let edges = edges.map(|Count(n)| in_range("fleet.edges", n, 1..=MOST_EDGES));
        let edges = edges.transpose()?.and_then(|n| u32::try_from(n).ok());
        Ok(Self {
            to: to.check("fleet")?,
            policy: FleetPolicy {
                sync: span("fleet.sync", written.sync, 250, SYNC)?,
                timeout: span("fleet.timeout", written.timeout, 50, TIMEOUT)?,
                on_failure: written.on_failure.unwrap_or_default(),
                after_loss: written.after_loss.unwrap_or_default(),
                cut_off: written.cut_off.unwrap_or_default(),
                least_edges: edges.unwrap_or(0),
            },
            key,
        })
    }

    /// Returns an account's name in the fleet: the first half of SHA-256 over the key, if there is
    /// one, a zero byte and the id.
    pub fn account(&self, id: &[u8]) -> FleetAccount {
        let key = self.key.as_deref().unwrap_or_default();
        let mut digest = Sha256::new();
        digest.update(key.as_bytes());
        digest.update([0]);
        digest.update(id);
        let digest = digest.finalize();
        FleetAccount(digest.first_chunk().copied().unwrap_or_default())
    }
}
