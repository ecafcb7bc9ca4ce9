//! docs/reference/metrics.md, from the filter's table of names and the registry of the fleet's service.

use super::{assert_page, head, row};
use crate::fleet::metrics::Metrics;
use std::collections::{BTreeMap, BTreeSet};
use tiergate::metrics::names::TABLE;

const HEAD: &str = "\
# Metrics

`make reference` writes this page from the code's own tables. [Running
tiergate](../operations.md#metrics) says which of them matter, and has alerts.

## The filter

The filter's metrics are Envoy's, at its admin port's `/stats/prometheus`. A wasm filter has no
labels, so Envoy's `stats_tags` make them of the parts of a name:
`tiergate_requests.namespace.N.tier.T.outcome.O`. A label in parentheses is not on each series.

";

const SERVICE: &str = "
## The fleet's service

The metrics of [`tiergate fleet`](../fleet-service.md), at its `/metrics`.

";

#[test]
fn the_metrics_are_those_of_the_tables() {
    let mut page = HEAD.to_owned() + &head(&["metric", "type", "labels", "meaning"]);
    for metric in &TABLE {
        let name = format!("`{}`", metric.family.full_name());
        let labels = ["namespace"].iter().chain(metric.labels);
        let labels: Vec<_> = labels.map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ").replace("`[", "(`").replace("]`", "`)");
        page.push_str(&row(&[
            &name,
            metric.kind.as_str(),
            &labels,
            metric.meaning.trim(),
        ]));
    }
    page.push_str(SERVICE);
    page.push_str(&head(&["metric", "type", "labels", "meaning"]));
    page.push_str(&service_rows(&Metrics::new().text()));
    assert_page("metrics.md", &page);
}

/// The rows of the metrics in a text of Prometheus.
fn service_rows(text: &str) -> String {
    let mut helps = BTreeMap::new();
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut kinds = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|it| it.split_once(' '))
        {
            helps.insert(name, help);
        } else if let Some(kind) = line
            .strip_prefix("# TYPE ")
            .and_then(|it| it.split_once(' '))
        {
            kinds.push(kind);
        } else if let Some((name, rest)) = line.split_once('{') {
            let (name, _) = name.split_once("_total").unwrap_or((name, ""));
            let (pairs, _) = rest.split_once('}').unwrap();
            let named = pairs.split(',').filter_map(|pair| pair.split_once('='));
            let named = named.map(|(label, _)| label).filter(|label| *label != "le");
            labels
                .entry(name)
                .or_default()
                .extend(named.map(|label| format!("`{label}`")));
        }
    }
    let mut rows = String::new();
    for (name, kind) in kinds {
        let labels: Vec<_> = labels.remove(name).into_iter().flatten().collect();
        let full = match kind {
            "counter" => format!("`{name}_total`"),
            _ => format!("`{name}`"),
        };
        rows.push_str(&row(&[&full, kind, &labels.join(", "), helps[name]]));
    }
    rows
}
