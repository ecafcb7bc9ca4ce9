//! The root context: one config in one VM. Reads the config, opens the gate, ticks.

use super::body_wait::BodyWait;
use super::envoy::Envoy;
use super::hostcalls;
use super::stream::Stream;
use super::waiting_line::WaitingLine;
use crate::config::{self, Config, ConfigError};
use crate::gate::Gate;
use crate::host::Clock as _;
use crate::store::ledger::OpenError;
use crate::time::{Mono, Span};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};
use std::cell::RefCell;
use std::rc::Rc;

/// How often a VM proves that it lives, and hands its counts over, in milliseconds.
pub const TICK_MS: u32 = 500;
/// Ticks that come faster than this, for requests that are held, do only their own work.
const HALF_A_TICK: Span = Span::from_millis(250);

/// What the streams of one root share. One VM is one thread.
#[derive(Debug)]
pub struct Shared {
    /// The config in force.
    pub config: Rc<Config>,
    /// Requests that wait for their bodies.
    pub body_wait: BodyWait,
    /// Requests that wait for a lease.
    pub waiting_line: WaitingLine,
    gate: RefCell<Gate>,
}

impl Shared {
    /// Runs `f` with the gate; `None` when it is in use, which it never should be.
    pub fn with_gate<T>(&self, f: impl FnOnce(&mut Gate) -> T) -> Option<T> {
        self.gate.try_borrow_mut().ok().map(|mut gate| f(&mut gate))
    }
}

/// One config in one VM.
#[derive(Debug, Default)]
pub struct Root {
    shared: Option<Rc<Shared>>,
    /// The last tick that was not for held requests alone.
    ticked: Mono,
}

/// Why a config is not taken.
#[derive(Debug, thiserror::Error)]
enum ConfigureError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("no randomness for the ledger's secret: {0}")]
    Random(getrandom::Error),
    #[error("the host can't be used: {0}")]
    Host(#[from] crate::host::HostError),
}

fn configure(size: usize) -> Result<Gate, ConfigureError> {
    let json = match size {
        0 => None,
        _ => hostcalls::buffer(BufferType::PluginConfiguration, 0, size)?,
    };
    let config = config::parse(&json.unwrap_or_default())?;
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(ConfigureError::Random)?;
    let gate = Gate::open(&Envoy, config, || secret)?;
    hostcalls::set_tick_period(TICK_MS)?;
    Ok(gate)
}

impl Root {
    fn with_gate<T>(&self, f: impl FnOnce(&mut Gate) -> T) -> Option<T> {
        self.shared.as_ref()?.with_gate(f)
    }
}

impl Context for Root {
    fn on_done(&mut self) -> bool {
        self.with_gate(|gate| gate.hand_over(&Envoy, &mut Envoy));
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match configure(size) {
            Ok(gate) => {
                self.shared = Some(Rc::new(Shared {
                    config: Rc::clone(gate.config()),
                    body_wait: BodyWait::default(),
                    waiting_line: WaitingLine::default(),
                    gate: RefCell::new(gate),
                }));
                true
            }
            Err(error) => {
                log::error!("tiergate: {error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(shared) = &self.shared else { return };
        let fast = shared.waiting_line.tick();
        let now = Envoy.mono();
        if fast && now.since(self.ticked) < HALF_A_TICK {
            return;
        }
        self.ticked = now;
        if let Some(Some(fault)) = shared.with_gate(|gate| gate.tick(&Envoy, &mut Envoy)) {
            log::warn!("tiergate: {fault}");
        }
        shared.body_wait.tick();
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(id, self.shared.clone())))
    }
}
