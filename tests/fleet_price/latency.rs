//! Latency by wrk, with one connection: what a request waits for, and not for others.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

const CONNECTIONS: u32 = 1;

/// Percentiles of the time of a request, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
}

/// Sends requests of so many accounts, in turn.
pub fn wrk(proxy: SocketAddr, accounts: u32, length: Duration) -> Latency {
    let output = Command::new("wrk")
        .args(["-t1", "--latency", "-s", "tests/fleet_price/accounts.lua"])
        .arg(format!("-c{CONNECTIONS}"))
        .arg(format!("-d{}s", length.as_secs()))
        .arg(format!("http://{proxy}/v1/chat/completions"))
        .env("ACCOUNTS", accounts.to_string())
        .output()
        .expect("wrk runs");
    let text = String::from_utf8(output.stdout).unwrap();
    let percentile = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        milliseconds(line.unwrap_or_else(|| panic!("no {name} in {text}")).trim())
    };
    Latency {
        p50: percentile("50%"),
        p99: percentile("99%"),
    }
}

fn milliseconds(text: &str) -> f64 {
    let (number, factor) = match text {
        text if text.ends_with("us") => (text.trim_end_matches("us"), 0.001),
        text if text.ends_with("ms") => (text.trim_end_matches("ms"), 1.0),
        text => (text.trim_end_matches('s'), 1_000.0),
    };
    number.parse::<f64>().unwrap() * factor
}
