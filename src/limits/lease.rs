//! The VMs that hold leases. Requests in flight are counted for each VM, so that those of a lost VM
//! can be dropped.

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
