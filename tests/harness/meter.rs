//! CPU time and counts of an Envoy under traffic.

use super::client::{Call, Connection, connection};
use super::stack::Stack;

/// CPU time that may go by while counts are read, and how often to try.
const NARROW_NS: u64 = 3_000_000;
const TRIES: u32 = 20;

/// Envoy's counts.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// The replies that came to their end.
    pub replies: u64,
    pub ok: u64,
    pub upstream_bytes: u64,
}

/// A reader of one Envoy's counts.
pub struct Meter {
    /// The connection to Envoy's admin port.
    admin: Connection,
}

impl Meter {
    pub fn new() -> Self {
        Self {
            admin: connection(false),
        }
    }

    /// Reads CPU and counts of the same moment, while traffic runs. On a busy machine the admin port
    /// may answer late; the narrowest of several tries counts.
    pub fn read(&self, stack: &Stack) -> (u64, Counts) {
        let mut best = (u64::MAX, 0, Counts::default());
        for _ in 0..TRIES {
            let before = cpu_ns(stack.pid());
            let counts = self.counts(stack);
            let width = cpu_ns(stack.pid()) - before;
            if width < best.0 {
                best = (width, before + width / 2, counts);
            }
            if width < NARROW_NS {
                break;
            }
        }
        (best.1, best.2)
    }

    /// Reads Envoy's counts.
    pub fn counts(&self, stack: &Stack) -> Counts {
        let path = "/stats?filter=downstream_rq_%7Cupstream_cx_rx_bytes_total";
        let reply = Call::new().get(path).send_on(&self.admin, stack.admin);
        let reply = stack.runtime.block_on(reply).unwrap();
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
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            replies: self.replies - before.replies,
            ok: self.ok - before.ok,
            upstream_bytes: self.upstream_bytes - before.upstream_bytes,
        }
    }
}

/// The processor time of all threads of a process, in nanoseconds.
pub fn cpu_ns(pid: u32) -> u64 {
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

/// The median; the mean of the two in the middle where there are two.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        0 => f64::midpoint(values[half - 1], values[half]),
        _ => values[half],
    }
}
