//! Queries of the dashboard.

use crate::tools::root;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// All queries of the dashboard, as Grafana has them.
pub fn dashboard_queries() -> Vec<String> {
    let text = fs::read(root().join("envoy/watch/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let queries = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    queries.collect()
}

/// Our metrics in a query.
pub fn metrics_in(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("tiergate_"));
    ours.map(str::to_owned).collect()
}
