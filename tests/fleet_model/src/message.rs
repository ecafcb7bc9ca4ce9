//! What edges and the store say to each other, as in protocol.md, section 2.

use crate::{Amounts, METERS, Time};
use std::fmt;

/// An edge's process, or a record's incarnation: (edge, life).
pub type Id = (u8, u8);

/// The three totals that an edge reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Totals {
    /// Spent of allowances.
    pub spent: Amounts,
    /// Used beyond reserves.
    pub extra: Amounts,
    /// Given back of what was spent.
    pub refund: Amounts,
}

/// Steps of a total since the last acknowledged one: (age or period or the store's time, total).
pub type Parts = [Vec<(Time, u8)>; METERS];

/// An ask, a report or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ask {
    pub id: Id,
    pub number: u8,
    /// Not sent: the answer brings it back, so that the model need not keep it elsewhere.
    pub sent_at: Time,
    pub gives_back: bool,
    /// The incarnation of the store that the edge saw last; 0 for none.
    pub store: u8,
    pub held: Amounts,
    pub spent: Parts,
    pub extra: Parts,
    pub refund: Parts,
    pub base: Totals,
    /// What the edge itself spent in the window, or in `period`.
    pub own: Amounts,
    pub period: Time,
    pub need: Amounts,
    /// Leases in process or held.
    pub leases: u8,
    pub lease: u8,
}

/// The store's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Answer {
    pub id: Id,
    pub number: u8,
    pub sent_at: Time,
    pub grant: Amounts,
    pub lease: u8,
    /// The store's incarnation.
    pub store: u8,
    /// The store's time.
    pub at: Time,
    pub period: Time,
    /// The time until the period ends.
    pub ends_in: Time,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Packet {
    Ask(Ask),
    Answer(Answer),
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(ask) => {
                let Ask {
                    id,
                    number,
                    sent_at,
                    ..
                } = ask;
                write!(
                    f,
                    "message {number} of edge {} (sent at {sent_at}: held {:?}",
                    id.0, ask.held
                )?;
                write!(f, ", spent {:?}, refund {:?})", ask.spent, ask.refund)
            }
            Self::Answer(answer) => {
                let Answer { id, number, .. } = answer;
                write!(
                    f,
                    "the answer to message {number} of edge {}: {:?}",
                    id.0, answer.grant
                )
            }
        }
    }
}
