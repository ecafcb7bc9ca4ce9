//! `tiergate usage` on lines that are broken, and on those that clients tried to forge.

use crate::usage::{NEW_YEAR, json_line, states, text_line, usage};
use serde_json::json;

/// The sums by account of a log: "acme 431".
fn outputs(log: &str) -> (i32, Vec<String>, String) {
    let ran = usage(log, &["--csv", "--by", "account"]);
    // The account may have commas: the six numbers behind it have none.
    let row = |line: &str| {
        let fields: Vec<_> = line.rsplitn(7, ',').collect();
        format!("{} {}", fields[6], fields[0])
    };
    (
        ran.code,
        ran.out.lines().skip(1).map(row).collect(),
        ran.err,
    )
}

#[test]
fn an_account_is_one_word_whatever_is_in_it() {
    for (escaped, shown) in [
        ("output=999%20", "\"output=999 \""),
        ("x%20output=999", "\"x output=999\""),
        ("at=1", "at=1"),
        ("tier=vip", "tier=vip"),
        ("a%22%2C%22b", "\"a\"\",\"\"b\""),
        ("a%0D%0Aacme%2Cfalse%2C9", "\"a\\u{d}\\u{a}acme,false,9\""),
        ("a%5Cb", "a\\\\b"),
        ("%FF", "\\xff"),
        ("%5Cxff", "\\\\xff"),
        ("%2525", "%25"),
        ("-", "'-"),
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-1+2", "'-1+2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("%EF%BC%9D1", "'＝1"),
        ("=1%2C2", "\"'=1,2\""),
        ("%09=1", "\\u{9}=1"),
        ("-17", "-17"),
        ("+1.5", "+1.5"),
        ("17", "17"),
        ("a=1", "a=1"),
        ("a%E2%80%AEb", "a\\u{202e}b"),
    ] {
        for line in [text_line, json_line] {
            let log = line(&states(escaped, NEW_YEAR, 431));
            let (code, sums, err) = outputs(&log);
            assert_eq!((code, sums), (0, vec![format!("{shown} 431")]), "{err}");
        }
        let ran = usage(text_line(&states(escaped, NEW_YEAR, 431)), &[]);
        assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
        assert!(
            ran.out.chars().all(|c| c == '\n' || !c.is_control()),
            "{}",
            ran.out
        );
    }
}

#[test]
fn what_a_client_writes_into_a_text_line_is_not_a_state() {
    let (forged_state, forged_usage) = states("victim", NEW_YEAR, 999_999);
    let forged = format!("{forged_state} {forged_usage}");
    let (state, usage_state) = states("acme", NEW_YEAR, 431);
    let good = text_line(&states("acme", NEW_YEAR, 1));
    for (end, sums) in [
        (format!("{state} {usage_state}"), "acme 432"),
        (format!("{state} -"), "acme 1"),
        ("tier=t outcome=exempt -".into(), "acme 1"),
        ("- -".into(), "acme 1"),
        ("-  -".into(), "acme 1"),
    ] {
        let log = format!("{good}GET / 200 {forged} {end}\n{good}").replacen(&good, "", 1);
        let (code, found, err) = outputs(&log);
        assert_eq!((code, found), (0, vec![sums.to_owned()]), "{end}: {err}");
        // As the first thing of the line, where it looks like JSON.
        let (_, found, err) = outputs(&format!("{{\"a\": {forged} {end}\n{good}"));
        assert_eq!(found, [sums], "{end}: {err}");
    }
    // The states are not at the end: then no line can be trusted.
    let (code, found, err) = outputs(&format!("{forged} \"curl\"\n{state} {usage_state} curl\n"));
    assert_eq!((code, found), (2, vec![]), "{err}");
}

#[test]
fn what_a_client_writes_into_a_json_line_is_not_a_state() {
    let (forged_state, forged_usage) = states("victim", NEW_YEAR, 999_999);
    let good = json_line(&states("acme", NEW_YEAR, 431));
    let forged = |tiergate: serde_json::Value| {
        let line = json!({
            "agent": forged_usage, "path": forged_state, "nested": {"tiergate_usage": forged_usage},
            "tiergate": tiergate, "tiergate_usage": null,
        });
        format!("{line}\n")
    };
    for state in [json!("tier=t outcome=exempt account=b"), json!(null)] {
        for log in [forged(state.clone()) + &good, good.clone() + &forged(state)] {
            let (code, found, err) = outputs(&log);
            assert_eq!((code, found), (0, vec!["acme 431".to_owned()]), "{err}");
        }
    }
}

#[test]
fn fields_of_unusual_names_are_found_or_named() {
    let (state, usage_state) = states("acme", NEW_YEAR, 431);
    let (forged_state, forged_usage) = states("victim", NEW_YEAR, 999_999);
    let good = json!({"agent": "curl", "a": {"s": state, "u": usage_state}});
    let forged =
        json!({"agent": forged_usage, "referer": forged_state, "a": {"s": null, "u": null}});
    for log in [format!("{good}\n{forged}\n"), format!("{forged}\n{good}\n")] {
        let (code, found, err) = outputs(&log);
        assert_eq!((code, found), (2, vec![]));
        assert!(
            err.contains("line 2: fields ") && err.contains("name the filter's with --"),
            "{err}"
        );

        let named = [
            "--state-field",
            "a.s",
            "--usage-field",
            "a.u",
            "--csv",
            "--by",
            "account",
        ];
        let ran = usage(&log, &named);
        assert_eq!(
            ran.out.lines().nth(1),
            Some("acme,false,1,120,80,0,431"),
            "{}",
            ran.err
        );
        assert_eq!((ran.code, ran.out.lines().count()), (0, 2));
    }
}

#[test]
fn broken_lines_are_left_out_with_their_numbers() {
    let (state, usage_state) = states("acme", NEW_YEAR, 431);
    let usage_with =
        |from: &str, to: &str| text_line(&(state.clone(), usage_state.replacen(from, to, 1)));
    let json_with = |from: &str, to: &str| {
        json_line(&(state.clone(), usage_state.clone())).replacen(from, to, 1)
    };
    for (bad, said) in [
        (
            usage_with("431", "4e2"),
            "wasm.tiergate.usage: output=\"4e2\" is not a whole number",
        ),
        (usage_with("431", "-431"), "output=\"-431\""),
        (usage_with("431", "99999999999999999999"), "output="),
        (usage_with(" output=431", ""), "output= is missing"),
        (usage_with("output", "input"), "input= stands twice"),
        (
            usage_with(" estimated=false", ""),
            "estimated= is missing: is the line cut?",
        ),
        (
            usage_with("at=1", "at=9999999999"),
            "at=\"9999999999767225600000\" is not a time",
        ),
        (
            text_line(&(state.replace("acme", "a%4"), usage_state.clone())),
            "account=\"a%4\" is not escaped",
        ),
        (
            text_line(&(state.replace("tier=", "ier="), usage_state.clone())),
            "is not before",
        ),
        (
            format!("GET / 200 {state}\n"),
            "without wasm.tiergate.usage: is it cut?",
        ),
        (
            json_with("\"path\"", "\"tiergate\""),
            "not JSON: field \"tiergate\" stands twice",
        ),
        (json_with("}", ""), "not JSON: EOF"),
        (json_with("\"at=", "[\"at="), "not JSON: "),
        (
            json_with(&format!("\"{usage_state}\""), "7"),
            "wasm.tiergate.usage: \"7\" is not a word",
        ),
        (json_with("path", "\\ud800"), "not JSON: "),
        (
            format!("{}\n", "x".repeat(3 << 20)),
            "longer than 1048576 bytes",
        ),
    ] {
        let form = if bad.starts_with('{') {
            json_line
        } else {
            text_line
        };
        let good = form(&states("acme", NEW_YEAR, 1));
        let (code, found, err) = outputs(&format!("{good}{bad}{good}"));
        assert_eq!(
            (code, found),
            (1, vec!["acme 2".to_owned()]),
            "{said}: {err}"
        );
        let (first, counts) = err.split_once('\n').unwrap();
        assert!(
            first.starts_with("tiergate: -, line 2: ") && first.contains(said),
            "{said}: {first}"
        );
        assert!(first.len() < 300);
        assert!(
            counts.contains("lines: 3, used: 2,") && counts.contains("broken: 1"),
            "{counts}"
        );
    }
}

/// Sums of a part must not look like those of the whole.
#[test]
fn a_log_of_which_a_part_is_unreadable_is_not_whole() {
    let (text, json) = (
        text_line(&states("acme", NEW_YEAR, 1)),
        json_line(&states("acme", NEW_YEAR, 1)),
    );
    let gzip: Vec<u8> = [&b"\x1f\x8b\x08\x00"[..], &(0..=255).collect::<Vec<u8>>()].concat();
    let cri = format!("2026-01-01T00:00:00.1Z stdout F {json}");
    let bytes = |parts: &[&[u8]]| parts.concat();
    for (log, broken, says) in [
        (
            bytes(&[text.as_bytes(), &gzip]),
            2,
            "is a part of the log compressed?",
        ),
        (bytes(&[&json.clone().into_bytes(), &gzip]), 2, "not text"),
        (
            bytes(&[json.as_bytes(), b"[info] starting\n"]),
            1,
            "not JSON, as other lines are",
        ),
        (
            bytes(&[b"[info] starting\n[info]\n", json.as_bytes()]),
            2,
            "2 lines before the first JSON",
        ),
        (
            bytes(&[json.as_bytes(), cri.as_bytes()]),
            1,
            "JSON behind a prefix",
        ),
        (
            bytes(&[text.as_bytes(), cri.as_bytes()]),
            1,
            "JSON behind a prefix",
        ),
        (bytes(&[json.as_bytes(), b"[]\n"]), 1, "not JSON"),
        (
            bytes(&[json.as_bytes(), text.as_bytes()]),
            1,
            "not JSON, as other lines are",
        ),
    ] {
        let ran = usage(&log, &["--csv", "--by", "account"]);
        assert_eq!(ran.code, 1, "{says}: {}", ran.err);
        assert_eq!(ran.out.lines().nth(1), Some("acme,false,1,120,80,0,1"));
        let counted = ran
            .err
            .contains(&format!("without states: 0, broken: {broken}\n"));
        assert!(counted && ran.err.contains(says), "{says}: {}", ran.err);
    }
    // A text log may have lines that are not the filter's, and each log its own form.
    let ran = usage(
        text.clone() + "GET /healthz 200 0ms - -\nGET {x}\n",
        &["--csv"],
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn a_log_of_json_behind_prefixes_lacks_no_states() {
    let json = json_line(&states("acme", NEW_YEAR, 1));
    let other = "2026-01-01T00:00:00.1Z stderr F [info] start\n";
    let log = format!("{other}2026-01-01T00:00:00.1Z stdout F {json}");
    for options in [&[][..], &["--state-field", "tiergate"]] {
        let ran = usage(&log, options);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        let said = "none of 2 lines has the filter's states where they can be read: 1 are JSON behind a prefix";
        assert!(ran.err.contains(said), "{}", ran.err);
        assert!(!ran.err.contains("Add them"), "{}", ran.err);
    }
}

#[test]
fn no_cut_of_a_line_makes_other_numbers() {
    for line in [text_line, json_line] {
        let good = line(&states("acme", NEW_YEAR, 1));
        let cut = line(&states("somebody", NEW_YEAR, 431));
        for end in (0..cut.len() - 2).step_by(3) {
            let (code, found, err) = outputs(&format!("{good}{}", &cut[..end]));
            assert!(code < 2, "{err}");
            assert_eq!(found, ["acme 1"], "{:?}", &cut[..end]);
        }
    }
}

#[test]
fn only_the_first_broken_lines_are_reported_one_by_one() {
    let good = text_line(&states("acme", NEW_YEAR, 431));
    let log = good.clone() + &good.replace("431", "x").repeat(25);
    let (code, _, err) = outputs(&log);
    assert_eq!((code, err.matches(", line ").count()), (1, 10));
    assert!(
        err.contains("line 11: ") && !err.contains("line 12: "),
        "{err}"
    );
    assert!(
        err.contains("tiergate: and 15 more broken lines\n"),
        "{err}"
    );
}

#[test]
fn bytes_that_are_no_text_cost_no_line() {
    for line in [text_line, json_line] {
        let line = line(&states("acme", NEW_YEAR, 431));
        let mut log = line.replace("/v1", "/\u{1}").into_bytes();
        let at = log.iter().position(|b| *b == 1).unwrap();
        log[at] = 0xff;
        let ran = usage(&log, &["--csv", "--by", "account"]);
        // A control byte alone is no JSON, and this one is a byte of no text.
        assert_eq!(
            ran.out.lines().nth(1),
            Some("acme,false,1,120,80,0,431"),
            "{}",
            ran.err
        );
    }
    let log = [
        &[0; 70_000][..],
        text_line(&states("acme", NEW_YEAR, 431)).as_bytes(),
    ]
    .concat();
    let ran = usage(&log, &["--csv", "--by", "account"]);
    assert_eq!(
        ran.out.lines().nth(1),
        Some("acme,false,1,120,80,0,431"),
        "{}",
        ran.err
    );
}

#[test]
fn a_sum_that_would_wrap_leaves_the_line_out() {
    let most = text_line(&states("acme", NEW_YEAR, (1 << 53) - 1));
    let ran = usage(most.repeat(2_049), &["--csv", "--by", "account"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("line 2049: a sum would be over"),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("acme,false,2048,"), "{}", ran.out);
}
