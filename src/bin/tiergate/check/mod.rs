//! `tiergate check`: all errors of a config at once, each where it stands in its file.

mod errors;
mod find;
mod json_text;
pub mod load;
mod place;
mod repair;
mod report;
mod source;
mod tree;
mod warn;
mod yaml;

use crate::Ending;
use clap::Args;
use find::{Body, FoundConfig, find};
use json_text::NotJson;
use report::{ConfigFinding, Severity};
use serde::Serialize;
use source::SourceFile;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use tree::DocNode;
use warn::{Warnings, failure_policy};

#[derive(Args)]
pub struct ConfigCheckArgs {
    /// Files with a config; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// JSON in place of the drawings
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigCheckError {
    #[error("can't write the findings: {0}")]
    Unwritable(#[from] io::Error),
}

/// The reason why a file has no findings.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("can't read {name}: {source}")]
    Unreadable { name: String, source: io::Error },
    #[error("{name}: not UTF-8 text")]
    NotText { name: String },
    #[error(
        "{name}: no tiergate config found; check the file that holds the filter's config, which may \
         be another one than that of its listener (ECDS)"
    )]
    NoConfig { name: String },
}

/// A file that was checked.
struct CheckedFile {
    source: SourceFile,
    configs: usize,
    is_whole: bool,
    findings: Vec<ConfigFinding>,
}

pub fn run(args: &ConfigCheckArgs) -> Result<Ending, ConfigCheckError> {
    let (mut checked, mut is_unread) = (Vec::new(), false);
    for path in &args.files {
        match read(path).and_then(check) {
            Ok(file) => checked.push(file),
            Err(error) => {
                crate::say(&error.to_string());
                is_unread = true;
            }
        }
    }
    let mut out = io::stdout().lock();
    match args.json {
        true => write_json(&checked, &mut out)?,
        false => draw(&checked, &mut out)?,
    }
    if is_unread {
        return Ok(Ending::Unread);
    }
    let mut findings = checked.iter().flat_map(|file| &file.findings);
    match findings.any(|finding| finding.severity == Severity::Error) {
        true => Ok(Ending::Wrong),
        false => Ok(Ending::Clean),
    }
}

fn read(path: &Path) -> Result<SourceFile, Unread> {
    let is_stdin = path == Path::new("-");
    let name = match is_stdin {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    };
    let mut bytes = Vec::new();
    let read = match is_stdin {
        true => io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        false => std::fs::read(path),
    };
    match read.map(String::from_utf8) {
        Ok(Ok(text)) => Ok(SourceFile { name, text }),
        Ok(Err(_)) => Err(Unread::NotText { name }),
        Err(source) => Err(Unread::Unreadable { name, source }),
    }
}

/// Checks the configs of a file.
fn check(source: SourceFile) -> Result<CheckedFile, Unread> {
    let mut checked = CheckedFile {
        source,
        configs: 0,
        is_whole: true,
        findings: Vec::new(),
    };
    let is_json = is_json(&checked.source);
    let documents = match documents(&checked.source, is_json) {
        Ok(documents) => documents,
        Err(finding) => {
            checked.is_whole = false;
            checked.findings.push(finding);
            return Ok(checked);
        }
    };
    let found = find(&checked.source, &documents, is_json);
    checked.configs = found.len();
    for one in &found {
        let (findings, is_whole) = judge(one);
        checked.is_whole &= is_whole;
        checked.findings.extend(findings);
    }
    match found.is_empty() {
        true => Err(Unread::NoConfig {
            name: checked.source.name,
        }),
        false => Ok(checked),
    }
}

/// True for a file of JSON, by its name or its first character.
fn is_json(source: &SourceFile) -> bool {
    let has = |end: &str| source.name.ends_with(end);
    let is_yaml = has(".yaml") || has(".yml");
    has(".json") || !is_yaml && source.text.trim_start().starts_with(['{', '['])
}

fn documents(source: &SourceFile, is_json: bool) -> Result<Vec<DocNode>, ConfigFinding> {
    let read = match is_json {
        _ if source.text.trim().is_empty() => return Ok(Vec::new()),
        true => json_text::read(&source.text)
            .map(|node| vec![node])
            .map_err(|error| (error.at, error.problem, "JSON")),
        false => yaml::read(&source.text).map_err(|error| (error.at, error.problem, "YAML")),
    };
    read.map_err(|(at, problem, what)| broken(at, format!("not {what}: {problem}")))
}

/// A text that can't be read on.
fn broken(at: usize, problem: String) -> ConfigFinding {
    ConfigFinding {
        severity: Severity::Error,
        at: at..at,
        path: "$".to_owned(),
        problem,
        allowed: None,
        remedy: None,
    }
}

/// Judges a config: its findings, and whether none can hide behind them.
fn judge(found: &FoundConfig<'_>) -> (Vec<ConfigFinding>, bool) {
    let written = match found.written() {
        Some(written) => written,
        None => {
            let (at, problem) = match &found.body {
                Body::NotJson(NotJson { at, problem }) => (*at, problem.as_str()),
                Body::Tree(_) | Body::Absent => (found.at.start, ""),
            };
            return (vec![broken(at, format!("not JSON: {problem}"))], false);
        }
    };
    let judged = errors::judge(&written);
    let errors = judged.errors.into_iter().map(ConfigFinding::from);
    let mut findings: Vec<ConfigFinding> = errors.collect();
    match &judged.config {
        Some(config) => findings.extend(Warnings::of(found, &written, config)),
        None => findings.extend(failure_policy(found)),
    }
    (findings, judged.is_whole)
}

impl From<errors::ConfigError> for ConfigFinding {
    fn from(error: errors::ConfigError) -> Self {
        Self {
            severity: Severity::Error,
            at: error.at,
            path: error.path,
            problem: error.problem,
            allowed: error.allowed,
            remedy: error.remedy,
        }
    }
}

impl CheckedFile {
    fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings.filter(|f| f.severity == severity).count()
    }

    fn summary(&self) -> String {
        let some = |n: usize, what: &str| match n {
            0 => format!("no {what}s"),
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        let name = crate::visible::visible(&self.source.name);
        let configs = some(self.configs, "config");
        let errors = some(self.count(Severity::Error), "error");
        let warnings = some(self.count(Severity::Warning), "warning");
        let rest = match self.is_whole {
            true => "",
            false => "; others may show when these are mended",
        };
        format!("{name}: {configs}, {errors}, {warnings}{rest}")
    }
}

fn draw(checked: &[CheckedFile], out: &mut impl io::Write) -> io::Result<()> {
    let with_color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for file in checked {
        let drawn = ariadne::Source::from(file.source.drawn());
        for finding in &file.findings {
            finding.draw(&file.source, &drawn, with_color, out)?;
        }
    }
    for file in checked {
        writeln!(out, "{}", file.summary())?;
    }
    Ok(())
}

#[derive(Serialize)]
struct JsonReport<'a> {
    configs: usize,
    errors: usize,
    warnings: usize,
    /// False when errors may hide behind others.
    whole: bool,
    findings: Vec<report::JsonFinding<'a>>,
}

fn write_json(checked: &[CheckedFile], out: &mut impl io::Write) -> io::Result<()> {
    let sum = |count: fn(&CheckedFile) -> usize| checked.iter().map(count).sum();
    let report = JsonReport {
        configs: sum(|file| file.configs),
        errors: sum(|file| file.count(Severity::Error)),
        warnings: sum(|file| file.count(Severity::Warning)),
        whole: checked.iter().all(|file| file.is_whole),
        findings: checked
            .iter()
            .flat_map(|file| file.findings.iter().map(|f| f.json(&file.source)))
            .collect(),
    };
    let json = serde_json::to_string(&report).map_err(io::Error::from)?;
    writeln!(out, "{}", crate::visible::visible_json(&json))
}
