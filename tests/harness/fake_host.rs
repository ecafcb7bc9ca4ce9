//! A host for the core that models the real one: one map for all workers, compare-and-set numbers
//! out of one counter, a compare-and-set on a missing key that just inserts, data that outlives
//! workers. It can misbehave on purpose: others may come in between, and calls may fail.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tiergate::host::{Clock, Header, HostError, MetricSink, Request, SetError, SharedData, Stored};
use tiergate::time::{Mono, Wall};

/// Shared data, and the one counter that its compare-and-set numbers come from.
type Data = (HashMap<String, (Vec<u8>, u32)>, u32);

/// What all workers share: the process.
#[derive(Default)]
pub struct World {
    data: Mutex<Data>,
    /// True time in microseconds; clocks read it in whole milliseconds.
    mono_us: AtomicU64,
    wall_us: AtomicU64,
    /// The next random number.
    random: AtomicU64,
}

impl World {
    /// A world at a time of day that is nothing special.
    pub fn new() -> Arc<Self> {
        let world = Self::default();
        world.mono_us.store(7_200_000_123_456, Ordering::Relaxed);
        world
            .wall_us
            .store(1_790_000_000_123_456, Ordering::Relaxed);
        Arc::new(world)
    }

    pub fn now_us(&self) -> u64 {
        self.mono_us.load(Ordering::Relaxed)
    }

    pub fn wall_us(&self) -> u64 {
        self.wall_us.load(Ordering::Relaxed)
    }

    /// The monotonic clock as workers read it.
    pub fn mono(&self) -> Mono {
        Mono::from_millis(self.now_us() / 1000)
    }

    pub fn pass_us(&self, us: u64) {
        self.mono_us.fetch_add(us, Ordering::Relaxed);
        self.wall_us.fetch_add(us, Ordering::Relaxed);
    }

    pub fn pass_ms(&self, ms: u64) {
        self.pass_us(ms * 1000);
    }

    /// The wall clock is set back; the monotonic clock, by its nature, is not.
    pub fn set_wall_back_ms(&self, ms: u64) {
        self.wall_us.fetch_sub(ms * 1000, Ordering::Relaxed);
    }

    pub fn set_wall_ms(&self, ms: u64) {
        self.wall_us.store(ms * 1_000, Ordering::Relaxed);
    }

    pub fn set_wall_ahead_ms(&self, ms: u64) {
        self.wall_us.fetch_add(ms * 1000, Ordering::Relaxed);
    }

    /// What no real host does, but what the rule must bear.
    pub fn set_mono_back_ms(&self, ms: u64) {
        self.mono_us.fetch_sub(ms * 1000, Ordering::Relaxed);
    }

    pub fn random(&self) -> u64 {
        self.random.load(Ordering::Relaxed)
    }

    pub fn set_random(&self, random: u64) {
        self.random.store(random, Ordering::Relaxed);
    }

    pub fn keys(&self) -> Vec<String> {
        self.data.lock().unwrap().0.keys().cloned().collect()
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        let data = self.data.lock().unwrap();
        data.0.values().map(|(value, _)| value.len()).sum()
    }

    /// Writes over a value, as other code or a corrupt process would.
    pub fn overwrite(&self, key: &str, value: &[u8]) {
        let mut data = self.data.lock().unwrap();
        data.1 += 1;
        let cas = data.1;
        data.0.insert(key.to_owned(), (value.to_vec(), cas));
    }

    pub fn forget(&self, key: &str) {
        self.data.lock().unwrap().0.remove(key);
    }

    /// The value that is stored under a key.
    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        let data = self.data.lock().unwrap();
        data.0.get(key).map(|(value, _)| value.clone())
    }
}

type Intruder = Box<dyn FnOnce()>;

/// One worker's view of the world.
pub struct FakeHost {
    pub world: Arc<World>,
    /// The true time at which the monotonic clock was last read, in microseconds.
    pub last_read_us: Cell<u64>,
    /// Run one by one, each before a write of this worker.
    pub before_set: RefCell<Vec<Intruder>>,
    /// How many of the next calls fail.
    pub failing: Cell<u32>,
    pub calls: Cell<u32>,
    pub clock_reads: Cell<u32>,
}

impl FakeHost {
    pub fn new(world: &Arc<World>) -> Self {
        Self {
            world: Arc::clone(world),
            last_read_us: Cell::new(0),
            before_set: RefCell::default(),
            failing: Cell::new(0),
            calls: Cell::new(0),
            clock_reads: Cell::new(0),
        }
    }

    fn call(&self) -> Result<(), HostError> {
        self.calls.set(self.calls.get() + 1);
        match self.failing.get() {
            0 => Ok(()),
            n => {
                self.failing.set(n - 1);
                Err(HostError(10))
            }
        }
    }
}

impl FakeHost {
    /// Runs `f` between a read and a write of this worker, once.
    pub fn intrude(&self, f: impl FnOnce() + 'static) {
        self.before_set.borrow_mut().push(Box::new(f));
    }
}

impl SharedData for FakeHost {
    fn get(&self, key: &str) -> Result<Option<Stored>, HostError> {
        self.call()?;
        let data = self.world.data.lock().unwrap();
        Ok(data.0.get(key).map(|(value, cas)| Stored {
            value: value.clone(),
            cas: NonZeroU32::new(*cas).unwrap(),
        }))
    }

    fn set(&self, key: &str, value: &[u8], cas: Option<NonZeroU32>) -> Result<(), SetError> {
        self.call()?;
        let intruder = self.before_set.borrow_mut().pop();
        if let Some(intruder) = intruder {
            intruder();
        }
        let mut data = self.world.data.lock().unwrap();
        if let (Some(cas), Some((_, stored))) = (cas, data.0.get(key))
            && cas.get() != *stored
        {
            return Err(SetError::Conflict);
        }
        data.1 += 1;
        let next = data.1;
        data.0.insert(key.to_owned(), (value.to_vec(), next));
        Ok(())
    }
}

impl Clock for FakeHost {
    fn mono(&self) -> Mono {
        self.clock_reads.set(self.clock_reads.get() + 1);
        self.last_read_us.set(self.world.now_us());
        self.world.mono()
    }

    fn wall(&self) -> Wall {
        self.clock_reads.set(self.clock_reads.get() + 1);
        Wall::from_millis(self.world.wall_us() / 1000)
    }
}

/// A request as its headers.
#[derive(Default)]
pub struct FakeRequest {
    pub headers: Vec<(String, Vec<u8>)>,
    pub properties: Vec<(Vec<String>, Vec<u8>)>,
    /// True for a request that its headers end.
    pub ends: bool,
    /// The body, where it is read.
    pub body: Option<Vec<u8>>,
}

impl FakeRequest {
    pub fn with(headers: &[(&str, &str)]) -> Self {
        let line = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        Self {
            headers: headers.iter().map(line).collect(),
            properties: Vec::new(),
            ends: false,
            body: None,
        }
    }

    /// A request of the account "acme" in the tier "t", whose body reserves so many tokens more.
    pub fn acme(prompt_tokens: u64) -> Self {
        Self::of("acme", "t", prompt_tokens)
    }

    /// A request of that account in that tier, whose body reserves so many tokens more.
    pub fn of(account: &str, tier: &str, prompt_tokens: u64) -> Self {
        let length = (prompt_tokens * 4).to_string();
        Self::with(&[
            ("x-account-id", account),
            ("x-account-tier", tier),
            ("content-length", &length),
        ])
    }

    /// The same, with a body that is read.
    pub fn reading(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The same, with a text that is read and reserves so many tokens.
    pub fn reading_tokens(self, tokens: u64) -> Self {
        let frame = r#"{"prompt":""}"#;
        let length = usize::try_from(tokens * 4).unwrap() - frame.len();
        let text = "x".repeat(length);
        self.reading(format!(r#"{{"prompt":"{text}"}}"#))
    }
}

impl Request for FakeRequest {
    fn header(&self, name: &str) -> Header<'_> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        match (found.next(), found.next()) {
            (None, _) => Header::Absent,
            (Some((_, value)), None) => Header::Once(value),
            _ => Header::Repeated,
        }
    }

    fn has_body(&self) -> bool {
        !self.ends
    }

    fn property(&self, path: &[String]) -> Option<Vec<u8>> {
        let found = self.properties.iter().find(|(p, _)| p == path);
        found.map(|(_, value)| value.clone())
    }
}

/// Metrics by name.
#[derive(Default)]
pub struct Metrics(pub BTreeMap<String, i64>);

impl MetricSink for Metrics {
    fn count(&mut self, name: &str, delta: u64) {
        *self.0.entry(name.to_owned()).or_default() += i64::try_from(delta).unwrap();
    }

    fn gauge(&mut self, name: &str, delta: i64) {
        *self.0.entry(name.to_owned()).or_default() += delta;
    }

    fn set(&mut self, name: &str, value: u64) {
        self.0
            .insert(name.to_owned(), i64::try_from(value).unwrap());
    }
}

impl Metrics {
    /// The value of the one metric whose name begins and ends so, or 0.
    pub fn get(&self, family: &str, end: &str) -> i64 {
        let start = format!("tiergate_{family}.");
        let found = self
            .0
            .iter()
            .filter(|(n, _)| n.starts_with(&start) && n.ends_with(end));
        found.map(|(_, value)| value).sum()
    }

    /// True if a metric exists whose name begins and ends so.
    pub fn has(&self, family: &str, end: &str) -> bool {
        let start = format!("tiergate_{family}.");
        let mut names = self.0.keys();
        names.any(|name| name.starts_with(&start) && name.ends_with(end))
    }
}
