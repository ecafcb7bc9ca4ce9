//! Mixed traffic with random resets and traps, for a while: at the end no lease is held, by the
//! client's own ledger nobody was over a limit, and memory is flat. Run by `make soak`.
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

#[path = "../harness/bootstrap.rs"]
mod bootstrap;
#[path = "../harness/client.rs"]
mod client;
mod ledger;
#[path = "../harness/stack.rs"]
mod stack;

use bootstrap::{Setup, wasm_filter};
use client::{Call, connection, count};
use http_body_util::BodyExt as _;
use ledger::Ledger;
use serde_json::json;
use stack::{Stack, eventually};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CLIENTS: usize = 24;
const CONCURRENCY: u64 = 3;
const RPM: usize = 15;
const MINUTE: Duration = Duration::from_secs(2);
/// What memory may grow by, in bytes a minute, and still be called flat.
const FLAT: f64 = 2_000_000.0;

/// Accounts of the first kind never break a request off, so the upstream's count of them is exact.
fn account(wild: bool) -> String {
    let kind = if wild { "wild" } else { "calm" };
    format!("{kind}-{}", fastrand::u32(0..6))
}

/// One client's life: random requests, one after the other.
async fn client(to: SocketAddr, ledger: Arc<Ledger>, end: Instant) {
    let kept = connection(fastrand::bool());
    while Instant::now() < end {
        let wild = fastrand::bool();
        let account = account(wild);
        let mut call = Call::of(&account, "t")
            .header("x-demo-count-as", &account)
            .header("x-demo-latency-ms", fastrand::u32(0..300).to_string())
            .header("x-demo-chunk-ms", "5");
        if fastrand::bool() {
            call = call.body(r#"{"messages":[],"stream":true}"#);
        }
        match fastrand::u32(0..40) {
            0..6 if wild => call = call.header("x-demo-reset", "1"),
            6..10 if wild => call = call.header("x-demo-reset-after-chunks", "3"),
            10..14 => call = call.header("x-demo-status", "503"),
            14 if fastrand::u32(0..30) == 0 => call = call.header("x-tiergate-trap", "1"),
            _ => {}
        }
        let sent = Instant::now();
        let begun = call.begin(&kept, to);
        let hangs_up_after = match wild && fastrand::u32(0..4) == 0 {
            true => Duration::from_millis(fastrand::u64(0..200)),
            false => Duration::from_secs(30),
        };
        let Ok(Ok(reply)) = tokio::time::timeout(hangs_up_after, begun).await else {
            continue;
        };
        let admitted =
            reply.headers().contains_key("x-ratelimit-limit-requests") && reply.status() != 429;
        if admitted {
            ledger.admitted(&account, sent, Instant::now());
        }
        ledger.count(reply.status().as_u16());
        let _ = tokio::time::timeout(hangs_up_after, reply.into_body().collect()).await;
    }
}

fn setup() -> Setup {
    let config = format!(
        r#"{{"windows": {{"minute": "{}s"}}, "tiers": [{{"name": "t", "recharge": 1, "limits":
            {{"concurrency": {CONCURRENCY}, "rpm": {RPM}, "tpm": "unlimited", "tpd": "unlimited"}}}}]}}"#,
        MINUTE.as_secs()
    );
    let mut setup = Setup::new("{}");
    setup.filters = vec![wasm_filter("tiergate", "tiergate_trap.wasm", &config)];
    setup.access_log = false;
    setup.route["route"]["retry_policy"] = json!({"retry_on": "reset", "num_retries": 1});
    setup
}

/// The slope of the least-squares line through the samples, a unit of y for each of x.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let n = samples.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| samples.iter().map(f).sum::<f64>() / n;
    let (x, y) = (mean(|s| s.0), mean(|s| s.1));
    let over: f64 = samples.iter().map(|s| (s.0 - x) * (s.1 - y)).sum();
    let under: f64 = samples.iter().map(|s| (s.0 - x).powi(2)).sum();
    over / under
}

fn main() {
    let seconds = std::env::var("SOAK_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(300));
    let stack = Stack::with(&setup());
    let ledger = Arc::new(Ledger::default());
    let (start, end) = (Instant::now(), Instant::now() + time);
    for _ in 0..CLIENTS {
        stack
            .runtime
            .spawn(client(stack.proxy, Arc::clone(&ledger), end));
    }
    let mut samples = Vec::new();
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(500));
        samples.push((
            start.elapsed().as_secs_f64() / 60.0,
            stack.resident_bytes() as f64,
        ));
    }
    // A trapped VM's leases are forgotten within 5 s.
    std::thread::sleep(Duration::from_secs(5));
    eventually("the gauge is back to 0", || {
        stack.stat(&["tiergate_in_flight"]) == 0
    });
    no_lease_is_held(&stack);

    let traps = stack.envoy_log().matches("panicked at").count();
    println!(
        "{time:?}, {CLIENTS} clients, {traps} traps; replies: {}",
        ledger.replies()
    );
    let (fullest, over) = ledger.fullest(MINUTE, RPM);
    println!("fullest window of {MINUTE:?}: {fullest} of {RPM} requests; windows over it: {over}");
    let most = (0..6).map(|i| stack.most_at_once(&format!("calm-{i}")));
    let most = most.max().unwrap_or(0);
    println!("most at once of one account: {most} of {CONCURRENCY}");
    // The first quarter warms up.
    let warm = &samples[samples.len() / 4..];
    let slope = slope(warm);
    let (first, last) = (warm[0].1 / 1e6, warm[warm.len() - 1].1 / 1e6);
    println!(
        "memory: {first:.1} MB after a quarter, {last:.1} MB at the end, {:.0} kB a minute",
        slope / 1e3
    );
    assert_eq!(over, 0, "over RPM");
    assert!(most <= CONCURRENCY, "over concurrency");
    assert!(
        fullest + 5 > RPM,
        "the limit was never reached: nothing was shown"
    );
    assert!(slope < FLAT || seconds.is_some(), "memory grows");
}

/// Each account has all of its leases again.
fn no_lease_is_held(stack: &Stack) {
    for i in 0..6 {
        for kind in ["wild", "calm"] {
            let call = Call::of(&format!("{kind}-{i}"), "t").header("x-demo-latency-ms", "300");
            let replies = stack.send_all((0..CONCURRENCY).map(|_| call.clone()));
            let admitted = count(&replies, 200) as u64;
            assert_eq!(admitted, CONCURRENCY, "{kind}-{i}");
        }
    }
}
