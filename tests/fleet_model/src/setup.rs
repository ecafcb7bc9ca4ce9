//! What a check has: limits, spans, faults, and the rules that are taken out.

use crate::{Amounts, METERS, Time};

/// A rule of the protocol that a check takes out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Use beyond a reserve never lowers what is outstanding (C1).
    ExtraApart,
    /// A refund goes through the store, not into the allowance (C2).
    RefundByStore,
    /// An answer counts only while its ask is pending and in time (H3).
    PendingAnswers,
    /// An allowance is good from the sending of its ask, not from the receipt of the answer (H1).
    GoodFromSending,
    /// The age of a use is never more than its true age (I4).
    TrueAges,
    /// A process has an identity of its own (H2).
    OwnIdentity,
    /// An edge says again what the store forgot (C4).
    Restatement,
    /// A message with a lower number than the last is without effect (H4).
    OlderIsStale,
    /// Only the first message after a write-off is netted against it (H5).
    NetOnce,
    /// The end of a period counts from the sending, as validity does (H6).
    EndFromSending,
    /// A request is admitted by all meters or by none (C3).
    AllOrNothing,
    /// `held` is absolute: the store forgets a grant whose answer was lost (H3).
    AbsoluteHeld,
    /// The leases of an edge without a heartbeat are freed (C6).
    DeadEpochs,
    /// Mended: a refund names the store's time by the early bound, not its age at sending.
    EarlyRefunds,
    /// Mended: a key that the store does not have is suspect while the incarnation is young.
    NewKeysSuspect,
    /// Mended: an edge that meets a new incarnation restates each account that it used.
    RestateAtOnce,
}

/// The size of a check.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The limit of each meter; 0 is no meter.
    pub limits: Amounts,
    /// The limit on leases; 0 is none.
    pub leases: u8,
    /// The length of a sliding window.
    pub window: Time,
    /// Meters count calendar periods of this length in place of windows.
    pub period: Option<Time>,
    /// The time from sending for which an allowance is good.
    pub life: Time,
    /// The time within which an answer counts.
    pub timeout: Time,
    /// The last moment.
    pub horizon: Time,
    /// Messages that an edge sends at most.
    pub messages: u8,
    /// Requests of one edge in the network at most.
    pub in_network: usize,
    /// Requests that are admitted at most.
    pub admissions: u8,
    /// What requests reserve, and what they use in the end.
    pub requests: Vec<(Amounts, Amounts)>,
    /// Messages that are delivered twice, at most.
    pub duplicates: u8,
    /// Restarts of an edge at most.
    pub restarts: u8,
    /// Whether the store may lose what it wrote in the last tick, once.
    pub rollback: bool,
    /// After a loss, closed for the window as well.
    pub strict: bool,
    /// The rules taken out.
    pub without: Vec<Rule>,
}

impl Setup {
    /// One meter of 2 in a window of 2, and no faults but late messages, which may be late for ever.
    pub fn window_of_two() -> Self {
        Self {
            limits: [2, 0],
            leases: 0,
            window: 2,
            period: None,
            life: 2,
            timeout: 1,
            horizon: 4,
            messages: 3,
            in_network: 1,
            admissions: 4,
            requests: vec![([1, 0], [1, 0])],
            duplicates: 0,
            restarts: 0,
            rollback: false,
            strict: true,
            without: Vec::new(),
        }
    }

    /// The same without a rule.
    pub fn without(mut self, rule: Rule) -> Self {
        self.without.push(rule);
        self
    }

    /// Whether a rule is kept.
    pub fn keeps(&self, rule: Rule) -> bool {
        !self.without.contains(&rule)
    }

    /// The meters that there are.
    pub fn meters(&self) -> impl Iterator<Item = usize> + use<> {
        let limits = self.limits;
        (0..METERS).filter(move |m| limits[*m] > 0)
    }

    /// The number of the period at that time.
    pub fn period_at(&self, now: Time) -> Time {
        self.period.map_or(0, |length| now / length)
    }

    /// The first moment of the next period.
    pub fn period_end(&self, now: Time) -> Time {
        self.period
            .map_or(Time::MAX, |length| (now / length + 1) * length)
    }

    /// The time for which a suspect account is closed.
    pub fn closing(&self) -> Time {
        let more = if self.strict { self.window } else { 0 };
        self.life + more
    }
}
