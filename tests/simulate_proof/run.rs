//! A run of a real Envoy, and the replay of its access log under the same config: where they differ,
//! and how near to a boundary.

use crate::harness::Config;
use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, Connection, connection};
use crate::harness::stack::{Stack, fresh_dir, patience};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The parts of a window: what one holds expires together.
const PARTS: u64 = 60;

/// What is sent: about half of it is over a limit.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// All requests, of ten accounts.
    pub requests: u64,
    /// Requests in a second.
    pub rate: u64,
    /// `windows.minute`, in milliseconds.
    pub window_ms: u64,
}

/// An account: its tier, and what its requests ask of the upstream.
#[derive(Clone, Copy)]
struct Account {
    tier: &'static str,
    number: u64,
    /// Of a thousand requests, its part.
    share: u64,
    latency_ms: u64,
}

/// Six accounts are over their requests, two over their tokens, and two over what may run at once.
fn accounts() -> Vec<Account> {
    let of = |tier, count, share, latency_ms| {
        (0..count).map(move |number| Account {
            tier,
            number,
            share,
            latency_ms,
        })
    };
    let requests = of("requests", 6, 155, 5);
    requests
        .chain(of("tokens", 2, 18, 20))
        .chain(of("leases", 2, 17, 250))
        .collect()
}

/// A decision that differs, and what it is near to.
#[derive(Clone, Debug)]
pub struct Differs {
    pub row: Value,
    pub near: Near,
}

/// The boundary that a decision is near to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Near {
    /// The limit lets a request in within one part of its window; or what an earlier difference
    /// admitted leaves the window then.
    Part,
    /// A request of the account begins, ends or leaves the window within one millisecond.
    Millisecond,
    /// The last place under the limit, which went to another request by an earlier difference.
    Swapped,
    /// None.
    Nothing,
}

/// What came of both.
#[derive(Clone, Debug)]
pub struct Proof {
    pub requests: u64,
    pub refused_then: u64,
    pub refused_now: u64,
    pub differences: Vec<Differs>,
}

impl Proof {
    pub fn count(&self, near: Near) -> usize {
        self.differences
            .iter()
            .filter(|one| one.near == near)
            .count()
    }
}

impl Load {
    /// Limits of which the accounts ask about twice as much as there is.
    fn config(self) -> Config {
        let in_window = |share: u64| self.rate * share * self.window_ms / 1_000_000;
        let requests = (in_window(155) / 2).max(1);
        let tokens = (in_window(18) * 30 / 2).max(300);
        let window = format!("{}ms", self.window_ms);
        Config::tier("requests")
            .rpm(requests)
            .and_tier("tokens")
            .tpm(tokens)
            .and_tier("leases")
            .concurrency(2)
            .with(json!({
                "log_account": true, "log_usage": true, "windows": {"minute": window},
                "tokens": {"completion": 100},
            }))
    }

    /// Sends everything, and compares Envoy's decisions with those of the replay.
    pub fn run(self) -> Proof {
        let dir = fresh_dir();
        let log = dir.join("simulated.log");
        let mut setup = Setup::new(self.config());
        setup.access_log = false;
        setup.manager = json!({"access_log": [access_log(&log)]});
        let stack = Stack::with(&setup);
        let sent = self.send(&stack);
        let text = whole_log(&log, sent);
        drop(stack);
        let config = dir.join("config.json");
        fs::write(&config, self.config().to_string()).unwrap();
        let said = simulate(&log, &config);
        if let Some(kept) = std::env::var_os("SIMULATE_PROOF_KEEP") {
            let kept = PathBuf::from(kept);
            fs::create_dir_all(&kept).unwrap();
            for file in [&log, &config] {
                fs::copy(file, kept.join(file.file_name().unwrap())).unwrap();
            }
        }
        let _ = fs::remove_dir_all(&dir);
        self.judge(&text, &said)
    }

    /// Sends the requests of all accounts at their rates; returns their number.
    fn send(self, stack: &Stack) -> u64 {
        let start = Instant::now() + Duration::from_millis(100);
        let clients: Vec<_> = accounts()
            .into_iter()
            .map(|account| {
                let number = self.requests * account.share / 1000;
                let period =
                    Duration::from_secs_f64(1e6 / (self.rate * account.share) as f64 / 1e3);
                let paced = Paced {
                    call: Call::of(
                        &format!("{}-{}", account.tier, account.number),
                        account.tier,
                    )
                    .header("x-demo-latency-ms", account.latency_ms.to_string()),
                    to: stack.proxy,
                    kept: connection(false),
                    period,
                    seed: account.number * 7 + account.share,
                };
                (number, stack.runtime.spawn(paced.run(start, number)))
            })
            .collect();
        let mut sent = 0;
        for (number, client) in clients {
            stack.runtime.block_on(client).unwrap();
            sent += number;
        }
        sent
    }

    fn judge(self, log: &str, said: &Value) -> Proof {
        let changes = Changes::of(log, self.window_ms);
        let differences = changes.judge(said["differences"].as_array().unwrap());
        let compared = |name: &str| said["compared"][name].as_u64().unwrap();
        let both = compared("refused_then_and_now");
        Proof {
            requests: compared("decided"),
            refused_then: both + compared("refused_then_alone"),
            refused_now: both + compared("refused_now_alone"),
            differences,
        }
    }
}

/// The example's access log, with what the replay of a refused request needs.
fn access_log(path: &Path) -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": {
                "start": "%START_TIME(%s.%6f)%",
                "method": "%REQ(:METHOD)%",
                "path": "%PATH(NQ)%",
                "code": "%RESPONSE_CODE%",
                "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
                "content_length": "%REQ(CONTENT-LENGTH)%",
                "retry_after_ms": "%RESP(RETRY-AFTER-MS)%",
                "tiergate": "%FILTER_STATE(wasm.tiergate:PLAIN)%",
                "tiergate_usage": "%FILTER_STATE(wasm.tiergate.usage:PLAIN)%"
            }}
        }
    })
}

/// The log once all requests are in it.
fn whole_log(path: &Path, lines: u64) -> String {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() as u64 >= lines {
            return text;
        }
        let have = text.lines().count();
        assert!(start.elapsed() < patience(), "{have} of {lines} lines");
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn simulate(log: &Path, config: &PathBuf) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(["simulate", "--json", "--differences", "--config"])
        .arg(config)
        .arg(log)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A client that does not wait for replies.
struct Paced {
    call: Call,
    to: SocketAddr,
    kept: Connection,
    period: Duration,
    seed: u64,
}

impl Paced {
    async fn run(self, start: Instant, requests: u64) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut at = start;
        let mut running = Vec::new();
        for _ in 0..requests {
            at += self.period.mul_f64(0.5 + random.f64());
            tokio::time::sleep_until(at.into()).await;
            let (call, kept, to) = (self.call.clone(), self.kept.clone(), self.to);
            running.push(tokio::spawn(async move {
                call.send_on(&kept, to).await.unwrap();
            }));
        }
        for one in running {
            one.await.unwrap();
        }
    }
}

/// The moments at which the use of an account changes, and the waits that refusals told, by line.
struct Changes {
    window_ms: u64,
    by_account: BTreeMap<String, Vec<u64>>,
    waits: BTreeMap<u64, u64>,
}

/// What differed of an account before.
#[derive(Default)]
struct Before {
    moments: Vec<u64>,
    /// How many more requests Envoy has admitted than the replay.
    ahead: i64,
}

impl Changes {
    fn of(log: &str, window_ms: u64) -> Self {
        let mut changes = Self {
            window_ms,
            by_account: BTreeMap::new(),
            waits: BTreeMap::new(),
        };
        for (number, line) in (1..).zip(log.lines()) {
            let line: Value = serde_json::from_str(line).unwrap();
            let word = |field: &str, key: &str| {
                let text = line[field].as_str().unwrap_or_default();
                let word = text.split(' ').find_map(|word| word.strip_prefix(key));
                word.map(str::to_owned)
            };
            if let Some(wait) = line["retry_after_ms"].as_str() {
                changes.waits.insert(number, wait.parse().unwrap());
            }
            if let Some(at) = word("tiergate_usage", "at=") {
                let at: u64 = at.parse().unwrap();
                let account = word("tiergate", "account=").unwrap();
                let moments = changes.by_account.entry(account).or_default();
                let lasted = line["duration_us"].as_u64().unwrap() / 1000;
                moments.extend([at, at + lasted, at + window_ms + 1]);
            }
        }
        for moments in changes.by_account.values_mut() {
            moments.sort_unstable();
        }
        changes
    }

    /// Judges the differences, which are in the order of time.
    fn judge(&self, rows: &[Value]) -> Vec<Differs> {
        let mut all: BTreeMap<&str, Before> = BTreeMap::new();
        let judged = rows.iter().map(|row| {
            let before = all.entry(row["account"].as_str().unwrap()).or_default();
            let step = if row["logged"] == "admitted" { 1 } else { -1 };
            let closes = before.ahead * step < 0;
            before.ahead += step;
            let near = match self.boundary(row, &before.moments) {
                Near::Nothing if closes => Near::Swapped,
                near => near,
            };
            before.moments.push(row["at"].as_u64().unwrap());
            Differs {
                row: row.clone(),
                near,
            }
        });
        judged.collect()
    }

    /// Returns what a difference is near to, after those of its account at some moments.
    fn boundary(&self, row: &Value, before: &[u64]) -> Near {
        let part_ms = self.window_ms / PARTS;
        let at = row["at"].as_u64().unwrap();
        let leaves = |moment: &u64| (moment + self.window_ms + 1).abs_diff(at) <= part_ms;
        let is_part = self.wait(row).is_some_and(|wait| wait <= part_ms + 1);
        if is_part || before.iter().any(leaves) {
            return Near::Part;
        }
        let moments = &self.by_account[row["account"].as_str().unwrap()];
        let first = moments.partition_point(|moment| moment + 1 < at);
        let around = moments[first..]
            .iter()
            .take_while(|moment| **moment <= at + 1);
        // An admitted request is a change itself.
        let own = usize::from(row["logged"] == "admitted");
        match around.count() > own {
            true => Near::Millisecond,
            false => Near::Nothing,
        }
    }

    /// Returns the wait that the refusal told, in the replay or in Envoy; `None` for a lease, whose end
    /// nobody knows.
    fn wait(&self, row: &Value) -> Option<u64> {
        let (limit, wait) = match row["simulated"] == "limited" {
            true => (&row["simulated_limit"], row["retry_after_ms"].as_u64()),
            false => (
                &row["logged_limit"],
                self.waits.get(&row["line"].as_u64().unwrap()).copied(),
            ),
        };
        wait.filter(|_| limit != "concurrency")
    }
}
