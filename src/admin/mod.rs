//! The admin API: authentication, routes, JSON and the HTML page. [`Api`] serves the calls with the
//! worker's [`crate::limiter`].

mod account_view;
mod account_writes;
pub mod auth;
pub mod body;
mod checks;
mod look_up;
pub mod overload;
pub mod page;
pub mod route;
pub mod status;
mod usage_list;

use crate::config::Config;
use crate::directory::WriteError;
use crate::host::{Host, HostError};
use crate::json::Invalid;
use crate::ledger::Fault;
use crate::limiter::Limiter;
use crate::reply::ErrorBody;
use crate::shared::StoreError;
use route::Call;
use serde::Serialize;

pub use account_view::{AccountView, list_limit};
pub use checks::{check_put, known_tier};

/// The maximum number of characters of an id or a body in the log.
const LOGGED_CHARS: usize = 256;

/// The response to an admin call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminResponse {
    /// HTTP status.
    pub status: u32,
    /// The headers, including content-type.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The writes of the call, one line for each.
    pub writes: Vec<String>,
}

impl AdminResponse {
    /// Responds 200 with `body` as JSON.
    pub fn ok(body: &impl Serialize) -> Self {
        Self {
            status: 200,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("cache-control", "no-store".to_owned()),
            ],
            // Serialisation can't fail: the bodies are strings, numbers and maps of them.
            body: serde_json::to_vec(body).unwrap_or_default(),
            writes: Vec::new(),
        }
    }
}

/// The admin API on one worker's limiter.
pub struct Api<'a> {
    limiter: &'a mut Limiter,
    host: &'a dyn Host,
    /// The writes of the call, for the log.
    writes: Vec<String>,
}

impl<'a> Api<'a> {
    /// Creates the API for a limiter.
    pub fn new(limiter: &'a mut Limiter, host: &'a dyn Host) -> Self {
        Self {
            limiter,
            host,
            writes: Vec::new(),
        }
    }

    /// Executes a call.
    pub fn call(&mut self, call: &Call, body: &[u8]) -> AdminResponse {
        let done = match call {
            Call::Get(id) => self.get(id),
            Call::Put(id) => self.put(id, body),
            Call::List { after, limit } => self.list(after.as_deref(), limit.as_deref()),
            Call::Usage { after, limit } => self.usage(after.as_deref(), limit.as_deref()),
            Call::PutMany => self.put_many(body),
            Call::Ready => self.ready(),
            Call::Delete(id) => self.delete(id),
            Call::Recharge(id) => self.recharge(id, body),
            Call::Reset(id) => self.reset(id),
            Call::Status => self.status().map(|status| AdminResponse::ok(&status)),
            Call::Overload => self.get_overload(),
            Call::PutManual => self.put_manual(body),
            Call::DeleteManual => self.delete_manual(),
            Call::Page(account) => self.page(account.as_deref()),
            Call::PageWithoutSlash => Ok(page::with_slash(self.config())),
        };
        let response = done.unwrap_or_else(|problem| problem.response());
        self.limiter.note_admin_writes(self.writes.len());
        AdminResponse {
            writes: std::mem::take(&mut self.writes),
            ..response
        }
    }

    fn config(&self) -> &Config {
        self.limiter.config()
    }
}

/// The reason for the failure of an admin call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No token, or a wrong one.
    #[error("this needs the admin token: authorization: Bearer TOKEN")]
    Unauthorized,
    /// A browser's password on a call that accepts only the bearer token.
    #[error("what changes something takes the bearer token only")]
    BearerOnly,
    /// A token that may only read.
    #[error("the token {0:?} may only read")]
    ReadOnly(String),
    /// A web page's call that changes something, without a configured token.
    #[error("without a token, what changes something is not taken from web pages (origin)")]
    FromAPage,
    /// No such path.
    #[error("there is nothing at this path; see docs/directory.md for what there is")]
    NoSuchPath,
    /// The path does not accept the method.
    #[error("this path does not take that method; it takes {0}")]
    NoSuchMethod(&'static str),
    /// An invalid account id.
    #[error("the account id {0}")]
    BadId(&'static str),
    /// An invalid parameter of the query.
    #[error("{0} {1}")]
    BadQuery(&'static str, &'static str),
    /// The id stands for another account.
    #[error("this id is an alias: name the account that it stands for")]
    IsAlias,
    /// A feed has the totals of the accounts.
    #[error(
        "a feed gives the cumulative recharge of this directory: add the recharge to its source"
    )]
    FeedDecides,
    /// A body in the header of a request that has a body of its own, or is not taken.
    #[error("x-tiergate-body: {0}")]
    BadHeaderBody(&'static str),
    /// An invalid body.
    #[error("body at {0}")]
    BadBody(Invalid),
    /// The body is longer than the maximum.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// Envoy keeps the body back.
    #[error(
        "Envoy keeps the body back: send it in the header x-tiergate-body, or set \
         allow_on_headers_stop_iteration: true on this filter (before Envoy 1.40 also change its config, \
         name or root_id, or restart Envoy)"
    )]
    NoBody,
    /// The directory has no such account.
    #[error("the directory has no such account")]
    UnknownAccount,
    /// The directory is full.
    #[error("the directory has no room for this account: raise capacity.directory, and restart")]
    Full,
    /// The account's entry would be too large.
    #[error("{0}")]
    TooLarge(WriteError),
    /// Shared data can't be used.
    #[error("shared data can't be used: {0}")]
    Fault(Fault),
}

impl Problem {
    /// Creates a problem with the body at a JSON path.
    pub fn body(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::BadBody(Invalid::new(path, problem))
    }

    /// Returns the HTTP status, `error.type` and `error.code`.
    const fn kind(&self) -> (u32, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (401, "invalid_authentication_error", "token_invalid"),
            Self::BearerOnly => (403, "permission_denied_error", "bearer_only"),
            Self::ReadOnly(_) => (403, "permission_denied_error", "read_only"),
            Self::FromAPage => (403, "permission_denied_error", "origin_refused"),
            Self::NoSuchPath => (404, "invalid_request_error", "not_found"),
            Self::NoSuchMethod(_) => (405, "invalid_request_error", "method_not_allowed"),
            Self::BadId(_) => (400, "invalid_request_error", "account_id_invalid"),
            Self::BadQuery(..) => (400, "invalid_request_error", "query_invalid"),
            Self::IsAlias => (400, "invalid_request_error", "account_is_alias"),
            Self::FeedDecides => (409, "invalid_request_error", "feed_decides"),
            Self::BadHeaderBody(_) => (400, "invalid_request_error", "body_invalid"),
            Self::TooLarge(_) => (400, "invalid_request_error", "entry_too_large"),
            Self::BadBody(_) => (400, "invalid_request_error", "body_invalid"),
            Self::TooLong(_) => (413, "invalid_request_error", "body_too_long"),
            Self::NoBody => (501, "server_error", "body_unavailable"),
            Self::UnknownAccount => (404, "invalid_request_error", "account_unknown"),
            Self::Full => (507, "server_error", "directory_full"),
            Self::Fault(_) => (503, "server_error", "limiter_unavailable"),
        }
    }

    /// Converts the problem to a response.
    pub fn response(&self) -> AdminResponse {
        let (status, kind, code) = self.kind();
        let mut response = AdminResponse::ok(&ErrorBody::new(&self.to_string(), kind, code));
        response.status = status;
        if let Self::NoSuchMethod(methods) = self {
            let methods = methods.replace(" and ", ", ");
            response.headers.push(("allow", methods));
        }
        response
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full => Self::Full,
            WriteError::TooLarge => Self::TooLarge(error),
            WriteError::Store(error) => error.into(),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}
