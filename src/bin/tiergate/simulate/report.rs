//! The result as tables for people and as JSON for machines.

use super::event::{LogAccounts, LoggedDecision};
use super::logs::LogCounts;
use super::notes::Note;
use super::tally::{Difference, Group, GroupKey, RefusalReason, RefusalTally, Tally, Verdict};
use crate::table::{Column, table};
use crate::visible::visible;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use tiergate::config::Config;
use tiergate::http::visible as ids;
use tiergate::limits::{Limit, LimitKind, Shown};
use tiergate::text::number;
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
struct RefusalRow {
    tier: String,
    account: String,
    model: Option<String>,
    limit: String,
    mode: &'static str,
    /// All requests of the tier, account and model.
    requests: u64,
    refused: u64,
    first: String,
    last: String,
    /// The limit, as configs write it; null for a refusal without one.
    size: Option<Shown>,
    /// What was left of it, at the refusal with the longest wait.
    remaining: Option<Shown>,
    retry_after_ms: u64,
}

#[derive(Serialize)]
struct TierRow {
    tier: String,
    mode: &'static str,
    accounts: u64,
    accounts_refused: u64,
    requests: u64,
    admitted: u64,
    waited: u64,
    /// Those that get a 429 or another refusal.
    refused: u64,
    /// Those that shadow mode lets through, over a limit.
    shadowed: u64,
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
struct DifferenceRow {
    file: String,
    line: u64,
    at: u64,
    tier: String,
    account: String,
    model: Option<String>,
    logged: &'static str,
    logged_limit: Option<String>,
    simulated: &'static str,
    simulated_limit: Option<String>,
    retry_after_ms: Option<u64>,
}

impl Report<'_> {
    /// Writes the tables: tiers, the first `most` rows of refusals, and what the log does not say.
    pub fn write_text(&self, out: &mut impl Write, most: usize) -> io::Result<()> {
        if let Some((first, last)) = self.tally.span {
            writeln!(out, "from {} to {}", moment(first), moment(last))?;
            writeln!(out)?;
        }
        self.write_tiers(out)?;
        writeln!(out)?;
        self.write_refusals(out, most)?;
        self.write_compared(out)?;
        self.write_differences(out)?;
        writeln!(out)?;
        writeln!(out, "What the log does not say:")?;
        for note in self.notes {
            writeln!(out, "- {}", note.says)?;
        }
        Ok(())
    }

    fn write_tiers(&self, out: &mut impl Write) -> io::Result<()> {
        let head = [
            "TIER",
            "MODE",
            "ACCOUNTS",
            "OF THEM REFUSED",
            "REQUESTS",
            "ADMITTED",
            "WAITED",
            "REFUSED",
            "SHADOWED",
        ];
        let head: Vec<Column> = (0..)
            .zip(head)
            .map(|(place, heading)| column(heading, place > 1))
            .collect();
        let rows = self.tiers().into_iter().map(|row| {
            let counts = [
                row.accounts,
                row.accounts_refused,
                row.requests,
                row.admitted,
                row.waited,
                row.refused,
                row.shadowed,
            ];
            let mut cells = vec![visible(&row.tier), row.mode.to_owned()];
            cells.extend(counts.map(number));
            cells
        });
        write_table(out, &head, &rows.collect::<Vec<_>>())
    }

    fn write_refusals(&self, out: &mut impl Write, most: usize) -> io::Result<()> {
        let rows = self.refusals();
        if rows.is_empty() {
            return writeln!(out, "no request would be refused");
        }
        let names = ["TIER", "ACCOUNT", "MODEL", "LIMIT", "MODE"];
        let numbers = ["REQUESTS", "REFUSED", "SIZE", "REMAINING", "RETRY AFTER"];
        let mut head: Vec<Column> = names.into_iter().map(|name| column(name, false)).collect();
        head.extend(numbers.into_iter().map(|name| column(name, true)));
        head.extend(["FIRST", "LAST"].map(|name| column(name, false)));
        let cells = rows.iter().take(most).map(|row| {
            let shown = |shown: Option<Shown>| shown.map_or("-".to_owned(), Shown::grouped);
            let wait = match row.retry_after_ms {
                0 => "-".to_owned(),
                ms => seconds(ms),
            };
            vec![
                visible(&row.tier),
                visible(&row.account),
                row.model.as_deref().map_or("-".to_owned(), visible),
                row.limit.clone(),
                row.mode.to_owned(),
                number(row.requests),
                number(row.refused),
                shown(row.size),
                shown(row.remaining),
                wait,
                row.first.clone(),
                row.last.clone(),
            ]
        });
        write_table(out, &head, &cells.collect::<Vec<_>>())?;
        match rows.len().saturating_sub(most) {
            0 => Ok(()),
            more => writeln!(
                out,
                "and {} rows more: --top 0 shows all",
                number(to_u64(more))
            ),
        }
    }

    fn write_compared(&self, out: &mut impl Write) -> io::Result<()> {
        let compared = &self.tally.compared;
        if compared.decided == 0 {
            return Ok(());
        }
        writeln!(out)?;
        writeln!(
            out,
            "of {} requests with a decision in the log: refused then and now {}, then alone {}, now \
             alone {}",
            number(compared.decided),
            number(compared.both),
            number(compared.only_then),
            number(compared.only_now),
        )
    }

    fn write_differences(&self, out: &mut impl Write) -> io::Result<()> {
        let rows = self.differences().unwrap_or_default();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        let head = [
            "LINE",
            "AT",
            "TIER",
            "ACCOUNT",
            "MODEL",
            "THEN",
            "NOW",
            "RETRY AFTER",
        ];
        let head = head.map(|name| column(name, false));
        let decision = |word: &str, limit: &Option<String>| match limit {
            Some(limit) => format!("{word} by {}", visible(limit)),
            None => word.to_owned(),
        };
        let cells = rows.iter().map(|row| {
            vec![
                format!("{}:{}", visible(&row.file), row.line),
                moment(row.at),
                visible(&row.tier),
                visible(&row.account),
                row.model.as_deref().map_or("-".to_owned(), visible),
                decision(row.logged, &row.logged_limit),
                decision(row.simulated, &row.simulated_limit),
                row.retry_after_ms.map_or("-".to_owned(), seconds),
            ]
        });
        write_table(out, &head, &cells.collect::<Vec<_>>())
    }

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

    fn tiers(&self) -> Vec<TierRow> {
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
    fn refusals(&self) -> Vec<RefusalRow> {
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

    fn differences(&self) -> Option<Vec<DifferenceRow>> {
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

/// Formats milliseconds as seconds: "1.5 s".
fn seconds(ms: u64) -> String {
    let (whole, part) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let text = format!("{}.{part:03}", number(whole));
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

const fn column(heading: &'static str, number: bool) -> Column {
    Column { heading, number }
}

fn write_table(out: &mut impl Write, head: &[Column], rows: &[Vec<String>]) -> io::Result<()> {
    for line in table(head, rows, usize::MAX) {
        writeln!(out, "{}", line.text)?;
    }
    Ok(())
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
