//! One Envoy process of a row, and one measurement of it.

use crate::bootstrap::Setup;
use crate::client::{Call, Connection, connection};
use crate::options::Options;
use crate::rows::Row;
use crate::stack::Stack;
use crate::traffic::{EVERY_MS, Traffic, WORDS};
use serde_json::json;
use std::thread::sleep;
use std::time::Duration;

/// How long traffic may outlast a measurement before it ends by itself.
const SPARE: Duration = Duration::from_secs(10);

/// CPU time that may go by while counts are read, and how often to try.
const NARROW_NS: u64 = 3_000_000;
const TRIES: u32 = 20;

/// One Envoy.
pub struct Process {
    stack: Stack,
    /// The connection to Envoy's admin port.
    admin: Connection,
    traffic: Traffic,
    warm_up: Duration,
    refused: bool,
    /// What Envoy receives from the upstream for one stream; 0 where there are no streams.
    stream_bytes: u64,
}

/// Envoy's counts.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// The replies that came to their end.
    replies: u64,
    ok: u64,
    upstream_bytes: u64,
}

impl Process {
    /// Starts an Envoy for the row.
    pub fn start(row: &Row, workers: usize) -> Self {
        let stack = Stack::with(&Setup {
            workers,
            filters: row.filters.clone(),
            access_log: false,
            http2_upstream: false,
            route: row.traffic.route(),
            manager: json!({}),
            envoy_args: Vec::new(),
        });
        let mut process = Self {
            stack,
            admin: connection(false),
            traffic: row.traffic,
            warm_up: row.warm_up,
            refused: row.refused,
            stream_bytes: 0,
        };
        if row.traffic == Traffic::Streams {
            let before = process.counts();
            let call = Call::of("acme", "t").header("content-type", "application/json");
            let reply = process.stack.send(call.streamed(WORDS, EVERY_MS));
            assert_eq!(reply.status, 200, "{}", row.name);
            process.stream_bytes = process.counts().upstream_bytes - before.upstream_bytes;
        }
        process
    }

    /// Warms up, and measures the CPU of the process per request or stream, in microseconds.
    /// `Err` says why the row is not what its name says.
    pub fn measure(&self, options: &Options) -> Result<f64, String> {
        let most = self.warm_up + options.length + SPARE;
        let running = self.traffic.start(self.stack.proxy, most);
        sleep(self.warm_up);
        let (cpu_before, counts_before) = self.reading();
        sleep(options.length);
        let (cpu, counts) = self.reading();
        drop(running);
        let counts = counts.since(&counts_before);
        self.check(&counts)?;
        Ok((cpu - cpu_before) as f64 / 1000.0 / self.answered(&counts))
    }

    /// Reads CPU and counts of the same moment, while traffic runs. On a busy machine the admin port
    /// may answer late; the narrowest of several tries counts.
    fn reading(&self) -> (u64, Counts) {
        let mut best = (u64::MAX, 0, Counts::default());
        for _ in 0..TRIES {
            let before = self.cpu_ns();
            let counts = self.counts();
            let width = self.cpu_ns() - before;
            if width < best.0 {
                best = (width, before + width / 2, counts);
            }
            if width < NARROW_NS {
                break;
            }
        }
        (best.1, best.2)
    }

    fn cpu_ns(&self) -> u64 {
        cpu_ns(self.stack.pid())
    }

    /// Requests or streams, with fractions: streams that were under way count for what came of
    /// them.
    fn answered(&self, counts: &Counts) -> f64 {
        match self.traffic {
            Traffic::ManyAccounts | Traffic::OneAccount => counts.replies as f64,
            Traffic::Streams => counts.upstream_bytes as f64 / self.stream_bytes as f64,
        }
    }

    fn check(&self, counts: &Counts) -> Result<(), String> {
        let Counts { replies, ok, .. } = *counts;
        let is_so = match self.refused {
            true => ok * 10 < replies,
            false => ok == replies,
        };
        // Of streams, perhaps none came to its end meanwhile.
        match is_so && self.answered(counts) > 0.0 {
            true => Ok(()),
            false => Err(format!("{ok} of {replies} replies were 2xx")),
        }
    }

    fn counts(&self) -> Counts {
        let path = "/stats?filter=downstream_rq_%7Cupstream_cx_rx_bytes_total";
        let reply = Call::new().get(path).send_on(&self.admin, self.stack.admin);
        let reply = self.stack.runtime.block_on(reply).unwrap();
        let text = String::from_utf8(reply.body).unwrap();
        let count = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let count = line.and_then(|line| line.strip_prefix(": ")?.parse().ok());
            count.unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        let replies = ["2xx", "4xx", "5xx"];
        let [ok, refused, failed] =
            replies.map(|s| count(&format!("http.proxy.downstream_rq_{s}")));
        Counts {
            replies: ok + refused + failed,
            ok,
            upstream_bytes: count("cluster.llm.upstream_cx_rx_bytes_total"),
        }
    }
}

impl Counts {
    const fn since(&self, before: &Self) -> Self {
        Self {
            replies: self.replies - before.replies,
            ok: self.ok - before.ok,
            upstream_bytes: self.upstream_bytes - before.upstream_bytes,
        }
    }
}

/// The processor time of all threads of a process, in nanoseconds.
fn cpu_ns(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let ns = tasks.map(|task| {
        let path = task.unwrap().path().join("schedstat");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; Linux with schedstat is needed",
                path.display()
            )
        });
        let first = text.split(' ').next().unwrap();
        first.parse::<u64>().unwrap()
    });
    ns.sum()
}
