//! The orders of operators, which all services read from the store and tell edges.

use super::store::{Live, Store};
use redis::{FromRedisValue as _, RedisError, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tiergate::fleet::hex::AccountId;
use tiergate::fleet::orders::{LoadOrder, MOST_RESETS, Orders, ResetOrder};

/// The time for which the orders of a namespace are not read again.
const FRESH: Duration = Duration::from_millis(200);
/// The maximum number of namespaces whose orders are remembered.
const MOST_NAMESPACES: usize = 1_000;
/// The time for which an edge that begins is told of resets: older ones it can't have missed.
const RECENT_MS: u64 = 60_000;

/// The orders of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderBook {
    /// The time of the store at which it was read, in milliseconds.
    clock: u64,
    /// The number of the last order.
    last: u64,
    /// The load, with its number; its time to live counts from `clock`.
    load: Option<(u64, LoadOrder)>,
    /// The time for which the load has held, in milliseconds.
    pub load_age: u64,
    resets: Vec<StoredReset>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct StoredReset {
    number: u64,
    at: u64,
    order: ResetOrder,
}

/// The last known orders of each namespace.
#[derive(Default)]
pub struct OrderDesk {
    known: Mutex<BTreeMap<String, (Instant, Arc<OrderBook>)>>,
}

/// The reason why an order was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("Redis: {0}")]
    Store(#[from] RedisError),
    #[error("{0}")]
    Fault(String),
}

impl OrderDesk {
    /// Returns the orders of a namespace, as they were up to 200 ms ago.
    pub async fn book(
        &self,
        store: &Store,
        live: &Live,
        ns: &str,
    ) -> Result<Arc<OrderBook>, OrderError> {
        if let Some((at, book)) = self.known().get(ns)
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(book));
        }
        self.change(store, live, ns, &["look"]).await
    }

    /// Sets a scale on the limits of all edges, or ends it.
    pub async fn set_load(
        &self,
        store: &Store,
        live: &Live,
        ns: &str,
        order: &LoadOrder,
    ) -> Result<Arc<OrderBook>, OrderError> {
        let text = serde_json::to_string(order).unwrap_or_default();
        let ttl = order.ttl_ms.to_string();
        self.change(store, live, ns, &["load", &text, &ttl]).await
    }

    /// Begins the use of an account anew, in the store and on all edges.
    pub async fn reset(
        &self,
        store: &Store,
        live: &Live,
        (ns, id, account): (&str, &str, AccountId),
    ) -> Result<u32, OrderError> {
        let key = super::step::key(ns, account);
        let reply = store.run(live, &store.reset, &key, &[]).await?;
        let generation = generation(&reply)?;
        let text = generation.to_string();
        self.change(store, live, ns, &["reset", id, &text]).await?;
        Ok(generation)
    }

    async fn change(
        &self,
        store: &Store,
        live: &Live,
        ns: &str,
        args: &[&str],
    ) -> Result<Arc<OrderBook>, OrderError> {
        let key = format!("{{{ns}}}:tg1:orders");
        let reply = store.run(live, &store.orders, &key, args).await?;
        let book = OrderBook::read(&reply);
        let book = book.ok_or_else(|| OrderError::Fault("the orders have another form".into()))?;
        let book = Arc::new(book);
        let mut known = self.known();
        if known.len() >= MOST_NAMESPACES {
            known.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        known.insert(ns.to_owned(), (Instant::now(), Arc::clone(&book)));
        Ok(book)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Instant, Arc<OrderBook>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the reply of `reset.lua`.
fn generation(reply: &Value) -> Result<u32, OrderError> {
    let form = || OrderError::Fault("the reset's reply has another form".to_owned());
    let Value::Array(list) = reply else {
        return Err(form());
    };
    match list.as_slice() {
        [Value::BulkString(kind), Value::Int(generation)] if kind == b"done" => {
            u32::try_from(*generation).map_err(|_| form())
        }
        [Value::BulkString(kind), Value::BulkString(why)] if kind == b"fault" => {
            Err(OrderError::Fault(String::from_utf8_lossy(why).into_owned()))
        }
        _ => Err(form()),
    }
}

impl OrderBook {
    /// Reads the reply of `orders.lua`; `None` for one of another form.
    fn read(reply: &Value) -> Option<Self> {
        let Value::Array(list) = reply else {
            return None;
        };
        let (head, rest) = list.split_first_chunk::<6>()?;
        let [clock, last, number, ends, text, set] = head;
        let whole = |value: &Value| u64::from_redis_value_ref(value).ok();
        let (clock, last, number) = (whole(clock)?, whole(last)?, whole(number)?);
        let mut load: Option<LoadOrder> = None;
        if number > 0 {
            let order: LoadOrder =
                serde_json::from_str(&String::from_redis_value_ref(text).ok()?).ok()?;
            load = Some(LoadOrder {
                ttl_ms: whole(ends)?.saturating_sub(clock),
                ..order
            });
        }
        let mut resets = Vec::with_capacity(rest.len().div_ceil(4));
        for one in rest.chunks(4) {
            let [number, generation, at, id] = one else {
                return None;
            };
            resets.push(StoredReset {
                number: whole(number)?,
                at: whole(at)?,
                order: ResetOrder {
                    id: String::from_redis_value_ref(id).ok()?,
                    generation: u32::try_from(whole(generation)?).ok()?,
                },
            });
        }
        Some(Self {
            clock,
            last,
            load: load.map(|load| (number, load)),
            load_age: clock.saturating_sub(whole(set)?),
            resets,
        })
    }

    /// Returns the orders that are newer than the last one that an edge followed; `None` without any.
    pub fn after(&self, followed: u64) -> Option<Orders> {
        // Numbers grow over a loss of the store too. One ahead of them is of another store.
        let followed = if followed > self.last { 0 } else { followed };
        if followed == self.last {
            return None;
        }
        let newer = self.resets.iter().filter(|one| {
            let is_missed = followed > 0 || one.at.saturating_add(RECENT_MS) > self.clock;
            one.number > followed && is_missed
        });
        let newer: Vec<_> = newer.take(MOST_RESETS).collect();
        let is_full = newer.len() == MOST_RESETS;
        let reaches = newer.last().filter(|_| is_full);
        let last = reaches.map_or(self.last, |one| one.number);
        let load = self.load.as_ref();
        // One that has ended tells nothing to an edge that begins.
        let load = load.filter(|(number, load)| {
            let is_newer = *number > followed && *number <= last;
            is_newer && (followed > 0 || load.ttl_ms > 0)
        });
        Some(Orders {
            last,
            load: load.map(|(_, load)| load.clone()),
            resets: newer.iter().map(|one| one.order.clone()).collect(),
        })
    }

    /// Returns the load that holds now.
    pub fn load(&self) -> Option<&LoadOrder> {
        let (_, load) = self.load.as_ref()?;
        (load.ttl_ms > 0).then_some(load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(resets: u64) -> OrderBook {
        let seconds = |n: u64| n.saturating_mul(1_000);
        let resets = (1..=resets).map(|n| StoredReset {
            number: n,
            at: seconds(n),
            order: ResetOrder {
                id: format!("a{n}"),
                generation: 7,
            },
        });
        let resets: Vec<_> = resets.collect();
        let last = resets.len() as u64;
        OrderBook {
            clock: seconds(last),
            last,
            resets,
            ..OrderBook::default()
        }
    }

    #[test]
    fn an_edge_is_told_what_it_has_not_followed_in_bounded_answers() {
        let book = book(250);
        assert_eq!(book.after(250), None);
        let mut followed = 1;
        let mut told = Vec::new();
        while let Some(orders) = book.after(followed) {
            assert!(orders.resets.len() <= MOST_RESETS && orders.last > followed);
            followed = orders.last;
            told.extend(orders.resets.into_iter().map(|order| order.id));
        }
        assert_eq!((told.len(), followed), (249, 250));
        assert_eq!(told.first().map(String::as_str), Some("a2"));
    }

    #[test]
    fn an_edge_that_begins_is_told_what_is_recent_and_holds() {
        let mut book = book(250);
        let orders = book.after(0).unwrap();
        assert_eq!((orders.resets.len(), orders.last), (60, 250));
        // A number of another store counts as none.
        assert_eq!(book.after(9_999), Some(orders));
        let load = |ttl_ms| LoadOrder {
            scale: 1,
            ttl_ms,
            ..LoadOrder::default()
        };
        book.load = Some((100, load(5)));
        assert_eq!(book.after(0).unwrap().load, Some(load(5)));
        assert_eq!(book.after(100).unwrap().load, None);
        book.load = Some((100, load(0)));
        assert_eq!(book.after(0).unwrap().load, None, "it has ended");
        assert_eq!(book.after(99).unwrap().load, Some(load(0)), "it ends");
        assert_eq!(book.load(), None);
    }
}
