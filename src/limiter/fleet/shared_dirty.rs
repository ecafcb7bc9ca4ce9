//! Accounts of all VMs that there may be something to say of (key `{namespace}/fleet-dirty`): one VM
//! speaks for the edge, or each account would be a call of each VM.

use crate::ledger::AccountKey;
use crate::order::in_order;
use crate::shared::Layout;
use crate::shared::cell::Content;
use serde::{Deserialize, Serialize};

/// The maximum number of accounts; the walk over the pages finds the others.
pub const MOST_DIRTY: usize = 4_096;

/// The accounts, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirtyAccounts(Vec<AccountKey>);

impl Content for DirtyAccounts {
    const LAYOUT: Layout = Layout {
        name: "the accounts to tell the fleet of",
        version: 1,
        kind: b'U',
    };
    const KEY: &'static str = "fleet-dirty";

    fn is_valid(&self) -> bool {
        self.0.len() <= MOST_DIRTY
    }
}

impl DirtyAccounts {
    /// Adds accounts, as far as there is room.
    pub fn add(&mut self, keys: impl Iterator<Item = AccountKey>) {
        self.0.extend(keys);
        self.0 = in_order(std::mem::take(&mut self.0), |key| *key);
        self.0.dedup();
        self.0.truncate(MOST_DIRTY);
    }

    /// Takes all accounts.
    pub fn take(&mut self) -> Vec<AccountKey> {
        std::mem::take(&mut self.0)
    }
}
