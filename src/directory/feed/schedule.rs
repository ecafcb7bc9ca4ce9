//! One VM's schedule of imports: on its ticks the VM waits until an import is due, takes the
//! leadership, imports, and gives the leadership back.

use crate::directory::feed::import::{Import, ImportLimits, ImportProgress};
use crate::directory::feed::leader::{FeedState, SharedFeedState, TERM};
use crate::directory::feed::{
    FeedError, FetchResult, ImportContext, ImportCounts, ImportOutcome, Step,
};
use crate::host::{Host, HostError, MetricSink};
use crate::metrics::names;
use crate::shared::StoreError;
use crate::time::{Mono, Span};
use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;

/// The longest wait after the first failure; doubles with each further failure.
const FIRST_WAIT: Span = Span::from_secs(1);
/// The longest wait after any failure.
const LONGEST_WAIT: Span = Span::from_secs(60);
/// The rest of a term below which the leader renews it.
const RENEW: Span = Span::from_secs(3);

/// The source of the feed, and its interval.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path of the first page.
    pub path: String,
    /// The identity of the feed: cluster, authority and path.
    pub cache_key: String,
    /// The time from one import to the next.
    pub interval: Span,
    /// The bounds and rules of an import.
    pub limits: ImportLimits,
}

/// The totals of imports since the last flush.
#[derive(Debug, Default)]
struct ImportTotals {
    imported: u64,
    unchanged: u64,
    failed: u64,
    accounts: ImportCounts,
}

/// One VM's schedule of imports.
#[derive(Debug)]
pub struct Sync {
    namespace: String,
    shared: SharedFeedState,
    nonce: u64,
    draws: u64,
    source: Source,
    source_hash: u64,
    configured: Mono,
    import: Option<Import>,
    /// A finished import, until its memory is freed.
    spent: Option<Import>,
    /// The end of this VM's term.
    until: Mono,
    counts: ImportTotals,
    outcome: Option<ImportOutcome>,
    /// The value that this VM last set the age gauge to, in seconds.
    reported_age: Option<u64>,
    /// True once the counters exist: a rate needs a value before the first event.
    has_counters: bool,
}

impl Sync {
    /// Opens the schedule without an import; creates the shared state on the first start.
    ///
    /// `nonce` identifies this VM.
    ///
    /// # Errors
    /// The host's status.
    pub fn open(
        host: &dyn Host,
        namespace: &str,
        source: Source,
        nonce: u64,
    ) -> Result<Self, HostError> {
        let shared = SharedFeedState::of(namespace);
        shared.create(host)?;
        let mut hasher = SipHasher24::new();
        hasher.write(source.cache_key.as_bytes());
        Ok(Self {
            namespace: namespace.to_owned(),
            shared,
            nonce: nonce | 1,
            draws: 0,
            source,
            source_hash: hasher.finish(),
            configured: host.mono(),
            import: None,
            spent: None,
            until: Mono::default(),
            counts: ImportTotals::default(),
            outcome: None,
            reported_age: None,
            has_counters: false,
        })
    }

    /// True while this VM imports.
    pub fn is_importing(&self) -> bool {
        self.import.is_some()
    }

    /// Takes the outcome of the last import.
    pub fn take_outcome(&mut self) -> Option<ImportOutcome> {
        self.outcome.take()
    }

    /// Runs one tick: continues the import, or begins a due one.
    pub fn tick(&mut self, context: &ImportContext<'_>) -> Step {
        if let Some(spent) = &mut self.spent {
            if !spent.release_slice() {
                return Step::Soon;
            }
            self.spent = None;
        }
        let Some(mut import) = self.import.take() else {
            return self.begin(context);
        };
        let progress = match self.keep(context) {
            Ok(()) => import.slice(context, &self.source.limits),
            Err(error) => Err(error),
        };
        self.follow(context, import, progress)
    }

    /// Takes the response to the last page request.
    pub fn fetched(&mut self, context: &ImportContext<'_>, result: FetchResult) -> Step {
        let Some(mut import) = self.import.take() else {
            return Step::Rest;
        };
        let progress = import.fetched(result);
        self.follow(context, import, progress)
    }

    /// Takes the leadership when an import is due and no VM leads for the same feed.
    fn begin(&mut self, context: &ImportContext<'_>) -> Step {
        let taken = self.shared.change(context.host, |state, now| {
            *state = self.acquire(state, context.in_force, now)?;
            Some((now, state.etag.clone()))
        });
        match taken {
            Ok((_, None)) => Step::Rest,
            Ok((_, Some((now, etag)))) => {
                // An incomplete directory, or one that an import left unsettled, needs the complete
                // feed, even if the feed did not change.
                let head = context.directory.head(context.host).unwrap_or_default();
                let is_whole = head.ready && !head.unsettled;
                let etag = if is_whole { etag } else { Vec::new() };
                let (import, ask) = Import::begin(&self.source.path, etag, now);
                self.until = now.after(TERM);
                self.import = Some(import);
                Step::PageRequest(ask)
            }
            Err(error) => {
                self.outcome = Some(ImportOutcome::Failed(error.into()));
                Step::Rest
            }
        }
    }

    /// Returns the state with this VM as the leader; `None` when it is not due, not this config's, or
    /// another VM's.
    fn acquire(&self, state: &FeedState, in_force: bool, now: Mono) -> Option<FeedState> {
        if !in_force {
            return None;
        }
        let mut acquired = state.clone();
        acquired.correct(now);
        let of_ours = state.source == self.source_hash;
        let longest = self.source.interval.max(LONGEST_WAIT);
        acquired.due = acquired.due.min(now.after(longest));
        if of_ours && acquired.failures == 0 {
            // A shorter interval than that of the last import is in force at once.
            let due = acquired.synced_at.after(self.source.interval);
            acquired.due = acquired.due.min(due);
        }
        if !of_ours {
            acquired.source = self.source_hash;
            acquired.etag.clear();
            acquired.failures = 0;
            acquired.due = now;
        }
        if now < acquired.due || (of_ours && acquired.has_leader(now)) {
            return None;
        }
        acquired.configured = acquired.configured.max(self.configured);
        acquired.leader = self.nonce;
        acquired.until = now.after(TERM);
        Some(acquired)
    }

    /// Renews the term shortly before its end.
    fn keep(&mut self, context: &ImportContext<'_>) -> Result<(), FeedError> {
        if self.until.since(context.host.mono()) >= RENEW {
            return Ok(());
        }
        let nonce = self.nonce;
        let (_, renewed) = self.shared.change(context.host, |state, now| {
            (state.leader == nonce).then(|| {
                state.until = now.after(TERM);
                state.until
            })
        })?;
        self.until = renewed.ok_or(FeedError::LostLeadership)?;
        Ok(())
    }

    fn follow(
        &mut self,
        context: &ImportContext<'_>,
        mut import: Import,
        progress: Result<ImportProgress, FeedError>,
    ) -> Step {
        let outcome = match progress {
            Ok(ImportProgress::Goes(step)) => {
                self.import = Some(import);
                return step;
            }
            Ok(ImportProgress::Unchanged) => self
                .give_back(context.host, |_| {})
                .map(|()| ImportOutcome::Unchanged),
            Ok(ImportProgress::Done) => {
                // Accounts without room must be fetched again, so a 304 must not follow.
                let etag = match import.counts().refused {
                    0 => import.take_etag(),
                    _ => Vec::new(),
                };
                self.give_back(context.host, |state| state.etag.clone_from(&etag))
                    .map(|()| ImportOutcome::Imported(import.counts()))
            }
            Err(error) => Err(error),
        };
        self.add_accounts(&import.counts());
        self.spent = Some(import);
        let outcome = outcome.unwrap_or_else(|error| {
            self.back_off(context.host);
            ImportOutcome::Failed(error)
        });
        let count = match &outcome {
            ImportOutcome::Imported(_) => &mut self.counts.imported,
            ImportOutcome::Unchanged => &mut self.counts.unchanged,
            ImportOutcome::Failed(_) => &mut self.counts.failed,
        };
        *count = count.saturating_add(1);
        self.outcome = Some(outcome);
        Step::Soon
    }

    /// Gives the leadership back after a complete or an unchanged import.
    fn give_back(
        &mut self,
        host: &dyn Host,
        change: impl Fn(&mut FeedState),
    ) -> Result<(), FeedError> {
        let interval = self.source.interval.as_millis();
        // Up to a tenth sooner, so that edges with the same start drift apart.
        let sooner = self.draw(interval.div_euclid(10));
        let wait = Span::from_millis(interval.saturating_sub(sooner));
        let given = self.release(host, |state, now| {
            state.due = now.after(wait);
            state.synced_at = now;
            state.failures = 0;
            change(state);
        })?;
        if given {
            Ok(())
        } else {
            Err(FeedError::LostLeadership)
        }
    }

    /// Gives the leadership back after a failure, and sets the next try. A VM without the
    /// leadership changes nothing.
    fn back_off(&mut self, host: &dyn Host) {
        let draw = self.draw(u64::MAX);
        // If the release fails, the term ends by itself.
        let _ = self.release(host, |state, now| {
            state.due = now.after(wait(state.failures, draw));
            state.failures = state.failures.saturating_add(1);
        });
    }

    fn release(
        &self,
        host: &dyn Host,
        change: impl Fn(&mut FeedState, Mono),
    ) -> Result<bool, StoreError> {
        let (_, was_ours) = self.shared.change(host, |state, now| {
            let is_ours = state.leader == self.nonce;
            if is_ours {
                state.leader = 0;
                change(state, now);
            }
            is_ours
        })?;
        Ok(was_ours)
    }

    /// Returns a random number below `most`.
    fn draw(&mut self, most: u64) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        let mut hasher = SipHasher24::new_with_keys(self.nonce, self.draws);
        hasher.write_u8(0);
        hasher.finish().checked_rem(most).unwrap_or(0)
    }

    fn add_accounts(&mut self, counts: &ImportCounts) {
        let sum = &mut self.counts.accounts;
        sum.written = sum.written.saturating_add(counts.written);
        sum.unchanged = sum.unchanged.saturating_add(counts.unchanged);
        sum.removed = sum.removed.saturating_add(counts.removed);
        sum.refused = sum.refused.saturating_add(counts.refused);
    }

    /// Flushes the counts and the directory's age.
    pub fn flush(&mut self, host: &dyn Host, sink: &mut dyn MetricSink) {
        let counts = std::mem::take(&mut self.counts);
        let namespace = &self.namespace;
        let is_first = !std::mem::replace(&mut self.has_counters, true);
        for (family, n) in [
            (
                names::FEED_LOADS,
                &[
                    ("loaded", counts.imported),
                    ("unchanged", counts.unchanged),
                    ("failed", counts.failed),
                ][..],
            ),
            (
                names::FEED_ACCOUNTS,
                &[
                    ("written", counts.accounts.written),
                    ("unchanged", counts.accounts.unchanged),
                    ("removed", counts.accounts.removed),
                    ("refused", counts.accounts.refused),
                ],
            ),
        ] {
            for (outcome, n) in n.iter().filter(|(_, n)| is_first || *n > 0) {
                sink.count(&family.of_label(namespace, "outcome", outcome), *n);
            }
        }
        if let Ok((state, now)) = self.shared.read(host) {
            let age = now.since(state.synced_at).as_millis().div_euclid(1000);
            if self.reported_age.replace(age) != Some(age) {
                sink.set(&names::DIRECTORY_AGE.of(namespace), age);
            }
        }
        let corrupt = self.shared.take_corrupt();
        if corrupt > 0 {
            sink.count(&names::DAMAGED_VALUES.of(namespace), corrupt);
        }
    }
}

/// Returns the wait after a failure that follows `failures` in a row. The wait doubles up to a
/// bound, and half of it is random.
fn wait(failures: u32, draw: u64) -> Span {
    let doubled = FIRST_WAIT
        .as_millis()
        .saturating_mul(1_u64.checked_shl(failures.min(16)).unwrap_or(1));
    let whole = doubled.min(LONGEST_WAIT.as_millis());
    let half = whole.div_euclid(2);
    Span::from_millis(half.saturating_add(draw.checked_rem(half.saturating_add(1)).unwrap_or(0)))
}
