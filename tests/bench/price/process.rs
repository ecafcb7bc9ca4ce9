//! One Envoy process of a row, and one measurement of it.

use crate::bootstrap::Setup;
use crate::client::Call;
use crate::meter::{Counts, Meter};
use crate::options::Options;
use crate::rows::Row;
use crate::stack::Stack;
use crate::traffic::{EVERY_MS, Traffic, WORDS};
use std::thread::sleep;
use std::time::Duration;

/// How long traffic may outlast a measurement before it ends by itself.
const SPARE: Duration = Duration::from_secs(10);

/// One Envoy.
pub struct Process {
    stack: Stack,
    meter: Meter,
    traffic: Traffic,
    warm_up: Duration,
    refused: bool,
    /// What Envoy receives from the upstream for one stream; 0 where there are no streams.
    stream_bytes: u64,
}

impl Process {
    /// Starts an Envoy for the row.
    pub fn start(row: &Row, workers: usize) -> Self {
        let stack = Stack::with(&Setup {
            workers,
            filters: row.filters.clone(),
            access_log: false,
            route: row.traffic.route(),
            ..Setup::new("")
        });
        let mut process = Self {
            stack,
            meter: Meter::new(),
            traffic: row.traffic,
            warm_up: row.warm_up,
            refused: row.refused,
            stream_bytes: 0,
        };
        if row.traffic == Traffic::Streams {
            let before = process.meter.counts(&process.stack);
            let call = Call::of("acme", "t").header("content-type", "application/json");
            let reply = process.stack.send(call.streamed(WORDS, EVERY_MS));
            assert_eq!(reply.status, 200, "{}", row.name);
            process.stream_bytes =
                process.meter.counts(&process.stack).upstream_bytes - before.upstream_bytes;
        }
        process
    }

    /// Warms up, and measures the CPU of the process per request or stream, in microseconds.
    /// `Err` says why the row is not what its name says.
    pub fn measure(&self, options: &Options) -> Result<f64, String> {
        let most = self.warm_up + options.length + SPARE;
        let running = self.traffic.start(self.stack.proxy, most);
        sleep(self.warm_up);
        let (cpu_before, counts_before) = self.meter.read(&self.stack);
        sleep(options.length);
        let (cpu, counts) = self.meter.read(&self.stack);
        drop(running);
        let counts = counts.since(&counts_before);
        self.check(&counts)?;
        Ok((cpu - cpu_before) as f64 / 1000.0 / self.answered(&counts))
    }

    /// Requests or streams, with fractions: streams that were under way count for what came of
    /// them.
    fn answered(&self, counts: &Counts) -> f64 {
        match self.traffic {
            Traffic::ManyAccounts | Traffic::OneAccount | Traffic::Bodies => counts.replies as f64,
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
}
