//! One HTTP stream as Envoy calls it: callbacks go to its [`Exchange`], which outlives none of them.

use super::exchange::Exchange;
use super::worker::Worker;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::cell::RefCell;
use std::rc::Rc;

/// One stream; `None` while the config was never taken.
#[derive(Debug)]
pub struct Stream {
    exchange: Option<Rc<RefCell<Exchange>>>,
}

impl Stream {
    /// A stream that nothing has happened on.
    pub fn new(id: u32, worker: Option<Rc<Worker>>) -> Self {
        let exchange = worker.map(|worker| Rc::new(RefCell::new(Exchange::new(worker, id))));
        Self { exchange }
    }

    /// Runs a step of the request, after which it may be held.
    fn run_request(&self, f: impl FnOnce(&mut Exchange) -> Action) -> Action {
        let action = self.run(f);
        if action == Action::Pause
            && let Some(exchange) = &self.exchange
        {
            Exchange::look_after(exchange);
        }
        action
    }

    fn run(&self, f: impl FnOnce(&mut Exchange) -> Action) -> Action {
        let exchange = self.exchange.as_ref().and_then(|e| e.try_borrow_mut().ok());
        exchange.map_or(Action::Continue, |mut exchange| f(&mut exchange))
    }
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        self.run(|exchange| {
            exchange.ends();
            Action::Continue
        });
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        #[cfg(feature = "trap")]
        super::trap::trigger();
        self.run_request(|exchange| exchange.request_headers(end))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.run_request(|exchange| exchange.request_body(size, end))
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.run_request(Exchange::request_trailers)
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        self.run(|exchange| {
            exchange.response_headers(end);
            Action::Continue
        })
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.run(|exchange| {
            exchange.response_body(size, end);
            Action::Continue
        })
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        self.run(|exchange| {
            exchange.response_trailers();
            Action::Continue
        })
    }
}
