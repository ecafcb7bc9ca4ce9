//! Headers for a scheduler behind the proxy: the objective of the tier, and a fairness id of the
//! account.
//!
//! The names are those of the Gateway API Inference Extension, whose endpoint picker reads them, as
//! llm-d's does. Only the edge knows them, so a client's own are taken off.

use crate::http::names::is_visible_ascii;
use crate::json::{Invalid, Named};
use crate::tiers::{TierId, TierTable};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// The header with the name of an objective.
const OBJECTIVE: &str = "x-gateway-inference-objective";
/// The header with the id of a flow, among which the scheduler is fair.
const FAIRNESS_ID: &str = "x-gateway-inference-fairness-id";
/// The headers that the filter sets, and takes off a client's request.
pub const HEADERS: [&str; 2] = [OBJECTIVE, FAIRNESS_ID];
/// The longest objective: the name of a Kubernetes object, in bytes.
const LONGEST_OBJECTIVE: usize = 253;
/// The shortest secret, in bytes.
const SHORTEST_KEY: usize = 16;

/// A request header that is set before the upstream.
pub type UpstreamHeader = (&'static str, String);

/// The scheduler as written in the config.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SchedulerConfig {
    /// The objective of each tier.
    objective: Option<Named<String>>,
    /// Give requests a fairness id, a keyed hash of the account.
    fairness: Option<bool>,
    /// A secret of at least 16 bytes: gateways with the same one agree on ids.
    key: Option<String>,
}

/// The headers for a scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduler {
    /// The objectives, by tier.
    objectives: Vec<(TierId, String)>,
    fairness: Option<FairnessKey>,
}

/// The key of the hash in a fairness id.
#[derive(Clone, PartialEq)]
enum FairnessKey {
    /// The secret of the ledger, which each Envoy process makes up.
    OfProcess,
    /// That of the config: gateways with the same one agree.
    OfConfig([u8; 16]),
}

impl std::fmt::Debug for FairnessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OfProcess => "OfProcess",
            Self::OfConfig(_) => "OfConfig",
        })
    }
}

impl Scheduler {
    /// Checks the scheduler.
    ///
    /// # Errors
    /// [`Invalid`] for an unknown tier, an objective that is no name, a key that is short or unused,
    /// and for nothing to set.
    pub fn check(written: SchedulerConfig, tiers: &TierTable) -> Result<Self, Invalid> {
        let mut objectives = Vec::new();
        for (name, objective) in written.objective.unwrap_or_default().0 {
            let path = format!("scheduler.objective.{name}");
            let Some(tier) = tiers.by_name(name.as_bytes()) else {
                return Err(Invalid::new(path, "there is no tier of this name"));
            };
            let fits = (1..=LONGEST_OBJECTIVE).contains(&objective.len());
            if !fits || !is_visible_ascii(&objective) {
                let problem = format!("{objective:?} is not the name of an objective");
                return Err(Invalid::new(path, problem));
            }
            objectives.push((tier, objective));
        }
        let is_fair = written.fairness.unwrap_or(false);
        let fairness = match written.key {
            Some(_) if !is_fair => {
                return Err(Invalid::new("scheduler.key", "needs \"fairness\": true"));
            }
            Some(key) if key.len() < SHORTEST_KEY => {
                let problem = format!("shorter than {SHORTEST_KEY} bytes: it is a secret");
                return Err(Invalid::new("scheduler.key", problem));
            }
            Some(key) => Some(FairnessKey::OfConfig(digest(&key))),
            None => is_fair.then_some(FairnessKey::OfProcess),
        };
        if objectives.is_empty() && fairness.is_none() {
            let problem = "sets nothing: name an objective, or \"fairness\": true";
            return Err(Invalid::new("scheduler", problem));
        }
        Ok(Self {
            objectives,
            fairness,
        })
    }

    /// Returns the headers for a request. `keyed` is a hash of 128 bits with the ledger's secret.
    pub fn headers(
        &self,
        tier: Option<TierId>,
        account: Option<&[u8]>,
        keyed: impl Fn(&[u8]) -> [u8; 16],
    ) -> Vec<UpstreamHeader> {
        let mut of_tier = self.objectives.iter().filter(|(of, _)| Some(*of) == tier);
        let objective = of_tier.next().map(|(_, name)| (OBJECTIVE, name.clone()));
        let fairness = self.fairness.as_ref().zip(account).map(|(key, account)| {
            let hash = match key {
                FairnessKey::OfConfig(key) => {
                    let mut hasher = SipHasher24::new_with_key(key);
                    hasher.write(account);
                    hasher.finish128().as_u128()
                }
                // Another domain than the ledger's own keys, which stay secret.
                FairnessKey::OfProcess => {
                    u128::from_le_bytes(keyed(&[b"\0fairness\0", account].concat()))
                }
            };
            (FAIRNESS_ID, format!("{hash:032x}"))
        });
        objective.into_iter().chain(fairness).collect()
    }
}

/// Returns the first half of a text's SHA-256.
fn digest(text: &str) -> [u8; 16] {
    let digest = Sha256::digest(text.as_bytes());
    digest.first_chunk().copied().unwrap_or_default()
}
