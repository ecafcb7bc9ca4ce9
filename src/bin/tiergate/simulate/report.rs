//! The result as rows, and as JSON for machines.

use super::event::{LogAccounts, LoggedDecision};
use super::logs::LogCounts;
use super::notes::Note;
use super::tally::{Difference, Group, GroupKey, RefusalReason, RefusalTally, Tally, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use tiergate::config::Config;
use tiergate::http::visible as ids;
use tiergate::limits::{Limit, LimitKind, Shown};
use tiergate::tiers::TierId;
use tiergate::time::Wall;
use tiergate::zone::rfc3339;

/// All that is reported.
pub struct Report<'a> {
    pub config: &'a Config,
    pub accounts: &'a LogAccounts,
    pub tally: &'a Tally,
    pub notes: &'a [Note],
    pub lines: &'a LogCounts,
    /// The files, in order.
    pub files: Vec<String>,
}

/// A row of refusals: of one tier, account, model and limit.
#[derive(Clone, Debug, Serialize)]
pub struct RefusalRow {
    pub tier: String,
    pub account: String,
    pub model: Option<String>,
    pub limit: String,
    pub mode: &'static str,
    /// All requests of the tier, account and model.
    pub requests: u64,
    pub refused: u64,
    pub first: String,
    pub last: String,
    /// The limit, as configs write it; null for a refusal without one.
    pub size: Option<Shown>,
    /// The rest of it, at the refusal with the longest wait.
    pub remaining: Option<Shown>,
    pub retry_after_ms: u64,
}

#[derive(Serialize)]
pub struct TierRow {
    pub tier: String,
    pub mode: &'static str,
    pub accounts: u64,
    pub accounts_refused: u64,
    pub requests: u64,
    pub admitted: u64,
    pub waited: u64,
    /// Those that get a 429 or another refusal.
    pub refused: u64,
    /// Those that shadow mode lets through, over a limit.
    pub shadowed: u64,
}

/// Decisions over time: admitted requests, then refusals by limit.
#[derive(Serialize)]
struct TimelineView {
    begins: String,
    step_ms: u64,
    columns: Vec<String>,
    steps: Vec<Vec<u64>>,
}

#[derive(Serialize)]
pub struct DifferenceRow {
    pub file: String,
    pub line: u64,
    pub at: u64,
    pub tier: String,
    pub account: String,
    pub model: Option<String>,
    pub logged: &'static str,
    pub logged_limit: Option<String>,
    pub simulated: &'static str,
    pub simulated_limit: Option<String>,
    pub retry_after_ms: Option<u64>,
}

impl Report<'_> {
    /// Writes an object on one line, with all rows.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct SimulationDocument<'a> {
            from: Option<String>,
            to: Option<String>,
            tiers: Vec<TierRow>,
            refusals: Vec<RefusalRow>,
            over_time: TimelineView,
            compared: BTreeMap<&'static str, u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            differences: Option<Vec<DifferenceRow>>,
            notes: &'a [Note],
            lines: &'a LogCounts,
        }
        let compared = &self.tally.compared;
        let document = SimulationDocument {
            from: self.tally.span.map(|(first, _)| moment(first)),
            to: self.tally.span.map(|(_, last)| moment(last)),
            tiers: self.tiers(),
            refusals: self.refusals(),
            over_time: self.over_time(),
            compared: BTreeMap::from([
                ("decided", compared.decided),
                ("refused_then_and_now", compared.both),
                ("refused_then_alone", compared.only_then),
                ("refused_now_alone", compared.only_now),
            ]),
            differences: self.differences(),
            notes: self.notes,
            lines: self.lines,
        };
        serde_json::to_writer(&mut *out, &document)?;
        writeln!(out)
    }

    fn over_time(&self) -> TimelineView {
        let timeline = &self.tally.timeline;
        let reasons = timeline.reasons().iter().map(|reason| reason.name());
        TimelineView {
            begins: moment(timeline.begins()),
            step_ms: timeline.step(),
            columns: std::iter::once("admitted".to_owned())
                .chain(reasons)
                .collect(),
            steps: timeline.steps().collect(),
        }
    }

    pub fn tiers(&self) -> Vec<TierRow> {
        let mut accounts: BTreeMap<_, BTreeMap<_, bool>> = BTreeMap::new();
        for (key, group) in &self.tally.groups {
            let refused = accounts.entry(key.tier).or_default().entry(key.account);
            *refused.or_default() |= !group.refusals.is_empty();
        }
        let rows = self.tally.tiers.iter().map(|(tier, counts)| {
            let accounts = accounts.get(tier);
            let refused =
                accounts.map_or(0, |all| all.values().filter(|refused| **refused).count());
            let mode = self.config.mode_of(*tier).as_str();
            let is_shadow = mode == "shadow";
            TierRow {
                tier: self.tier(*tier),
                mode,
                accounts: to_u64(accounts.map_or(0, BTreeMap::len)),
                accounts_refused: to_u64(refused),
                requests: counts.requests,
                admitted: counts.requests.saturating_sub(counts.refused),
                waited: counts.waited,
                refused: if is_shadow { 0 } else { counts.refused },
                shadowed: if is_shadow { counts.refused } else { 0 },
            }
        });
        rows.collect()
    }

    /// Returns the rows of refusals, the most frequent first.
    pub fn refusals(&self) -> Vec<RefusalRow> {
        let groups = self.tally.groups.iter();
        let rows = groups.flat_map(|(key, group)| {
            let refusals = group.refusals.iter();
            refusals.map(move |(reason, tally)| self.refusal(key, group, *reason, tally))
        });
        let mut rows: Vec<RefusalRow> = rows.collect();
        rows.sort_by(|a, b| {
            let names = |row: &RefusalRow| {
                (
                    row.tier.clone(),
                    row.account.clone(),
                    row.model.clone(),
                    row.limit.clone(),
                )
            };
            b.refused
                .cmp(&a.refused)
                .then_with(|| names(a).cmp(&names(b)))
        });
        rows
    }

    fn refusal(
        &self,
        key: &GroupKey,
        group: &Group,
        reason: RefusalReason,
        tally: &RefusalTally,
    ) -> RefusalRow {
        let longest = &tally.longest;
        let (size, remaining) = match reason {
            RefusalReason::Limit(kind) | RefusalReason::TooLarge(kind) => {
                let left = longest.limit.saturating_sub(longest.used);
                (Some(amount(kind, longest.limit)), Some(amount(kind, left)))
            }
            RefusalReason::TierUnknown
            | RefusalReason::ModelUnknown
            | RefusalReason::Unavailable => (None, None),
        };
        RefusalRow {
            tier: self.tier(key.tier),
            account: self.account(key),
            model: self.model(key),
            limit: reason.name(),
            mode: self.config.mode_of(key.tier).as_str(),
            requests: group.requests,
            refused: tally.count,
            first: moment(tally.first),
            last: moment(tally.last),
            size,
            remaining,
            retry_after_ms: longest.wait.as_millis(),
        }
    }

    pub fn differences(&self) -> Option<Vec<DifferenceRow>> {
        let differences = self.tally.differences.as_ref()?;
        Some(differences.iter().map(|one| self.difference(one)).collect())
    }

    fn difference(&self, one: &Difference) -> DifferenceRow {
        let (line, file) = one.line;
        let (logged, logged_limit) = match &one.logged {
            LoggedDecision::Admitted => ("admitted", None),
            LoggedDecision::Limited(limit) => ("limited", Some(limit.to_string())),
            LoggedDecision::Refused => ("refused", None),
        };
        let (simulated, refused) = match one.now {
            Verdict::Admitted { .. } => ("admitted", None),
            Verdict::Refused(refused) => match refused.reason {
                RefusalReason::Limit(_) => ("limited", Some(refused)),
                _ => ("refused", Some(refused)),
            },
        };
        DifferenceRow {
            file: self.files.get(file).cloned().unwrap_or_default(),
            line,
            at: one.at,
            tier: self.tier(one.key.tier),
            account: self.account(&one.key),
            model: self.model(&one.key),
            logged,
            logged_limit,
            simulated,
            simulated_limit: refused.map(|refused| refused.reason.name()),
            retry_after_ms: refused.map(|refused| refused.wait.as_millis()),
        }
    }

    fn tier(&self, tier: Option<TierId>) -> String {
        let tier = tier.and_then(|tier| self.config.tiers.get(tier));
        tier.map_or("none", |tier| tier.name.as_str()).to_owned()
    }

    /// Returns an account as the admin API shows it: two accounts never look alike.
    fn account(&self, key: &GroupKey) -> String {
        ids::visible(self.accounts.id(key.account), usize::MAX)
    }

    fn model(&self, key: &GroupKey) -> Option<String> {
        let family = self.config.models.get(key.family?)?;
        Some(family.name.clone())
    }
}

fn amount(kind: LimitKind, amount: u64) -> Shown {
    let limit = std::num::NonZeroU64::new(amount).map(Limit::Finite);
    limit.map_or(Shown::Count(0), |limit| kind.limit(limit))
}

/// Formats a moment in UTC to the millisecond.
pub fn moment(at: u64) -> String {
    let text = rfc3339::text(Wall::from_millis(at));
    let second = text.strip_suffix('Z').unwrap_or(&text);
    format!("{second}.{:03}Z", at.checked_rem(1000).unwrap_or(0))
}

/// Converts a length.
pub fn to_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
