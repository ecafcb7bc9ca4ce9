//! Logs that are packed: `tiergate usage` and `tiergate simulate` read gzip.

use crate::usage::{NEW_YEAR, states, text_line, usage};
use crate::{file, tiergate, tiergate_reads};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Packs each text as a gzip member of its own, as `cat a.gz b.gz` leaves them.
fn gzip(texts: &[&str]) -> Vec<u8> {
    let member = |text: &&str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    texts.iter().flat_map(member).collect()
}

#[test]
fn a_log_may_be_packed_by_gzip() {
    let (first, second) = (
        text_line(&states("acme", NEW_YEAR, 431)),
        text_line(&states("acme", NEW_YEAR + 1, 5)),
    );
    let plain = usage(format!("{first}{second}"), &["--csv"]);
    let packed = gzip(&[&first, &second]);
    let path = file("packed.log.gz", &packed);
    assert_eq!(usage(&packed, &["--csv"]).out, plain.out);
    assert_eq!(tiergate(&["usage", "--csv", &path]).out, plain.out);

    // A half of it must not look like a small log.
    let cut = file("cut.log.gz", &packed[..packed.len() - 4]);
    let ran = tiergate(&["usage", "--csv", &cut]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("can't read"), "{}", ran.err);

    let unpacked = file("packed.log", format!("{first}{second}"));
    let ran = tiergate(&["usage", &path, &unpacked]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("one is a copy of the other"),
        "{}",
        ran.err
    );
}

#[test]
fn a_replayed_log_may_be_packed_by_gzip() {
    let limits = json!({"concurrency": 1, "rpm": 1, "tpm": 100_000, "tpd": 100_000});
    let config = json!({"tiers": [{"name": "tier0", "limits": limits}]});
    let config = file("packed.json", config.to_string());
    let log = format!(
        "{}{}",
        text_line(&states("acme", NEW_YEAR, 431)),
        text_line(&states("acme", NEW_YEAR + 1, 5))
    );
    let replayed = |log: &[u8]| {
        let ran = tiergate_reads(&["simulate", "--json", "--config", &config, "-"], log);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    let plain = replayed(log.as_bytes());
    assert!(plain.contains("\"rpm\""), "{plain}");
    assert_eq!(replayed(&gzip(&[&log])), plain);
}

/// Regression: a pipe that gave one byte at first was taken for text.
#[test]
fn a_pipe_may_give_a_packed_log_byte_by_byte() {
    let packed = gzip(&[&text_line(&states("acme", NEW_YEAR, 431))]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(["usage", "--csv", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for byte in packed {
        stdin.write_all(&[byte]).unwrap();
        stdin.flush().unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("acme"), "{out}");
}
