//! The config in force, for those that judge nothing themselves (key `{namespace}/config`): an admin
//! listener answers by the tiers and the windows that traffic is judged by.

use super::{Claim, ConfigId, Work};
use crate::host::{Host, HostError};
use crate::shared::cell::{Content, SharedCell};
use crate::shared::{Layout, StoreError};
use serde::{Deserialize, Serialize};

/// The ticks from one look at the published config to the next, while this config is in force.
const LOOK_EVERY: u32 = 20;
/// The maximum size of a config, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// The config in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedConfig {
    /// The digest in hex; empty before the first config.
    pub digest: String,
    /// The config as canonical JSON, without secrets.
    pub json: String,
    /// True once requests came to it. Then only a config with requests takes its place.
    pub by_requests: bool,
}

impl Content for PublishedConfig {
    const LAYOUT: Layout = Layout {
        name: "the config in force",
        version: 1,
        kind: b'J',
    };
    const KEY: &'static str = "config";

    fn is_valid(&self) -> bool {
        self.json.len() <= MOST_BYTES
    }
}

/// One VM's part in publishing its config.
#[derive(Debug)]
pub struct Published {
    cell: SharedCell<PublishedConfig>,
    /// The digest of the VM's own config, and its JSON.
    own: (String, String),
    /// Ticks until the next look; 0 while another config may be published.
    rest: u32,
}

impl Published {
    /// Opens the published config; creates the shared value on the first start.
    ///
    /// # Errors
    /// The host's status.
    pub fn open(
        host: &dyn Host,
        namespace: &str,
        digest: &str,
        json: &str,
    ) -> Result<Self, HostError> {
        let cell = SharedCell::of(namespace);
        cell.create(host)?;
        Ok(Self {
            cell,
            own: (digest.to_owned(), json.to_owned()),
            rest: 0,
        })
    }

    /// Publishes the VM's own config where it is in force. Returns true when this VM was the one that
    /// published it.
    ///
    /// # Errors
    /// [`StoreError`] when the shared value can't be used.
    pub fn tick(&mut self, host: &dyn Host, claim: &Claim) -> Result<bool, StoreError> {
        if !claim.is_holder(Work::Admin) {
            self.rest = 0;
            return Ok(false);
        }
        if self.rest > 0 {
            self.rest = self.rest.saturating_sub(1);
            return Ok(false);
        }
        let by_requests = claim.has_requests();
        let (digest, json) = &self.own;
        let (stored, news) = self.cell.change(host, |stored, _| {
            if stored.digest == *digest {
                stored.by_requests |= by_requests;
                return false;
            }
            let other = ConfigId::start_of(&stored.digest);
            let stays = stored.by_requests && !by_requests && claim.is_alive(other);
            if !stays {
                *stored = PublishedConfig {
                    digest: digest.clone(),
                    json: json.clone(),
                    by_requests,
                };
            }
            !stays
        })?;
        if stored.digest == *digest && stored.by_requests {
            self.rest = LOOK_EVERY;
        }
        Ok(news)
    }

    /// Returns the config in force, unless it is the VM's own, or none was published.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub fn other(&self, host: &dyn Host) -> Result<Option<PublishedConfig>, StoreError> {
        let (stored, _) = self.cell.read(host)?;
        let is_other = !stored.digest.is_empty() && stored.digest != self.own.0;
        Ok(is_other.then_some(stored))
    }

    /// Takes the number of corrupt values that were replaced since the last call.
    pub fn take_corrupt(&self) -> u64 {
        self.cell.take_corrupt()
    }
}
