//! Queries of the dashboard.

use crate::tools::root;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// A query of a panel.
pub struct Query {
    /// The panel's title, and the query's name in it where it has one of its own.
    pub panel: String,
    /// PromQL with Grafana's variables.
    pub text: String,
    /// Grafana's name of the panel's unit.
    pub unit: String,
}

/// All queries of the dashboard.
pub fn dashboard_queries() -> Vec<Query> {
    let text = fs::read(root().join("envoy/watch/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&text).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            queries.push(Query {
                panel: match text(&target["legendFormat"]) {
                    labels if labels.contains("{{") => text(&panel["title"]),
                    name => format!("{}: {name}", text(&panel["title"])),
                },
                text: text(&target["expr"]),
                unit: text(&panel["fieldConfig"]["defaults"]["unit"]),
            });
        }
    }
    queries
}

/// Our metrics in a query.
pub fn metrics_in(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("tiergate_"));
    ours.map(str::to_owned).collect()
}

/// All metrics that the dashboard shows.
pub fn dashboard_metrics() -> BTreeSet<String> {
    let queries = dashboard_queries();
    queries
        .iter()
        .flat_map(|query| metrics_in(&query.text))
        .collect()
}
