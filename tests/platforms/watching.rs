//! The dashboard and the alerts of `envoy/watch`: what they ask for is there, and no account is in it.

use crate::manifests::documents;
use crate::promql::{dashboard_metrics, dashboard_queries, metrics_in};
use crate::tools::{program, root};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use tiergate::metrics::names;

/// The rules of `alerts.yaml`.
fn alerts() -> Vec<Value> {
    let files = documents("envoy/watch");
    let groups = files
        .iter()
        .filter_map(|file| file.value["groups"].as_array())
        .flatten();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("{value} has no {field}"))
}

fn families() -> BTreeSet<String> {
    names::ALL.iter().map(|family| family.full_name()).collect()
}

#[test]
fn the_dashboard_shows_each_metric_and_none_that_is_not() {
    assert_eq!(dashboard_metrics(), families());
}

#[test]
fn alerts_ask_for_metrics_that_are_there() {
    let alerts = alerts();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        for metric in metrics_in(text(&alert, "expr")) {
            assert!(families().contains(&metric), "{metric}");
        }
    }
}

/// A label for each account would end Prometheus, and tell of clients.
#[test]
fn no_query_has_an_account() {
    let of_alerts = alerts()
        .into_iter()
        .map(|alert| text(&alert, "expr").to_owned());
    let of_dashboard = dashboard_queries().into_iter().map(|query| query.text);
    for query in of_dashboard.chain(of_alerts) {
        let mut words = query.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(
            !words.any(|word| matches!(word, "account" | "id")),
            "{query}"
        );
    }
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn each_alert_has_a_summary_a_severity_and_a_section_of_the_runbook() {
    let runbook = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let headings: BTreeSet<_> = runbook
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches(['#', ' '])))
        .collect();
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(text(&alert["annotations"], "summary").len() > 20, "{name}");
        assert!(["warning", "critical"].contains(&text(&alert["labels"], "severity")));
        let link = text(&alert["annotations"], "runbook");
        assert_eq!(link, format!("docs/operations.md#{}", name.to_lowercase()));
        assert!(
            headings.contains(&name.to_lowercase()),
            "{name} has no section"
        );
    }
}

/// `alerts_test.yaml` has data on which each alert fires, and data on which none does.
#[test]
fn promtool_takes_the_rules_and_each_fires_on_what_it_is_for() {
    let tests = fs::read_to_string(root().join("tests/platforms/alerts_test.yaml")).unwrap();
    for alert in alerts() {
        let fires = format!("alertname=\"{}\"", text(&alert, "alert"));
        assert!(tests.contains(&fires), "{fires}");
    }
    let Some(promtool) = program("promtool") else {
        return;
    };
    let run = |arguments: [&str; 2], file: &Path| {
        let output = Command::new(&promtool)
            .args(arguments)
            .arg(file)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&said)
        );
    };
    run(["check", "rules"], &root().join("envoy/watch/alerts.yaml"));
    run(
        ["test", "rules"],
        &root().join("tests/platforms/alerts_test.yaml"),
    );
}
