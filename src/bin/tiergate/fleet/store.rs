//! The store: a connection that is kept, what is known of its nodes, and the scripts.

use super::node::{self, RedisNode, wall_ms};
use super::target::{Failing, Link, RedisTarget};
use redis::{Cmd, FromRedisValue as _, RedisError, RedisResult, Script, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The time between two looks at the nodes.
const LOOKS: Duration = Duration::from_secs(1);
/// The time between two tries to connect.
const RETRIES: Duration = Duration::from_millis(200);
/// The time-out of a command outside of requests.
const SLOW: Duration = Duration::from_secs(1);
/// Where the services tell each other which incarnations began with a loss: a hash, incarnation by
/// time in milliseconds.
const LOSSES: &str = "{tiergate}:tg1:losses";

/// The present connection, with the nodes behind it.
pub struct Live {
    link: Link,
    pub nodes: Vec<RedisNode>,
    /// The incarnation of the whole store, as edges see it.
    pub store: String,
    /// When each incarnation lost writes, as far as it is known.
    lost: BTreeMap<String, Instant>,
}

/// The store, which may be away.
pub struct Store {
    target: RedisTarget,
    timeout: Duration,
    live: RwLock<Result<Arc<Live>, String>>,
    broken: Notify,
    /// Incarnations by the first sight of them, newest knowledge of a loss included.
    history: Mutex<LossHistory>,
    pub step: StoreScript,
    pub edges: StoreScript,
    pub orders: StoreScript,
    pub reset: StoreScript,
    pub look: StoreScript,
    pub directory: StoreScript,
}

/// A script, with the hash by which Redis knows it.
pub struct StoreScript {
    text: &'static str,
    hash: String,
}

impl StoreScript {
    fn new(text: &'static str) -> Self {
        let hash = Script::new(text).get_hash().to_owned();
        Self { text, hash }
    }
}

#[derive(Default)]
struct LossHistory {
    first_seen: BTreeMap<String, Instant>,
    lost: BTreeMap<String, Instant>,
    /// The incarnations that the last look found.
    present: Vec<String>,
    /// The incarnations of the whole store that this service has seen.
    stores: BTreeSet<String>,
}

impl LossHistory {
    /// True when a node that the last look found is not among `names`: another process has its slots.
    fn is_gone(&self, names: &[String]) -> bool {
        self.present.iter().any(|known| !names.contains(known))
    }
}

impl Store {
    pub fn new(target: RedisTarget, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            live: RwLock::new(Err("not connected yet".to_owned())),
            broken: Notify::new(),
            history: Mutex::default(),
            step: StoreScript::new(super::step::SCRIPT),
            edges: StoreScript::new(include_str!("edges.lua")),
            orders: StoreScript::new(include_str!("orders.lua")),
            directory: StoreScript::new(super::directory::SCRIPT),
            look: StoreScript::new(include_str!("look.lua")),
            reset: StoreScript::new(include_str!("reset.lua")),
        }
    }

    /// Returns the longest time of a command.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub const fn mode(&self) -> &'static str {
        self.target.mode()
    }

    /// Returns the present connection, or the reason why there is none.
    pub fn live(&self) -> Result<Arc<Live>, String> {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, live: Result<Arc<Live>, String>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }

    /// Keeps the connection, as long as the service runs. What is known of a node is read anew on
    /// each connection, before any step runs on it: a restart or a promotion can't go unseen.
    pub async fn keep(self: Arc<Self>) {
        loop {
            match self.connect().await {
                Ok(live) => {
                    tracing::info!(mode = self.mode(), store = live.store, "connected to Redis");
                    self.watch(live).await;
                }
                Err(error) => {
                    let said = error.to_string();
                    if self.live().is_ok_and(|_| true)
                        || self.live().is_err_and(|known| known != said)
                    {
                        tracing::error!(error = said, "Redis can't be used");
                    }
                    self.set(Err(said));
                }
            }
            tokio::time::sleep(RETRIES).await;
        }
    }

    async fn connect(&self) -> RedisResult<Arc<Live>> {
        let link = self.target.connect().await?;
        let live = self.look(link).await?;
        self.set(Ok(Arc::clone(&live)));
        Ok(live)
    }

    /// Looks at the nodes until the connection breaks.
    async fn watch(&self, mut live: Arc<Live>) {
        loop {
            let broken = tokio::time::timeout(LOOKS, self.broken.notified())
                .await
                .is_ok();
            let is_one = matches!(live.link, Link::One(_));
            if broken && is_one {
                tracing::warn!("the connection to Redis broke");
                return self.set(Err("the connection to Redis broke".to_owned()));
            }
            match self.look(live.link.clone()).await {
                Ok(next) => {
                    if next.nodes != live.nodes {
                        log_nodes(&next.nodes);
                    }
                    live = next;
                    self.set(Ok(Arc::clone(&live)));
                }
                Err(error) => {
                    tracing::warn!(error = error.to_string(), "Redis does not answer");
                    return self.set(Err(error.to_string()));
                }
            }
        }
    }

    async fn look(&self, link: Link) -> RedisResult<Arc<Live>> {
        let nodes = node::ask(&link, &self.target).await?;
        let now = Instant::now();
        let mut names: Vec<_> = nodes.iter().map(|node| node.incarnation.clone()).collect();
        names.sort_unstable();
        // One that joins those that go on has lost nothing.
        let is_loss = self.history().is_gone(&names);
        for node in &nodes {
            let is_new = !self.history().first_seen.contains_key(&node.incarnation);
            if is_new {
                self.learn(&link, node, is_loss.then_some(now)).await;
            }
        }
        let store = match names.as_slice() {
            [one] => one.clone(),
            all => tiergate::http::sha256::sha256_hex(all.join(",").as_bytes())
                .chars()
                .take(32)
                .collect(),
        };
        let lost = {
            let mut history = self.history();
            history.stores.insert(store.clone());
            history.present = names;
            history.lost.clone()
        };
        Ok(Arc::new(Live {
            link,
            nodes,
            store,
            lost,
        }))
    }

    fn history(&self) -> std::sync::MutexGuard<'_, LossHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a node that was not there before, and that lost writes at `lost`, as far as this
    /// service knows; other services say so of what it did not see.
    async fn learn(&self, link: &Link, node: &RedisNode, mut lost: Option<Instant>) {
        let mut ask = redis::cmd("HGET");
        ask.arg(LOSSES).arg(&node.incarnation);
        if let Ok(told) = link.run(&ask, SLOW).await
            && let Ok(Some(at)) = Option::<u64>::from_redis_value(told)
        {
            let ago = Duration::from_millis(wall_ms().saturating_sub(at));
            lost = Instant::now().checked_sub(ago).or(lost);
        }
        {
            let mut history = self.history();
            history
                .first_seen
                .insert(node.incarnation.clone(), Instant::now());
            if let Some(at) = lost {
                history.lost.insert(node.incarnation.clone(), at);
            }
        }
        if lost.is_some() {
            tracing::warn!(
                node = node.incarnation,
                "another Redis process: what was granted before is void first"
            );
            self.tell_loss(link, &node.incarnation).await;
        }
    }

    async fn tell_loss(&self, link: &Link, incarnation: &str) {
        let mut tell = redis::cmd("HSETNX");
        tell.arg(LOSSES).arg(incarnation).arg(wall_ms());
        let mut expire = redis::cmd("EXPIRE");
        expire.arg(LOSSES).arg(86_400);
        for command in [tell, expire] {
            if let Err(error) = link.run(&command, SLOW).await {
                tracing::warn!(
                    error = error.to_string(),
                    "a loss could not be told to other services"
                );
            }
        }
    }

    /// Takes an edge's word that the store was another one. It tells of a loss where this service
    /// has not known the present one for long.
    pub fn edge_saw(&self, live: &Live, store: &str, hold: Duration) {
        if store.is_empty() || store == live.store {
            return;
        }
        let mut history = self.history();
        if history.stores.contains(store) {
            // This service saw for itself what became of it.
            return;
        }
        for node in &live.nodes {
            let seen = history.first_seen.get(&node.incarnation).copied();
            let fresh = seen.is_some_and(|seen| seen.elapsed() < hold);
            if fresh && !history.lost.contains_key(&node.incarnation) {
                let at = seen.unwrap_or_else(Instant::now);
                history.lost.insert(node.incarnation.clone(), at);
                tracing::warn!(node = node.incarnation, "edges knew another Redis process");
            }
        }
    }

    /// Runs a script on a key.
    pub async fn run(
        &self,
        live: &Live,
        script: &StoreScript,
        key: &str,
        args: &[&str],
    ) -> Result<Value, RedisError> {
        self.run_on(live, script, &[key], args).await
    }

    /// Runs a script on keys with one hash tag.
    pub async fn run_on(
        &self,
        live: &Live,
        script: &StoreScript,
        keys: &[&str],
        args: &[&str],
    ) -> Result<Value, RedisError> {
        let mut result = self.run_once(live, script, (keys, args), false).await;
        if let Err(error) = &result
            && error.code() == Some("NOSCRIPT")
        {
            // A new master, or SCRIPT FLUSH: EVAL runs it and loads it.
            result = self.run_once(live, script, (keys, args), true).await;
        }
        if let Err(error) = &result
            && matches!(
                Failing::of(error),
                Failing::Connection | Failing::ReadOnly | Failing::Access
            )
        {
            self.broken.notify_one();
        }
        result
    }

    async fn run_once(
        &self,
        live: &Live,
        script: &StoreScript,
        (keys, args): (&[&str], &[&str]),
        by_text: bool,
    ) -> RedisResult<Value> {
        let mut command = Cmd::new();
        match by_text {
            false => command.arg("EVALSHA").arg(&script.hash),
            true => command.arg("EVAL").arg(script.text),
        };
        command.arg(keys.len());
        for arg in keys.iter().chain(args) {
            command.arg(*arg);
        }
        live.link.run(&command, self.timeout).await
    }
}

fn log_nodes(nodes: &[RedisNode]) {
    for node in nodes {
        for problem in node.problems() {
            tracing::error!(problem, "Redis is not fit");
        }
    }
}

impl Live {
    /// Returns the node that has a key.
    pub fn node_of(&self, key: &str) -> Option<&RedisNode> {
        match self.nodes.as_slice() {
            [one] => Some(one),
            all => {
                let slot = node::slot(key);
                all.iter()
                    .find(|node| node.slots.iter().any(|(a, b)| (*a..=*b).contains(&slot)))
            }
        }
    }

    /// Returns the time since a node lost writes, in milliseconds.
    pub fn lost_ms(&self, incarnation: &str) -> Option<u64> {
        let at = self.lost.get(incarnation)?;
        Some(u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns the time of the store by its own clock, as far as it is known, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        let skew = self.nodes.first().map_or(0, |node| node.skew_ms);
        wall_ms().saturating_add_signed(skew)
    }

    /// Returns the number of incarnations that began with a loss.
    pub fn losses(&self) -> usize {
        self.lost.len()
    }

    /// Returns all that makes the store unfit.
    pub fn problems(&self) -> Vec<String> {
        self.nodes.iter().flat_map(RedisNode::problems).collect()
    }
}
