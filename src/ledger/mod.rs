//! The ledger: finds an account's page, runs a rule on the account's record, and writes the page
//! back with a compare-and-set. Without contention, an admission is one read and one write, and a
//! refusal is one read.

mod change;
mod fault;
pub mod fill;
mod fleet_clock;
mod growth;
pub mod in_flight;
mod joined;
mod names;
pub mod page;
pub mod sizes;
pub mod slots;
pub mod vm_slot;

use crate::host::{Clock as _, Host, HostError, SetError};
use crate::limits::record::Record;
use crate::shared::{Fill, StoreError};
use crate::time::Wall;
pub use change::{RecordChange, RecordKey, Which};
pub use fault::{Fault, FaultCause};
use fill::FillGauge;
use fleet_clock::FleetClock;
pub use in_flight::InFlight;
pub use joined::{Around, JoinedChanges};
pub use names::NamedAccount;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};
use sizes::{CapacityFit, LedgerSizes, StoredSizes};
pub use slots::Slots;
use std::cell::{Cell, RefCell};
use std::hash::Hasher;
use std::num::NonZeroU32;
pub use vm_slot::{SlotError, VmSlot};

/// The average number of accounts on a page of a full ledger.
const ACCOUNTS_PER_PAGE: u32 = 8;

/// An account in the ledger: SipHash-2-4 of its id with the namespace's secret, 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountKey([u8; 16]);

impl AccountKey {
    /// Returns the account's page, from 0, of a ledger with `pages`.
    pub fn page(&self, pages: u32) -> u32 {
        page_of(&self.0, pages)
    }

    /// Returns the key's bytes, in which lists are ordered.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns the key's bytes.
    pub(super) const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The reason why there is no ledger or directory for a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shared data already has a larger ledger.
    #[error(
        "capacity: this process already keeps {existing} pages for this namespace, and the config \
         asks for {asked}: capacity.accounts can grow and not shrink; restart Envoy, or choose another \
         namespace"
    )]
    Resized {
        /// The stored number of pages.
        existing: u32,
        /// The number of pages for the config.
        asked: u32,
    },
    /// A stored value can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host failed.
    #[error("shared data can't be used: {0}")]
    Host(#[from] HostError),
    /// Another writer changed shared data in between.
    #[error("shared data of this namespace is being written by somebody else")]
    Conflict,
}

impl From<SetError> for OpenError {
    fn from(error: SetError) -> Self {
        match error {
            SetError::Conflict => Self::Conflict,
            SetError::Host(host) => Self::Host(host),
        }
    }
}

/// The number of accounts of a ledger where no config says one.
pub const USUAL_ACCOUNTS: u32 = 65_536;

/// Observations of the ledger since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Writes that were retried.
    pub cas_retries: u64,
    /// Live records that a page at its maximum size gave up.
    pub evicted: u64,
    /// Requests of new accounts that a full page counted on its overflow record.
    pub overflow: u64,
    /// Stored values that could not be read.
    pub corrupt: u64,
    /// Dropped leases of lost VMs.
    pub stale_leases: u64,
    /// Reads of pages that the host had lost.
    pub lost_pages: u64,
    /// Writes to a full page of the directory.
    pub directory_full: u64,
    /// Requests whose concurrency was not counted, for want of a VM slot.
    pub unleased: u64,
    /// Requests without a price, under a limit on money.
    pub unpriced: u64,
    /// Requests with a body, and a model that no family has.
    pub model_unknown: u64,
    /// Changes that the admin API made.
    pub admin_writes: u64,
    /// The fill of the fullest page, in percent: 100 when new accounts of it share a record.
    pub page_fill: u8,
}

/// The ledger of one namespace.
#[derive(Debug)]
pub struct Ledger {
    prefix: String,
    secret: [u8; 16],
    sizes: RefCell<LedgerSizes>,
    stored_sizes: StoredSizes,
    health: Cell<Health>,
    /// The clock of a fleet's store minus this host's, in milliseconds.
    clock_ahead_ms: Cell<i64>,
    fill_gauge: FillGauge,
    /// The bytes of an account's record while it has requests.
    awake: usize,
    /// The buffer in which records are edited.
    scratch: RefCell<Record>,
}

/// Returns the shared-data key of the slot table.
pub fn slots_key(namespace: &str) -> String {
    format!("{namespace}/vms")
}

/// Returns the number of pages of a ledger for `accounts`.
pub const fn pages_for(accounts: u32) -> u32 {
    accounts.div_ceil(ACCOUNTS_PER_PAGE)
}

impl Ledger {
    /// Opens the ledger of `namespace`, and creates it on the first start.
    ///
    /// The first call must run alone, before any worker: the host can't insert if absent. Without a
    /// number of `accounts`, the ledger keeps the size that it has.
    ///
    /// # Errors
    /// [`OpenError`] when the stored size does not fit the config, or shared data can't be used.
    pub fn open(
        host: &dyn Host,
        namespace: &str,
        accounts: Option<u32>,
        new_secret: impl FnOnce() -> [u8; 16],
    ) -> Result<(Self, Slots), OpenError> {
        let key = slots_key(namespace);
        let stored = host.get(&key)?;
        let cas = stored.as_ref().map(|s| s.cas);
        let existing = match &stored {
            Some(stored) => Slots::decode(&stored.value, host.mono())?,
            None => None,
        };
        let corrupt = u64::from(stored.is_some() && existing.is_none());
        let stored_sizes = StoredSizes::of(namespace);
        stored_sizes.create(host)?;
        let fill_gauge = FillGauge::of(namespace);
        fill_gauge.stored().create(host)?;
        let (mut sizes, _) = stored_sizes.read(host)?;
        let asked = accounts.map(pages_for);
        let table = match existing {
            Some(table) => table,
            None => {
                let pages = asked.unwrap_or(pages_for(USUAL_ACCOUNTS));
                create(host, namespace, pages, new_secret(), cas)?
            }
        };
        if sizes.0.is_empty() {
            sizes.0.push(table.pages);
        }
        let asked = asked.unwrap_or(sizes.current());
        match sizes.fit(asked) {
            CapacityFit::Fits => create_pages(host, namespace, sizes.current(), &page::EMPTY)?,
            CapacityFit::Grows(pages) => {
                create_pages(host, namespace, pages, &page::UNFILLED)?;
                sizes.0.push(pages);
                let grown = sizes.clone();
                stored_sizes.change(host, |stored, _| *stored = grown.clone())?;
            }
            CapacityFit::Shrinks => {
                let existing = sizes.current();
                return Err(OpenError::Resized { existing, asked });
            }
        }
        let health = Health {
            corrupt,
            ..Health::default()
        };
        let ledger = Self {
            prefix: namespace.to_owned(),
            secret: table.secret,
            sizes: RefCell::new(sizes),
            stored_sizes,
            health: Cell::new(health),
            clock_ahead_ms: Cell::default(),
            fill_gauge,
            awake: page::AWAKE,
            scratch: RefCell::default(),
        };
        Ok((ledger, table))
    }

    /// Sets the bytes of a record, without its head and leases, by the largest set of limits.
    #[must_use]
    pub fn with_records_of(self, body: usize) -> Self {
        Self {
            awake: page::awake(body),
            ..self
        }
    }

    /// Returns the account's key in this ledger.
    pub fn key(&self, account: &[u8]) -> AccountKey {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(account);
        AccountKey(hasher.finish128().as_bytes())
    }

    /// Returns a hash with the ledger's secret, for values other than accounts.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(bytes);
        hasher.finish()
    }

    /// Measures the fill of the pages on a sample of the first pages.
    ///
    /// # Errors
    /// The host's status when it can't read.
    pub fn fill(&self, host: &dyn Host) -> Result<Fill, HostError> {
        let pages = self.pages();
        let name = |page| page_name(&self.prefix, pages, page);
        Fill::of(host, pages, name, page::count)
    }

    /// Adopts the secret of a table that another VM wrote.
    pub fn adopt(&mut self, table: &Slots) {
        self.secret = table.secret;
    }

    /// Returns the time by which calendar periods turn.
    pub fn wall(&self, host: &dyn Host) -> Wall {
        self.clock(host).wall()
    }

    /// Returns the host with the clock of the fleet's store.
    fn clock<'a>(&self, host: &'a dyn Host) -> FleetClock<'a> {
        FleetClock {
            host,
            ahead_ms: self.clock_ahead_ms.get(),
        }
    }

    /// Lets calendar periods turn by the clock of a fleet's store, which is so many milliseconds before
    /// this host's.
    pub fn follow_clock(&self, ahead_ms: i64) {
        self.clock_ahead_ms.set(ahead_ms);
    }

    /// Takes the observations since the last call.
    pub fn take_health(&self) -> Health {
        let mut health = self.health.take();
        let corrupt = self.fill_gauge.stored().take_corrupt();
        health.corrupt = health.corrupt.saturating_add(corrupt);
        health.page_fill = self.fill_gauge.percent();
        health
    }

    fn note(&self, change: impl FnOnce(&mut Health)) {
        let mut health = self.health.get();
        change(&mut health);
        self.health.set(health);
    }

    /// Returns the number of pages in use.
    pub fn pages(&self) -> u32 {
        self.sizes.borrow().current()
    }

    /// Reads the sizes anew, after a page of the size in use was found sealed.
    fn refresh_sizes(&self, host: &dyn Host) -> Result<(), StoreError> {
        let (sizes, _) = self.stored_sizes.read(host)?;
        if sizes.current() > self.pages() {
            self.sizes.replace(sizes);
        }
        Ok(())
    }

    /// Returns the maximum size of the ledger in bytes: full pages of each size, and the slot
    /// table. The gauge's parts ([`crate::ledger::in_flight`]) come on top, for each VM slot at
    /// most 75 bytes a tier.
    pub fn memory_bound(&self) -> u64 {
        let sizes = self.sizes.borrow();
        let pages = sizes.0.iter().map(|pages| u64::from(*pages));
        let bytes = u64::try_from(page::MAX_BYTES).unwrap_or(u64::MAX);
        let table = Slots::new([0; 16], 1).encode().len();
        pages
            .fold(0, u64::saturating_add)
            .saturating_mul(bytes)
            .saturating_add(u64::try_from(table).unwrap_or(u64::MAX))
    }
}

/// Returns the page of a key, of `pages`.
fn page_of(key: &[u8; 16], pages: u32) -> u32 {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    let hash = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let page = hash.checked_rem(u64::from(pages)).unwrap_or(0);
    u32::try_from(page).unwrap_or(0)
}

/// Returns the shared-data key of a page. A ledger of another size has other keys, and layout 1 had
/// keys without a dot.
fn page_name(prefix: &str, pages: u32, page: u32) -> String {
    let mut name = String::with_capacity(prefix.len().saturating_add(19));
    name.push_str(prefix);
    name.push_str("/p");
    push_hex(&mut name, pages);
    name.push('.');
    push_hex(&mut name, page);
    name
}

/// Appends a number in hex, without leading zeros; two names for each request are worth it.
fn push_hex(text: &mut String, n: u32) {
    let digits = u32::BITS
        .saturating_sub(n.leading_zeros())
        .div_ceil(4)
        .max(1);
    for place in (0..digits).rev() {
        let digit = n.unbounded_shr(place.saturating_mul(4)) & 0xf;
        text.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

/// Creates the pages that are missing. They are made in order, so the last one tells that all are
/// there. A module of layout 1 left its slot table, and pages under other keys.
fn create_pages(
    host: &dyn Host,
    namespace: &str,
    pages: u32,
    page: &[u8],
) -> Result<(), OpenError> {
    let name = |number: u32| page_name(namespace, pages, number);
    if host.get(&name(pages.saturating_sub(1)))?.is_some() {
        return Ok(());
    }
    for number in 0..pages {
        if host.get(&name(number))?.is_none() {
            host.set(&name(number), page, None)?;
        }
    }
    Ok(())
}

/// Writes the pages, then the slot table, which marks the ledger as complete.
fn create(
    host: &dyn Host,
    namespace: &str,
    pages: u32,
    secret: [u8; 16],
    cas: Option<NonZeroU32>,
) -> Result<Slots, OpenError> {
    create_pages(host, namespace, pages, &page::EMPTY)?;
    let table = Slots::new(secret, pages);
    host.set(&slots_key(namespace), &table.encode(), cas)?;
    Slots::decode(&table.encode(), host.mono())?.ok_or(OpenError::Conflict)
}
