//! The feed on Envoy: the root context fetches pages through an Envoy cluster.

use super::envoy::{Envoy, monotonic_ns};
use super::hostcalls;
use super::log::{info, warn};
use super::service_call::{self, ServiceCall};
use super::worker::Worker;
use crate::directory::Directory;
use crate::directory::feed::config::FeedSource;
use crate::directory::feed::import::ImportLimits;
use crate::directory::feed::page::PAGE_BYTES;
use crate::directory::feed::schedule::Source;
use crate::directory::feed::{FetchResult, ImportContext, ImportOutcome, PageRequest, Step, Sync};
use crate::host::HostError;
use crate::http::endpoint::Endpoint;
use crate::ledger::OpenError;
use crate::limiter::Limiter;
use proxy_wasm::types::{BufferType, MapType};
use std::time::Duration;

/// The longest wait for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The feed of one root context.
#[derive(Debug)]
pub struct FeedClient {
    from: FeedSource,
    sync: Sync,
    /// The token of the call in progress.
    awaited: Option<u32>,
    clock: SliceClock,
}

/// The times of one import's slices on the worker, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct SliceClock {
    begun: u64,
    longest: u64,
}

impl FeedClient {
    /// Opens the feed of the config; `None` when the config has no feed.
    ///
    /// # Errors
    /// [`OpenError`] when shared data can't be used for the feed.
    pub fn open(limiter: &Limiter, nonce: u64) -> Result<Option<Self>, OpenError> {
        let config = limiter.config();
        let Some(from) = config.feed.clone() else {
            return Ok(None);
        };
        let accounts = limiter.directory().map_or(0, Directory::accounts);
        let to = &from.endpoint;
        let source = Source {
            path: to.path.clone(),
            cache_key: [&*to.cluster, &*to.authority, &*to.path].join("\n"),
            interval: from.interval,
            limits: ImportLimits {
                accounts: usize::try_from(accounts).unwrap_or(usize::MAX),
                voucher: config.voucher,
                money: config.is_priced,
                removes: from.removes,
            },
        };
        let sync = Sync::open(&Envoy, &config.namespace, source, nonce)?;
        Ok(Some(Self {
            from,
            sync,
            awaited: None,
            clock: SliceClock::default(),
        }))
    }

    /// Runs one tick; true when the next tick should come soon.
    pub fn tick(&mut self, worker: &Worker) -> bool {
        self.step(worker, |sync, context| sync.tick(context))
    }

    /// Takes the response to a call; true when the next tick should come soon.
    pub fn fetched(&mut self, worker: &Worker, token: u32, size: usize) -> bool {
        if self.awaited != Some(token) {
            return false;
        }
        self.awaited = None;
        self.step(worker, |sync, context| {
            let result = fetch_result(size).unwrap_or_default();
            sync.fetched(context, result)
        })
    }

    /// Flushes the feed's counts.
    pub fn flush(&mut self) {
        self.sync.flush(&Envoy, &mut Envoy);
    }

    fn step(
        &mut self,
        worker: &Worker,
        f: impl FnOnce(&mut Sync, &ImportContext<'_>) -> Step,
    ) -> bool {
        let importing = self.sync.is_importing();
        let begun = monotonic_ns();
        let mut step = self.with_context(worker, f);
        if let Step::PageRequest(ask) = &step {
            self.awaited = call(&self.from.endpoint, ask);
            if self.awaited.is_none() {
                let no_result = FetchResult::default();
                step = self.with_context(worker, |sync, context| sync.fetched(context, no_result));
            }
        }
        let now = monotonic_ns();
        if !importing {
            self.clock = SliceClock { begun, longest: 0 };
        }
        self.clock.longest = self.clock.longest.max(now.saturating_sub(begun));
        self.tell(now);
        step == Step::Soon
    }

    fn with_context(
        &mut self,
        worker: &Worker,
        f: impl FnOnce(&mut Sync, &ImportContext<'_>) -> Step,
    ) -> Step {
        let sync = &mut self.sync;
        let step = worker.with_limiter(|limiter| {
            let key = |account: &[u8]| limiter.key(account);
            let context = ImportContext {
                host: &Envoy,
                directory: limiter.directory()?,
                key: &key,
                in_force: limiter.loads_feed(),
            };
            Some(f(sync, &context))
        });
        step.flatten().unwrap_or(Step::Rest)
    }

    /// Logs the outcome of an import.
    fn tell(&mut self, now: u64) {
        match self.sync.take_outcome() {
            None | Some(ImportOutcome::Unchanged) => {}
            Some(ImportOutcome::Failed(error)) => warn!("feed: {error}"),
            Some(ImportOutcome::Imported(counts)) => info!(
                "feed: {} pages in {} ms, longest slice {} us: {} accounts written, \
                 {} unchanged, {} removed, {} without room",
                counts.pages,
                now.saturating_sub(self.clock.begun).div_euclid(1_000_000),
                self.clock.longest.div_euclid(1_000),
                counts.written,
                counts.unchanged,
                counts.removed,
                counts.refused
            ),
        }
    }
}

/// Requests a page; `None` when the host refused the call.
fn call(from: &Endpoint, ask: &PageRequest) -> Option<u32> {
    let etag = ask.if_none_match.as_deref();
    let etag = etag.and_then(|etag| std::str::from_utf8(etag).ok());
    let etag = etag.map(|etag| ("if-none-match", etag));
    let headers: Vec<_> = [("accept", "application/json")]
        .into_iter()
        .chain(etag)
        .collect();
    let get = ServiceCall {
        target: ("GET", &ask.path),
        headers: &headers,
        body: None,
        timeout: TIMEOUT,
    };
    match service_call::send(from, &get) {
        Ok(token) => Some(token),
        Err(error) => {
            warn!("feed: a call to cluster {}: {error}", from.cluster);
            None
        }
    }
}

/// Reads the response of the current callback.
fn fetch_result(size: usize) -> Result<FetchResult, HostError> {
    let headers = hostcalls::header_map(MapType::HttpCallResponseHeaders)?;
    let value = |name| headers.values(name).next().unwrap_or_default();
    let status = std::str::from_utf8(value(":status")).unwrap_or_default();
    let status = status.parse().unwrap_or(0);
    let body = match status {
        200 if size <= PAGE_BYTES => {
            hostcalls::buffer(BufferType::HttpCallResponseBody, 0, size)?.unwrap_or_default()
        }
        _ => Vec::new(),
    };
    Ok(FetchResult {
        status,
        etag: value("etag").to_vec(),
        size,
        body,
    })
}
