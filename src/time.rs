//! Types for moments and spans, in milliseconds.
//!
//! [`Mono`] is for windows and expiry: one clock for all workers of an Envoy process, which lives
//! as long as shared data. [`Wall`] is only for calendar days. The host reads the clocks
//! ([`crate::host::Clock`]).

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// A span of zero.
    pub const ZERO: Self = Self(0);

    /// Returns a span of `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Returns a span of `secs` seconds, at most `u64::MAX` milliseconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the milliseconds in this span.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the sum of both spans.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the seconds in this span, rounded down.
    pub const fn as_secs_floor(self) -> u64 {
        self.0.div_euclid(1000)
    }

    /// Returns the seconds in this span, rounded up.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

/// Written as configs have it: "250ms", "90s", "2h".
impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if self.0 > 0 && self.0.checked_rem(unit) == Some(0) {
                return write!(f, "{}{name}", self.0.div_euclid(unit));
            }
        }
        write!(f, "{}ms", self.0)
    }
}

/// A moment on the process's monotonic clock, in milliseconds from an unstated start.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Mono(u64);

impl Mono {
    /// Returns the moment `ms` milliseconds after the clock's start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since the clock's start.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the moment `span` later.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Returns the moment `span` earlier, at least the clock's start.
    #[must_use]
    pub const fn before(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Returns the time from `earlier` to this moment; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A moment of the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(u64);

impl Wall {
    /// Returns the moment `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// One reading of the clocks: the moment of one decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For windows and leases.
    pub mono: Mono,
    /// For calendar days; `None` when no limit needs it, since each reading costs a host call.
    pub wall: Option<Wall>,
}
