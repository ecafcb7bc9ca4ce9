//! The dashboard and the alerts of `envoy/watch` on a real run: a Prometheus scrapes an Envoy whose
//! traffic meets every limit, and each query has an answer.

use crate::fleet_service::Service;
use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::Call;
use crate::harness::stack::{Stack, fresh_dir, patience, spawn};
use crate::manifests::values;
use crate::promql::{Query, dashboard_metrics, dashboard_queries};
use crate::tools::{program, root};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tiergate::metrics::names;

#[path = "../harness/document.rs"]
mod document;

/// Where `make watch` puts its table.
const MARKS: (&str, &str) = ("<!-- made by make watch -->\n", "<!-- end -->");

/// A word that is in each account, and must not be in any label.
const ACCOUNT: &str = "acme";

/// A Prometheus that scrapes one Envoy each second, with our rules.
struct Prometheus {
    child: Child,
    at: SocketAddr,
}

impl Prometheus {
    fn of(stack: &Stack) -> Option<Self> {
        let program = program("prometheus")?;
        let dir = fresh_dir();
        let at = free_address();
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [root().join("envoy/watch/alerts.yaml")],
            "scrape_configs": [{
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [stack.admin.to_string()]}]
            }]
        });
        fs::write(dir.join("prometheus.yaml"), config.to_string()).unwrap();
        let argument = |name: &str, value: String| format!("--{name}={value}");
        let path = |file: &str| dir.join(file).display().to_string();
        let child = spawn(
            Command::new(program)
                .arg(argument("config.file", path("prometheus.yaml")))
                .arg(argument("storage.tsdb.path", path("data")))
                .arg(argument("web.listen-address", at.to_string()))
                .stdout(Stdio::null())
                .stderr(fs::File::create(dir.join("log")).unwrap()),
        );
        Some(Self { child, at })
    }

    /// `data` of an answer of its API; `None` while it does not answer.
    fn api(&self, stack: &Stack, path: &str) -> Option<Value> {
        let call = Call::new().get(&format!("/api/v1/{path}"));
        let reply = stack.runtime.block_on(call.send(self.at)).ok()?;
        let answer: Value = serde_json::from_slice(&reply.body).ok()?;
        assert_ne!(answer["status"], "error", "{path}: {answer}");
        Some(answer["data"].clone())
    }

    /// The series of a query's answer that have a number: a share of nothing is none.
    fn ask(&self, stack: &Stack, query: &str) -> Vec<Value> {
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let Some(data) = self.api(stack, &format!("query?query={query}")) else {
            return Vec::new();
        };
        let mut series = data["result"].as_array().cloned().unwrap_or_default();
        series.retain(|series| number(series).is_some());
        series
    }
}

/// The number of a series.
fn number(series: &Value) -> Option<f64> {
    let value: f64 = series["value"][1].as_str()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    socket.local_addr().unwrap()
}

/// A config with everything that has a metric of its own.
fn config() -> Config {
    let to = |path: &str| json!({"cluster": "llm", "authority": "internal", "path": path});
    let mut feed = to("/feed/accounts");
    feed["interval"] = json!("1s");
    let budget = json!({"unit": "usd", "per": "month", "limit": "1000"});
    let trial = json!({"mode": "shadow", "limits": {"rpm": 1}});
    Config::tier("tier1")
        .rpm(20)
        .tpd(100_000)
        .with_tier(json!({"limits": {"budget": budget}}))
        .and_tier("trial")
        .with_tier(trial)
        .with(json!({
            "windows": {"minute": "3s"},
            "load": {"from": {"header": "x-cluster-load"}, "floor": 0.2},
            "directory": feed,
            "fleet": {"cluster": "fleet", "authority": "fleet", "edges": 2},
            "notices": {"at": [0.01], "to": to("/notices")},
            "model": [{"header": "x-model"}],
            "models": [{"name": "k2", "match": ["k2*"], "price": {"input": "1", "output": "1"}}],
            "unpriced": "free"
        }))
}

fn setup(service: &Service) -> Setup {
    let mut setup = Setup::new("").cluster("fleet", service.address);
    setup.filters = vec![wasm_filter("tiergate", "tiergate_trap.wasm", config())];
    let shipped = fs::read_to_string(root().join("envoy/envoy.yaml")).unwrap();
    setup.stats_config = values("envoy.yaml", &shipped)[0]["stats_config"].clone();
    setup
}

/// Has the upstream say that load with each reply.
fn report(stack: &Stack, load: &str) {
    let setting = json!({"concurrent": null, "report": load}).to_string();
    let call = Call::new().post("/capacity").body(setting);
    assert_eq!(stack.upstream(call).status, 200);
}

/// One round of traffic, in which each limit refuses somebody and the upstream reports its load.
fn round(stack: &Stack, n: u32) {
    let of = |account: &str, tier: &str| {
        let account = format!("{ACCOUNT}-{account}");
        Call::of(&account, tier).header("x-model", "k2-large")
    };
    report(stack, "nan");
    stack.send(of("load", "tier1"));
    report(stack, "0.9");
    for call in [
        of("one", "tier1"),
        of("one", "tier1").header("x-model", "other"),
        of("one", "tier1").streamed(3, 1),
        of("trial", "trial"),
        of("one", "tier1").header("x-demo-body", "no usage"),
        Call::new(),
    ] {
        stack.send(call);
    }
    stack.send_all((0..10).map(|_| of("busy", "tier1")));
    // Another page each round, so that the feed has something to write.
    let page = format!(r#"{{"accounts":[{{"id":"{ACCOUNT}-{n}","tier":"tier1"}}]}}"#);
    stack.upstream(Call::new().post("/feed/accounts").body(page));
}

/// A query as Grafana would send it.
fn filled_in(query: &str) -> String {
    let variables = [
        ("$__rate_interval", "10s"),
        ("$namespace", ".*"),
        ("$tier", ".*"),
    ];
    variables
        .iter()
        .fold(query.to_owned(), |query, (name, value)| {
            query.replace(name, value)
        })
}

#[test]
fn each_query_of_the_dashboard_has_data_and_each_rule_is_evaluated() {
    let service = Service::start();
    let stack = Stack::with(&setup(&service));
    let Some(prometheus) = Prometheus::of(&stack) else {
        return;
    };
    let trap = Call::of("acme-trap", "tier1").header("x-tiergate-trap", "now");
    assert_eq!(stack.send(trap).status, 503);
    let mut in_flight = None;
    let table_for = std::env::var_os("WATCH_TABLE");
    // A table of rates wants a longer run.
    let rounds = if table_for.is_some() { 25 } else { 0 };
    let begun = Instant::now();
    let mut empty = dashboard_queries();
    for n in 0.. {
        round(&stack, n);
        if n == 3 {
            // By now Envoy has loaded the trapped VM again.
            let stream = Call::of("acme-slow", "tier1").streamed(2_000, 100);
            in_flight = Some(stack.begin(stream));
        }
        empty.retain(|query| prometheus.ask(&stack, &filled_in(&query.text)).is_empty());
        if empty.is_empty() && n >= rounds {
            break;
        }
        let left: Vec<_> = empty.iter().map(|query| &query.text).collect();
        assert!(begun.elapsed() < patience() * 2, "without data: {left:#?}");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    if let Some(path) = table_for {
        document::replace(path, MARKS, &table(&prometheus, &stack)).unwrap();
    }
    shares_are_shares(&prometheus, &stack);
    rules_are_evaluated(&prometheus, &stack);
    series_have_our_names_and_no_account(&prometheus, &stack);
    if let Some(stream) = in_flight {
        stack.hang_up(stream);
    }
}

/// A row for each query: what a Grafana would draw now.
fn table(prometheus: &Prometheus, stack: &Stack) -> String {
    let mut rows = String::from("| panel | series | one of them |\n|---|---|---|");
    for query in dashboard_queries() {
        let mut series = prometheus.ask(stack, &filled_in(&query.text));
        series.sort_by(|a, b| number(b).partial_cmp(&number(a)).unwrap());
        let largest = &series[0];
        let mut labels = largest["metric"].as_object().unwrap().clone();
        // The port of a test says nothing.
        labels.remove("instance");
        let labels = labels.iter().map(|(name, value)| {
            let value = value.as_str().unwrap();
            format!("`{name}={value}` ")
        });
        let labels: String = labels.collect();
        let value = number(largest).unwrap();
        let (panel, count) = (&query.panel, series.len());
        write!(rows, "\n| {panel} | {count} | {labels}{value:.3} |").unwrap();
    }
    rows
}

/// A panel in percent has parts of a whole.
fn shares_are_shares(prometheus: &Prometheus, stack: &Stack) {
    let queries = dashboard_queries();
    let shares = queries.iter().filter(|query| query.unit == "percentunit");
    for Query { panel, text, .. } in shares {
        for series in prometheus.ask(stack, &filled_in(text)) {
            let share = number(&series).unwrap();
            assert!((0.0..=1.0).contains(&share), "{panel}: {share}");
        }
    }
}

fn rules_are_evaluated(prometheus: &Prometheus, stack: &Stack) {
    let rules = prometheus.api(stack, "rules").unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() >= 10);
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

/// All labels are in `stats_tags`; one that is not would be a part of a metric's name.
fn series_have_our_names_and_no_account(prometheus: &Prometheus, stack: &Stack) {
    let ours = utf8_percent_encode(r#"{__name__=~"tiergate_.+"}"#, NON_ALPHANUMERIC);
    let series = prometheus
        .api(stack, &format!("series?match[]={ours}"))
        .unwrap();
    let names: BTreeSet<_> = names::ALL.iter().map(|family| family.full_name()).collect();
    let mut seen = BTreeSet::new();
    for series in series.as_array().unwrap() {
        for (label, value) in series.as_object().unwrap() {
            let value = value.as_str().unwrap();
            assert!(!value.contains(ACCOUNT), "{label}={value}");
            if label == "__name__" {
                assert!(names.contains(value), "{series}");
                seen.insert(value.to_owned());
            }
        }
    }
    assert_eq!(seen, dashboard_metrics());
}
