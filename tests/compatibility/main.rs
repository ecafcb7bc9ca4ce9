//! The tests on a real Envoy, on each supported version of it; `make envoys`.
//!
//! `TIERGATE_ENVOYS` is the directory that has each version's program as `VERSION/bin/envoy`.
//! `ENVOYS` names some of the versions, and `ENVOYS_TESTS` the tests by a part of their names.
#![allow(missing_docs, clippy::restriction)]

#[path = "../harness/document.rs"]
mod document;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The versions, oldest first, and the products that ship them.
const VERSIONS: [(&str, &str); 5] = [
    ("1.36.4", "Istio 1.28, Envoy Gateway 1.6"),
    ("1.37.0", "Istio 1.29, Envoy Gateway 1.7"),
    ("1.38.2", "Istio 1.30, Envoy Gateway 1.8"),
    ("1.39.3", "Istio 1.31, Envoy Gateway 1.9"),
    ("1.40.0", "none yet"),
];
const DOCUMENT: &str = "docs/compatibility.md";
const MARKS: (&str, &str) = (
    "<!-- the table of make envoys -->",
    "<!-- the end of make envoys -->",
);

/// What came of the tests on one version.
#[derive(Default)]
struct Tested {
    passed: usize,
    failed: Vec<String>,
}

fn main() -> ExitCode {
    let chosen = std::env::var("ENVOYS").unwrap_or_default();
    let chosen =
        |version: &str| chosen.is_empty() || chosen.split([',', ' ']).any(|one| one == version);
    let filter = std::env::var("ENVOYS_TESTS").unwrap_or_default();
    let mut has_failed = false;
    for (version, products) in VERSIONS.into_iter().filter(|(version, _)| chosen(version)) {
        eprintln!("Envoy {version}");
        // Only whole runs of a version are documented.
        let done = test(version, &filter).and_then(|tested| {
            let row = row(version, products, &tested);
            println!("{row}");
            has_failed |= !tested.failed.is_empty();
            match filter.is_empty() {
                true => document(version, &row),
                false => Ok(()),
            }
        });
        if let Err(problem) = done {
            eprintln!("Envoy {version}: {problem}");
            return ExitCode::from(2);
        }
    }
    ExitCode::from(u8::from(has_failed))
}

/// Runs the tests on a version, and those that fail once more, each alone.
fn test(version: &str, filter: &str) -> Result<Tested, String> {
    let words: Vec<_> = filter.split_whitespace().collect();
    let mut tested = run(version, &words)?;
    let failed = std::mem::take(&mut tested.failed);
    for name in failed {
        eprintln!("  failed: {name}; once more");
        let again = run(version, &["--exact", &name])?;
        tested.passed += again.passed;
        tested.failed.extend(again.failed);
    }
    Ok(tested)
}

fn run(version: &str, which: &[&str]) -> Result<Tested, String> {
    let all = std::env::var_os("TIERGATE_ENVOYS").ok_or("TIERGATE_ENVOYS is missing")?;
    let envoy = PathBuf::from(all).join(version).join("bin/envoy");
    if !envoy.exists() {
        return Err(format!("{} is missing", envoy.display()));
    }
    let mut run = Command::new(env!("CARGO"))
        .args([
            "test",
            "--locked",
            "--features",
            "cli,fleet",
            "--test",
            "envoy",
            "--",
        ])
        .args(which)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TIERGATE_ENVOY", envoy)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut tested = Tested::default();
    for line in BufReader::new(run.stdout.take().unwrap()).lines() {
        let line = line.map_err(|error| error.to_string())?;
        let Some((name, result)) = line
            .strip_prefix("test ")
            .and_then(|l| l.split_once(" ... "))
        else {
            continue;
        };
        match result {
            "ok" => tested.passed += 1,
            "FAILED" => tested.failed.push(name.to_owned()),
            _ => {}
        }
    }
    run.wait().map_err(|error| error.to_string())?;
    match tested.passed + tested.failed.len() {
        0 => Err("no test ran".to_owned()),
        _ => Ok(tested),
    }
}

fn row(version: &str, products: &str, tested: &Tested) -> String {
    let failed = match tested.failed.as_slice() {
        [] => "none".to_owned(),
        some => {
            let names: Vec<_> = some.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        }
    };
    format!("| {version} | {products} | {} | {failed} |", tested.passed)
}

/// Writes the row of a version into the document, and keeps those of the others.
fn document(version: &str, row: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{DOCUMENT}: {error}"))?;
    let mut table = "\n| Envoy | in | tests passed | failed |\n|---|---|---|---|\n".to_owned();
    for (other, _) in VERSIONS {
        let start = format!("| {other} |");
        let known = text.lines().find(|line| line.starts_with(&start));
        if let Some(line) = if other == version { Some(row) } else { known } {
            table += line;
            table.push('\n');
        }
    }
    document::replace(path, MARKS, &table).map_err(|problem| format!("{DOCUMENT}: {problem}"))
}
