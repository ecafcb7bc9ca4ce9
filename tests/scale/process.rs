//! One Envoy with a ledger for so many accounts.

use crate::bootstrap::{Setup, wasm_filter};
use crate::client::Call;
use crate::meter::{Meter, cpu_ns};
use crate::stack::Stack;
use crate::traffic::{Running, answers, wrk};
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The window of RPM and TPM: accounts that are loaded one after the other are then as live as in
/// one minute of real traffic.
pub const WINDOW: Duration = Duration::from_secs(1800);
/// How long traffic runs before a measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long traffic may outlast a measurement before it ends by itself.
const SPARE: Duration = Duration::from_secs(10);
const CONNECTIONS: u32 = 32;
/// Requests after the last account's, so that its own is answered before the traffic ends.
const OVERRUN: u32 = 4 * CONNECTIONS;
/// A limit that nothing here reaches.
const PLENTY: u64 = 9_000_000_000_000;

/// One Envoy.
pub struct Process {
    stack: Stack,
    meter: Meter,
    /// `None` for an Envoy without the filter.
    accounts: Option<u32>,
}

/// The time from the start of a process to its first answer.
#[derive(Clone, Copy)]
pub struct Start {
    pub ms: f64,
    /// CPU of all threads: on a busy machine the better number.
    pub cpu_ms: f64,
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    /// What Envoy's allocator has given out; without the heaps of the VMs.
    pub allocated: u64,
    pub resident: u64,
}

/// The ledger after all passes.
#[derive(Clone, Copy, Default)]
pub struct LedgerState {
    /// Bytes and records of the pages in the sample of `GET {p}/status`.
    pub bytes: u64,
    pub records: u64,
    /// The fill of the fullest page, in percent.
    pub fullest: u64,
    pub overflow: u64,
    pub evicted: u64,
}

/// The kinds of the default limits, which nothing here reaches, a ledger for the accounts, and the
/// fewest host calls beside it.
fn config(accounts: u32, joins: bool) -> serde_json::Value {
    let limits = json!({"concurrency": 100_000, "rpm": PLENTY, "tpm": PLENTY, "tpd": PLENTY});
    json!({
        "headers": [],
        "log_admitted": false,
        "strip_headers": false,
        "tokens": {"join": joins},
        "windows": {"minute": format!("{}s", WINDOW.as_secs())},
        "capacity": {"accounts": accounts, "directory": 8},
        "admin": {"path": "/-/tiergate", "insecure": true},
        "tiers": [{"name": "t", "recharge": 1, "limits": limits}]
    })
}

impl Process {
    /// Starts an Envoy. Returns it, and the price from the start to the first answer.
    pub fn start((accounts, joins): (Option<u32>, bool)) -> (Self, Start) {
        let filter = |accounts| wasm_filter("tiergate", "tiergate.wasm", config(accounts, joins));
        let stack = Stack::with(&Setup {
            workers: 1,
            filters: accounts.map(filter).into_iter().collect(),
            access_log: false,
            route: answers(),
            ..Setup::new("")
        });
        assert_eq!(stack.send(Call::of("first", "t")).status, 200);
        let start = Start {
            ms: stack.started.elapsed().as_secs_f64() * 1e3,
            cpu_ms: cpu_ns(stack.pid()) as f64 / 1e6,
        };
        let process = Self {
            stack,
            meter: Meter::new(),
            accounts,
        };
        (process, start)
    }

    /// Returns the memory of the process.
    pub fn memory(&self) -> Memory {
        let call = Call::new().get("/memory").send(self.stack.admin);
        let reply = self.stack.runtime.block_on(call).unwrap().json();
        Memory {
            allocated: reply["allocated"].as_str().unwrap().parse().unwrap(),
            resident: self.stack.resident_bytes(),
        }
    }

    /// Sends requests of the accounts in turn: so many, or with 0 for as long as they may take.
    fn traffic(&self, from: u32, requests: u32, most: Duration) -> Running {
        let settings = [
            ("ACCOUNTS", self.accounts.unwrap_or(1_000)),
            ("FROM", from),
            ("REQUESTS", requests),
        ];
        let script = "tests/scale/accounts.lua";
        wrk(self.stack.proxy, CONNECTIONS, script, &settings, most)
    }

    /// Sends one request of each account. `Err` says that one was not admitted.
    pub fn load(&self, pass: u32) -> Result<(), String> {
        let Some(accounts) = self.accounts else {
            return Ok(());
        };
        let (before, begun) = (self.meter.counts(&self.stack), Instant::now());
        let traffic = self.traffic(0, accounts + OVERRUN, WINDOW);
        // The script stops sending; wrk itself stays until its time is over.
        let counts = loop {
            sleep(Duration::from_millis(100));
            let counts = self.meter.counts(&self.stack).since(&before);
            let is_over = counts.replies >= u64::from(accounts + OVERRUN / 2);
            if is_over || counts.ok < counts.replies || begun.elapsed() > WINDOW {
                break counts;
            }
        };
        drop(traffic);
        let a_second = counts.replies as f64 / begun.elapsed().as_secs_f64();
        eprintln!("pass {pass}: {accounts} accounts, {a_second:.0} requests a second");
        match counts.ok == counts.replies && counts.ok >= accounts.into() {
            true => Ok(()),
            false => Err(format!("{} of {} were admitted", counts.ok, counts.replies)),
        }
    }

    /// Returns the state of the ledger.
    pub fn state(&self) -> LedgerState {
        if self.accounts.is_none() {
            return LedgerState::default();
        }
        // A tick brings the last counts.
        sleep(WARM_UP);
        let status = self.stack.send(Call::new().get("/-/tiergate/status"));
        let ledger = &status.json()["ledger"];
        let of = |name: &str| ledger[name].as_u64().unwrap();
        LedgerState {
            bytes: of("bytes"),
            records: of("records"),
            fullest: self.stack.stat(&["tiergate_page_fill"]),
            overflow: self.stack.stat(&["tiergate_overflow_requests"]),
            evicted: self.stack.stat(&["tiergate_evicted_live"]),
        }
    }

    /// Measures the CPU of the process per request, in microseconds. `Err` says that a request was
    /// not admitted.
    pub fn measure(&self, length: Duration) -> Result<f64, String> {
        // From anywhere, so that rounds do not meet the same accounts again.
        let from = fastrand::u32(0..self.accounts.unwrap_or(1));
        let traffic = self.traffic(from, 0, WARM_UP + length + SPARE);
        sleep(WARM_UP);
        let (cpu_before, before) = self.meter.read(&self.stack);
        sleep(length);
        let (cpu, counts) = self.meter.read(&self.stack);
        drop(traffic);
        let counts = counts.since(&before);
        match counts.ok == counts.replies && counts.ok > 0 {
            true => Ok((cpu - cpu_before) as f64 / 1e3 / counts.replies as f64),
            false => Err(format!("{} of {} were admitted", counts.ok, counts.replies)),
        }
    }
}
