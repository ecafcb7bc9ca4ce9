//! The callbacks of one HTTP stream, passed on to the stream's [`Exchange`].

use super::exchange::Exchange;
use super::paused::PausedRequests;
use super::phase::Flow;
use super::worker::Worker;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::cell::RefCell;
use std::rc::Rc;

/// One stream.
#[derive(Debug)]
pub struct Stream {
    id: u32,
    exchange: Rc<RefCell<Exchange>>,
    paused: Rc<PausedRequests>,
}

impl Stream {
    /// Creates the stream `id`, before its first callback.
    pub fn new(id: u32, worker: Rc<Worker>, paused: Rc<PausedRequests>) -> Self {
        Self {
            id,
            exchange: Rc::new(RefCell::new(Exchange::new(worker, id))),
            paused,
        }
    }

    /// Returns what the callbacks change.
    pub const fn exchange(&self) -> &Rc<RefCell<Exchange>> {
        &self.exchange
    }

    /// Runs a callback of the request, and registers the request if it pauses.
    fn request(&self, step: impl FnOnce(&mut Exchange) -> Flow) -> Action {
        // The borrow ends here, before the exchange is registered.
        let flow = self
            .exchange
            .try_borrow_mut()
            .map_or(Flow::Continue, |mut exchange| step(&mut exchange));
        match flow {
            Flow::Continue => Action::Continue,
            Flow::Hold => Action::Pause,
            Flow::Pause(reason) => {
                self.paused.register(self.id, &self.exchange, reason);
                Action::Pause
            }
        }
    }

    /// Runs a callback that never pauses.
    fn run(&self, step: impl FnOnce(&mut Exchange)) -> Action {
        if let Ok(mut exchange) = self.exchange.try_borrow_mut() {
            step(&mut exchange);
        }
        Action::Continue
    }
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        self.run(Exchange::end);
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        #[cfg(feature = "trap")]
        super::trap::trigger(proxy_wasm::types::MapType::HttpRequestHeaders);
        self.request(|exchange| exchange.request_headers(end))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.request(|exchange| exchange.request_body(size, end))
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.request(Exchange::request_trailers)
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        // The borrow ends before the reply to an early response comes back as a callback.
        let flow = self
            .exchange
            .try_borrow_mut()
            .map_or(Flow::Continue, |mut exchange| {
                exchange.response_headers(end)
            });
        match flow {
            Flow::Continue => Action::Continue,
            Flow::Hold | Flow::Pause(_) => Action::Pause,
        }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.run(|exchange| exchange.response_body(size, end))
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        self.run(Exchange::response_trailers)
    }
}

/// A stream of a root context without a config: every request goes on.
#[derive(Debug)]
pub struct Unconfigured;

impl Context for Unconfigured {}
impl HttpContext for Unconfigured {}
