//! One import of the feed: gathers all pages, then applies them. Both run in short slices, so that
//! the worker serves requests in between.

use crate::directory::WriteError;
use crate::directory::entry::{AccountEntry, TierBasis};
use crate::directory::feed::page::{Known, PAGE_BYTES, PageItem, PageReader};
use crate::directory::feed::{
    ETAG_BYTES, FeedError, FetchResult, ImportContext, ImportCounts, MOST_PAGES, PageRequest, Step,
};
use crate::ledger::AccountKey;
use crate::tiers::recharge::VoucherRule;
use crate::time::{Mono, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Accounts in one slice; one takes about 10 us to apply on Envoy.
const SLICE: usize = 128;
/// The time after which a slice ends early, as read after each `BETWEEN_LOOKS` accounts.
const SLICE_TIME: Span = Span::from_millis(2);
const BETWEEN_LOOKS: usize = 16;
/// The longest wait for a page. The shell's call ends sooner, unless the host loses the call.
const PATIENCE: Span = Span::from_secs(30);

/// The bounds and rules of an import.
#[derive(Clone, Copy, Debug)]
pub struct ImportLimits {
    /// The maximum number of accounts, removed ones included.
    pub accounts: usize,
    /// The rule of the voucher.
    pub voucher: Option<VoucherRule>,
    /// True where limits on money are allowed.
    pub money: bool,
}

#[derive(Debug)]
enum ImportPhase {
    /// A page was requested at this time.
    Asked(Mono),
    /// A page is being read.
    Reading(PageReader),
    /// All pages are read.
    Applying,
}

/// The progress of an import.
#[derive(Debug, PartialEq, Eq)]
pub enum ImportProgress {
    /// The import continues with this step.
    Goes(Step),
    /// The feed has not changed.
    Unchanged,
    /// All accounts are applied.
    Done,
}

/// One import of the feed.
#[derive(Debug)]
pub struct Import {
    phase: ImportPhase,
    /// Paths of the pages so far, the current page included.
    paths: BTreeSet<String>,
    /// Accounts by key; `None` for removed ones. A tree grows without being moved, so no single
    /// insertion takes long.
    gathered: BTreeMap<AccountKey, Option<Known>>,
    /// Items of the current page so far.
    items: usize,
    /// True when the first page was requested with an ETag.
    conditional: bool,
    etag: Vec<u8>,
    counts: ImportCounts,
}

impl Import {
    /// Begins an import and returns the request for its first page.
    pub fn begin(path: &str, etag: Vec<u8>, now: Mono) -> (Self, PageRequest) {
        let if_none_match = (!etag.is_empty()).then_some(etag);
        let import = Self {
            phase: ImportPhase::Asked(now),
            paths: BTreeSet::from([path.to_owned()]),
            gathered: BTreeMap::new(),
            items: 0,
            conditional: if_none_match.is_some(),
            etag: Vec::new(),
            counts: ImportCounts::default(),
        };
        let path = path.to_owned();
        (
            import,
            PageRequest {
                path,
                if_none_match,
            },
        )
    }

    /// Takes the ETag of the feed's first page.
    pub fn take_etag(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.etag)
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> ImportCounts {
        ImportCounts {
            pages: self.paths.len(),
            ..self.counts
        }
    }

    /// Returns the number of the current page, from 1.
    fn page(&self) -> usize {
        self.paths.len()
    }

    /// Takes the response to the last [`PageRequest`].
    ///
    /// # Errors
    /// [`FeedError`] when the response is not a page.
    pub fn fetched(&mut self, result: FetchResult) -> Result<ImportProgress, FeedError> {
        let page = self.page();
        if !matches!(self.phase, ImportPhase::Asked(_)) {
            return Ok(ImportProgress::Goes(Step::Soon));
        }
        match result.status {
            200 if result.size > PAGE_BYTES => Err(FeedError::TooLong {
                page,
                size: result.size,
            }),
            200 => {
                if page == 1 {
                    self.etag = remembered(result.etag);
                }
                self.items = 0;
                self.phase = ImportPhase::Reading(PageReader::new(result.body));
                Ok(ImportProgress::Goes(Step::Soon))
            }
            304 if page == 1 && self.conditional => Ok(ImportProgress::Unchanged),
            0 => Err(FeedError::NoAnswer { page }),
            status => Err(FeedError::Status { page, status }),
        }
    }

    /// Runs one slice.
    ///
    /// # Errors
    /// [`FeedError`] when the import has failed.
    pub fn slice(
        &mut self,
        context: &ImportContext<'_>,
        limits: &ImportLimits,
    ) -> Result<ImportProgress, FeedError> {
        let begun = context.host.mono();
        if let ImportPhase::Asked(at) = self.phase {
            if begun.since(at) > PATIENCE {
                return Err(FeedError::NoAnswer { page: self.page() });
            }
            return Ok(ImportProgress::Goes(Step::Rest));
        }
        for n in 1..=SLICE {
            let progress = match self.phase {
                ImportPhase::Applying => self.apply(context, limits)?,
                _ => self.read(context, limits)?,
            };
            if let Some(progress) = progress {
                return Ok(progress);
            }
            let look = n.is_multiple_of(BETWEEN_LOOKS);
            if look && context.host.mono().since(begun) >= SLICE_TIME {
                break;
            }
        }
        Ok(ImportProgress::Goes(Step::Soon))
    }

    /// Reads the next account of the page.
    fn read(
        &mut self,
        context: &ImportContext<'_>,
        limits: &ImportLimits,
    ) -> Result<Option<ImportProgress>, FeedError> {
        let page = self.page();
        let ImportPhase::Reading(reader) = &mut self.phase else {
            return Ok(None);
        };
        let item = reader
            .item()
            .map_err(|error| FeedError::Page { page, error })?;
        let (id, known) = match item {
            PageItem::Account(id, known) => (id, Some(known)),
            PageItem::Removed(id) => (id, None),
            PageItem::End(Some(next)) => return self.next(next, context).map(Some),
            PageItem::End(None) => {
                self.phase = ImportPhase::Applying;
                return Ok(None);
            }
        };
        self.items = self.items.saturating_add(1);
        let own = known.as_ref().and_then(|known| known.limits.as_ref());
        if !limits.money && own.is_some_and(|own| own.count_money()) {
            let at = self.items;
            return Err(FeedError::NoPrices { page, at });
        }
        if self.gathered.len() >= limits.accounts {
            return Err(FeedError::TooManyAccounts(limits.accounts));
        }
        let key = (context.key)(id.as_bytes());
        if self.gathered.insert(key, known).is_some() {
            let at = self.items;
            return Err(FeedError::Twice { page, at });
        }
        Ok(None)
    }

    /// Frees one slice of a finished import; true when nothing is left. Dropping a large map at
    /// once would stall the worker.
    pub fn release_slice(&mut self) -> bool {
        (0..SLICE).any(|_| self.gathered.pop_first().is_none())
    }

    fn next(
        &mut self,
        next: String,
        context: &ImportContext<'_>,
    ) -> Result<ImportProgress, FeedError> {
        if self.paths.contains(&next) {
            return Err(FeedError::Cycle { page: self.page() });
        }
        if self.paths.len() >= MOST_PAGES {
            return Err(FeedError::TooManyPages);
        }
        self.paths.insert(next.clone());
        self.phase = ImportPhase::Asked(context.host.mono());
        Ok(ImportProgress::Goes(Step::PageRequest(PageRequest {
            path: next,
            if_none_match: None,
        })))
    }

    /// Applies the next account.
    fn apply(
        &mut self,
        context: &ImportContext<'_>,
        limits: &ImportLimits,
    ) -> Result<Option<ImportProgress>, FeedError> {
        let Some((key, known)) = self.gathered.pop_first() else {
            context.directory.set_ready(context.host)?;
            return Ok(Some(ImportProgress::Done));
        };
        let applied = context.directory.change(context.host, key, |entry| {
            let changed = known.as_ref().map(|known| over(known, entry, limits));
            (changed, ())
        });
        let count = match (applied, known) {
            (Ok(()), Some(_)) => &mut self.counts.written,
            (Ok(()), None) => &mut self.counts.removed,
            (Err(WriteError::Full), _) => &mut self.counts.refused,
            (Err(WriteError::Store(error)), _) => return Err(error.into()),
        };
        *count = count.saturating_add(1);
        Ok(None)
    }
}

/// Returns an account's entry with the feed's data. The vouchers and the remembered events stay, so
/// that no voucher is due twice.
fn over(known: &Known, entry: Option<AccountEntry>, limits: &ImportLimits) -> AccountEntry {
    let mut history = entry.and_then(|e| e.history);
    let tier = match &known.basis {
        TierBasis::Tier(name) => Some(name.to_string()),
        TierBasis::Recharge(paid) => {
            let history = history.get_or_insert_default();
            history.set(*paid, limits.voucher.as_ref());
            None
        }
    };
    AccountEntry {
        history,
        tier,
        limits: known.limits.as_deref().cloned().unwrap_or_default(),
        disabled: known.disabled,
        by_feed: true,
    }
}

/// Returns an ETag that can be sent back (RFC 9110, section 8.8.3: visible characters), or an empty
/// one.
fn remembered(etag: Vec<u8>) -> Vec<u8> {
    let can_be_sent = etag.iter().all(|b| (0x21..=0x7e).contains(b));
    if can_be_sent && etag.len() <= ETAG_BYTES {
        return etag;
    }
    Vec::new()
}
