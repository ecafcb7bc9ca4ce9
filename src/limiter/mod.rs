//! One worker's limiter: checks requests and later settles them.
//!
//! The limiter combines identity, limits, ledger and reply, and counts outcomes. The shell keeps
//! each stream's [`Forwarded`] or [`Ticket`] and returns it exactly once.

mod account_names;
mod admit;
mod check;
mod fleet;
mod in_force;
mod joined;
mod notices;
mod outcome;
mod pending;
mod plans;
mod queue;
mod replay;
mod reserve;
mod settle;
mod sources;
mod tick;
mod usage;
mod usage_line;
mod vm;

pub use fleet::{FleetCall, FleetStatus, FleetUse, MeterUse};
pub use outcome::{AccessLog, LogLine};
pub use queue::{MOST_IN_LINE, MOST_WAITING, Ticket};
pub use replay::{PastRequest, PastUsage, Replayed, for_replay};
pub use usage::Inspected;
pub use usage_line::UsageLine;
pub use vm::Vm;

use crate::claims::{AliveConfig, Claim, Published, Work};
use crate::config::Config;
use crate::directory::Directory;
use crate::host::Host;
use crate::ledger::{AccountKey, Fault, Ledger, OpenError, Slots};
use crate::limits::record::COMPLETION_BYTES;
use crate::limits::{Amounts, Lowered, Plan, Reservation, Snapshot, Terms};
use crate::metrics::Counts;
use crate::models::FamilyId;
use crate::notices::Addressee;
use crate::overload::OverloadView;
use crate::refusals::batch::RefusalBatch;
use crate::refusals::{self, Refusals};
use crate::reply::Answer;
use crate::reply::api::CalledApi;
use crate::routes::TokenCharge;
use crate::scheduler::UpstreamHeader;
use crate::tiers::TierId;
use crate::time::Mono;
use crate::tokens::config::ReserveRule;
use account_names::NamesSeen;
use plans::Plans;
use queue::Queue;
use std::cell::{Ref, RefCell};
use std::rc::Rc;
use vm::VmState;

/// The result of a check.
#[derive(Debug)]
pub struct CheckResult {
    /// The line for access logs; `None` while the request is queued.
    pub log: Option<LogLine>,
    /// The next step.
    pub next: Next,
}

impl CheckResult {
    /// The text for access logs; empty while the request is queued.
    pub fn log_line(&self) -> String {
        self.log
            .as_ref()
            .map(LogLine::to_string)
            .unwrap_or_default()
    }
}

/// The next step of a request that was checked.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "most requests are forwarded, and the shell takes them apart at once"
)]
pub enum Next {
    /// Forward the request.
    Forward(Forwarded),
    /// Send this answer.
    Reply(Answer),
    /// Pause the request until a retry for a lease.
    Queue(Box<Ticket>),
}

/// The data that a forwarded request keeps until its end.
#[derive(Debug, Default)]
pub struct Forwarded {
    /// The numbers for the rate-limit headers of the response, if it gets any.
    pub snapshot: Option<Snapshot>,
    /// The API that the request calls, where it chooses these headers.
    pub called: CalledApi,
    /// The admission to settle; `None` when nothing was recorded.
    pub admission: Option<Admission>,
    /// The shares of limits that the client is warned of: a header of the response.
    pub warning: Option<String>,
    /// The request headers for a scheduler behind the proxy.
    pub neighbours: Vec<UpstreamHeader>,
}

/// An admitted request that has not been settled.
#[derive(Clone, Debug)]
pub struct Admission {
    key: AccountKey,
    reservation: Reservation,
    /// The amounts beyond the reserve that were charged while the response streamed.
    charged: Amounts,
    tier: TierId,
    family: Option<FamilyId>,
    tokens: TokenCharge,
    plan: Rc<Plan>,
    /// The one that notices are about, if there are any.
    addressee: Option<Rc<Addressee>>,
    /// True when the settlement may wait for the next write of the page.
    joins: bool,
}

impl Admission {
    /// Returns the time of the admission.
    pub(crate) const fn at(&self) -> Mono {
        self.reservation.at
    }

    /// True for a request that has a lease.
    pub(crate) const fn is_leased(&self) -> bool {
        self.reservation.account.leased || self.reservation.model.leased
    }

    /// Returns the tokens that the request counts.
    pub const fn tokens(&self) -> TokenCharge {
        self.tokens
    }

    /// True when notices are told of the account, and so its clients are warned.
    pub const fn has_notices(&self) -> bool {
        self.addressee.is_some()
    }

    /// From now on, the request counts what its response says.
    pub const fn charge(&mut self) {
        self.tokens = TokenCharge::Generated;
    }
}

/// Requests that could not be counted in full, and calls beside them.
#[derive(Clone, Copy, Debug, Default)]
struct Uncounted {
    /// Without a lease, for want of a VM slot.
    unleased: u64,
    /// Without a price, under a limit on money.
    unpriced: u64,
    /// With a body, and a model that no family has.
    model_unknown: u64,
    /// Changes by the admin API, which are no requests at all.
    admin_writes: u64,
}

/// One worker's limiter.
#[derive(Debug)]
pub struct Limiter {
    config: Rc<Config>,
    ledger: Ledger,
    /// The part that other limiters of this VM share.
    vm: Rc<RefCell<VmState>>,
    counts: Counts,
    plans: Plans,
    /// Requests that wait for a lease.
    queue: Queue,
    /// Names of admitted accounts.
    names: NamesSeen,
    /// The claim on the work that configs share.
    claim: Claim,
    /// The config in force, for the admin API.
    published: Published,
    /// Lines for the log.
    news: Vec<String>,
    /// The digest of a config in force that this module can't read.
    unreadable: Option<String>,
    /// The limiter of the config in force, where that is another one's.
    in_force: Option<Box<Limiter>>,
    /// The overload control.
    overload: OverloadView,
    /// Refusals that are not stored yet.
    refused: RefusalBatch,
    refusals: Refusals,
    /// The account directory; `None` when the config does not use it.
    directory: Option<Directory>,
    /// True once this worker knows that the directory is complete.
    directory_ready: bool,
    /// Requests since the last flush that could not be counted in full.
    uncounted: Uncounted,
    /// The last fault, until it is logged.
    fault: Option<Fault>,
    /// True once the gauge of version and build is set.
    told_build: bool,
    /// True once no other tick follows.
    closed: bool,
}

impl Limiter {
    /// Opens a limiter of `vm` for a checked config; creates the stored values on the first start.
    ///
    /// # Errors
    /// [`OpenError`] when stored values do not fit the config, or shared data can't be used.
    pub fn open(
        host: &dyn Host,
        config: Config,
        vm: &Vm,
        new_secret: impl FnOnce() -> [u8; 16],
    ) -> Result<Self, OpenError> {
        let work = shared_work(&config);
        let join = |namespace: &str, table| vm.join(namespace, table);
        Self::open_for(host, config, &work, join, new_secret)
    }

    /// Opens a limiter that takes part in some kinds of shared work.
    fn open_for(
        host: &dyn Host,
        config: Config,
        work: &[Work],
        join: impl FnOnce(&str, Slots) -> Rc<RefCell<VmState>>,
        new_secret: impl FnOnce() -> [u8; 16],
    ) -> Result<Self, OpenError> {
        let (ledger, table) = Ledger::open(host, &config.namespace, config.accounts, new_secret)?;
        let plans = Plans::new(&config);
        let completion = match config.tokens.reserve {
            ReserveRule::Adaptive => COMPLETION_BYTES,
            ReserveRule::Assumed => 0,
        };
        let more = completion
            .saturating_add(notices::record_bytes(&config))
            .saturating_add(fleet::record_bytes(&config));
        let ledger = ledger.with_records_of(plans.record_bytes().saturating_add(more));
        let directory = match config.uses_directory() {
            true => Some(Directory::open(
                host,
                &config.namespace,
                config.directory_accounts,
            )?),
            false => None,
        };
        let directory_ready = match &directory {
            Some(directory) => directory.is_ready(host)?,
            None => false,
        };
        let overload = OverloadView::open(
            host,
            &config.namespace,
            &config.tiers,
            config.overload.as_ref(),
        )?;
        let claim = Claim::open(host, &config.namespace, config.id(), work)?;
        let published =
            Published::open(host, &config.namespace, &config.digest, &config.shareable)?;
        let refusals = Refusals::of(&config.namespace);
        refusals.create(host)?;
        Ok(Self {
            claim,
            published,
            news: Vec::new(),
            unreadable: None,
            names: NamesSeen::default(),
            in_force: None,
            overload,
            counts: Counts::new(&config.namespace, &config.tiers, &config.models),
            vm: join(&config.namespace, table),
            config: Rc::new(config),
            plans,
            ledger,
            queue: Queue::default(),
            refused: RefusalBatch::default(),
            refusals,
            directory_ready,
            directory,
            uncounted: Uncounted::default(),
            fault: None,
            told_build: false,
            closed: false,
        })
    }

    /// Returns the account directory, if the config uses it.
    pub fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// Returns the ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns the slot table as this VM last read it.
    pub fn vm_table(&self) -> Ref<'_, Slots> {
        Ref::map(self.vm.borrow(), VmState::table)
    }

    /// Returns this worker's view of the overload control.
    pub fn overload(&self) -> &OverloadView {
        &self.overload
    }

    /// Returns the view of the overload control, for observations and changes.
    pub fn overload_mut(&mut self) -> &mut OverloadView {
        &mut self.overload
    }

    /// True when this config loads the feed, as of the last tick.
    pub fn loads_feed(&self) -> bool {
        self.claim.holds(Work::Feed)
    }

    /// Returns the configs of the namespace that are alive, as last read.
    pub fn configs(&self) -> Vec<AliveConfig> {
        self.claim.alive()
    }

    /// Returns the stored refusal log.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Notes changes that the admin API made.
    pub fn note_admin_writes(&mut self, n: usize) {
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        let writes = &mut self.uncounted.admin_writes;
        *writes = writes.saturating_add(n);
    }

    /// Notes that the directory was marked as complete.
    pub const fn note_ready(&mut self) {
        self.directory_ready = true;
    }

    /// Forgets the refusals of an account; true when there were some.
    ///
    /// # Errors
    /// [`Fault`] when shared data can't be used.
    pub fn forget_refusals(&mut self, host: &dyn Host, account: &[u8]) -> Result<bool, Fault> {
        let waiting = self.refused.forget(account, host.mono());
        let id = refusals::Id::of(account);
        let (_, stored) = self.refusals.change(host, |log, _| log.forget(&id))?;
        Ok(waiting || stored)
    }

    /// Returns the checked config.
    pub fn config(&self) -> &Rc<Config> {
        &self.config
    }

    /// Returns the account's key, in the ledger and in the directory.
    pub fn key(&self, account: &[u8]) -> AccountKey {
        self.ledger.key(account)
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.leave_vm();
    }
}

/// Returns the kinds of shared work that a config can do.
fn shared_work(config: &Config) -> Vec<Work> {
    let feed = config.feed.as_ref().map(|_| Work::Feed);
    let overload = config.overload.as_ref().map(|_| Work::Overload);
    let admin = (!config.is_bare).then_some(Work::Admin);
    feed.into_iter().chain(overload).chain(admin).collect()
}

fn terms<'a>(config: &Config, plan: &'a Plan, lowered: Option<Lowered>) -> Terms<'a> {
    Terms {
        plan,
        lowered,
        tells: None,
        concurrency_wait: config.concurrency_retry_after,
    }
}
