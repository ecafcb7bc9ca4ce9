//! What a request costs: CPU time of the Envoy process, with and without the filter.
//!
//! One worker, wrk as the client. Envoy answers plain requests by itself; streams come from the
//! demo upstream. Rounds are interleaved, so that a machine whose speed drifts is the same for all
//! rows. Run by `make bench`; `BENCH_BEFORE` names the module of another commit, whose rows stand
//! beside.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss
)]

#[path = "../../harness/bootstrap.rs"]
mod bootstrap;
#[path = "../../harness/client.rs"]
mod client;
#[path = "../../harness/stack.rs"]
mod stack;

use bootstrap::{Setup, wasm_filter};
use serde_json::{Value, json};
use stack::Stack;
use std::process::Command;

struct Row {
    name: String,
    stack: Stack,
    /// Microseconds of a request, one for each round.
    us: Vec<f64>,
}

fn config(rpm: u64, headers: &str) -> String {
    format!(
        r#"{{"headers": {headers}, "capacity": {{"accounts": 4096}},
            "tiers": [{{"name": "t", "recharge": 1, "limits":
            {{"concurrency": 100000, "rpm": {rpm}, "tpm": 9000000000000, "tpd": "unlimited"}}}}]}}"#
    )
}

fn row(name: &str, filters: Vec<Value>, route: Value) -> Row {
    let setup = Setup {
        workers: 1,
        filters,
        access_log: false,
        http2_upstream: false,
        route,
        manager: json!({}),
    };
    Row {
        name: name.to_owned(),
        stack: Stack::with(&setup.bodies_while_headers_are_held()),
        us: Vec::new(),
    }
}

/// Envoy answers by itself, as an upstream would.
fn answers() -> Value {
    let answer = r#"{"usage":{"prompt_tokens":15,"completion_tokens":16,"total_tokens":31}}"#;
    json!({
        "direct_response": {"status": 200, "body": {"inline_string": answer}},
        "response_headers_to_add": [{
            "header": {"key": "content-type", "value": "application/json"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"
        }]
    })
}

/// The suffix of the rows of the module to compare with.
const BEFORE: &str = ", before";

/// Two rows for each name and config: one of this module, and one of the module of `BENCH_BEFORE`
/// where that is set.
fn tiergate(name: &str, config: &str, route: &Value) -> Vec<Row> {
    let row = |suffix, module: &str| {
        let filters = vec![wasm_filter("tiergate", module, config)];
        row(&format!("{name}{suffix}"), filters, route.clone())
    };
    let mut rows = vec![row("", "tiergate.wasm")];
    if let Ok(module) = std::env::var("BENCH_BEFORE") {
        let module = std::path::absolute(module).unwrap();
        rows.push(row(BEFORE, module.to_str().unwrap()));
    }
    rows
}

/// The CPU that a row adds, by that of its module before: the median of the rounds' ratios, each
/// of rows that ran one after the other.
fn print_ratios(rows: &[Row]) {
    let ratio = |row: &Row, before: &Row| {
        let rounds = rows[0].us.iter().zip(&row.us).zip(&before.us);
        let ratios = rounds.map(|((none, now), before)| (now - none) / (before - none));
        median(&ratios.collect::<Vec<_>>())
    };
    let mut ratios = rows.iter().filter_map(|row| {
        let name = format!("{}{BEFORE}", row.name);
        let before = rows.iter().find(|before| before.name == name)?;
        Some((row, ratio(row, before)))
    });
    if let Some(first) = ratios.next() {
        println!("\n| added CPU | now / before |\n|---|---|");
        for (row, ratio) in std::iter::once(first).chain(ratios) {
            println!("| {} | {ratio:.2} |", row.name);
        }
    }
}

/// Runs wrk for some seconds; how many requests were answered.
fn wrk(stack: &Stack, script: &str, seconds: u64) -> f64 {
    let output = Command::new("wrk")
        .args(["-t1", "-c32", &format!("-d{seconds}s"), "-s"])
        .arg(format!("tests/bench/price/{script}.lua"))
        .arg(format!("http://{}/v1/chat/completions", stack.proxy))
        .output()
        .expect("wrk runs");
    let text = String::from_utf8(output.stdout).unwrap();
    let before = text.split(" requests in ").next().unwrap();
    before
        .split_whitespace()
        .last()
        .unwrap()
        .parse()
        .unwrap_or_else(|_| panic!("{text}"))
}

/// The processor time that a process has used, in microseconds.
fn cpu_us(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The fields after the name, which may hold spaces: utime and stime are the 12th and 13th,
    // in hundredths of a second.
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks = |i: usize| fields[i].parse::<u64>().unwrap();
    (ticks(11) + ticks(12)) * 10_000
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn empty() -> Vec<Value> {
    vec![wasm_filter("empty", "empty_filter.wasm", "")]
}

/// Runs the rows in turn, round by round.
fn measure(rows: &mut [Row], script: &str) {
    let (rounds, seconds) = (number("BENCH_ROUNDS", 5), number("BENCH_SECONDS", 3));
    for row in rows.iter() {
        wrk(&row.stack, script, 1);
    }
    for _ in 0..rounds {
        for row in rows.iter_mut() {
            let before = cpu_us(row.stack.pid());
            let requests = wrk(&row.stack, script, seconds);
            row.us
                .push((cpu_us(row.stack.pid()) - before) as f64 / requests);
        }
    }
    println!("\nCPU of Envoy, median of {rounds} rounds of {seconds} s, one worker:\n");
}

fn requests() {
    let plenty = 9_000_000_000_000;
    let bare = vec![wasm_filter("bare", "bare_calls.wasm", "")];
    // A look-up costs the same whether it finds an account or not.
    let by_directory = r#"{"tier": ["directory"], "not_ready": "t", "#;
    let by_directory = config(plenty, "[]").replacen('{', by_directory, 1);
    let mut rows = vec![
        row("no filter", vec![], answers()),
        row("empty wasm filter", empty(), answers()),
        row(
            "the host calls of an admitted request, alone",
            bare,
            answers(),
        ),
    ];
    for (name, config) in [
        ("admitted and settled, headers: []", config(plenty, "[]")),
        (
            "admitted and settled, openai headers",
            config(plenty, r#"["openai"]"#),
        ),
        ("admitted and settled, tier by the directory", by_directory),
        ("refused (429), headers: []", config(1, "[]")),
        ("refused (429), openai headers", config(1, r#"["openai"]"#)),
    ] {
        rows.extend(tiergate(name, &config, &answers()));
    }
    measure(&mut rows, "requests");
    let base = median(&rows[0].us);
    let floor = median(&rows[1].us) - base;
    println!("| filter | us/request | added us | x empty filter |");
    println!("|---|---|---|---|");
    for row in &rows {
        let us = median(&row.us);
        let (added, name) = (us - base, &row.name);
        println!("| {name} | {us:.2} | {added:.2} | {:.2} |", added / floor);
    }
    print_ratios(&rows);
}

/// Events of one stream of the demo upstream, as `streams.lua` asks for it.
const EVENTS: f64 = 103.0;

fn streams() {
    let plenty = 9_000_000_000_000;
    let reads = config(plenty, "[]").replacen(
        '{',
        r#"{"tokens": {"read_body": true, "include_usage": true}, "#,
        1,
    );
    let upstream = json!({"route": {"cluster": "llm"}});
    let mut rows = vec![
        row("no filter", vec![], upstream.clone()),
        row("empty wasm filter", empty(), upstream.clone()),
    ];
    rows.extend(tiergate("usage read", &config(plenty, "[]"), &upstream));
    rows.extend(tiergate(
        "body and usage read, usage hidden",
        &reads,
        &upstream,
    ));
    measure(&mut rows, "streams");
    let base = median(&rows[0].us);
    println!("| filter | us/stream | added us/stream | added us/event |");
    println!("|---|---|---|---|");
    for row in &rows {
        let us = median(&row.us);
        let (added, name) = (us - base, &row.name);
        println!("| {name} | {us:.0} | {added:.0} | {:.2} |", added / EVENTS);
    }
    print_ratios(&rows);
}

fn main() {
    requests();
    streams();
}
