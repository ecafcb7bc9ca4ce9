//! The accounts that there may be something to say of to the fleet's service: those of all VMs, and
//! those that no VM knows of any more.

use super::super::Limiter;
use super::desk::Desk;
use crate::fleet::edge::Edge;
use crate::host::Host;
use crate::limits::record::{has_allowance, holds_allowance};
use crate::shared::StoreError;

/// The reports in which all pages are looked at: ten seconds of them.
const SWEEPS: u32 = 40;

impl Limiter {
    /// Passes the accounts that there may be something to say of on to the VM that speaks.
    pub(super) fn pass_on(&self, host: &dyn Host) -> Result<(), StoreError> {
        let desk = &mut self.vm.borrow_mut().desk;
        let Some(shared) = desk.shared.as_ref().filter(|_| !desk.dirty.is_empty()) else {
            return Ok(());
        };
        shared.change(host, |all, _| all.add(desk.dirty.iter().copied()))?;
        desk.dirty.clear();
        Ok(())
    }

    /// Takes over the accounts of all VMs that there may be something to say of, and looks for more.
    pub(super) fn gather(&self, host: &dyn Host) -> Result<(), StoreError> {
        let desk = &mut self.vm.borrow_mut().desk;
        let passed = match &desk.shared {
            Some(shared) => shared
                .change(host, |all, _| all.take())
                .map(|(_, keys)| keys),
            None => Ok(Vec::new()),
        };
        let taken = passed.map(|keys| desk.dirty.extend(keys));
        let walked = self.walk(host, desk);
        taken.and(walked)
    }

    /// Looks at a fortieth of the pages: for what a lost VM knew alone, and after a loss of the store
    /// for all accounts.
    fn walk(&self, host: &dyn Host, desk: &mut Desk) -> Result<(), StoreError> {
        let pages = self.ledger.pages();
        let losses = desk.edge.as_ref().map_or(0, Edge::losses);
        if desk.restated.0 != losses {
            desk.restated = (losses, pages);
        }
        let mut newer = Ok(());
        for _ in 0..pages.div_ceil(SWEEPS) {
            let tells_all = desk.restated.1 > 0;
            let is = match tells_all {
                true => has_allowance,
                false => holds_allowance,
            };
            let keys = match self.ledger.accounts_where(host, desk.next_page, is) {
                Ok(Some(keys)) => keys,
                Ok(None) => {
                    desk.next_page = 0;
                    continue;
                }
                // It stays so until the module goes, and hides no other page.
                Err(error @ StoreError::Newer(_)) => {
                    newer = Err(error);
                    Vec::new()
                }
                Err(error) => return Err(error),
            };
            match tells_all {
                true => desk.urgent.extend(keys),
                false => desk.dirty.extend(keys),
            }
            desk.restated.1 = desk.restated.1.saturating_sub(1);
            desk.next_page = desk.next_page.saturating_add(1);
        }
        newer
    }
}
