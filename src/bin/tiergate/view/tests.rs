//! The lines that a status gives.

use super::*;
use crate::visible::columns;

const STATUS: &str = include_str!("../../../../tests/cli/top/status.json");

fn lines(json: &str, stale: Option<&Stale>, width: usize) -> Vec<String> {
    let status: Status = serde_json::from_str(json).unwrap();
    let lines = view(&status, stale, width);
    lines.into_iter().map(|line| line.text).collect()
}

#[test]
fn eighty_columns_show_it_all() {
    let shown = lines(STATUS, None, 80).join("\n");
    let screen = include_str!("../../../../tests/cli/top/screen_80.txt");
    assert_eq!(shown, screen.trim_end(), "\n{shown}");
}

#[test]
fn forty_columns_show_it_all() {
    let shown = lines(STATUS, None, 40).join("\n");
    let screen = include_str!("../../../../tests/cli/top/screen_40.txt");
    assert_eq!(shown, screen.trim_end(), "\n{shown}");
}

#[test]
fn no_line_is_wider_than_the_screen() {
    let long = "x".repeat(500);
    let status = STATUS.replace("newcomer", &long).replace("tier0", &long);
    let stale = Stale {
        age: Duration::from_secs(75),
        reason: format!("can't connect: {long}"),
    };
    for width in [0, 1, 5, 12, 20, 40, 80, 120] {
        for line in lines(&status, Some(&stale), width) {
            assert!(columns(&line) <= width, "{width}: {line}");
        }
    }
    let wide = lines(STATUS, None, 120);
    assert!(
        wide.iter()
            .any(|l| l.contains("a-longer-account-id-of-somebody-who-pays"))
    );
}

#[test]
fn what_was_let_through_in_shadow_mode_says_so() {
    let status = STATUS.replace(r#""code": "rpm","#, r#""code": "rpm", "shadowed": true,"#);
    assert_ne!(status, STATUS);
    let shown = lines(&status, None, 120).join("\n");
    assert_eq!(shown.matches("rpm (shadow)").count(), 2, "{shown}");
}

#[test]
fn old_data_says_since_when_and_why() {
    let stale = Stale {
        age: Duration::from_secs(75),
        reason: "can't connect: connection refused".to_owned(),
    };
    let shown = lines(STATUS, Some(&stale), 120);
    let said = "data of 1m15s ago, trying again: can't connect: connection refused";
    assert!(shown[0].contains(said), "{}", shown[0]);
}

#[test]
fn a_filter_that_reports_less_is_shown_with_less() {
    let shown = lines(r#"{"namespace": "n", "feed": null, "new": {}}"#, None, 80);
    assert_eq!(
        shown,
        [
            "tiergate   n",
            "load       not reported by this filter",
            "refused    not reported by this filter"
        ]
    );
}

#[test]
fn a_filter_with_other_limits_and_modes_is_shown() {
    let shown = lines(
        r#"{"namespace": "n", "mode": "dry", "tiers": [{"name": "a", "limits": {"rph": 9}}]}"#,
        None,
        80,
    );
    let said = ["tiergate   n, dry", "load       all limits in full"];
    assert_eq!(shown[..2], said);
}

#[test]
fn the_load_says_who_lowered_what() {
    let tier = |scale: f64| format!(r#"{{"name": "a", "scale": {scale}}}"#);
    for (tiers, load, said) in [
        (tier(1.0), "null", "load       all limits in full"),
        (tier(0.25), "null", "load       a x0.25"),
        (
            tier(1.0) + "," + &tier(0.5),
            "null",
            "load       a x0.5, the others in full",
        ),
        (
            tier(1.0),
            r#"{"scale": 0.5}"#,
            "           manual: all x0.5",
        ),
        (
            tier(1.0),
            r#"{"scale": 1, "ttl_ms": 61000}"#,
            "           manual: all x1, 1m01s left",
        ),
        (
            tier(1.0),
            r#"{"auto": {"from": "header", "load": 0.85, "pressure": 0.25}}"#,
            "           by the upstream's load: load 85%, pressure 25%",
        ),
        (
            tier(1.0),
            r#"{"auto": {"from": null, "load": 0.85, "pressure": 0.25}}"#,
            "           adaptive: load 85%, pressure 25%",
        ),
        (
            tier(0.5) + "," + &tier(0.5),
            "null",
            "load       all tiers x0.5",
        ),
        (
            tier(1.0),
            r#"{"auto": {"from": "overload", "load": null}}"#,
            "           by overload: load not known",
        ),
    ] {
        let json = format!(r#"{{"namespace": "n", "tiers": [{tiers}], "load": {load}}}"#);
        let shown = lines(&json, None, 80);
        assert!(shown.iter().any(|line| line == said), "{said}: {shown:?}");
    }
}
