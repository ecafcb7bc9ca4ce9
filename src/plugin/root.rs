//! The root context: one config in one VM. Reads the config, opens the gate, ticks.

use super::envoy::Envoy;
use super::hostcalls;
use super::stream::Stream;
use crate::config::{self, ConfigError};
use crate::gate::Gate;
use crate::store::ledger::OpenError;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};
use std::cell::RefCell;
use std::rc::Rc;

/// How often a VM proves that it lives, and hands its counts over.
const TICK_MS: u32 = 500;

/// A gate that the streams of one root share. One VM is one thread.
pub type SharedGate = Rc<RefCell<Gate>>;

/// One config in one VM.
#[derive(Debug, Default)]
pub struct Root {
    gate: Option<SharedGate>,
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

impl Context for Root {
    fn on_done(&mut self) -> bool {
        if let Some(gate) = &self.gate
            && let Ok(mut gate) = gate.try_borrow_mut()
        {
            gate.hand_over(&mut Envoy);
        }
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match configure(size) {
            Ok(gate) => {
                self.gate = Some(Rc::new(RefCell::new(gate)));
                true
            }
            Err(error) => {
                log::error!("tiergate: {error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(gate) = &self.gate
            && let Ok(mut gate) = gate.try_borrow_mut()
            && let Some(fault) = gate.tick(&Envoy, &mut Envoy)
        {
            log::warn!("tiergate: {fault}");
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(self.gate.clone())))
    }
}
