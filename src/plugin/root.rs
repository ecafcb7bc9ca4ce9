//! The root context: one config in one VM. Reads the config, opens the gate, ticks.

use super::envoy::Envoy;
use super::feed::Feed;
use super::hostcalls;
use super::log::{error, info, warn};
use super::stream::Stream;
use super::tick::TickPeriod;
use super::worker::Worker;
use crate::config;
use crate::host::Clock as _;
use crate::json::Invalid;
use crate::ledger::OpenError;
use crate::limiter::Limiter;
use crate::time::{Mono, Span};
use crate::version::{BUILD, VERSION};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};
use std::rc::Rc;

/// Ticks that come faster than this, for requests that are held, do only their own work.
const HALF_A_TICK: Span = Span::from_millis(250);

/// One config in one VM.
#[derive(Debug, Default)]
pub struct Root {
    worker: Option<Rc<Worker>>,
    /// The feed of the account directory.
    feed: Option<Feed>,
    /// The last tick that was not for held requests alone.
    ticked: Mono,
}

/// Why a config is not taken.
#[derive(Debug, thiserror::Error)]
enum ConfigureError {
    #[error("config at {0}")]
    Config(#[from] Invalid),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("no randomness for a secret: {0}")]
    Random(getrandom::Error),
    #[error("the host can't be used: {0}")]
    Host(#[from] crate::host::HostError),
}

fn configure(size: usize) -> Result<(Worker, Option<Feed>), ConfigureError> {
    let json = match size {
        0 => None,
        _ => hostcalls::buffer(BufferType::PluginConfiguration, 0, size)?,
    };
    let config = config::parse(&json.unwrap_or_default())?;
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(ConfigureError::Random)?;
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(ConfigureError::Random)?;
    let limiter = Limiter::open(&Envoy, config, || secret)?;
    let feed = Feed::open(limiter.config(), u64::from_le_bytes(nonce))?;
    Ok((Worker::new(limiter, TickPeriod::start()?), feed))
}

impl Root {
    fn with_limiter<T>(&self, f: impl FnOnce(&mut Limiter) -> T) -> Option<T> {
        self.worker.as_ref()?.with_limiter(f)
    }

    fn log_events(&self) {
        for event in self
            .with_limiter(|limiter| limiter.overload_mut().drain_events())
            .unwrap_or_default()
        {
            warn!("{event}");
        }
    }
}

impl Context for Root {
    fn on_done(&mut self) -> bool {
        self.with_limiter(|limiter| limiter.close(&Envoy, &mut Envoy));
        self.log_events();
        if let Some(feed) = &mut self.feed {
            feed.flush();
        }
        true
    }

    fn on_http_call_response(
        &mut self,
        token: u32,
        _headers: usize,
        body: usize,
        _trailers: usize,
    ) {
        let (Some(worker), Some(feed)) = (&self.worker, &mut self.feed) else {
            return;
        };
        let soon = feed.fetched(worker, token, body);
        worker.tick_period.set_importing(soon);
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        info!("version {VERSION}, build {BUILD}");
        true
    }

    fn on_configure(&mut self, size: usize) -> bool {
        match configure(size) {
            Ok((worker, feed)) => {
                self.feed = feed;
                self.worker = Some(Rc::new(worker));
                true
            }
            Err(error) => {
                error!("{error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(worker) = self.worker.clone() else {
            return;
        };
        let fast = worker.tick_period.is_fast();
        worker.waiting_line.tick();
        if let Some(feed) = &mut self.feed {
            worker.tick_period.set_importing(feed.tick(&worker));
        }
        let now = Envoy.mono();
        if fast && now.since(self.ticked) < HALF_A_TICK {
            return;
        }
        self.ticked = now;
        if let Some(Some(fault)) = worker.with_limiter(|limiter| limiter.tick(&Envoy, &mut Envoy)) {
            warn!("{fault}");
        }
        self.log_events();
        if let Some(feed) = &mut self.feed {
            feed.flush();
        }
        for (id, request) in worker.body_wait.tick(now) {
            if request.try_borrow().is_ok_and(|r| r.is_waiting()) {
                worker.waiting_line.add(id, &request);
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(id, self.worker.clone())))
    }
}
