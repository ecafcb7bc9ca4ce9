//! The result as tables for people.

use super::report::{Report, moment, to_u64};
use crate::table::{Column, table};
use crate::visible::visible;
use std::io::{self, Write};
use tiergate::limits::Shown;
use tiergate::text::number;

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
