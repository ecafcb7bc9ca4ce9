//! The phases of an exchange, and the data that each of them owns.
//!
//! ```text
//!                 New
//!                  |  request headers
//!      +-----------+------------+-----------------------+
//!      v                        v                       v
//!  AwaitingBody              (check)              AwaitingCall
//!      |  body, trailers,       |                       |  body, trailers,
//!      |  body given up, or an  |                       |  or body given up
//!      |  early response        |                       |
//!      +-----> (check) <--------+                       |
//!                 |                                     |
//!      +----------+----------+--------------------+     |
//!      v                     v                    v     v
//!  Forwarded <---------- Queued ---------------> Answered
//!      |       admitted      |  refused             |
//!      |                     | +--+                 |
//!      |                     |    | still no lease  |
//!      |                     | <--+                 |
//!      |  settle             |  leave the queue     |
//!      +----------> Done <---+----------------------+
//! ```
//!
//! Every phase can end in `Done`, however the stream ends. The exchange takes a phase out before
//! it acts on it, so no order of callbacks can settle an admission twice.

use super::forwarded::ForwardedRequest;
use super::own_path::AdminCall;
use super::request_body::AwaitingBody;
use super::response::ResponsePlan;
use crate::limiter::Ticket;
use crate::reply::Client;

/// The phase of one exchange.
#[derive(Debug)]
pub enum Phase {
    /// No callback has come.
    New,
    /// The limiter decides once the body of the request is here.
    AwaitingBody(AwaitingBody),
    /// The admin call is answered once its body is here.
    AwaitingCall(Box<AdminCall>),
    /// The request waits for a lease.
    Queued(Queued),
    /// The request goes to the upstream.
    Forwarded(Box<ForwardedRequest>),
    /// The filter sent the response itself.
    Answered,
    /// The stream has ended; no lease or queue entry is left.
    Done,
}

/// A request that waits for a lease.
#[derive(Debug)]
pub struct Queued {
    /// The position in the limiter's queue.
    pub ticket: Box<Ticket>,
    /// The client of a refusal.
    pub client: Client,
    /// The way to read the response.
    pub plan: ResponsePlan,
}

/// The reason for a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PausedFor {
    /// The body of the request is not here.
    Body,
    /// No lease of the account is free.
    Lease,
}

/// The host action after a callback of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a request that is paused and not registered never goes on"]
pub enum Flow {
    /// Envoy continues the request.
    Continue,
    /// Envoy keeps the request paused: it is answered, or a later callback continues it.
    Hold,
    /// Envoy pauses the request; the caller registers it as paused.
    Pause(PausedFor),
}

impl Phase {
    /// Takes the phase out and leaves `Done`.
    pub const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Done)
    }

    /// Returns the wait that the registry of paused requests can end.
    pub const fn paused_for(&self) -> Option<PausedFor> {
        match self {
            Self::AwaitingBody(awaiting) if awaiting.headers_held => Some(PausedFor::Body),
            Self::AwaitingCall(_) => Some(PausedFor::Body),
            Self::Queued(_) => Some(PausedFor::Lease),
            Self::New | Self::AwaitingBody(_) | Self::Forwarded(_) => None,
            Self::Answered | Self::Done => None,
        }
    }

    /// Returns the host action for a callback that does not change the phase.
    pub const fn flow(&self) -> Flow {
        match self {
            Self::AwaitingBody(_) | Self::AwaitingCall(_) | Self::Queued(_) => Flow::Hold,
            Self::New | Self::Forwarded(_) | Self::Answered | Self::Done => Flow::Continue,
        }
    }
}
