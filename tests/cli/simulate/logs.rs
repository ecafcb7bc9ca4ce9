//! The logs that `tiergate simulate` reads: their formats, their order, and what it says of the rest.

use super::{as_json, config, envoy, ours, simulate, start};
use crate::{file, tiergate};
use serde_json::{Value, json};

#[test]
fn envoys_default_text_needs_the_accounts_column_and_a_tier() {
    let config = config("envoy", json!({"rpm": 1}), json!({}));
    let log = [
        envoy("acme.example", 0),
        envoy("acme.example", 50),
        envoy("bolt", 60),
    ]
    .concat();
    let ran = simulate(&log, &["--config", &config]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err
            .contains("none of 3 lines names its account. Name its column with --account"),
        "{}",
        ran.err
    );
    let ran = simulate(&log, &["--config", &config, "--account", "authority"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err
            .contains("none of 3 requests names a tier of the config, which has free, paid."),
        "{}",
        ran.err
    );
    for column in ["authority", "12"] {
        let said = as_json(
            &log,
            &["--config", &config, "--account", column, "--tier", "free"],
        );
        assert_eq!(said["refusals"].as_array().unwrap().len(), 1, "{said}");
        let refusal = &said["refusals"][0];
        assert_eq!(
            (&refusal["account"], &refusal["refused"]),
            (&"acme.example".into(), &1.into())
        );
        assert_eq!(said["compared"]["decided"], 0);
        let about = said["notes"].as_array().unwrap().iter();
        let about: Vec<_> = about.map(|note| note["about"].as_str().unwrap()).collect();
        assert_eq!(about, ["reserve", "usage", "start", "retries", "streams"]);
    }
}

#[test]
fn json_lines_are_read_by_their_fields() {
    let config = config("fields", json!({"rpm": 1}), json!({}));
    let line = |ms| {
        let line = json!({
            "start_time": start(ms), "method": "POST", "path": "/", "response_code": 200,
            "duration": 9, "bytes_received": 5, "user": "acme", "plan": "free",
        });
        format!("{line}\n")
    };
    let log = [line(0), line(5)].concat();
    let columns = [
        "--config",
        &config,
        "--account",
        "user",
        "--tier-column",
        "plan",
    ];
    assert_eq!(as_json(log, &columns)["refusals"][0]["refused"], 1);
}

#[test]
fn what_cannot_be_read_is_counted_and_named() {
    let config = config("broken", json!({"rpm": 1}), json!({}));
    let log = [
        "hello\n".to_owned(),
        ours("acme", "free", 0),
        ours("acme", "free", 0).replace("output=400", "output=many"),
        "{\"start\": \n".to_owned(),
        format!(
            "{} GET / 200 - tier=free outcome=exempt account=a -\n",
            start(0)
        ),
        ours("acme", "free", 1).replace("DownstreamEnd", "DownstreamStart"),
        "\n".to_owned(),
    ]
    .concat();
    let ran = simulate(log, &["--config", &config, "--account", "1"]);
    assert_eq!(ran.code, 1);
    let err = "\
tiergate: -, line 1: no time: neither at= nor a start such as 2026-01-01T00:00:00.000Z
tiergate: -, line 3: wasm.tiergate.usage: output=\"many\" is not a whole number from 0 to 9007199254740991
tiergate: -, line 4: not JSON: EOF while parsing a value at column 9
tiergate: lines: 6, replayed: 1, exempt: 1, before the end: 1, broken: 3
";
    assert_eq!(ran.err, err);
}

#[test]
fn several_logs_are_one_in_the_order_of_time() {
    let config = config("several", json!({"rpm": 2}), json!({}));
    let lines: Vec<String> = (0..6).map(|n| ours("acme", "free", n * 700)).collect();
    let whole = as_json(lines.concat(), &["--config", &config]);
    let even = file(
        "simulate-even.log",
        lines.iter().step_by(2).cloned().collect::<String>(),
    );
    let odd = file(
        "simulate-odd.log",
        lines.iter().skip(1).step_by(2).cloned().collect::<String>(),
    );
    let ran = tiergate(&["simulate", "--json", "--config", &config, &odd, &even]);
    let merged: Value = serde_json::from_str(&ran.out).unwrap();
    for part in ["tiers", "refusals", "over_time"] {
        assert_eq!(whole[part], merged[part], "{part}");
    }
    let ran = tiergate(&["simulate", "--config", &config, &odd, &odd]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("is named twice: its requests would count twice"),
        "{}",
        ran.err
    );
}

#[test]
fn a_line_later_than_the_window_is_counted() {
    let config = config("late", json!({"rpm": 2}), json!({}));
    let log = [
        ours("acme", "free", 0),
        ours("acme", "free", 60_000),
        ours("acme", "free", 1),
    ]
    .concat();
    let late = |window: &str| {
        let said = as_json(&log, &["--config", &config, "--window", window]);
        said["lines"]["late"].as_u64().unwrap()
    };
    assert_eq!((late("10m"), late("1ms")), (0, 1));
}
