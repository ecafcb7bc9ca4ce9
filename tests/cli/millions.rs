//! A long export: bounded time, and memory for accounts and event ids alone.

use crate::tiergate;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const LINES: u64 = 1_000_000;
const ACCOUNTS: u64 = 10_000;

/// A million events of $1.01 and ten thousand accounts, and every fifth line once more.
fn export(path: &Path) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    writeln!(out, "id,account,amount,kind").unwrap();
    for line in 0..LINES {
        let event = if line % 5 == 4 { line - 4 } else { line };
        let account = event % ACCOUNTS;
        writeln!(out, "evt_{event:012},account-{account:05},1.01,cash").unwrap();
    }
    out.into_inner().unwrap().sync_all().unwrap();
}

#[test]
fn a_million_lines_take_seconds_and_little_memory() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("million.csv");
    let feed = path.with_extension("json");
    export(&path);
    let (path, feed) = (path.to_str().unwrap(), feed.to_str().unwrap());
    let args = ["accounts", "fold", path, "-o", feed];

    let start = Instant::now();
    let ran = tiergate(&args);
    let took = start.elapsed();
    let summary = "events: 1,000,000, duplicates: 200,000, bad lines: 0, accounts: 8,000, \
        vouchers due: 8,000 ($5 each)";
    assert_eq!((ran.code, ran.err), (0, format!("tiergate: {summary}\n")));
    let written = std::fs::read_to_string(feed).unwrap();
    assert_eq!(written.matches(",\"recharge\":\"101.00\"}").count(), 8_000);
    println!("{LINES} lines in {took:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");

    let timed = Command::new("/usr/bin/time")
        .args(["-f", "%M", env!("CARGO_BIN_EXE_tiergate")])
        .args(args)
        .output();
    if let Ok(timed) = timed {
        let err = String::from_utf8(timed.stderr).unwrap();
        let kilobytes: u64 = err.lines().last().unwrap().parse().unwrap();
        println!("{kilobytes} kB at most");
        assert!(kilobytes < 128 * 1024, "{kilobytes} kB");
    }
    std::fs::remove_file(path).unwrap();
}
