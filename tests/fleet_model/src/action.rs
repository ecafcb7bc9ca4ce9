//! What can happen next.

use crate::Amounts;
use crate::message::Packet;
use std::fmt;

/// One step of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Tick,
    /// A request asks the store for what it needs.
    Ask {
        edge: usize,
        need: Amounts,
    },
    /// What is used is told, and what is held is kept.
    Report {
        edge: usize,
    },
    GiveBack {
        edge: usize,
    },
    Admit {
        edge: usize,
        reserved: Amounts,
        used: Amounts,
    },
    Settle {
        edge: usize,
        admission: usize,
    },
    /// A request ends, and its lease is held again.
    End {
        edge: usize,
    },
    /// A packet arrives; a double of it may stay in the network.
    Arrive {
        packet: Packet,
        stays: bool,
    },
    Restart {
        edge: usize,
    },
    /// The store loses what it wrote since the last tick began.
    Rollback,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick => write!(f, "a tick"),
            Self::Ask { edge, need } => write!(f, "edge {edge} asks for {need:?}"),
            Self::Report { edge } => write!(f, "edge {edge} reports"),
            Self::GiveBack { edge } => write!(f, "edge {edge} gives back"),
            Self::Admit {
                edge,
                reserved,
                used,
            } => write!(
                f,
                "edge {edge} admits {reserved:?}, which will use {used:?}"
            ),
            Self::Settle { edge, admission } => {
                write!(f, "edge {edge} settles its admission {admission}")
            }
            Self::End { edge } => write!(f, "a request of edge {edge} ends"),
            Self::Arrive { packet, stays } => {
                write!(
                    f,
                    "{packet} arrives{}",
                    if *stays { ", and will again" } else { "" }
                )
            }
            Self::Restart { edge } => write!(f, "edge {edge} restarts"),
            Self::Rollback => write!(f, "the store forgets this tick"),
        }
    }
}
