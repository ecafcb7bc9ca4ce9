//! The replay: events go through the filter's own limiter, under a clock that the log sets.

use super::event::{AccountNumber, LogAccounts, LogEvent, LoggedDecision};
use super::host::LogHost;
use super::tally::{RefusalReason, SimulatedRefusal, Tally, Verdict};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use tiergate::config::Config;
use tiergate::ledger::OpenError;
use tiergate::limiter::{
    Admission, Limiter, PastRequest, PastUsage, Replayed, Ticket, Vm, for_replay,
};
use tiergate::time::Span;

/// The bytes of the shortest line, about: a log has no more accounts than lines.
const SHORTEST_LINE: u64 = 64;
/// The least and the largest number of accounts for which the ledger is laid out.
const LEDGER_ACCOUNTS: (u64, u64) = (1 << 10, 1 << 20);
/// The number of accounts for which it is laid out where the length of the logs is not known.
const USUAL_ACCOUNTS: u64 = 1 << 17;

/// Returns the number of accounts for which a ledger is laid out, by the length of the logs in bytes.
fn ledger_for(bytes: Option<u64>) -> u32 {
    let (least, most) = LEDGER_ACCOUNTS;
    let lines = bytes.map(|bytes| bytes.div_euclid(SHORTEST_LINE));
    let accounts = lines.unwrap_or(USUAL_ACCOUNTS).clamp(least, most);
    u32::try_from(accounts).unwrap_or(u32::MAX)
}

/// The limiter, the requests that run in it, and what came of all.
pub struct Replay {
    host: LogHost,
    limiter: Limiter,
    /// Ends of requests and of waits: the moment, the number of the event, and which it is.
    due: BinaryHeap<Reverse<(u64, u32, Due)>>,
    running: HashMap<u32, RunningRequest>,
    waiting: HashMap<AccountNumber, Vec<Waiting>>,
    /// The length and the usage of each account's last request that was served, for those that were
    /// refused.
    served: HashMap<AccountNumber, (Option<u64>, Option<PastUsage>)>,
    /// The number of the last event.
    number: u32,
    tally: Tally,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// An admitted request ends.
    End,
    /// A request of that account has waited for long enough.
    WaitIsOver(AccountNumber),
}

/// An admitted request.
struct RunningRequest {
    admission: Admission,
    usage: Option<PastUsage>,
    account: AccountNumber,
}

/// A request that waits for a lease.
struct Waiting {
    number: u32,
    ticket: Box<Ticket>,
    event: LogEvent,
}

impl Replay {
    /// Opens a limiter for a config, at a moment in microseconds since 1970; `bytes` is the length of
    /// the logs, if it is known.
    ///
    /// # Errors
    /// [`OpenError`]; an empty host gives no reason for one.
    pub fn open(
        config: &Config,
        tally: Tally,
        begins: u64,
        bytes: Option<u64>,
    ) -> Result<Self, OpenError> {
        let host = LogHost::default();
        host.set(begins);
        let config = for_replay(config.clone(), ledger_for(bytes));
        let limiter = Limiter::open(&host, config, &Vm::default(), || [7; 16])?;
        Ok(Self {
            host,
            limiter,
            due: BinaryHeap::new(),
            running: HashMap::new(),
            waiting: HashMap::new(),
            served: HashMap::new(),
            number: 0,
            tally,
        })
    }

    /// Decides on a request, after all that ended before it.
    pub fn take(&mut self, mut event: LogEvent, accounts: &LogAccounts) {
        self.stand_in(&mut event);
        self.run_until(event.arrival);
        self.host.set(event.arrival);
        let reason = match (event.tier, event.family) {
            (None, _) => RefusalReason::TierUnknown,
            (Some(_), Err(_)) => RefusalReason::ModelUnknown,
            (Some(tier), Ok(family)) => {
                self.number = self.number.wrapping_add(1);
                let replayed = self.limiter.replay(
                    &self.host,
                    &PastRequest {
                        id: self.number,
                        account: accounts.id(event.account),
                        tier,
                        family,
                        charge: event.charge,
                        length: event.length,
                        reserved: event.reserved,
                    },
                );
                return self.follow(self.number, event, replayed, false);
            }
        };
        self.tally.add(
            &event,
            self.host.now().div_euclid(1000),
            Verdict::Refused(SimulatedRefusal::of(reason)),
        );
    }

    /// Gives a request that was refused then, or over a limit in shadow mode, what the log does not say
    /// of it: the usage of the account's last request that was admitted, and to a refused one its length.
    fn stand_in(&mut self, event: &mut LogEvent) {
        match &event.logged {
            None => {}
            Some(LoggedDecision::Admitted) => {
                let served = (event.life, event.usage);
                self.served.insert(event.account, served);
            }
            Some(LoggedDecision::Limited(_) | LoggedDecision::Refused) => {
                if let Some((life, usage)) = self.served.get(&event.account) {
                    event.usage = event.usage.or(*usage);
                    if !event.was_served {
                        event.life = *life;
                    }
                }
            }
        }
    }

    /// Ends all requests, and returns what came of them.
    pub fn finish(mut self) -> Tally {
        self.run_until(u64::MAX);
        self.tally.crowded = self.limiter.ledger().take_health().overflow;
        self.tally
    }

    /// Ends what ends up to a moment.
    fn run_until(&mut self, now: u64) {
        while let Some(Reverse((at, number, due))) = self.due.peek().copied() {
            if at > now {
                return;
            }
            self.due.pop();
            self.host.set(at);
            match due {
                Due::End => self.end(number),
                Due::WaitIsOver(account) => self.wait_is_over(account, number),
            }
        }
    }

    fn end(&mut self, number: u32) {
        let Some(ended) = self.running.remove(&number) else {
            return;
        };
        self.limiter
            .settle_past(&self.host, ended.admission, ended.usage);
        self.wake(ended.account);
    }

    /// Decides again on the waiting requests of an account, in their order.
    fn wake(&mut self, account: AccountNumber) {
        let Some(waiting) = self.waiting.remove(&account) else {
            return;
        };
        let now = tiergate::host::Clock::mono(&self.host);
        for one in waiting {
            match self.limiter.is_due(&one.ticket, now) {
                true => self.retry(one, false),
                false => self.waiting.entry(account).or_default().push(one),
            }
        }
    }

    fn wait_is_over(&mut self, account: AccountNumber, number: u32) {
        let Some(waiting) = self.waiting.get_mut(&account) else {
            return;
        };
        if let Some(place) = waiting.iter().position(|one| one.number == number) {
            let over = waiting.remove(place);
            self.retry(over, true);
            self.wake(account);
        }
    }

    fn retry(&mut self, one: Waiting, at_once: bool) {
        let Waiting {
            number,
            ticket,
            event,
        } = one;
        let replayed = self.limiter.replay_waiting(&self.host, *ticket, at_once);
        self.follow(number, event, replayed, true);
    }

    /// Notes what came of a request; `waited`: it stood in the queue.
    fn follow(&mut self, number: u32, event: LogEvent, replayed: Replayed, waited: bool) {
        let now = self.host.now();
        let verdict = match replayed {
            Replayed::Admitted(admission) => {
                let end = now.saturating_add(event.life.unwrap_or(0));
                self.due.push(Reverse((end, number, Due::End)));
                let running = RunningRequest {
                    admission,
                    usage: event.usage,
                    account: event.account,
                };
                self.running.insert(number, running);
                Verdict::Admitted { waited }
            }
            Replayed::Waits(ticket, until) => {
                let account = event.account;
                if !waited {
                    let over = Due::WaitIsOver(account);
                    let until = until.as_millis().saturating_mul(1000);
                    self.due.push(Reverse((until, number, over)));
                }
                self.waiting.entry(account).or_default().push(Waiting {
                    number,
                    ticket,
                    event,
                });
                return;
            }
            Replayed::Limited(limited) => Verdict::Refused(SimulatedRefusal {
                reason: RefusalReason::Limit(limited.kind),
                limit: limited.limit,
                used: limited.used,
                wait: limited.wait,
            }),
            Replayed::TooLarge { kind, limit, need } => Verdict::Refused(SimulatedRefusal {
                reason: RefusalReason::TooLarge(kind),
                limit,
                used: need,
                wait: Span::ZERO,
            }),
            Replayed::Unavailable => {
                Verdict::Refused(SimulatedRefusal::of(RefusalReason::Unavailable))
            }
        };
        self.tally.add(&event, now.div_euclid(1000), verdict);
    }
}
