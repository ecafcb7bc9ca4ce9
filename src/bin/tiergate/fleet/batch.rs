//! One request of an edge: its heartbeat, and a step for each item.

use super::in_time::{in_time, order};
use super::metrics::Metrics;
use super::orders::{OrderBook, OrderDesk, OrderError};
use super::step::{self, Happened, MeterOver, MeterSlot, StepCall, StepContext, StepReply};
use super::store::{Live, Store};
use super::target::Failing;
use redis::{FromRedisValue as _, RedisError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tiergate::fleet::hex::EdgeId;
use tiergate::fleet::message::{
    ItemAnswer, LossRule, MOST_ITEMS, MOST_METERS, StepAnswer, StepItem, StepObstacle, StepRequest,
    VERSION,
};
use tiergate::fleet::meter_name::MeterTime;
use tiergate::fleet::orders::Orders;
use tiergate::time::Wall;

/// The time that the store adds to the life of an allowance.
pub const MARGIN: Duration = Duration::from_secs(2);
/// The time after which a silent edge is dead.
const DEAD_AFTER_MS: &str = "10000";
/// The time for which a heartbeat is not repeated.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// The maximum number of edges whose heartbeats are remembered.
const MOST_HEARTBEATS: usize = 10_000;

/// The service's rules.
#[derive(Clone, Debug)]
pub struct Rules {
    pub life: Duration,
    pub after_loss: LossRule,
    /// The largest limit by meter.
    pub most: BTreeMap<String, u64>,
}

/// The work on requests.
pub struct Batches {
    pub store: Arc<Store>,
    pub metrics: Arc<Metrics>,
    pub rules: Rules,
    pub orders: OrderDesk,
    heartbeats: Mutex<BTreeMap<(String, EdgeId), (Instant, Heartbeat)>>,
    /// The number of steps: where the next request begins with its reports.
    turn: AtomicUsize,
}

/// The facts of an edge's heartbeat.
#[derive(Clone, Debug, Default)]
struct Heartbeat {
    rank: u32,
    edges: u32,
    dead: Arc<[EdgeId]>,
}

/// The reason why a request has no answer.
#[derive(Clone, Debug)]
pub enum NoAnswer {
    /// It has another version.
    Invalid(String),
    /// The store is away.
    Unavailable(String),
}

/// The result of one item.
enum ItemEnd {
    Answer(ItemAnswer),
    Fault(String),
    /// The store failed, not the item.
    StoreFailed(String),
    /// Others took the time of the request.
    Late,
}

impl Batches {
    pub fn new(store: Arc<Store>, metrics: Arc<Metrics>, rules: Rules) -> Self {
        Self {
            store,
            metrics,
            rules,
            orders: OrderDesk::default(),
            heartbeats: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: &StepRequest) -> Result<StepAnswer, NoAnswer> {
        check(request).map_err(NoAnswer::Invalid)?;
        let begun = Instant::now();
        let live = self.store.live().map_err(NoAnswer::Unavailable)?;
        let problems = live.problems();
        if let Some(problem) = problems.first() {
            return Err(NoAnswer::Unavailable(problem.clone()));
        }
        let strict = request.after_loss.unwrap_or(self.rules.after_loss) == LossRule::Strict;
        let hold = self.rules.life.saturating_add(MARGIN);
        self.store.edge_saw(&live, &request.store, hold);
        let book = self.orders.book(&self.store, &live, &request.ns);
        let (heartbeat, book) = tokio::join!(self.heartbeat(&live, request), book);
        let heartbeat = heartbeat.map_err(|error| NoAnswer::Unavailable(self.failed(&error)))?;
        self.metrics.edges.set(heartbeat.edges.into());
        let slots = self.slots(request, live.now_ms());
        let one = BatchStep {
            all: self,
            live: &live,
            request,
            heartbeat: &heartbeat,
            slots: &slots,
            strict,
        };
        let items = self.in_time(&one, begun).await?;
        Ok(StepAnswer {
            v: VERSION,
            store: live.store.clone(),
            rank: heartbeat.rank,
            edges: heartbeat.edges,
            fenced: false,
            orders: self.orders_of(book, request),
            items,
        })
    }

    /// Runs the steps of a request that fit into the time since `begun` that a command has: the edge
    /// gives up soon after it. The other items have faults, and the edge says them again.
    async fn in_time(
        &self,
        one: &BatchStep<'_>,
        begun: Instant,
    ) -> Result<Vec<ItemAnswer>, NoAnswer> {
        let items = &one.request.items;
        let turn = self.turn.load(Ordering::Relaxed);
        let within = self.store.timeout().saturating_sub(begun.elapsed());
        let run = async |at: usize| match items.get(at) {
            Some(item) => one.run(item).await,
            None => ItemEnd::Late,
        };
        let ended = in_time(order(items, turn), within, run).await;
        self.turn.fetch_add(ended.len(), Ordering::Relaxed);
        let mut ends: Vec<_> = items.iter().map(|_| ItemEnd::Late).collect();
        for (at, end) in ended {
            if let Some(place) = ends.get_mut(at) {
                *place = end;
            }
        }
        if ends.iter().any(|end| matches!(end, ItemEnd::Late)) {
            let kind = Failing::Timeout.as_str();
            self.metrics.failures.get_or_create(&[("kind", kind)]).inc();
        }
        let has_failed = |end: &ItemEnd| matches!(end, ItemEnd::StoreFailed(_) | ItemEnd::Late);
        let all_failed = ends.iter().all(has_failed);
        let mut answers = Vec::with_capacity(ends.len());
        for (item, end) in items.iter().zip(ends) {
            let why = match end {
                ItemEnd::Answer(answer) => {
                    answers.push(answer);
                    continue;
                }
                ItemEnd::Fault(why) | ItemEnd::StoreFailed(why) => why,
                ItemEnd::Late => "not in time".to_owned(),
            };
            if all_failed {
                return Err(NoAnswer::Unavailable(why));
            }
            answers.push(self.fault(item, why));
        }
        Ok(answers)
    }

    /// Returns what an edge is to follow. It waits for the next answer where it can't be read.
    fn orders_of(
        &self,
        book: Result<Arc<OrderBook>, OrderError>,
        request: &StepRequest,
    ) -> Option<Orders> {
        match book {
            Ok(book) => book.after(request.orders),
            Err(OrderError::Store(error)) => {
                self.failed(&error);
                None
            }
            Err(OrderError::Fault(why)) => {
                tracing::error!(why, "the orders of a namespace can't be read");
                None
            }
        }
    }

    fn fault(&self, item: &StepItem, why: String) -> ItemAnswer {
        self.metrics
            .items
            .get_or_create(&[("result", "fault")])
            .inc();
        tracing::debug!(account = item.account.to_string(), why, "an item failed");
        ItemAnswer {
            account: item.account,
            incarnation: item.incarnation,
            seq: item.seq,
            fault: Some(why),
            ..ItemAnswer::default()
        }
    }

    fn failed(&self, error: &RedisError) -> String {
        let failing = Failing::of(error);
        self.metrics
            .failures
            .get_or_create(&[("kind", failing.as_str())])
            .inc();
        format!("{}: {error}", failing.as_str())
    }

    async fn heartbeat(&self, live: &Live, request: &StepRequest) -> Result<Heartbeat, RedisError> {
        let name = (request.ns.clone(), request.edge);
        {
            let known = self
                .heartbeats
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some((at, heartbeat)) = known.get(&name)
                && at.elapsed() < HEARTBEAT
            {
                return Ok(heartbeat.clone());
            }
        }
        let key = format!("{{{}}}:tg1:edges", request.ns);
        let edge = request.edge.to_string();
        let args = [edge.as_str(), DEAD_AFTER_MS];
        let reply = self.store.run(live, &self.store.edges, &key, &args).await?;
        let (rank, edges, dead) = <(u32, u32, Vec<String>)>::from_redis_value(reply)?;
        let heartbeat = Heartbeat {
            rank,
            edges: edges.max(1),
            dead: dead.iter().filter_map(|edge| EdgeId::parse(edge)).collect(),
        };
        let mut known = self
            .heartbeats
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_HEARTBEATS {
            known.retain(|_, (at, _)| at.elapsed() < HEARTBEAT);
        }
        known.insert(name, (Instant::now(), heartbeat.clone()));
        Ok(heartbeat)
    }

    /// Returns the meters of a request, with their periods at a time.
    fn slots(&self, request: &StepRequest, now: u64) -> Vec<MeterSlot> {
        let meters = request.meters.iter();
        let slot = |name: &String| {
            let over = match MeterTime::of(name) {
                Ok(MeterTime::Leases) => MeterOver::Leases,
                Ok(MeterTime::Window(length)) => MeterOver::Window(length.as_millis()),
                Ok(MeterTime::Period(calendar, zone)) => {
                    let period = zone.period(calendar, Wall::from_millis(now));
                    MeterOver::Period(period.starts_at.as_millis(), period.ends_at.as_millis())
                }
                Err(why) => MeterOver::Nothing(why.to_string()),
            };
            MeterSlot {
                name: name.clone(),
                over,
                most: self.rules.most.get(name).copied().unwrap_or(u64::MAX),
            }
        };
        meters.map(slot).collect()
    }

    fn count(&self, answer: &ItemAnswer, item: &StepItem, happened: Happened) {
        self.metrics.clamped.inc_by(happened.clamped);
        self.metrics.restated.inc_by(happened.restated);
        self.metrics.written_off.inc_by(happened.written_off);
        let asks = item.meters.iter().any(|ask| ask.need > 0)
            || item.leases.iter().any(|ask| ask.need > 0);
        // A closed account is said to be so in answers to reports as well.
        let result = match answer.no.filter(|_| asks).map(|no| no.by) {
            _ if answer.stale => "stale",
            Some(StepObstacle::Used) => "used",
            Some(StepObstacle::Held) => "held",
            Some(StepObstacle::Closed) => "closed",
            None if asks => "granted",
            None => "told",
        };
        self.metrics
            .items
            .get_or_create(&[("result", result)])
            .inc();
    }
}

/// The steps of one request.
struct BatchStep<'a> {
    all: &'a Batches,
    live: &'a Live,
    request: &'a StepRequest,
    heartbeat: &'a Heartbeat,
    slots: &'a [MeterSlot],
    strict: bool,
}

impl BatchStep<'_> {
    async fn run(&self, item: &StepItem) -> ItemEnd {
        match self.try_once(item, self.slots).await {
            Ok(StepReply::Done(answer, happened)) => {
                self.all.count(&answer, item, happened);
                ItemEnd::Answer(answer)
            }
            Ok(StepReply::Fault(why)) => ItemEnd::Fault(why),
            // The turn of a period, by the store's clock: with that clock there is no other.
            Ok(StepReply::Turn(clock)) => {
                self.all.metrics.turns.inc();
                let slots = self.all.slots(self.request, clock);
                match self.try_once(item, &slots).await {
                    Ok(StepReply::Done(answer, happened)) => {
                        self.all.count(&answer, item, happened);
                        ItemEnd::Answer(answer)
                    }
                    Ok(StepReply::Fault(why)) => ItemEnd::Fault(why),
                    Ok(StepReply::Turn(_)) => ItemEnd::Fault("a period turned twice".to_owned()),
                    Err(end) => end,
                }
            }
            Err(end) => end,
        }
    }

    async fn try_once(&self, item: &StepItem, slots: &[MeterSlot]) -> Result<StepReply, ItemEnd> {
        let key = step::key(&self.request.ns, item.account);
        let Some(node) = self.live.node_of(&key) else {
            return Err(ItemEnd::StoreFailed(
                "no node of the cluster has the slot".to_owned(),
            ));
        };
        let others = self
            .live
            .nodes
            .iter()
            .filter(|other| other.incarnation != node.incarnation);
        let peers: Vec<String> = others.map(|other| other.incarnation.clone()).collect();
        let rules = &self.all.rules;
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let context = StepContext {
            node: &node.incarnation,
            peers: &peers,
            lost: self.live.lost_ms(&node.incarnation),
            life: ms(rules.life),
            margin: ms(MARGIN),
            strict: self.strict,
            edges: self.heartbeat.edges,
            dead: &self.heartbeat.dead,
            edge: self.request.edge,
        };
        let call = StepCall::new(&context, item, slots).map_err(ItemEnd::Fault)?;
        let message = call.to_json();
        let reply = self
            .all
            .store
            .run(self.live, &self.all.store.step, &key, &[&message])
            .await;
        let reply = reply.map_err(|error| {
            let why = self.all.failed(&error);
            match Failing::of(&error) {
                Failing::ForeignKey => ItemEnd::Fault("a foreign key".to_owned()),
                failing if failing.is_of_one() => {
                    tracing::error!(why, "a step failed");
                    ItemEnd::Fault("the step failed".to_owned())
                }
                _ => ItemEnd::StoreFailed(why),
            }
        })?;
        let read = step::read(&reply, item);
        read.ok_or_else(|| ItemEnd::Fault("the step's reply has another form".to_owned()))
    }
}

/// Checks what holds for the whole request.
fn check(request: &StepRequest) -> Result<(), String> {
    if request.v != VERSION {
        return Err(format!(
            "v is {}, and this service speaks {VERSION}",
            request.v
        ));
    }
    let is_name = |name: &str| {
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b));
        (1..=64).contains(&name.len()) && plain
    };
    if !is_name(&request.ns) {
        return Err("ns: 1 to 64 of a-z, A-Z, 0-9 and -_.:/".to_owned());
    }
    if request.name.len() > 128 || request.store.len() > 128 {
        return Err("name and store: at most 128 bytes".to_owned());
    }
    if request.items.len() > MOST_ITEMS {
        return Err(format!("items: at most {MOST_ITEMS}"));
    }
    if request.meters.len() > MOST_METERS {
        return Err(format!("meters: at most {MOST_METERS}"));
    }
    Ok(())
}
