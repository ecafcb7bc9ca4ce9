//! The results of all requests: by tier, by account and model, by limit, and over time.

use super::event::{AccountNumber, LogEvent, LoggedDecision};
use super::timeline::Timeline;
use std::collections::{BTreeMap, HashMap};
use tiergate::limits::LimitKind;
use tiergate::models::FamilyId;
use tiergate::reply::Code;
use tiergate::tiers::TierId;
use tiergate::time::Span;

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// Over a limit.
    Limit(LimitKind),
    /// It alone needs more than a limit in all.
    TooLarge(LimitKind),
    /// No tier of the config is named.
    TierUnknown,
    /// No family has the model, and the config refuses that.
    ModelUnknown,
    /// The limiter could not decide.
    Unavailable,
}

impl RefusalReason {
    /// Returns the name of the limit, behind that of its family, or the code of the refusal.
    pub fn name(self) -> String {
        match self {
            Self::Limit(kind) => kind.to_string(),
            Self::TooLarge(kind) => format!("{} ({kind})", Code::TokensExceedTier.as_str()),
            Self::TierUnknown => Code::TierUnknown.as_str().to_owned(),
            Self::ModelUnknown => Code::ModelUnknown.as_str().to_owned(),
            Self::Unavailable => Code::LimiterUnavailable.as_str().to_owned(),
        }
    }
}

/// A refusal.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedRefusal {
    pub reason: RefusalReason,
    /// The limit's size and its use, in its unit; zero without a limit.
    pub limit: u64,
    pub used: u64,
    /// The `retry-after` of the refusal.
    pub wait: Span,
}

impl SimulatedRefusal {
    /// Returns a refusal without a limit.
    pub const fn of(reason: RefusalReason) -> Self {
        Self {
            reason,
            limit: 0,
            used: 0,
            wait: Span::ZERO,
        }
    }
}

/// The simulated decision on a request.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    Admitted { waited: bool },
    Refused(SimulatedRefusal),
}

/// The requests that have a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    pub tier: Option<TierId>,
    pub account: AccountNumber,
    pub family: Option<FamilyId>,
}

/// The results of the requests of one group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub requests: u64,
    pub refusals: BTreeMap<RefusalReason, RefusalTally>,
}

/// The refusals of one group for one reason.
#[derive(Clone, Copy, Debug)]
pub struct RefusalTally {
    pub count: u64,
    /// The first and the last refusal, in milliseconds since 1970.
    pub first: u64,
    pub last: u64,
    /// The refusal with the longest wait.
    pub longest: SimulatedRefusal,
}

/// The requests of one tier.
#[derive(Clone, Copy, Debug, Default)]
pub struct TierTally {
    pub requests: u64,
    pub refused: u64,
    /// Those that were admitted after a wait for a lease.
    pub waited: u64,
}

/// The decisions of the log, beside those of the replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    /// Requests with a decision in the log.
    pub decided: u64,
    /// Refused then and now.
    pub both: u64,
    /// Refused then, and admitted now.
    pub only_then: u64,
    /// Admitted then, and refused now.
    pub only_now: u64,
}

/// The facts that the log lacks of replayed requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lacks {
    pub duration: u64,
    pub usage: u64,
    pub reserve: u64,
    pub model: u64,
    /// Requests that were refused then and are admitted now: their length and usage are not known.
    pub refused_then: u64,
}

/// A request on which log and replay differ.
#[derive(Clone, Debug)]
pub struct Difference {
    pub line: (u64, usize),
    pub at: u64,
    pub key: GroupKey,
    pub logged: LoggedDecision,
    pub now: Verdict,
}

/// All counts of a run.
pub struct Tally {
    pub groups: HashMap<GroupKey, Group>,
    pub tiers: BTreeMap<Option<TierId>, TierTally>,
    pub compared: Compared,
    pub lacks: Lacks,
    /// Each difference, if they are asked for.
    pub differences: Option<Vec<Difference>>,
    pub timeline: Timeline,
    /// The first and the last decision, in milliseconds since 1970.
    pub span: Option<(u64, u64)>,
    /// Requests of accounts that shared a record, as the ledger was full.
    pub crowded: u64,
}

impl Tally {
    pub fn new(lists_differences: bool) -> Self {
        Self {
            groups: HashMap::new(),
            tiers: BTreeMap::new(),
            compared: Compared::default(),
            lacks: Lacks::default(),
            differences: lists_differences.then(Vec::new),
            timeline: Timeline::default(),
            span: None,
            crowded: 0,
        }
    }

    /// Adds the decision on a request, at a moment in milliseconds since 1970.
    pub fn add(&mut self, event: &LogEvent, now: u64, verdict: Verdict) {
        let key = GroupKey {
            tier: event.tier,
            account: event.account,
            family: event.family.ok().flatten(),
        };
        let (first, last) = self.span.unwrap_or((now, now));
        self.span = Some((first.min(now), last.max(now)));
        let group = self.groups.entry(key).or_default();
        let tier = self.tiers.entry(event.tier).or_default();
        add_one(&mut group.requests);
        add_one(&mut tier.requests);
        match verdict {
            Verdict::Admitted { waited } => {
                tier.waited = tier.waited.saturating_add(waited.into());
                self.timeline.add(now, None);
            }
            Verdict::Refused(refused) => {
                add_one(&mut tier.refused);
                let reason = group.refusals.entry(refused.reason);
                reason
                    .and_modify(|tally| tally.add(refused, now))
                    .or_insert(RefusalTally {
                        count: 1,
                        first: now,
                        last: now,
                        longest: refused,
                    });
                self.timeline.add(now, Some(refused.reason));
            }
        }
        self.note_lacks(event, verdict);
        self.compare(event, now, key, verdict);
    }

    fn note_lacks(&mut self, event: &LogEvent, verdict: Verdict) {
        if !matches!(verdict, Verdict::Admitted { .. }) {
            return;
        }
        let lacks = &mut self.lacks;
        let was_refused =
            matches!(&event.logged, Some(logged) if *logged != LoggedDecision::Admitted);
        for (count, lacking) in [
            (&mut lacks.refused_then, was_refused),
            (&mut lacks.duration, event.life.is_none()),
            (&mut lacks.usage, event.usage.is_none() && !was_refused),
            (&mut lacks.reserve, event.reserved.is_none() && !was_refused),
            (&mut lacks.model, matches!(event.family, Ok(None))),
        ] {
            *count = count.saturating_add(lacking.into());
        }
    }

    fn compare(&mut self, event: &LogEvent, now: u64, key: GroupKey, verdict: Verdict) {
        let Some(logged) = &event.logged else {
            return;
        };
        let compared = &mut self.compared;
        add_one(&mut compared.decided);
        let then = *logged != LoggedDecision::Admitted;
        match (then, matches!(verdict, Verdict::Refused(_))) {
            (false, false) => return,
            (true, true) => return add_one(&mut compared.both),
            (true, false) => add_one(&mut compared.only_then),
            (false, true) => add_one(&mut compared.only_now),
        }
        if let Some(differences) = &mut self.differences {
            differences.push(Difference {
                line: event.line,
                at: now,
                key,
                logged: logged.clone(),
                now: verdict,
            });
        }
    }
}

impl RefusalTally {
    fn add(&mut self, refused: SimulatedRefusal, now: u64) {
        add_one(&mut self.count);
        self.first = self.first.min(now);
        self.last = self.last.max(now);
        if refused.wait > self.longest.wait {
            self.longest = refused;
        }
    }
}

fn add_one(count: &mut u64) {
    *count = count.saturating_add(1);
}
