//! Leases: requests in flight, counted per VM slot, so that those of a lost VM can be dropped.

/// The VM of a lease: its slot, and its number among the VMs of that slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The slot, 0 to 255.
    pub slot: u16,
    /// The number of the VM in the slot, from 1.
    pub generation: u32,
}

/// Tells which VMs are alive.
pub trait Liveness {
    /// False only when the holder's VM is known to be lost.
    fn is_alive(&self, holder: Holder) -> bool;
}

/// The leases of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// The count (at least 1) of each holder.
    pub counts: Vec<(Holder, u32)>,
}

impl Leases {
    /// True when there is no lease.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns the number of all leases.
    pub fn count(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum: u64, (_, n)| sum.saturating_add(u64::from(*n)))
    }

    /// Drops the leases of lost VMs and returns their number.
    pub fn forget_stale(&mut self, liveness: &dyn Liveness) -> u64 {
        let before = self.count();
        self.counts.retain(|(holder, _)| liveness.is_alive(*holder));
        before.saturating_sub(self.count())
    }

    /// Adds a lease of `holder`.
    pub fn acquire(&mut self, holder: Holder) {
        match self.counts.iter_mut().find(|(h, _)| *h == holder) {
            Some((_, n)) => *n = n.saturating_add(1),
            None => self.counts.push((holder, 1)),
        }
    }

    /// Removes a lease of `holder`; does nothing when its leases were dropped before.
    pub fn release(&mut self, holder: Holder) {
        if let Some((_, n)) = self.counts.iter_mut().find(|(h, _)| *h == holder) {
            *n = n.saturating_sub(1);
        }
        self.counts.retain(|(_, n)| *n > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Holder = Holder {
        slot: 1,
        generation: 1,
    };
    const A2: Holder = Holder {
        slot: 1,
        generation: 2,
    };

    struct Lost(Holder);
    impl Liveness for Lost {
        fn is_alive(&self, holder: Holder) -> bool {
            holder != self.0
        }
    }

    #[test]
    fn a_late_release_of_a_forgotten_lease_takes_nothing_from_others() {
        let mut leases = Leases::default();
        leases.acquire(A);
        leases.acquire(A2);
        assert_eq!(leases.forget_stale(&Lost(A)), 1);
        leases.release(A);
        assert_eq!(leases.count(), 1);
        leases.release(A2);
        leases.release(A2);
        assert!(leases.is_empty());
    }
}
