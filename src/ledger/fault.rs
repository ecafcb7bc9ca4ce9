//! The reason why the ledger could not be used, and its cause in the terms of `on_fault`.

use super::SlotError;
use crate::host::HostError;
use crate::shared::StoreError;

/// The reason why the ledger could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// This VM has no slot for leases.
    #[error("no VM slot: {0}")]
    Slot(#[from] SlotError),
    /// A stored value can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The cause of a fault, for which the config has an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCause {
    /// No VM slot is free.
    NoSlot,
    /// Other writers were faster at each try.
    LostRaces,
    /// The host failed.
    Host,
    /// The stored value is of a newer layout.
    NewerLayout,
}

impl Fault {
    /// Returns the cause.
    pub const fn cause(&self) -> FaultCause {
        match self {
            Self::Slot(SlotError::Full | SlotError::Overdue) => FaultCause::NoSlot,
            Self::Slot(SlotError::Store(error)) | Self::Store(error) => match error {
                StoreError::Newer(_) => FaultCause::NewerLayout,
                StoreError::Contended(..) => FaultCause::LostRaces,
                StoreError::Host(..) => FaultCause::Host,
            },
            Self::Host(_) => FaultCause::Host,
        }
    }
}
