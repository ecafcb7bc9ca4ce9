//! `tiergate accounts fold`: what an export comes to, and what becomes of lines that are no events.

use crate::{Ran, file, tiergate, tiergate_reads};
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const HEADER: &str = "id,account,amount,kind\n";

fn fold(input: &[u8], format: &str, more: &[&str]) -> Ran {
    let args = ["accounts", "fold", "-", "--format", format];
    tiergate_reads(&[&args, more].concat(), input)
}

fn csv(lines: &str) -> Ran {
    fold(format!("{HEADER}{lines}").as_bytes(), "csv", &[])
}

/// The accounts of a feed and their recharge, in the feed's order.
fn accounts(feed: &str) -> Vec<(String, String)> {
    let feed: Value = serde_json::from_str(feed).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let accounts = feed["accounts"].as_array().unwrap().iter();
    accounts
        .map(|a| (text(&a["id"]), text(&a["recharge"])))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(id, recharge): &(&str, &str)| ((*id).to_owned(), (*recharge).to_owned());
    expected.iter().map(owned).collect()
}

#[test]
fn recharges_with_vouchers_mixed_in_lead_to_the_published_tiers() {
    // Cash in cents, as two events with vouchers around them, and the tier that it gives.
    let table = [
        (99, None),
        (100, Some("tier0")),
        (499, Some("tier0")),
        (500, Some("tier0")),
        (999, Some("tier0")),
        (1_000, Some("tier1")),
        (2_000, Some("tier2")),
        (10_000, Some("tier3")),
        (99_999, Some("tier3")),
        (100_000, Some("tier4")),
        (300_000, Some("tier5")),
    ];
    let usd = |cents: u32| format!("{}.{:02}", cents / 100, cents % 100);
    let mut lines = String::new();
    for (cents, _) in table {
        let (first, second) = (usd(cents / 3), usd(cents - cents / 3));
        for (event, amount, kind) in [
            (1, "5", "voucher"),
            (2, first.as_str(), "cash"),
            (3, "1000", "voucher"),
            (4, second.as_str(), "cash"),
            (5, "5.00", "voucher"),
        ] {
            lines += &format!("{event},a{cents:06},{amount},{kind}\n");
        }
    }
    let ran = csv(&lines);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let summary =
        "events: 55, duplicates: 0, bad lines: 0, accounts: 11, vouchers due: 8 ($5 each)";
    assert_eq!(ran.err, format!("tiergate: {summary}\n"));
    for ((id, recharge), (cents, tier)) in accounts(&ran.out).into_iter().zip(table) {
        assert_eq!((id, &recharge), (format!("a{cents:06}"), &usd(cents)));
        let explained = tiergate(&["explain", "--json", "--recharge", &recharge]).out;
        let explained: Value = serde_json::from_str(&explained).unwrap();
        assert_eq!(explained["tier"]["name"].as_str(), tier, "{recharge}");
    }
}

#[test]
fn the_feed_is_in_the_order_of_accounts_whatever_the_order_of_events() {
    let ran = csv("3,b,1,cash\n1,é,1,cash\n2,a,1,cash\n4,a-,1,cash\n5,B,1,cash\n");
    let feed = "{\"accounts\":[
{\"id\":\"B\",\"recharge\":\"1.00\"},
{\"id\":\"a\",\"recharge\":\"1.00\"},
{\"id\":\"a-\",\"recharge\":\"1.00\"},
{\"id\":\"b\",\"recharge\":\"1.00\"},
{\"id\":\"é\",\"recharge\":\"1.00\"}
]}
";
    assert_eq!((ran.code, ran.out.as_str()), (0, feed));
    assert_eq!(csv("").out, "{\"accounts\":[\n]}\n");
}

#[test]
fn an_event_id_that_was_seen_changes_nothing_however_long_ago() {
    let mut lines = String::new();
    for round in 0..2 {
        for event in 0..1000 {
            // The second time with another amount: the first one stands.
            lines += &format!("{event},a,{},cash\n", 1 + round);
        }
    }
    // The same id of another account is another event; so is one that joins to the same text.
    lines += "0,b,7,cash\n1,ab,1,cash\nb1,a,1,cash\n";
    let ran = csv(&lines);
    let expected = [("a", "1001.00"), ("ab", "1.00"), ("b", "7.00")];
    assert_eq!(accounts(&ran.out), pairs(&expected));
    assert!(
        ran.err.contains("events: 2,003, duplicates: 1,000,"),
        "{}",
        ran.err
    );
    assert_eq!(ran.code, 0, "duplicates are no bad lines");
}

#[test]
fn refunds_lower_the_total_and_never_take_a_voucher_back() {
    let lines = "1,a,20,cash\n2,a,-15.01,cash\n3,b,3,cash\n4,b,-4,cash\n5,c,9,voucher\n6,d,-1,cash\n7,d,6,cash\n";
    let ran = csv(lines);
    let expected = [("a", "4.99"), ("b", "0.00"), ("c", "0.00"), ("d", "5.00")];
    assert_eq!(accounts(&ran.out), pairs(&expected));
    assert!(ran.err.contains("vouchers due: 2 ($5 each)"), "{}", ran.err);
}

#[test]
fn the_rule_of_the_voucher_can_be_set() {
    let input = format!("{HEADER}1,a,20,cash\n2,b,19.99,cash\n");
    for (rule, said) in [
        ("20:2.50", ", vouchers due: 1 ($2.50 each)"),
        ("none", ", vouchers due: 0"),
        ("0.01:1", ", vouchers due: 2 ($1 each)"),
    ] {
        let ran = fold(input.as_bytes(), "csv", &["--voucher", rule]);
        assert!(ran.err.trim_end().ends_with(said), "{}", ran.err);
    }
    for rule in ["5", "5:", "5:1e3", "", "-5:5"] {
        let ran = fold(input.as_bytes(), "csv", &["--voucher", rule]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{rule}");
    }
}

#[test]
fn columns_come_in_any_order_among_others_and_fields_may_be_quoted() {
    let csv = "\u{FEFF}kind,note, amount ,\"account\",id\r\n\
        cash,\"a, \"\"b\"\"\",1.5,\"x,y\",1\r\n\r\nvoucher,,5,x,2\r\ncash,,2,x,3";
    let ran = fold(csv.as_bytes(), "csv", &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let expected = [("x", "2.00"), ("x,y", "1.50")];
    assert_eq!(accounts(&ran.out), pairs(&expected));
}

#[test]
fn json_lines_may_have_numbers_escapes_and_other_fields() {
    let jsonl = r#"{"id": 1, "account": 7, "amount": 4.99, "kind": "cash"}
{"kind": "cash", "amount": "0.01", "account": "7", "id": "2", "note": {"deep": [1e3]}}
{"id": "1", "account": "7", "amount": 4.99, "kind": "cash"}

{"id": "3", "account": "a\"\u00e9\n", "amount": -5, "kind": "cash"}
{"id": "4", "account": "a\"é\n", "amount": 6, "kind": "c\u0061sh"}"#;
    let ran = fold(jsonl.as_bytes(), "jsonl", &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let expected = [("7", "5.00"), ("a\"é\n", "1.00")];
    assert_eq!(accounts(&ran.out), pairs(&expected));
    assert!(ran.err.contains("events: 5, duplicates: 1,"), "{}", ran.err);
}

#[test]
fn stdin_needs_its_format_and_a_file_tells_it_by_its_name() {
    let ran = tiergate_reads(&["accounts", "fold", "-"], HEADER.as_bytes());
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("say --format csv"), "{}", ran.err);
    let event = r#"{"id": "1", "account": "a", "amount": "1", "kind": "cash"}"#;
    for (name, content) in [
        ("by_name.csv", format!("{HEADER}1,a,1,cash\n")),
        ("by_name.JSONL", event.to_owned()),
        ("by_name.ndjson", event.to_owned()),
    ] {
        let ran = tiergate(&["accounts", "fold", &file(name, content)]);
        assert_eq!(accounts(&ran.out), pairs(&[("a", "1.00")]), "{name}");
    }
}

#[test]
fn the_feed_file_is_replaced_as_a_whole() {
    let events = file("whole.csv", format!("{HEADER}1,a,1,cash\n"));
    // Made anew: a run that was killed leaves its part.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("whole");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).unwrap();
    let feed = file("whole/feed.json", "an old one, longer than what comes");
    let private = Permissions::from_mode(0o640);
    std::fs::set_permissions(&feed, private.clone()).unwrap();
    let ran = tiergate(&["accounts", "fold", &events, "-o", &feed]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    let mode = std::fs::metadata(&feed).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, private.mode() & 0o777);
    let written = std::fs::read_to_string(&feed).unwrap();
    assert_eq!(accounts(&written), pairs(&[("a", "1.00")]));
    let left = std::fs::read_dir(&directory).unwrap().count();
    assert_eq!(left, 1, "the feed, and no part of one");
    let ran = tiergate(&["accounts", "fold", &events, "-o", "/dev/stdout"]);
    assert_eq!(accounts(&ran.out), pairs(&[("a", "1.00")]));
}

#[test]
fn what_can_not_be_read_or_written_says_so() {
    let events = file("fine.csv", format!("{HEADER}1,a,1,cash\n"));
    let directory = env!("CARGO_TARGET_TMPDIR");
    for (args, said) in [
        (&["/nowhere.csv"][..], "can't read /nowhere.csv"),
        (&[directory, "--format", "csv"], "can't read"),
        (
            &[&events, "-o", "/nowhere/feed.json"],
            "can't write /nowhere/feed.json",
        ),
        (&[&events, "--on-bad-line", "ask"], "invalid value 'ask'"),
        (&[], "<EVENTS>"),
    ] {
        let ran = tiergate(&[&["accounts", "fold"], args].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_csv_export_without_its_header_line_is_not_guessed_at() {
    for (content, said) in [
        (&b""[..], "is empty: a CSV export begins with a header line"),
        (b"1,a,20,cash\n", "no column \"id\""),
        (b"id,account,amount\n1,a,20\n", "no column \"kind\""),
        (
            b"id,account,amount,kind,amount\n",
            "column \"amount\" twice",
        ),
        (b"ID;Account;Amount;Kind\n", "\"ID;Account;Amount;Kind\""),
        (b"\xFF\xFEi\0d\0", "not UTF-8 at byte 1"),
        (b"id,\"account\n", "does not end on its line"),
    ] {
        for flag in ["skip", "stop"] {
            let ran = fold(content, "csv", &["--on-bad-line", flag]);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{said}");
            assert!(ran.err.contains(said), "{}", ran.err);
        }
    }
}

#[test]
fn a_terminal_gets_a_progress_bar_that_leaves_reports_whole() {
    let events = file("bar.csv", format!("{HEADER}1,a,1,cash\n2,a,1e3,cash\n"));
    let feed = file("bar_feed.json", "");
    let on_a_terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let output = Command::new("python3")
        .args(["-c", on_a_terminal, env!("CARGO_BIN_EXE_tiergate")])
        .args(["accounts", "fold", &events, "-o", &feed])
        .env("TERM", "xterm")
        .output()
        .unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{seen}");
    assert!(seen.contains("% of "), "{seen:?}");
    assert!(
        seen.contains("tiergate: line 3: amount \"1e3\" is not"),
        "{seen:?}"
    );
    assert!(seen.contains("bad lines: 1, accounts: 1"), "{seen:?}");
}
