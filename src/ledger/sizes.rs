//! The sizes that the ledger has had: a config with a larger capacity makes it grow.
//!
//! A ledger of a new size has new pages. Each takes its records from one page of the size before,
//! since a new size is a multiple of it. The first use of a new page seals the old one, which
//! changes no more, and copies the records that belong to the new page. A sealed page still holds
//! its records for the other new pages, so any VM can finish what another began. A VM that does not
//! know of the growth finds a sealed page, and reads the sizes anew.

use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};
use serde::{Deserialize, Serialize};

/// The maximum number of sizes in the life of a process.
const MOST: usize = 16;

/// The sizes in pages, each a multiple of the one before; the last is in use. Empty before the
/// first growth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSizes(pub Vec<u32>);

/// The value of one namespace.
pub type StoredSizes = SharedCell<LedgerSizes>;

impl Content for LedgerSizes {
    const LAYOUT: Layout = Layout {
        name: "the sizes of the ledger",
        version: 1,
        kind: b'Z',
    };
    const KEY: &'static str = "ledger-sizes";

    fn is_valid(&self) -> bool {
        let pairs = || self.0.iter().zip(self.0.iter().skip(1));
        let grows = |(a, b): (&u32, &u32)| a < b && b.checked_rem(*a) == Some(0);
        self.0.len() <= MOST && !self.0.contains(&0) && pairs().all(grows)
    }
}

/// The effect of a config's capacity on the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapacityFit {
    /// The ledger stays as it is.
    Fits,
    /// The ledger needs this larger number of pages.
    Grows(u32),
    /// The config asks for less than the ledger has.
    Shrinks,
}

impl LedgerSizes {
    /// Returns the size in use; 0 for none.
    pub fn current(&self) -> u32 {
        self.0.last().copied().unwrap_or(0)
    }

    /// Returns the size before one of the sizes.
    pub fn before(&self, pages: u32) -> Option<u32> {
        let at = self.0.iter().position(|size| *size == pages)?;
        self.0.get(at.checked_sub(1)?).copied()
    }

    /// Compares the number of pages that a config asks for. A config of an earlier size fits: it
    /// may be the one that drains, or a rollback.
    pub fn fit(&self, asked: u32) -> CapacityFit {
        let current = self.current();
        if asked > current {
            let factor = asked.div_ceil(current.max(1));
            return match current.checked_mul(factor) {
                Some(pages) if self.0.len() < MOST => CapacityFit::Grows(pages),
                _ => CapacityFit::Shrinks,
            };
        }
        let is_earlier = self.0.contains(&asked);
        let made_it_grow = self.before(current).is_some_and(|before| asked > before);
        match is_earlier || made_it_grow {
            true => CapacityFit::Fits,
            false => CapacityFit::Shrinks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_grows_by_whole_factors_and_never_shrinks() {
        let sizes = LedgerSizes(vec![8, 24]);
        for (asked, fit) in [
            (25, CapacityFit::Grows(48)),
            (24, CapacityFit::Fits),
            (17, CapacityFit::Fits),
            (9, CapacityFit::Fits),
            (8, CapacityFit::Fits),
            (7, CapacityFit::Shrinks),
            (100, CapacityFit::Grows(120)),
        ] {
            assert_eq!(sizes.fit(asked), fit, "{asked}");
        }
        assert_eq!(LedgerSizes(vec![8]).fit(7), CapacityFit::Shrinks);
        assert_eq!((sizes.before(24), sizes.before(8)), (Some(8), None));
        assert!(sizes.is_valid() && !LedgerSizes(vec![8, 20]).is_valid());
    }
}
