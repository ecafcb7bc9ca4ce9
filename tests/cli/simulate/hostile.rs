//! Logs that are not what they should be: nothing to replay, wrong clocks, names that no line has, and
//! copies.

use super::{NEW_YEAR, config, ours, simulate};
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
    for line in [2, 3] {
        let said =
            format!("tiergate: -, line {line}: begins more than a year after the lines before");
        assert!(ran.err.contains(&said), "{}", ran.err);
    }
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&said["lines"]["late"], &said["tiers"][0]["requests"]),
        (&0.into(), &2.into())
    );
}
