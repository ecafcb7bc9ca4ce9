//! Events: the requests of a log as the replay takes them.

use super::columns::{LineFacts, LogTime, NamedColumns, column, column_count};
use crate::usage::log_line::{
    AmbiguousField, BadLogLine, FoundStates, LogFields, Wrapping, has_json_behind_a_prefix,
    in_text, is_text,
};
use crate::usage::named::NamedFields;
use crate::usage::states::{KINDS, RequestWords, UsageWords};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use tiergate::config::Config;
use tiergate::host::{Header, Request};
use tiergate::limiter::PastUsage;
use tiergate::metrics::Outcome;
use tiergate::models::{FamilyId, UnknownModel};
use tiergate::routes::{Applies, Charge};
use tiergate::tiers::TierId;
use tiergate::time::Wall;
use tiergate::tokens::rates::TokenCounts;

/// The number of an account among those of the logs, from 0.
pub type AccountNumber = u32;

/// The time from a start within which a decision is that of its own filter, in microseconds.
const NEAR: u64 = 2_000;

/// One request of a log.
#[derive(Clone, Debug)]
pub struct LogEvent {
    /// The line's number in its file, from 1, and the file's number, from 0.
    pub line: (u64, usize),
    /// The moment of the decision, in microseconds since 1970.
    pub arrival: u64,
    /// The time until the request ended, in microseconds; `None` where the log does not have it.
    pub life: Option<u64>,
    pub account: AccountNumber,
    /// The tier; `None` for one that the config does not have.
    pub tier: Option<TierId>,
    /// The family of the model; an error for a model that the config refuses.
    pub family: Result<Option<FamilyId>, UnknownFamily>,
    pub charge: Charge,
    pub length: Option<u64>,
    pub reserved: Option<u64>,
    pub usage: Option<PastUsage>,
    /// The filter's decision then; `None` for a log without its states.
    pub logged: Option<LoggedDecision>,
    /// False for a request that the filter refused: its end is that of the refusal.
    pub was_served: bool,
}

/// The config refuses requests of a model that no family has.
#[derive(Clone, Copy, Debug)]
pub struct UnknownFamily;

/// The filter's decision, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedDecision {
    Admitted,
    /// Over this limit, in shadow mode too.
    Limited(Box<str>),
    /// Refused for another reason.
    Refused,
}

/// The result of a line.
pub enum LineEvent {
    Request(LogEvent),
    /// A line of a request that had not ended, or of a single try.
    Interim,
    /// A request that passes uncounted.
    Exempt,
    /// An answer of the filter itself, such as that at `usage_path`.
    Answered,
    /// A request whose account the log does not have.
    Nameless,
}

/// The reason why a line has no event.
#[derive(Debug, thiserror::Error)]
pub enum BadEvent {
    #[error(transparent)]
    Line(#[from] BadLogLine),
    #[error("no time: neither at= nor a start such as 2026-01-01T00:00:00.000Z")]
    NoTime,
    #[error("its time is more than a year from those of the lines around it: a wrong clock?")]
    WrongClock,
    #[error("lasts longer than a year")]
    Endless,
}

/// The rules of the config and the operator for lines, and the facts that lines so far lack.
pub struct EventReader {
    config: Rc<Config>,
    columns: NamedColumns,
    /// The names of fields and columns that no line has had.
    named: NamedFields,
    /// The fields of JSON lines that matter.
    paths: Vec<String>,
    /// The tier of requests whose line has none.
    tier: Option<TierId>,
    accounts: LogAccounts,
    /// The headers and properties that rules of the routes ask for, and no log has.
    asked: RefCell<BTreeSet<String>>,
}

/// The accounts of the logs, each with a number.
#[derive(Default)]
pub struct LogAccounts {
    numbers: HashMap<Rc<[u8]>, AccountNumber>,
    ids: Vec<Rc<[u8]>>,
}

impl LogAccounts {
    fn number(&mut self, id: &[u8]) -> AccountNumber {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = AccountNumber::try_from(self.ids.len()).unwrap_or(AccountNumber::MAX);
        let id: Rc<[u8]> = id.into();
        self.ids.push(Rc::clone(&id));
        self.numbers.insert(id, number);
        number
    }

    /// Returns the id of an account.
    pub fn id(&self, number: AccountNumber) -> &[u8] {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        self.ids.get(place).map_or(&[], |id| id)
    }
}

impl EventReader {
    pub fn new(
        config: Rc<Config>,
        columns: NamedColumns,
        named: NamedFields,
        tier: Option<TierId>,
    ) -> Self {
        Self {
            config,
            paths: columns.paths(),
            columns,
            named,
            tier,
            accounts: LogAccounts::default(),
            asked: RefCell::default(),
        }
    }

    pub fn accounts(&self) -> &LogAccounts {
        &self.accounts
    }

    pub fn named(&self) -> &NamedFields {
        &self.named
    }

    /// Returns the headers and properties that rules ask for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().cloned().collect()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`AmbiguousField`] ends the run; [`BadEvent`] is of this line alone.
    pub fn read(
        &mut self,
        fields: &mut LogFields,
        line: &[u8],
        at: (u64, usize),
    ) -> Result<Result<LineEvent, BadEvent>, AmbiguousField> {
        let is_text = is_text(line);
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if !is_text {
            return Ok(Err(BadLogLine::NoText.into()));
        }
        if line.starts_with('{') {
            let found = fields.find(line, &self.paths)?;
            return Ok(found
                .map_err(BadEvent::from)
                .and_then(|(found, mut values)| {
                    self.named.see_json(line, &values);
                    let facts = self.columns.of_fields(&mut values);
                    self.event(&found, facts, at)
                }));
        }
        Ok(in_text(line).map_err(BadEvent::from).and_then(|found| {
            let columns = found.before;
            // A text line with states ends with them.
            if columns.ends_with('}') && has_json_behind_a_prefix(columns) {
                return Err(BadLogLine::Wrapped(Wrapping::Prefix).into());
            }
            let has = |name: &str| column(columns, name).is_some();
            self.named.see_text(has, || column_count(columns));
            let facts = self.columns.of_text(columns);
            self.event(&found, facts, at)
        }))
    }

    fn event(
        &mut self,
        found: &FoundStates<'_>,
        facts: LineFacts<'_>,
        line: (u64, usize),
    ) -> Result<LineEvent, BadEvent> {
        if found.is_interim {
            return Ok(LineEvent::Interim);
        }
        let state = found.request.as_deref().map(RequestWords::parse);
        let state = state.transpose().map_err(BadLogLine::Request)?;
        let words = found.usage.as_deref().map(UsageWords::parse);
        let words = words.transpose().map_err(BadLogLine::Usage)?;
        let outcome = state.as_ref().map(|state| state.outcome);
        if outcome == Some(Outcome::Exempt.as_str()) {
            return Ok(LineEvent::Exempt);
        }
        if outcome == Some(Outcome::Usage.as_str()) {
            return Ok(LineEvent::Answered);
        }
        let request = PastHeaders::of(&facts, &self.asked);
        let Applies::As(charge) = self.config.routes.find(&request) else {
            return Ok(LineEvent::Exempt);
        };
        let has_body = request.has_body();
        let said = state.as_ref().and_then(|state| state.account.as_deref());
        let column = facts.account.as_deref().map(str::as_bytes);
        let Some(account) = column.or(said) else {
            return Ok(LineEvent::Nameless);
        };
        let at = words.as_ref().map(|words| words.at);
        let tier = self.tier_of(&facts, state.as_ref());
        let (arrival, end) = self.lifetime(tier, at, &facts).ok_or(BadEvent::NoTime)?;
        let logged = state.as_ref().map(logged);
        let was_served = !matches!(outcome, Some("limited" | "refused"));
        let model = facts.model.as_deref();
        let model = model.or(state.as_ref().and_then(|state| state.model));
        Ok(LineEvent::Request(LogEvent {
            line,
            arrival,
            life: end.map(|end| end.saturating_sub(arrival)),
            account: self.accounts.number(account),
            tier,
            family: self.family_of(model, has_body),
            charge,
            length: facts.length,
            reserved: words.as_ref().and_then(|words| words.reserved),
            usage: words
                .as_ref()
                .map(usage)
                .or_else(|| failed(&facts, was_served)),
            logged,
            was_served,
        }))
    }

    fn tier_of(&self, facts: &LineFacts<'_>, state: Option<&RequestWords<'_>>) -> Option<TierId> {
        let said = facts.tier.as_deref().or(state.map(|state| state.tier));
        let said = said.and_then(|name| self.config.tiers.by_name(name.as_bytes()));
        said.or(self.tier).or(self.config.unknown_tier)
    }

    /// Returns the moment of the decision and the end, in microseconds.
    ///
    /// A request may have waited for its decision, so in a tier with a wait it arrives at its start.
    /// Else an exact start near the decision takes its place: so requests are in their true order.
    /// Where start and duration are cut to milliseconds, the end is one millisecond later than their
    /// sum, in the middle of what it can be.
    fn lifetime(
        &self,
        tier: Option<TierId>,
        at: Option<Wall>,
        facts: &LineFacts<'_>,
    ) -> Option<(u64, Option<u64>)> {
        let tier = tier.and_then(|tier| self.config.tiers.get(tier));
        let waits = tier.is_some_and(|tier| tier.wait.is_some());
        let at = at.map(|at| at.as_millis().saturating_mul(1000));
        let is_near = |start: &LogTime| {
            let near = at.is_none_or(|at| at.abs_diff(start.micros) <= NEAR);
            waits || (start.is_exact && near)
        };
        let start = facts.start;
        let arrives = start.filter(is_near).map(|start| start.micros);
        let decided = arrives.or(at).or(start.map(|start| start.micros))?;
        let begun = start.map_or(decided, |start| start.micros);
        let end = facts.duration.map(|lasted| {
            let is_exact = lasted.is_exact && start.is_some_and(|start| start.is_exact);
            let cut = if is_exact { 0 } else { 1000 };
            let end = begun.saturating_add(lasted.micros).saturating_add(cut);
            end.max(decided)
        });
        Some((decided, end))
    }

    /// Returns the family of a model: of its name, or of a glob.
    fn family_of(
        &self,
        model: Option<&str>,
        has_body: bool,
    ) -> Result<Option<FamilyId>, UnknownFamily> {
        let models = &self.config.models;
        if models.is_empty() || !has_body {
            return Ok(None);
        }
        let found = model.and_then(|name| models.by_name(name).or_else(|| models.of_model(name)));
        match (found, self.config.unknown_model) {
            (Some(family), _) | (None, UnknownModel::Family(family)) => Ok(Some(family)),
            (None, UnknownModel::Share) => Ok(None),
            (None, UnknownModel::Refuse) => Err(UnknownFamily),
        }
    }
}

fn usage(words: &UsageWords<'_>) -> PastUsage {
    let [input, cached, cache_write, output] = words.tokens;
    const { assert!(KINDS.len() == 4) };
    PastUsage {
        tokens: TokenCounts {
            input,
            cached,
            cache_write,
            output,
        },
        estimated: words.estimated,
    }
}

/// Returns the usage of an upstream's error: none. What the filter refused then, may be served now.
fn failed(facts: &LineFacts<'_>, was_served: bool) -> Option<PastUsage> {
    let failed = facts.code.is_some_and(|code| code >= 400);
    (failed && was_served).then(|| PastUsage {
        tokens: TokenCounts::default(),
        estimated: false,
    })
}

fn logged(state: &RequestWords<'_>) -> LoggedDecision {
    match (state.outcome, state.limit) {
        ("limited" | "shadowed", Some(limit)) => LoggedDecision::Limited(limit.into()),
        ("admitted" | "faulted", _) => LoggedDecision::Admitted,
        _ => LoggedDecision::Refused,
    }
}

/// The headers of a past request: those that a log has.
struct PastHeaders<'a> {
    method: Option<&'a str>,
    path: Option<&'a str>,
    length: Option<u64>,
    asked: &'a RefCell<BTreeSet<String>>,
}

impl<'a> PastHeaders<'a> {
    fn of(facts: &'a LineFacts<'_>, asked: &'a RefCell<BTreeSet<String>>) -> Self {
        Self {
            method: facts.method.as_deref(),
            path: facts.path.as_deref(),
            length: facts.length,
            asked,
        }
    }

    fn note(&self, name: &str) {
        // The built-in rules ask for these; a log lacks them, and takes no harm.
        let built_in = ["origin", "access-control-request-method", "upgrade"];
        if !built_in.contains(&name) && !self.asked.borrow().contains(name) {
            self.asked.borrow_mut().insert(name.to_owned());
        }
    }
}

impl Request for PastHeaders<'_> {
    fn header(&self, name: &str) -> Header<'_> {
        let value = match name {
            ":method" => self.method,
            ":path" => self.path,
            _ => None,
        };
        match value {
            Some(value) => Header::Once(value.as_bytes()),
            None => {
                self.note(name);
                Header::Absent
            }
        }
    }

    /// A log does not say it of each request: without a length, the method tells.
    fn has_body(&self) -> bool {
        let reads = ["GET", "HEAD", "DELETE", "OPTIONS"];
        let reads = self.method.is_some_and(|method| reads.contains(&method));
        !reads || self.length.is_some_and(|length| length > 0)
    }

    fn property(&self, path: &[String]) -> Option<Vec<u8>> {
        self.note(&path.join("."));
        None
    }
}
