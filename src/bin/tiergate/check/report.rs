//! Findings as a drawing for people, and as JSON for machines.

use super::source::SourceFile;
use super::tree::Bytes;
use crate::visible::visible;
use ariadne::{CharSet, Config, IndexType, Label, Report, ReportKind};
use serde::Serialize;
use std::io;

/// The longest line that is drawn, in characters.
const LONGEST_LINE: usize = 160;
/// The width to which notes are wrapped, in columns.
const WIDTH: usize = 90;

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The filter refuses the config.
    Error,
    /// The filter takes it, and it does not do what it seems to.
    Warning,
}

/// A finding in a file.
#[derive(Clone, Debug)]
pub struct ConfigFinding {
    pub severity: Severity,
    pub at: Bytes,
    /// The JSON path in the config.
    pub path: String,
    pub problem: String,
    pub allowed: Option<String>,
    pub remedy: Option<String>,
}

/// A finding as JSON.
#[derive(Serialize)]
pub struct JsonFinding<'a> {
    severity: Severity,
    file: &'a str,
    line: usize,
    column: usize,
    path: &'a str,
    problem: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

impl ConfigFinding {
    /// Returns the finding as JSON.
    pub fn json<'a>(&'a self, source: &'a SourceFile) -> JsonFinding<'a> {
        let position = source.position(self.at.start);
        JsonFinding {
            severity: self.severity,
            file: &source.name,
            line: position.line,
            column: position.column,
            path: &self.path,
            problem: &self.problem,
            allowed: self.allowed.as_deref(),
            remedy: self.remedy.as_deref(),
        }
    }

    /// Draws the finding below its line of the file.
    ///
    /// # Errors
    /// The error of `out`.
    pub fn draw(
        &self,
        source: &SourceFile,
        drawn: &ariadne::Source,
        with_color: bool,
        out: &mut impl io::Write,
    ) -> io::Result<()> {
        if source.line(self.at.start).chars().count() > LONGEST_LINE {
            return self.describe(source, out);
        }
        let name = visible(&source.name);
        let span = (name.as_str(), source.characters(&self.at));
        let kind = match self.severity {
            Severity::Error => ReportKind::Error,
            Severity::Warning => ReportKind::Warning,
        };
        let config = Config::default()
            .with_color(with_color)
            .with_char_set(CharSet::Unicode)
            .with_index_type(IndexType::Char);
        let label = Label::new(span.clone()).with_message(visible(&self.path));
        let mut report = Report::build(kind, span)
            .with_config(config)
            .with_message(self.headline())
            .with_label(label);
        if let Some(allowed) = &self.allowed {
            report = report.with_note(wrapped(&format!("allowed: {}", visible(allowed))));
        }
        if let Some(remedy) = &self.remedy {
            report = report.with_help(wrapped(&visible(remedy)));
        }
        let report = report.finish();
        let mut picture = Vec::new();
        report.write((name.as_str(), drawn), &mut picture)?;
        for line in String::from_utf8_lossy(&picture).lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)
    }

    /// Writes the finding without its line, which is too long.
    fn describe(&self, source: &SourceFile, out: &mut impl io::Write) -> io::Result<()> {
        let kind = match self.severity {
            Severity::Error => "Error",
            Severity::Warning => "Warning",
        };
        let position = source.position(self.at.start);
        let (line, column) = (position.line, position.column);
        let (name, path) = (visible(&source.name), visible(&self.path));
        writeln!(out, "{kind}: {}", self.headline())?;
        writeln!(out, "   at {name}:{line}:{column}, {path}")?;
        if let Some(remedy) = &self.remedy {
            writeln!(out, "   Help: {}", visible(remedy))?;
        }
        if let Some(allowed) = &self.allowed {
            writeln!(out, "   Note: allowed: {}", visible(allowed))?;
        }
        writeln!(out)
    }

    fn headline(&self) -> String {
        visible(&format!("{}: {}", self.path, self.problem))
    }
}

/// Wraps a text between words.
fn wrapped(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0_usize);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 {
            let ends = column.saturating_add(length) >= WIDTH;
            out.push(if ends { '\n' } else { ' ' });
            column = if ends { 0 } else { column.saturating_add(1) };
        }
        out.push_str(word);
        column = column.saturating_add(length);
    }
    out
}
