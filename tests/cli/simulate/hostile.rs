//! Logs that are not what they should be: nothing to replay, wrong clocks, names that no line has, and
//! copies.

use super::{NEW_YEAR, config, envoy, ours, simulate, start};
use crate::{file, tiergate, tiergate_reads};
use serde_json::{Value, json};

/// The last line that a run says.
fn last(err: &str) -> &str {
    err.lines().last().unwrap_or_default()
}

#[test]
fn a_run_that_replayed_nothing_has_no_result() {
    let exempt = "GET / 200 1 - tier=free outcome=exempt account=a -\n";
    for (log, counts) in [
        ("", "lines: 0, replayed: 0, broken: 0"),
        ("\n\n", "lines: 0, replayed: 0, broken: 0"),
        ("{\n{\n", "lines: 2, replayed: 0, broken: 2"),
        (exempt, "lines: 1, replayed: 0, exempt: 1, broken: 0"),
    ] {
        for options in [&[][..], &["--json"]] {
            let ran = simulate(log, options);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{log}");
            let said = format!("tiergate: nothing was replayed ({counts})");
            assert!(last(&ran.err).starts_with(&said), "{}", ran.err);
        }
    }
}

#[test]
fn a_line_of_a_wrong_clock_spoils_no_other() {
    let config = config("clock", json!({"rpm": 2}), json!({}));
    let far = ours("acme", "free", 1).replace(&(NEW_YEAR + 1).to_string(), "95617584000000");
    let long = ours("acme", "free", 2).replace("200 9 ", "200 99999999999999 ");
    let log = [ours("acme", "free", 0), far, long, ours("acme", "free", 3)].concat();
    let ran = simulate(log, &["--config", &config, "--json"]);
    assert_eq!(ran.code, 1);
    for said in [
        "tiergate: -, line 2: its time is more than a year from those of the lines around it",
        "tiergate: -, line 3: lasts longer than a year",
    ] {
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&said["lines"]["late"], &said["tiers"][0]["requests"]),
        (&0.into(), &2.into())
    );
}

/// A line of Envoy's default format, in a year.
fn of_year(year: &str, ms: u64) -> String {
    envoy("acme", ms).replace("2026", year)
}

/// Replays a log of Envoy's default format; returns the counts of lines and what was said.
fn replayed(log: &str, options: &[&str]) -> (Value, i32, String) {
    let config = config("clocks", json!({"rpm": 2}), json!({}));
    let all = [
        "--config",
        &config,
        "--account",
        "authority",
        "--tier",
        "free",
        "--json",
    ];
    let ran = simulate(log, &[&all, options].concat());
    let said: Value = serde_json::from_str(&ran.out).unwrap_or_default();
    (said["lines"].clone(), ran.code, ran.err)
}

#[test]
fn the_line_that_is_far_from_its_neighbours_is_the_bad_one() {
    let good = |ms| of_year("2026", ms);
    for year in ["1970", "2036"] {
        for place in 0..=4 {
            let mut log: Vec<String> = (0..4).map(|n| good(n * 1000)).collect();
            log.insert(place, of_year(year, 0));
            let (lines, code, err) = replayed(&log.concat(), &[]);
            assert_eq!((&lines["replayed"], code), (&4.into(), 1), "{year} {err}");
            let said = format!("tiergate: -, line {}: its time is more than", place + 1);
            assert!(err.starts_with(&said), "{err}");
            assert_eq!(lines["late"], 0);
        }
    }
    // Two lines that differ by years do not show which one is wrong: the last one stands.
    let (lines, _, _) = replayed(&[of_year("1970", 0), good(0)].concat(), &[]);
    assert_eq!(
        (&lines["replayed"], &lines["broken"]),
        (&1.into(), &1.into())
    );
    let (lines, code, _) = replayed(&good(0), &[]);
    assert_eq!((&lines["replayed"], code), (&1.into(), 0));
}

#[test]
fn two_lines_that_agree_are_a_gap_of_the_log() {
    let pair = |year: &str| [of_year(year, 1000), of_year(year, 2000)].concat();
    for years in [["1970", "2026"], ["2026", "2036"], ["2036", "2026"]] {
        let (lines, code, err) = replayed(&years.map(pair).concat(), &[]);
        assert_eq!(
            (&lines["replayed"], code),
            (&4.into(), 0),
            "{years:?} {err}"
        );
        assert_eq!(lines["late"], 0, "{years:?}");
    }
    // Behind the jump, the window orders lines as before, unless the future was replayed already.
    let log = [pair("2036"), of_year("2026", 9000), of_year("2026", 100)].concat();
    assert_eq!(replayed(&log, &[]).0["late"], 0);
    let log = [
        pair("2036"),
        of_year("2026", 9000),
        of_year("2026", 9001),
        of_year("2026", 100),
    ];
    assert_eq!(replayed(&log.concat(), &["--window", "1ms"]).0["late"], 3);
}

#[test]
fn a_name_that_no_line_has_is_refused_with_those_that_lines_have() {
    let json = format!(
        "{}\n",
        json!({"account": "acme", "tier": "free", "o": {"model": null}, "start": start(0)})
    );
    let text = envoy("acme", 0);
    let states = ours("acme", "free", 0);
    let fields = "the JSON lines have \"account\", \"o.model\", \"start\", \"tier\"";
    let columns = "a column of the text lines is a number from 1 to 13, or one of start, request,";
    for (log, options, said) in [
        (
            &json,
            &["--account", "acount"][..],
            format!(
                "--account: no line has the field \"acount\" (did you mean \"account\"?): {fields}\n"
            ),
        ),
        (
            &json,
            &["--account", "account", "--tier-column", "teir"],
            format!(
                "--tier-column: no line has the field \"teir\" (did you mean \"tier\"?): {fields}\n"
            ),
        ),
        (
            &json,
            &["--account", "account", "--model", "mdl"],
            format!("--model: no line has the field \"mdl\": {fields}\n"),
        ),
        (
            &json,
            &["--state-field", "foo"],
            format!("--state-field: no line has the field \"foo\": {fields}\n"),
        ),
        (
            &text,
            &["--account", "autority"],
            format!(
                "--account: no line has the column \"autority\" (did you mean \"authority\"?): {columns}"
            ),
        ),
        (
            &text,
            &["--account", "99"],
            format!("--account: no line has the column \"99\": {columns}"),
        ),
        (
            &text,
            &["--account", "0"],
            format!("--account: no line has the column \"0\": {columns}"),
        ),
        (
            &states,
            &["--usage-field", "foo"],
            "--usage-field: no line has the field \"foo\": no line is JSON\n".to_owned(),
        ),
        (
            &states,
            &["--account", "user"],
            "--account: no line has the column \"user\"".to_owned(),
        ),
        (
            &(text.clone() + &json),
            &["--account", "autority"],
            format!("{fields}; {columns}"),
        ),
    ] {
        let ran = simulate(log, options);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{options:?}");
        assert!(ran.err.contains(&said), "{said}: {}", ran.err);
    }
    // A line that lacks the field is no fault, as long as another one has it.
    let log = json.clone() + "{\"start\": \"2026-01-01T00:00:00Z\"}\n";
    let ran = simulate(
        log,
        &[
            "--account",
            "account",
            "--model",
            "o.model",
            "--tier",
            "tier0",
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    // Nor is a log of refusals without a usage, where Envoy leaves empty fields out.
    let state = "tier=free account=a outcome=limited limit=rpm";
    let log = format!("{}\n", json!({"start": start(0), "s": state}));
    let fields = ["--state-field", "s", "--usage-field", "u"];
    for command in ["simulate", "usage"] {
        let tier = &["--tier", "tier0"][..];
        let tier = if command == "simulate" { tier } else { &[] };
        let args = [&[command, "-"], &fields[..], tier].concat();
        let ran = crate::tiergate_reads(&args, log.as_bytes());
        assert_eq!(ran.code, 0, "{command}: {}", ran.err);
    }
}

/// Regression: standard input and hard links to a log were overwritten by the picture.
#[test]
fn a_picture_replaces_no_input_by_any_of_its_names() {
    let log = file("svg-input.log", ours("acme", "tier0", 0));
    let link = format!("{log}.link");
    let _ = std::fs::remove_file(&link);
    std::fs::hard_link(&log, &link).unwrap();
    let before = std::fs::read_to_string(&log).unwrap();
    let ran = tiergate(&["simulate", &log, "--svg", &link]);
    assert!(
        ran.err.contains("the picture would replace it"),
        "{}",
        ran.err
    );
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(["simulate", "-", "--svg", &log])
        .stdin(std::fs::File::open(&log).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), before);
}

#[test]
fn a_copy_of_a_log_is_refused_in_each_form() {
    let json = |start: &Value| {
        format!(
            "{}\n",
            json!({"account": "a", "start": start, "tier": "tier0"})
        )
    };
    let second = envoy("acme", 1).replace(".001Z", "Z");
    for (log, is_copy) in [
        (envoy("acme", 0), true),
        (json(&start(0).into()), true),
        (json(&NEW_YEAR.into()), true),
        (json(&"1767225600.123".into()), true),
        (ours("acme", "tier0", 0), true),
        // Two Envoys can have the same request in a second.
        (second, false),
    ] {
        let one = file("simulate-one.log", &log);
        let other = file("simulate-other.log", log.clone() + &log);
        let account = if log.starts_with('{') { "account" } else { "1" };
        let ran = tiergate(&[
            "simulate",
            &one,
            &other,
            "--account",
            account,
            "--tier",
            "tier0",
        ]);
        let said = "so one is a copy of the other: its requests would count twice";
        assert_eq!(
            (ran.code, ran.err.contains(said)),
            (if is_copy { 2 } else { 0 }, is_copy),
            "{log}{}",
            ran.err
        );
    }
    // Another account in the same millisecond is another log.
    let one = file("simulate-a.log", envoy("acme", 0));
    let other = file("simulate-b.log", envoy("bolt", 0));
    let ran = tiergate(&[
        "simulate",
        &one,
        &other,
        "--account",
        "authority",
        "--tier",
        "tier0",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn json_behind_a_prefix_says_so() {
    let line = format!(
        "2026-01-01T00:00:00.1Z stdout F {}\n",
        json!({"account": "a", "start": start(0)})
    );
    // A container's log has other lines too.
    for log in [
        line.clone(),
        format!("2026-01-01T00:00:00.1Z stderr F [info] start\n{line}"),
    ] {
        for options in [
            &[][..],
            &["--account", "account"],
            &["--state-field", "tiergate"],
        ] {
            let ran = simulate(&log, options);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""));
            let said = "broken: 1): 1 of them are JSON behind a prefix";
            assert!(last(&ran.err).contains(said), "{}", ran.err);
        }
    }
}

#[test]
fn lines_inside_of_dockers_json_say_so() {
    let inner = [
        envoy("acme", 0),
        format!("{}\n", json!({"account": "a", "start": start(0)})),
    ];
    for inner in inner {
        let line = json!({"log": inner, "stream": "stdout", "time": start(0)});
        for command in [
            &["simulate", "-", "--account", "account"][..],
            &["usage", "-"],
        ] {
            let ran = tiergate_reads(command, format!("{line}\n").as_bytes());
            assert_eq!((ran.code, ran.out.as_str()), (2, ""));
            let said = "are lines inside of JSON, as Docker writes them: take them out";
            assert!(last(&ran.err).contains(said), "{}", ran.err);
        }
    }
}

#[test]
fn no_order_of_wrong_clocks_loses_a_line() {
    let mut random = fastrand::Rng::with_seed(9);
    for _ in 0..40 {
        let lines = random.u64(1..12);
        let log: String = (0..lines)
            .map(|n| {
                of_year(
                    ["1970", "2026", "2036", "2060"][random.usize(0..4)],
                    n * 100,
                )
            })
            .collect();
        let (counts, code, err) = replayed(&log, &[]);
        let count = |name: &str| counts[name].as_u64().unwrap();
        assert!(code < 2, "{log}{err}");
        assert_eq!(count("replayed") + count("broken"), lines, "{log}{err}");
        assert_eq!(count("read"), lines, "{log}");
    }
}
