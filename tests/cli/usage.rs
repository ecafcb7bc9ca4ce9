//! `tiergate usage`: tokens summed from access logs, and what is said of logs that lack them.

use crate::{Ran, file, tiergate, tiergate_reads};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z, in milliseconds.
pub const NEW_YEAR: u64 = 1_767_225_600_000;

/// A request's two states.
pub fn states(account: &str, at: u64, output: u64) -> (String, String) {
    (
        format!("tier=tier0 outcome=admitted model=k2 account={account}"),
        format!(
            "at={at} reserved=1030 model=k2 input=120 cached=80 cache_write=0 output={output} \
             estimated=false"
        ),
    )
}

pub fn text_line((state, usage): &(String, String)) -> String {
    format!("POST /v1/chat/completions 200 41ms {state} {usage}\n")
}

pub fn json_line((state, usage): &(String, String)) -> String {
    let line = json!({"path": "/v1/chat/completions", "tiergate": state, "tiergate_usage": usage});
    format!("{line}\n")
}

pub fn usage(log: impl AsRef<[u8]>, options: &[&str]) -> Ran {
    tiergate_reads(&[&["usage", "-"], options].concat(), log.as_ref())
}

/// A day of two accounts, with one request that broke off and three that used nothing.
fn day() -> String {
    let broke_off = states("acme", NEW_YEAR + 1, 7).1;
    let broke_off = broke_off.replace("false", "true").replace(" model=k2", "");
    [
        text_line(&states("acme", NEW_YEAR, 431)),
        text_line(&states("acme", NEW_YEAR + 86_399_999, 1_000_000)),
        text_line(&states("acme", NEW_YEAR + 86_400_000, 1)),
        text_line(&(states("acme", 0, 0).0, broke_off)),
        text_line(&states("%E5%AE%A2%E6%88%B7-7", NEW_YEAR, 2)),
        text_line(&(
            "tier=tier0 outcome=limited limit=rpm model=k2 account=acme".into(),
            "-".into(),
        )),
        text_line(&(
            "tier=none outcome=refused code=account_missing sources=header:x-account-id".into(),
            "-".into(),
        )),
        text_line(&("tier=tier1 outcome=exempt account=b".into(), "-".into())),
        "\n".into(),
        "GET /healthz 200 0ms - -\n".into(),
    ]
    .concat()
}

const COUNTS: &str = "tiergate: lines: 9, used: 5, without usage: 3 (exempt 1, limited 1, refused \
    1), without states: 1, broken: 0\n";

#[test]
fn a_table_has_a_row_for_each_account_model_and_day() {
    let ran = usage(day(), &[]);
    let table = "\
ACCOUNT  MODEL  DAY         ESTIMATED  REQUESTS  INPUT  CACHED  CACHE_WRITE     OUTPUT
acme     -      2026-01-01  true              1    120      80            0          7
acme     k2     2026-01-01  false             2    240     160            0  1,000,431
acme     k2     2026-01-02  false             1    120      80            0          1
客户-7   k2     2026-01-01  false             1    120      80            0          2
";
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, table, COUNTS)
    );
}

#[test]
fn csv_and_json_have_the_same_rows_for_machines() {
    let ran = usage(day(), &["--csv", "--by", "day,account"]);
    let csv = "\
day,account,estimated,requests,input,cached,cache_write,output
2026-01-01,acme,false,2,240,160,0,1000431
2026-01-01,acme,true,1,120,80,0,7
2026-01-01,客户-7,false,1,120,80,0,2
2026-01-02,acme,false,1,120,80,0,1
";
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, csv, COUNTS)
    );

    let ran = usage(day(), &["--json", "--by", "model"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, COUNTS));
    let row = |model: Value, estimated, requests, output| {
        json!({
            "model": model, "estimated": estimated, "requests": requests,
            "input": 120 * requests, "cached": 80 * requests, "cache_write": 0, "output": output,
        })
    };
    let expected = json!({
        "zone": "UTC",
        "rows": [row(Value::Null, true, 1, 7), row("k2".into(), false, 4, 1_000_434)],
        "lines": {
            "read": 9, "used": 5, "without_account": 0,
            "without_usage": {"exempt": 1, "limited": 1, "refused": 1},
            "without_states": 1, "interim": 0, "broken": 0,
        },
    });
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), expected);
    assert_eq!(ran.out.lines().count(), 1);
}

#[test]
fn json_lines_say_the_same_whatever_their_fields() {
    let plain = usage(text_line(&states("acme", NEW_YEAR, 431)), &[]);
    let (state, usage_state) = states("acme", NEW_YEAR, 431);
    let wrapped = json!({"time": 1, "log": {"filter": [&state, &usage_state], "ua": null}});
    for log in [
        json_line(&states("acme", NEW_YEAR, 431)),
        format!("{wrapped}\r\n"),
        format!("{wrapped}"),
        // Escapes stand for the characters.
        json_line(&(state, usage_state))
            .replace(" outcome", "\\u0020outcome")
            .replace("at=", "\\u0061t="),
    ] {
        let ran = usage(&log, &[]);
        assert_eq!((ran.code, &ran.out), (0, &plain.out), "{log}: {}", ran.err);
    }
}

#[test]
fn a_json_line_without_usage_is_counted_by_its_outcome() {
    let good = json_line(&states("acme", NEW_YEAR, 431));
    for (tiergate, outcome) in [
        (
            "tier=tier0 outcome=limited limit=rpm account=a",
            "limited 1",
        ),
        ("tier=tier0 outcome=admitted account=a", "admitted 1"),
        ("tier=tier0 outcome=of-a-later-filter", "other 1"),
    ] {
        for empty in [Value::Null, "-".into(), "".into()] {
            let line = json!({"tiergate": tiergate, "tiergate_usage": empty});
            let ran = usage(format!("{good}{line}\n{{\"path\": \"/\"}}\n"), &[]);
            let counts = format!(
                "tiergate: lines: 3, used: 1, without usage: 1 ({outcome}), without states: 1, \
                 broken: 0\n"
            );
            assert_eq!((ran.code, ran.err), (0, counts));
        }
    }
}

#[test]
fn days_are_those_of_a_zone() {
    let log = text_line(&states("acme", NEW_YEAR - 1, 431));
    for (zone, day) in [
        ("UTC", "2025-12-31"),
        ("+08:00", "2026-01-01"),
        ("-23:59", "2025-12-31"),
        ("Asia/Shanghai", "2026-01-01"),
    ] {
        let ran = usage(&log, &["--zone", zone, "--by", "day", "--csv"]);
        assert!(
            ran.out.contains(&format!("\n{day},false,1,")),
            "{zone}: {}",
            ran.out
        );
    }
    let ran = usage(&log, &["--zone", "Shanghai"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("did you mean \"Asia/Shanghai\"?"),
        "{}",
        ran.err
    );
}

/// Envoy's lines of one request: at its start, while it runs, for a try, and at its end.
const TYPES: [&str; 5] = [
    "DownstreamStart",
    "DownstreamPeriodic",
    "UpstreamPoolReady",
    "UpstreamEnd",
    "DownstreamEnd",
];

#[test]
fn a_request_that_is_logged_more_than_once_counts_at_its_end() {
    let (state, usage_state) = states("acme", NEW_YEAR, 431);
    let before = usage_state.replace("431", "7").replace("false", "true");
    let text = |of: &str| match of {
        "DownstreamEnd" => format!("POST / 200 {of} {state} {usage_state}\n"),
        "DownstreamStart" => format!("POST / 0 {of} - -\n"),
        "UpstreamPoolReady" => format!("POST / 0 {of} {state} -\n"),
        _ => format!("POST / 200 {of} {state} {before}\n"),
    };
    let json = |of: &str| {
        let (state, usage) = match of {
            "DownstreamEnd" => (Some(&state), Some(&usage_state)),
            "DownstreamStart" => (None, None),
            "UpstreamPoolReady" => (Some(&state), None),
            _ => (Some(&state), Some(&before)),
        };
        let line = json!({"type": of, "tiergate": state, "tiergate_usage": usage});
        format!("{line}\n")
    };
    for log in [TYPES.map(text).concat(), TYPES.map(json).concat()] {
        let ran = usage(&log, &["--csv", "--by", "account"]);
        assert_eq!(
            ran.out.lines().nth(1),
            Some("acme,false,1,120,80,0,431"),
            "{log}"
        );
        let counts = "tiergate: lines: 5, used: 1, without usage: 0, without states: 0, \
            before the end: 4, broken: 0\n";
        assert_eq!((ran.code, ran.err.as_str()), (0, counts));
        let ran = usage(&log, &["--json"]);
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(document["lines"]["interim"], 4);
    }
    // A type of before Envoy had them, and a log without it.
    for log in [
        json("DownstreamEnd").replace("DownstreamEnd", "NotSet"),
        text("41ms"),
    ] {
        let ran = usage(&log, &["--csv", "--by", "account"]);
        assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{log}");
    }
}

/// A client writes its agent and its content type. With these it must not get out of the sums.
#[test]
fn a_client_does_not_choose_the_type_of_its_lines() {
    let (state, usage_state) = states("acme", NEW_YEAR, 431);
    let line = format!("DownstreamStart \"DownstreamStart\" 200 41ms {state} {usage_state}\n");
    let ran = usage(&line, &["--csv", "--by", "account"]);
    assert_eq!(ran.out.lines().nth(1), Some("acme,false,1,120,80,0,431"));
    let json = |content: &str| {
        let line = json!({"type": content, "tiergate": state, "tiergate_usage": usage_state});
        format!("{line}\n")
    };
    let (good, forged) = (json("application/json"), json("DownstreamStart"));
    for log in [format!("{good}{forged}"), format!("{forged}{good}")] {
        let ran = usage(&log, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{log}");
        assert!(
            ran.err.contains("line 2: field \"type\" is "),
            "{}",
            ran.err
        );
    }
}

#[test]
fn several_files_make_one_sum() {
    let first = file("first.log", text_line(&states("acme", NEW_YEAR, 1)));
    let second = file("second.log", json_line(&states("acme", NEW_YEAR, 2)));
    let third = text_line(&states("acme", NEW_YEAR, 3));
    let args = ["usage", "--csv", "--by", "account", &first, "-", &second];
    let ran = tiergate_reads(&args, third.as_bytes());
    assert_eq!(ran.out.lines().nth(1), Some("acme,false,3,360,240,0,6"));

    let again = format!("{}/./first.log", env!("CARGO_TARGET_TMPDIR"));
    let ran = tiergate(&["usage", &first, &again]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("is named twice"), "{}", ran.err);
}

#[test]
fn an_empty_log_has_no_rows() {
    for log in ["", "\n \n"] {
        let ran = usage(log, &["--csv", "--by", "day"]);
        let head = "day,estimated,requests,input,cached,cache_write,output\n";
        assert_eq!((ran.code, ran.out.as_str()), (0, head));
    }
}

/// Regression: `serde_json` sorted the keys, so the columns came in another order than asked for.
#[test]
fn rows_of_json_have_their_keys_in_the_order_of_the_columns() {
    let log = text_line(&states("acme", NEW_YEAR, 431));
    for by in ["model,day,account", "day,account", "account,model,day"] {
        let ran = usage(&log, &["--json", "--by", by]);
        let row = ran.out.split_once("\"rows\":[{").unwrap().1;
        let row = row.split_once('}').unwrap().0;
        let keys: Vec<_> = row
            .split(',')
            .map(|field| field.split('"').nth(1).unwrap())
            .collect();
        let counts = "estimated,requests,input,cached,cache_write,output";
        assert_eq!(keys.join(","), format!("{by},{counts}"));
    }
}

/// The example of docs/cli.md is what the command prints.
#[test]
fn the_docs_have_the_output_of_a_command() {
    let docs = include_str!("../../docs/cli.md");
    let log = file("access.log", day());
    for (options, shown) in [
        (&[][..], "$ tiergate usage access.log\n"),
        (
            &["--by", "day", "--csv"],
            "$ tiergate usage access.log --by day --csv\n",
        ),
    ] {
        let ran = tiergate(&[&["usage", &log], options].concat());
        let example = format!("{shown}{}{}", ran.out, ran.err);
        assert!(docs.contains(&example), "docs/cli.md lacks:\n{example}");
    }
}
