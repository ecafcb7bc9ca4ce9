//! `tiergate check`: all errors of a config at once, each where it stands in its file.

mod body;
mod errors;
mod find;
mod inert;
mod json_text;
pub mod load;
mod place;
mod repair;
mod report;
mod scalars;
mod source;
mod tree;
pub mod vm;
mod warn;
mod yaml;

use crate::Ending;
use crate::output::Output;
use crate::standard_input;
use body::Body;
use clap::Args;
use find::{FoundConfig, find};
use report::{ConfigFinding, Severity};
use scalars::ScalarRules;
use serde::Serialize;
use source::SourceFile;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
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
    #[error("standard input is there twice, and can be read once")]
    InputTwice,
    #[error("can't write the findings: {0}")]
    Unwritable(#[from] io::Error),
}

/// The reason why a file has no findings.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error("can't read {name}: {source}")]
    Unreadable { name: String, source: io::Error },
    #[error("{name}: not UTF-8 text")]
    NotText { name: String },
    #[error("{name}: no tiergate config found; {hint}")]
    NoConfig { name: String, hint: String },
}

/// A file that was checked.
struct CheckedFile {
    source: SourceFile,
    configs: usize,
    is_whole: bool,
    findings: Vec<ConfigFinding>,
}

pub fn run(args: &ConfigCheckArgs) -> Result<Ending, ConfigCheckError> {
    if standard_input::is_there_twice(args.files.iter().map(PathBuf::as_path)) {
        return Err(ConfigCheckError::InputTwice);
    }
    let (mut checked, mut unread) = (Vec::new(), Vec::new());
    for path in &args.files {
        match read(path).and_then(check) {
            Ok(file) => checked.push(file),
            Err(error) => {
                crate::say(&error.to_string());
                unread.push(error.to_string());
            }
        }
    }
    let mut out = Output::new();
    match args.json {
        true => write_json(&checked, &unread, &mut out)?,
        false => draw(&checked, &mut out)?,
    }
    out.flush()?;
    if !unread.is_empty() {
        return Ok(Ending::Unread);
    }
    let mut findings = checked.iter().flat_map(|file| &file.findings);
    match findings.any(|finding| finding.severity == Severity::Error) {
        true => Ok(Ending::Wrong),
        false => Ok(Ending::Clean),
    }
}

/// Returns the name of a file, for people.
pub fn name(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

fn read(path: &Path) -> Result<SourceFile, Unread> {
    let is_stdin = path == Path::new("-");
    let name = name(path);
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
        let (findings, is_whole) = judge(one, &checked.source);
        checked.is_whole &= is_whole;
        checked.findings.extend(findings);
    }
    match found.is_empty() {
        true => Err(Unread::NoConfig {
            hint: hint(&checked.source, &documents),
            name: checked.source.name,
        }),
        false => Ok(checked),
    }
}

/// Returns where the config of a file may be, in which none was found.
fn hint(source: &SourceFile, documents: &[DocNode]) -> String {
    let has_texts = |document: &&DocNode| {
        let kind = document.get("kind").and_then(DocNode::text);
        let patched =
            document.get("patches").is_some() || document.get("patchesStrategicMerge").is_some();
        patched
            || matches!(
                kind,
                Some("ConfigMap" | "Secret" | "Kustomization" | "HelmRelease")
            )
    };
    if documents.iter().any(|document| has_texts(&document)) {
        return "texts inside of this kind are not read: check each as a file of its own"
            .to_owned();
    }
    let text = documents.iter().find(|document| document.text().is_some());
    if let Some(text) = text {
        let line = source.position(text.at.start).line;
        return format!("line {line} is a text and no object: a blank follows each colon");
    }
    if let Some(named) = source.text.find("tiergate") {
        let line = source.position(named).line;
        return format!(
            "line {line} names tiergate, and its config stands in configuration of a wasm filter, in \
             spec.pluginConfig of a WasmPlugin, in spec.wasm.pluginConfig of a TrafficExtension, or in \
             spec.wasm[].config of an EnvoyExtensionPolicy. A listener that takes the filter by \
             discovery (ECDS) has it in another file"
        );
    }
    "check the file that holds the filter's config, which may be another one than that of its listener \
     (ECDS)"
        .to_owned()
}

/// True for a file of JSON, by its name or its first character.
fn is_json(source: &SourceFile) -> bool {
    let has = |end: &str| source.name.ends_with(end);
    let is_yaml = has(".yaml") || has(".yml");
    has(".json") || !is_yaml && source.text.trim_start().starts_with(['{', '['])
}

fn documents(source: &SourceFile, is_json: bool) -> Result<Vec<DocNode>, ConfigFinding> {
    match is_json {
        _ if source.text.trim().is_empty() => Ok(Vec::new()),
        true => json_text::read(&source.text)
            .map(|node| vec![node])
            .map_err(|error| {
                broken(
                    error.at,
                    format!("not JSON: {}", error.problem),
                    error.remedy,
                )
            }),
        false => yaml::read(&source.text).map_err(|error| {
            let remedy = yaml::remedy(source.line(error.at));
            broken(error.at, format!("not YAML: {}", error.problem), remedy)
        }),
    }
}

/// A text that can't be read on.
fn broken(at: usize, problem: String, remedy: Option<&str>) -> ConfigFinding {
    ConfigFinding {
        severity: Severity::Error,
        at: at..at,
        path: "$".to_owned(),
        problem,
        allowed: None,
        remedy: remedy.map(str::to_owned),
    }
}

/// Judges a config: its findings, and whether none can hide behind them.
fn judge(found: &FoundConfig<'_>, source: &SourceFile) -> (Vec<ConfigFinding>, bool) {
    let Some(written) = found.written() else {
        let unread = unread_body(&found.body);
        return (
            unread.into_iter().chain(failure_policy(found)).collect(),
            false,
        );
    };
    let judged = errors::judge(&written);
    let errors = judged.errors.into_iter().map(ConfigFinding::from);
    let mut findings: Vec<ConfigFinding> = errors.collect();
    for finding in &mut findings {
        if let (None, Body::Tree(_)) = (&finding.remedy, &found.body) {
            finding.remedy = misread(source, finding, found.rules);
        }
    }
    match &judged.config {
        Some(config) => findings.extend(Warnings::of(found, &written, config)),
        None => findings.extend(failure_policy(found)),
    }
    (findings, judged.is_whole)
}

/// The remedy for a scalar that means more to the file's reader than it says.
fn misread(source: &SourceFile, finding: &ConfigFinding, rules: ScalarRules) -> Option<String> {
    let written = source.text.get(finding.at.clone())?;
    let json = |rules: ScalarRules| DocNode::new(0..0, rules.read(written)).json();
    let read = json(rules);
    if read == json(ScalarRules::Core) {
        return None;
    }
    let (reader, remedy) = match rules {
        ScalarRules::Core => return None,
        ScalarRules::Envoy => (
            "Envoy",
            "write the config as JSON text, in a StringValue, or a word in quotes",
        ),
        ScalarRules::Kubernetes => ("Kubernetes", "put it in quotes"),
    };
    Some(format!("{reader} reads {written} as {read}: {remedy}"))
}

/// The reason why a config can't be read at all.
fn unread_body(body: &Body) -> Option<ConfigFinding> {
    match body {
        Body::Tree(_) | Body::Json(_) | Body::Absent => None,
        Body::NotJson(error) => {
            let problem = format!("not JSON: {}", error.problem);
            Some(broken(error.at, problem, error.remedy))
        }
        Body::Misplaced(misplaced) => Some(ConfigFinding {
            severity: Severity::Error,
            at: misplaced.at.clone(),
            path: misplaced.path.clone(),
            problem: misplaced.problem.clone(),
            allowed: None,
            remedy: Some(misplaced.remedy.clone()),
        }),
    }
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
    /// The reasons why files were not checked.
    unread: &'a [String],
    findings: Vec<report::JsonFinding<'a>>,
}

fn write_json(
    checked: &[CheckedFile],
    unread: &[String],
    out: &mut impl io::Write,
) -> io::Result<()> {
    let sum = |count: fn(&CheckedFile) -> usize| checked.iter().map(count).sum();
    let report = JsonReport {
        configs: sum(|file| file.configs),
        errors: sum(|file| file.count(Severity::Error)),
        warnings: sum(|file| file.count(Severity::Warning)),
        whole: unread.is_empty() && checked.iter().all(|file| file.is_whole),
        unread,
        findings: checked
            .iter()
            .flat_map(|file| file.findings.iter().map(|f| f.json(&file.source)))
            .collect(),
    };
    let json = serde_json::to_string(&report).map_err(io::Error::from)?;
    writeln!(out, "{}", crate::visible::visible_json(&json))
}
