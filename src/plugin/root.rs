//! The root context: one config in one VM. Reads the config, opens the limiter and ticks.

use super::cut_off::OpenStreams;
use super::envoy::Envoy;
use super::feed::FeedClient;
use super::fleet::FleetCaller;
use super::hostcalls;
use super::log::{error, info, warn};
use super::notices::Courier;
use super::paused::PausedRequests;
use super::stream::{Stream, Unconfigured};
use super::tick::TickPeriod;
use super::worker::Worker;
use crate::config;
use crate::fleet::policy::CutOff;
use crate::host::Clock as _;
use crate::json::Invalid;
use crate::ledger::OpenError;
use crate::limiter::{Limiter, Vm};
use crate::time::{Mono, Span};
use crate::version::{BUILD, VERSION};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};
use std::rc::Rc;

/// The minimum time between slow ticks while ticks are fast; earlier ticks do only the fast work.
const HALF_A_TICK: Span = Span::from_millis(250);

thread_local! {
    /// The VM, which is one thread: its root contexts share what this has.
    static VM: Vm = Vm::default();
}

/// One config in one VM.
#[derive(Debug, Default)]
pub struct Root {
    /// `None` until a config is accepted.
    running: Option<Running>,
    /// The time of the last slow tick.
    ticked: Mono,
}

/// The parts that a config starts.
#[derive(Debug)]
struct Running {
    worker: Rc<Worker>,
    paused: Rc<PausedRequests>,
    /// The feed of the account directory.
    feed: Option<FeedClient>,
    courier: Courier,
    fleet: FleetCaller,
    /// The streams that `cut_off: reset` may end; `None` where it does not.
    open: Option<Rc<OpenStreams>>,
}

/// The reason for the rejection of a config.
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

fn configure(size: usize) -> Result<Running, ConfigureError> {
    let json = match size {
        0 => None,
        _ => hostcalls::buffer(BufferType::PluginConfiguration, 0, size)?,
    };
    let config = config::parse(&json.unwrap_or_default())?;
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(ConfigureError::Random)?;
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(ConfigureError::Random)?;
    let reports = config.fleet.as_ref().map(|fleet| fleet.policy.sync);
    let mut limiter = VM.with(|vm| Limiter::open(&Envoy, config, vm, || secret))?;
    let nonce = u64::from_le_bytes(nonce);
    limiter.join_fleet(&Envoy, nonce).map_err(OpenError::from)?;
    let feed = FeedClient::open(&limiter, nonce)?;
    warn_of_directory_size(&limiter);
    let fleet = limiter.config().fleet.as_ref();
    let resets = fleet.is_some_and(|fleet| fleet.policy.cut_off == CutOff::Reset);
    let open = resets.then(Rc::default);
    let worker = Rc::new(Worker::new(limiter, TickPeriod::start(reports)?));
    Ok(Running {
        paused: Rc::new(PausedRequests::new(Rc::clone(&worker))),
        worker,
        feed,
        courier: Courier::default(),
        fleet: FleetCaller::default(),
        open,
    })
}

/// Says that the directory has another size than the config asks for.
fn warn_of_directory_size(limiter: &Limiter) {
    let asked = limiter.config().directory_accounts;
    if let (Some(directory), Some(asked)) = (limiter.directory(), asked)
        && !directory.has_size_for(Some(asked))
    {
        warn!(
            "capacity.directory: the directory of this process is laid out for {} accounts, not for \
             {asked}: restart Envoy to change that",
            directory.accounts()
        );
    }
}

impl Running {
    fn log_events(&self) {
        let events = self.worker.with_limiter(Limiter::drain_events);
        let (news, events) = events.unwrap_or_default();
        for line in news {
            info!("{line}");
        }
        for event in events {
            warn!("{event}");
        }
    }

    /// Does the work of every tick: settlements that wait, the fleet, and the import of a feed.
    fn tick_fast(&mut self) {
        self.worker.write_joined();
        self.fleet.tick(&self.worker);
        if let Some(feed) = &mut self.feed {
            let soon = feed.tick(&self.worker);
            self.worker.tick_period.set_importing(soon);
        }
    }

    /// Does the work of the usual ticks.
    fn tick_slow(&mut self, now: Mono) {
        self.worker.note_time(now);
        let fault = self
            .worker
            .with_limiter(|limiter| limiter.tick(&Envoy, &mut Envoy));
        if let Some(Some(fault)) = fault {
            warn!("{fault}");
        }
        self.log_events();
        if let Some(feed) = &mut self.feed {
            feed.flush();
        }
        self.courier.tick(&self.worker);
    }

    /// Resumes requests. Comes last in a callback: the host takes calls after it for those of the
    /// resumed stream, and drops their answers with the stream.
    fn resume(&mut self, slow: Option<Mono>) {
        self.paused.retry_queued();
        if let Some(now) = slow {
            self.paused.give_up_bodies(now);
            if let Some(open) = &self.open {
                open.end_cut_off(&self.worker);
            }
        }
    }

    fn close(&mut self) {
        self.courier.close(&self.worker);
        let fault = self
            .worker
            .with_limiter(|limiter| limiter.close(&Envoy, &mut Envoy));
        if let Some(Some(fault)) = fault {
            warn!("when this config ended: {fault}");
        }
        self.log_events();
        if let Some(feed) = &mut self.feed {
            feed.flush();
        }
    }
}

impl Context for Root {
    fn on_done(&mut self) -> bool {
        if let Some(running) = &mut self.running {
            running.close();
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
        #[cfg(feature = "trap")]
        super::trap::trigger(proxy_wasm::types::MapType::HttpCallResponseHeaders);
        let Some(running) = &mut self.running else {
            return;
        };
        if running.courier.answered(&running.worker, token) {
            return;
        }
        if running.fleet.answered(&running.worker, token, body) {
            running.resume(None);
            running.worker.with_limiter(|limiter| limiter.end_answers());
            return;
        }
        let worker = &running.worker;
        if let Some(feed) = &mut running.feed {
            let soon = feed.fetched(worker, token, body);
            worker.tick_period.set_importing(soon);
        }
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        info!("version {VERSION}, build {BUILD}");
        true
    }

    fn on_configure(&mut self, size: usize) -> bool {
        match configure(size) {
            Ok(running) => {
                self.running = Some(running);
                true
            }
            Err(error) => {
                error!("{error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        let fast = running.worker.tick_period.is_fast();
        running.tick_fast();
        let now = Envoy.mono();
        let is_slow = !fast || now.since(self.ticked) >= HALF_A_TICK;
        if is_slow {
            self.ticked = now;
            running.tick_slow(now);
        }
        running.resume(is_slow.then_some(now));
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let Some(running) = &self.running else {
            return Some(Box::new(Unconfigured));
        };
        let stream = Stream::new(id, Rc::clone(&running.worker), Rc::clone(&running.paused));
        if let Some(open) = &running.open {
            open.add(id, stream.exchange());
        }
        Some(Box::new(stream))
    }
}
