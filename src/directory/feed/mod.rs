//! The feed of the account directory: one VM fetches its pages, and stages their accounts as they come.
//! After the last page all of them come into force with one write.
//!
//! The shell makes the HTTP calls. This module decides on the requests and reads the responses.

pub mod config;
pub mod import;
pub mod leader;
pub mod page;
pub mod schedule;
mod stage;

use crate::directory::Directory;
use crate::host::Host;
use crate::json::Invalid;
use crate::ledger::AccountKey;
use crate::shared::StoreError;

pub use schedule::Sync;

/// The maximum number of pages of one feed.
pub const MOST_PAGES: usize = 1_000;
/// The longest ETag that is remembered, in bytes.
pub const ETAG_BYTES: usize = 1_024;

/// The stores that an import uses.
#[derive(Clone, Copy)]
pub struct ImportContext<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// The directory.
    pub directory: &'a Directory,
    /// Returns the key of an account.
    pub key: &'a dyn Fn(&[u8]) -> AccountKey,
    /// True when this config loads the feed.
    pub in_force: bool,
}

/// The next action of the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing until the next tick.
    Rest,
    /// Tick again soon.
    Soon,
    /// Request a page.
    PageRequest(PageRequest),
}

/// A request for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The path of the page.
    pub path: String,
    /// The ETag that the page must differ from.
    pub if_none_match: Option<Vec<u8>>,
}

/// The response to a fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchResult {
    /// The status; 0 when there was no response.
    pub status: u16,
    /// The ETag, if there was one.
    pub etag: Vec<u8>,
    /// The length of the body, in bytes.
    pub size: usize,
    /// The body; empty where `size` is over [`page::PAGE_BYTES`].
    pub body: Vec<u8>,
}

/// The reason why an import failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// No response came, or the call could not be made.
    #[error("page {page}: no answer")]
    NoAnswer {
        /// The page's number, from 1.
        page: usize,
    },
    /// An answer other than a page.
    #[error("page {page}: status {status}")]
    Status {
        /// The page's number, from 1.
        page: usize,
        /// The status.
        status: u16,
    },
    /// A page that is too long.
    #[error(
        "page {page}: {size} bytes, at most {} are read: use next",
        page::PAGE_BYTES
    )]
    TooLong {
        /// The page's number, from 1.
        page: usize,
        /// The page's length in bytes.
        size: usize,
    },
    /// A page that is not of the form.
    #[error("page {page}: {error}")]
    Page {
        /// The page's number, from 1.
        page: usize,
        /// The error.
        error: Invalid,
    },
    /// An account that was named before.
    #[error("page {page}: the {at}. account there was named before")]
    Twice {
        /// The page's number, from 1.
        page: usize,
        /// The account's position on the page, from 1; removed accounts count too.
        at: usize,
    },
    /// An account that was named before, far from the place where it is named again.
    #[error("page {page} or one before it: an account there was named before")]
    TwiceFarApart {
        /// The number of the page that was read last, from 1.
        page: usize,
    },
    /// An account with a limit on money, while the config has no price for each model.
    #[error(
        "page {page}: the {at}. account there has a limit on usd, and a model can come without a \
         price: see \"price\" and \"unpriced\" in the docs"
    )]
    NoPrices {
        /// The page's number, from 1.
        page: usize,
        /// The account's position on the page, from 1; removed accounts count too.
        at: usize,
    },
    /// A page that leads back to one before it.
    #[error("page {page}: next leads back to a page that was read")]
    Cycle {
        /// The page's number, from 1.
        page: usize,
    },
    /// A feed of too many pages.
    #[error("more than {MOST_PAGES} pages")]
    TooManyPages,
    /// A feed of too many accounts.
    #[error("more than {0} accounts: raise capacity.directory, and restart")]
    TooManyAccounts(usize),
    /// Another VM took over.
    #[error("another VM took over")]
    LostLeadership,
    /// Shared data can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The outcome of an import, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// A complete feed was applied.
    Imported(ImportCounts),
    /// The feed has not changed.
    Unchanged,
    /// The import failed.
    Failed(FeedError),
}

/// The counts of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Pages read.
    pub pages: usize,
    /// Accounts written.
    pub written: u64,
    /// Accounts that were in the directory as the feed has them, or that an admin wrote since.
    pub unchanged: u64,
    /// Accounts removed: named in `removed`, or not named by a feed with `removes`.
    pub removed: u64,
    /// Accounts that the directory had no room for.
    pub refused: u64,
}
