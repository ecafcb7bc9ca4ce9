//! `tiergate accounts fold`: converts a billing export of recharge events to a feed file.
//!
//! One pass over the lines. The memory grows with the accounts and the event ids (a hash each), and
//! holds at most one line.

use crate::Ending;
use crate::csv::{BadHeader, Columns};
use crate::event::{BadLine, ExportedEvent};
use crate::feed::{FIRST_PAGE, Feed};
use crate::jsonl;
use crate::lines::{InputLine, InputLines};
use crate::progress::Progress;
use crate::terms::{self, TermsError};
use crate::totals::{FoldCounts, Totals};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use tiergate::http::names::is_path;
use tiergate::text::number;
use tiergate::tiers::Cents;
use tiergate::tiers::recharge::VoucherRule;

#[derive(Args)]
pub struct FoldArgs {
    /// The export: .csv with a header line, or .jsonl; - for standard input
    events: PathBuf,
    /// The format of the export, where its name does not say so
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The feed file to write, or a directory for pages; without it, standard output
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
    /// With a directory: the path under which the web server serves it
    #[arg(long, value_name = "PATH", default_value = "", value_parser = served)]
    served_at: String,
    /// JSON lines with what accounts have beside their recharge: limits, disabled, tier, account …
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
    /// The reaction to a line that is no event
    #[arg(long, value_enum, default_value = "skip")]
    on_bad_line: OnBadLine,
    /// The recharge that makes a voucher due, and its worth, in USD
    #[arg(long, value_name = "AT:AMOUNT|none", default_value = "5:5", value_parser = voucher)]
    voucher: Voucher,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnBadLine {
    /// Report it and go on
    Skip,
    /// Write nothing
    Stop,
}

#[derive(Clone, Copy)]
struct Voucher(Option<VoucherRule>);

#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    #[error("what is in {0}? Name it .csv or .jsonl, or say --format csv or --format jsonl")]
    UnknownFormat(PathBuf),
    #[error("can't read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Header { path: PathBuf, source: BadHeader },
    #[error("{0} is empty: a CSV export begins with a header line, id,account,amount,kind")]
    NoHeader(PathBuf),
    #[error("line {line}: {source}; stopped there, and wrote nothing")]
    Stopped { line: u64, source: BadLine },
    #[error(transparent)]
    Terms(#[from] TermsError),
    #[error("can't write {path}: {source}")]
    Unwritable { path: PathBuf, source: io::Error },
}

pub fn run(args: &FoldArgs) -> Result<Ending, FoldError> {
    let format = format(args)?;
    let terms = args.terms.as_deref().map(terms::read).transpose()?;
    let unreadable = |source| FoldError::Unreadable {
        path: args.events.clone(),
        source,
    };
    let (reader, bytes): (Box<dyn BufRead>, _) = if args.events == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(&args.events).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let bytes = metadata.is_file().then_some(metadata.len());
        (Box::new(BufReader::with_capacity(65_536, file)), bytes)
    };
    let progress = Progress::new(bytes);
    let mut fold = Fold {
        args,
        totals: Totals::new(args.voucher.0),
        progress: &progress,
        bad_lines: 0,
    };
    let read = fold.read(InputLines::new(reader), format);
    progress.end();
    read?;
    let feed = Feed::new(&fold.totals.sorted(), &terms.unwrap_or_default());
    let output = args.output.as_deref();
    let written = feed.and_then(|feed| feed.write(output, &args.served_at));
    let pages = written.map_err(|source| FoldError::Unwritable {
        path: output.unwrap_or(Path::new("standard output")).to_owned(),
        source,
    })?;
    if output.is_some_and(Path::is_dir) {
        let first = format!("{}/{FIRST_PAGE}", args.served_at);
        crate::say(&format!("pages: {pages}, \"path\" of the feed: {first:?}"));
    }
    crate::say(&summary(
        &fold.totals.counts(),
        fold.bad_lines,
        &args.voucher,
    ));
    Ok(match fold.bad_lines {
        0 => Ending::Clean,
        _ => Ending::LinesLeftOut,
    })
}

struct Fold<'a> {
    args: &'a FoldArgs,
    totals: Totals,
    progress: &'a Progress,
    bad_lines: u64,
}

impl Fold<'_> {
    fn read(
        &mut self,
        mut lines: InputLines<impl BufRead>,
        format: Format,
    ) -> Result<(), FoldError> {
        let columns = match format {
            Format::Jsonl => None,
            Format::Csv => Some(self.header(&mut lines)?),
        };
        while let Some(line) = lines.next().map_err(|e| self.unreadable(e))? {
            let taken = text(&line).and_then(|line| {
                if line.trim_ascii().is_empty() {
                    return Ok(());
                }
                let event: ExportedEvent<'_> = match &columns {
                    None => jsonl::read(line)?,
                    Some(columns) => columns.read(line)?,
                };
                self.totals.take(&event)
            });
            let number = lines.number();
            if let Err(bad) = taken {
                self.bad(number, bad)?;
            }
            self.progress.at(number, lines.bytes());
        }
        Ok(())
    }

    /// A CSV export without a header line can't be read, so a bad header is never skipped.
    fn header(&self, lines: &mut InputLines<impl BufRead>) -> Result<Columns, FoldError> {
        let path = || self.args.events.clone();
        let line = lines.next().map_err(|e| self.unreadable(e))?;
        let line = line.ok_or_else(|| FoldError::NoHeader(path()))?;
        text(&line)
            .map_err(BadHeader::from)
            .and_then(Columns::of_header)
            .map_err(|source| FoldError::Header {
                path: path(),
                source,
            })
    }

    fn bad(&mut self, line: u64, source: BadLine) -> Result<(), FoldError> {
        if self.args.on_bad_line == OnBadLine::Stop {
            return Err(FoldError::Stopped { line, source });
        }
        self.bad_lines = self.bad_lines.saturating_add(1);
        self.progress.say(&format!("line {line}: {source}"));
        Ok(())
    }

    fn unreadable(&self, source: io::Error) -> FoldError {
        FoldError::Unreadable {
            path: self.args.events.clone(),
            source,
        }
    }
}

fn format(args: &FoldArgs) -> Result<Format, FoldError> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    let extension = args.events.extension().map(|e| e.to_ascii_lowercase());
    match extension.as_ref().and_then(|e| e.to_str()) {
        Some("csv") => Ok(Format::Csv),
        Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
        _ => Err(FoldError::UnknownFormat(args.events.clone())),
    }
}

fn served(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    match path.is_empty() || (path.starts_with('/') && is_path(path)) {
        true => Ok(path.to_owned()),
        false => Err("not a path such as /feeds".to_owned()),
    }
}

fn text<'a>(line: &InputLine<'a>) -> Result<&'a str, BadLine> {
    match line {
        InputLine::TooLong => Err(BadLine::TooLong),
        InputLine::Whole(bytes) => std::str::from_utf8(bytes)
            .map_err(|e| BadLine::NotUtf8(e.valid_up_to().saturating_add(1))),
    }
}

fn voucher(text: &str) -> Result<Voucher, String> {
    if text == "none" {
        return Ok(Voucher(None));
    }
    let (at, amount) = text
        .split_once(':')
        .ok_or("neither AT:AMOUNT, such as 5:5, nor none")?;
    let usd = |part: &str| Cents::parse(part.as_bytes()).map_err(|e| format!("{part:?} is {e}"));
    Ok(Voucher(Some(VoucherRule {
        at: usd(at)?,
        amount: usd(amount)?,
    })))
}

fn summary(counts: &FoldCounts, bad_lines: u64, voucher: &Voucher) -> String {
    let of = |n: usize| number(u64::try_from(n).unwrap_or(u64::MAX));
    let worth = voucher.0.map(|rule| format!(" ({} each)", rule.amount));
    format!(
        "events: {}, duplicates: {}, bad lines: {}, accounts: {}, vouchers due: {}{}",
        number(counts.events),
        number(counts.duplicates),
        number(bad_lines),
        of(counts.accounts),
        of(counts.vouchers_due),
        worth.unwrap_or_default(),
    )
}
