//! Long files: bounded time, and memory for what is summed alone.

use crate::{Ran, tiergate};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

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

    let (ran, kilobytes) = timed(&args);
    let summary = "events: 1,000,000, duplicates: 200,000, bad lines: 0, accounts: 8,000, \
        vouchers due: 8,000 ($5 each)";
    assert_eq!((ran.code, ran.err), (0, format!("tiergate: {summary}\n")));
    let written = std::fs::read_to_string(feed).unwrap();
    assert_eq!(written.matches(",\"recharge\":\"101.00\"}").count(), 8_000);
    assert!(kilobytes.is_none_or(|kb| kb < 128 * 1024), "{kilobytes:?}");
    std::fs::remove_file(path).unwrap();
}

/// Runs tiergate, and measures its memory in kilobytes where the machine can tell.
fn timed(args: &[&str]) -> (Ran, Option<u64>) {
    let start = Instant::now();
    let binary = env!("CARGO_BIN_EXE_tiergate");
    let output = Command::new("/usr/bin/time")
        .args(["-q", "-f", "%M", binary])
        .args(args)
        .output();
    let (ran, kilobytes) = match output {
        Err(_) => (tiergate(args), None),
        Ok(output) => {
            let err = String::from_utf8(output.stderr).unwrap();
            let (err, kilobytes) = err.trim_end().rsplit_once('\n').unwrap();
            let ran = Ran {
                code: output.status.code().unwrap(),
                out: String::from_utf8(output.stdout).unwrap(),
                err: format!("{err}\n"),
            };
            (ran, Some(kilobytes.parse().unwrap()))
        }
    };
    let took = start.elapsed();
    println!("{LINES} lines in {took:?}, {kilobytes:?} kB at most");
    (ran, kilobytes)
}

/// A million requests of a hundred accounts on two days, the second half in JSON.
fn access_log(path: &Path) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    for line in 0..LINES {
        let account = line % 100;
        let at = 1_767_225_600_000 + line * 100;
        let state = format!("tier=tier0 outcome=admitted model=k2 account=account-{account}");
        let usage = format!(
            "at={at} reserved=1030 model=k2 input=120 cached=80 cache_write=0 output=431 \
             estimated=false"
        );
        match line < LINES / 2 {
            true => writeln!(out, "POST /v1/chat 200 12ms {state} {usage}").unwrap(),
            false => writeln!(
                out,
                r#"{{"path": "/v1/chat", "tiergate": "{state}", "tiergate_usage": "{usage}"}}"#
            )
            .unwrap(),
        }
    }
    out.into_inner().unwrap().sync_all().unwrap();
}

#[test]
fn a_million_requests_take_the_memory_of_their_sums() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("million.log");
    access_log(&path);
    let path = path.to_str().unwrap();
    let args = ["usage", "--csv", path];
    let (ran, kilobytes) = timed(&args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let rows: Vec<_> = ran.out.lines().skip(1).collect();
    assert_eq!(rows.len(), 200);
    // 864,000 requests of 100 ms make a day.
    assert_eq!(
        rows[0],
        "account-0,k2,2026-01-01,false,8640,1036800,691200,0,3723840"
    );
    assert!(rows[1].starts_with("account-0,k2,2026-01-02,false,1360,"));
    assert!(kilobytes.is_none_or(|kb| kb < 24 * 1024), "{kilobytes:?}");
    std::fs::remove_file(path).unwrap();
}
