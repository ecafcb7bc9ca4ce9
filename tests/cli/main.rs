//! The command line as an operator sees it: what is printed, what is written, and the exit code.
#![allow(missing_docs, clippy::restriction)]

mod bad_lines;
mod check;
mod diff;
mod diff_same;
mod diff_vm;
mod documents;
mod explain;
mod fold;
mod fold_pages;
#[path = "../harness/core.rs"]
#[allow(dead_code, unused_imports, reason = "the core's tests use all of it")]
mod harness;
mod millions;
mod output;
mod packed;
mod preset;
mod schema;
mod simulate;
mod standard_input;
mod top;
mod usage;
mod usage_hostile;
mod usage_refused;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What came of a run.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs tiergate with nothing on standard input.
fn tiergate(args: &[&str]) -> Ran {
    tiergate_reads(args, b"")
}

fn tiergate_reads(args: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without having read all of it.
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of that name with that content, in a directory of the test run.
fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}
