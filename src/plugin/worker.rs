//! The state that the streams of one config share in one VM. One VM is one thread.

use super::body_wait::BodyWait;
use super::tick::TickPeriod;
use crate::config::Config;
use crate::limiter::{AccessLog, Limiter};
use crate::metrics::Outcome;
use crate::tiers::{Tier, TierId};
use std::cell::RefCell;
use std::rc::Rc;

/// One config in one VM.
#[derive(Debug)]
pub struct Worker {
    /// The active config.
    pub config: Rc<Config>,
    /// The knowledge of whether the host delivers bodies while headers are paused.
    pub body_wait: BodyWait,
    /// The tick period of the root context.
    pub tick_period: TickPeriod,
    limiter: RefCell<Limiter>,
    /// The line for access logs of an admitted request, by tier; empty without `log_admitted`.
    admitted_lines: Vec<Box<str>>,
}

impl Worker {
    /// Creates a worker with this limiter.
    pub fn new(limiter: Limiter, tick_period: TickPeriod) -> Self {
        let config = Rc::clone(limiter.config());
        Self {
            admitted_lines: admitted_lines(&config),
            config,
            body_wait: BodyWait::default(),
            tick_period,
            limiter: RefCell::new(limiter),
        }
    }

    /// Returns the line for access logs of an admitted request; `None` without `log_admitted`.
    pub fn admitted_line(&self, tier: TierId) -> Option<&str> {
        self.admitted_lines.get(tier.index()).map(|line| &**line)
    }

    /// Runs `f` with the limiter; `None` while the limiter is in use, which is a bug.
    pub fn with_limiter<T>(&self, f: impl FnOnce(&mut Limiter) -> T) -> Option<T> {
        self.limiter
            .try_borrow_mut()
            .ok()
            .map(|mut limiter| f(&mut limiter))
    }
}

/// Writes the lines of admitted requests, once for all of them: most requests are admitted.
fn admitted_lines(config: &Config) -> Vec<Box<str>> {
    if !config.log_admitted {
        return Vec::new();
    }
    let line = |tier: &Tier| {
        let log = AccessLog {
            tier: tier.name.clone(),
            outcome: Outcome::Admitted,
            code: None,
        };
        log.to_string().into_boxed_str()
    };
    config.tiers.iter().map(line).collect()
}
