//! One import of the feed: reads the accounts in batches, and stages each batch page by page of the
//! directory. It works in short slices, so that the worker serves requests in between.

use crate::directory::feed::page::{PAGE_BYTES, PageItem, PageReader};
use crate::directory::feed::stage::{FeedItem, Generation, Staging};
use crate::directory::feed::{
    ETAG_BYTES, FeedError, FetchResult, ImportContext, ImportCounts, MOST_PAGES, PageRequest, Step,
};
use crate::ledger::AccountKey;
use crate::tiers::recharge::VoucherRule;
use crate::time::{Mono, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Accounts, or pages of the directory, in one slice.
const SLICE: usize = 128;
/// The time after which a slice ends early, as read after each `BETWEEN_LOOKS` steps.
const SLICE_TIME: Span = Span::from_millis(2);
const BETWEEN_LOOKS: usize = 4;
/// The longest wait for a page. The shell's call ends sooner, unless the host loses the call.
const PATIENCE: Span = Span::from_secs(30);
/// The maximum number of accounts that are held in memory before they are staged. The larger the
/// batch, the more of them share a page of the directory.
const BATCH: usize = 65_536;
/// The maximum size of a batch in memory, in bytes, as far as it is known.
const BATCH_BYTES: usize = 16 << 20;
/// The size of an account in memory without its id, and of terms with a dozen own limits, in bytes.
const ITEM_BYTES: usize = 160;
const TERMS_BYTES: usize = 1_024;

/// The bounds and rules of an import.
#[derive(Clone, Copy, Debug)]
pub struct ImportLimits {
    /// The maximum number of accounts, removed ones included.
    pub accounts: usize,
    /// The rule of the voucher.
    pub voucher: Option<VoucherRule>,
    /// True where limits on money are allowed.
    pub money: bool,
    /// True when a whole feed removes the accounts that it does not name.
    pub removes: bool,
}

#[derive(Clone, Copy, Debug)]
enum ImportPhase {
    /// A page was requested at this time.
    Asked(Mono),
    /// A page is being read.
    Reading,
    /// Pages of the directory are freed of what a broken import staged; the next one.
    Clearing(u32),
    /// A batch is being staged.
    Staging,
    /// All is staged and in force: the pages are settled, from this one on.
    Settling(u32),
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
    begun: Mono,
    /// The page that is being read.
    reader: PageReader,
    /// True once the last page is read.
    is_read: bool,
    /// Paths of the pages so far, the current page included.
    paths: BTreeSet<String>,
    /// The accounts that are not staged yet, by page of the directory. A tree grows without being
    /// moved, so no single insertion takes long.
    batch: BTreeMap<(u32, AccountKey), FeedItem>,
    /// The size of the batch in memory, in bytes.
    batch_bytes: usize,
    /// The accounts so far.
    accounts: usize,
    /// Items of the current page so far.
    items: usize,
    /// The generation, once there is something to stage.
    generation: Option<Generation>,
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
            begun: now,
            reader: PageReader::new(Vec::new()),
            is_read: false,
            paths: BTreeSet::from([path.to_owned()]),
            batch: BTreeMap::new(),
            batch_bytes: 0,
            accounts: 0,
            items: 0,
            generation: None,
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
                self.reader = PageReader::new(result.body);
                self.phase = ImportPhase::Reading;
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
                ImportPhase::Asked(_) => Some(ImportProgress::Goes(Step::Rest)),
                ImportPhase::Reading => self.read(context, limits)?,
                ImportPhase::Clearing(page) => self.clear(context, page)?,
                ImportPhase::Staging => self.stage(context, limits)?,
                ImportPhase::Settling(page) => self.settle(context, page)?,
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
        let item = self.reader.item();
        let item = item.map_err(|error| FeedError::Page { page, error })?;
        let (id, known) = match item {
            PageItem::Account(id, known) => (id, Some(known)),
            PageItem::Removed(id) => (id, None),
            PageItem::End(Some(next)) => return self.next(next, context).map(Some),
            PageItem::End(None) => {
                self.is_read = true;
                return self.begin_staging(context, limits).map(|()| None);
            }
        };
        self.items = self.items.saturating_add(1);
        let terms = known.as_ref().and_then(|known| known.terms.as_ref());
        let own = terms.and_then(|terms| terms.limits.as_ref());
        if !limits.money && own.is_some_and(|own| own.count_money()) {
            let at = self.items;
            return Err(FeedError::NoPrices { page, at });
        }
        self.accounts = self.accounts.saturating_add(1);
        if self.accounts > limits.accounts {
            return Err(FeedError::TooManyAccounts(limits.accounts));
        }
        let key = (context.key)(id.as_bytes());
        let place = (context.directory.page_of(&key), key);
        let has_terms = known.as_ref().is_some_and(|known| known.terms.is_some());
        let size = ITEM_BYTES.saturating_add(id.len());
        let size = size.saturating_add(if has_terms { TERMS_BYTES } else { 0 });
        self.batch_bytes = self.batch_bytes.saturating_add(size);
        let item = FeedItem { key, id, known };
        if self.batch.insert(place, item).is_some() {
            let at = self.items;
            return Err(FeedError::Twice { page, at });
        }
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.batch_bytes = 0;
            self.begin_staging(context, limits)?;
        }
        Ok(None)
    }

    /// Begins to stage a batch. The first of an import takes a generation, and clears the pages of what
    /// a broken import staged.
    fn begin_staging(
        &mut self,
        context: &ImportContext<'_>,
        limits: &ImportLimits,
    ) -> Result<(), FeedError> {
        self.phase = ImportPhase::Staging;
        if self.generation.is_some() {
            return Ok(());
        }
        let (number, before) = context.directory.begin_generation(context.host)?;
        self.generation = Some(Generation {
            number,
            in_force: before.in_force,
            begun: self.begun,
            voucher: limits.voucher,
            marks: limits.removes,
        });
        if before.unsettled {
            self.phase = ImportPhase::Clearing(0);
        }
        Ok(())
    }

    /// Frees the next page of what a broken import staged.
    fn clear(
        &mut self,
        context: &ImportContext<'_>,
        page: u32,
    ) -> Result<Option<ImportProgress>, FeedError> {
        let Some(generation) = self.generation.filter(|_| page < context.directory.pages()) else {
            self.phase = ImportPhase::Staging;
            return Ok(None);
        };
        let (directory, host) = (context.directory, context.host);
        directory.settle_page(host, page, &generation, generation.in_force, false)?;
        self.phase = ImportPhase::Clearing(page.saturating_add(1));
        Ok(None)
    }

    /// Stages the accounts of the batch's next page.
    fn stage(
        &mut self,
        context: &ImportContext<'_>,
        limits: &ImportLimits,
    ) -> Result<Option<ImportProgress>, FeedError> {
        let Some(generation) = self.generation else {
            return self.begin_staging(context, limits).map(|()| None);
        };
        let Some(((page, _), first)) = self.batch.pop_first() else {
            if !self.is_read {
                self.phase = ImportPhase::Reading;
                return Ok(None);
            }
            return self.commit(context, &generation);
        };
        let mut items = vec![first];
        while let Some(next) = self.batch.first_entry().filter(|next| next.key().0 == page) {
            items.push(next.remove());
        }
        let (directory, host) = (context.directory, context.host);
        for result in directory.stage(host, page, &items, &generation)? {
            let counts = &mut self.counts;
            let count = match result {
                Staging::Written => &mut counts.written,
                Staging::Removed => &mut counts.removed,
                Staging::Unchanged => &mut counts.unchanged,
                Staging::Refused => &mut counts.refused,
                Staging::Twice => return Err(FeedError::TwiceFarApart { page: self.page() }),
            };
            *count = count.saturating_add(1);
        }
        Ok(None)
    }

    /// Brings all that is staged into force.
    fn commit(
        &mut self,
        context: &ImportContext<'_>,
        generation: &Generation,
    ) -> Result<Option<ImportProgress>, FeedError> {
        let (directory, host) = (context.directory, context.host);
        directory.commit(host, generation.number)?;
        let has_staged = self.counts.written > 0 || self.counts.removed > 0;
        if has_staged || generation.marks {
            self.phase = ImportPhase::Settling(0);
            return Ok(None);
        }
        directory.note_settled(host, generation.number)?;
        Ok(Some(ImportProgress::Done))
    }

    /// Settles the next page.
    fn settle(
        &mut self,
        context: &ImportContext<'_>,
        page: u32,
    ) -> Result<Option<ImportProgress>, FeedError> {
        let Some(generation) = self.generation else {
            return Ok(Some(ImportProgress::Done));
        };
        let (directory, host) = (context.directory, context.host);
        if page >= directory.pages() {
            directory.note_settled(host, generation.number)?;
            return Ok(Some(ImportProgress::Done));
        }
        let (number, forgets) = (generation.number, generation.marks);
        let forgotten = directory.settle_page(host, page, &generation, number, forgets)?;
        let removed = &mut self.counts.removed;
        *removed = removed.saturating_add(forgotten);
        self.phase = ImportPhase::Settling(page.saturating_add(1));
        Ok(None)
    }

    /// Frees one slice of a finished import; true when nothing is left. Dropping a large map at
    /// once would stall the worker.
    pub fn release_slice(&mut self) -> bool {
        (0..SLICE).any(|_| self.batch.pop_first().is_none())
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
