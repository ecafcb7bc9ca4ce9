//! Plugin configs of tests, built field by field: what a test does not name is the default.

use serde_json::{Value, json};
use std::fmt;

/// A plugin config. As text, it is the JSON that operators write.
#[derive(Clone, Debug)]
pub struct Config(Value);

impl Config {
    /// The defaults, published tiers and all.
    pub fn new() -> Self {
        Self(json!({}))
    }

    /// One tier without limits, and room for 64 accounts.
    pub fn tier(name: &str) -> Self {
        Self::new()
            .with(json!({"capacity": {"accounts": 64}}))
            .and_tier(name)
    }

    /// One more tier without limits, a dollar above the last.
    pub fn and_tier(mut self, name: &str) -> Self {
        let recharge = self.tiers().len() + 1;
        let limits = json!({"concurrency": "unlimited", "rpm": "unlimited",
            "tpm": "unlimited", "tpd": "unlimited"});
        let tier = json!({"name": name, "recharge": recharge, "limits": limits});
        self.tiers().push(tier);
        self
    }

    /// How many requests of the last tier may run at once.
    pub fn concurrency(self, limit: u64) -> Self {
        self.limit("concurrency", limit)
    }

    /// Requests per minute of the last tier.
    pub fn rpm(self, limit: u64) -> Self {
        self.limit("rpm", limit)
    }

    /// Tokens per minute of the last tier.
    pub fn tpm(self, limit: u64) -> Self {
        self.limit("tpm", limit)
    }

    /// Tokens per day of the last tier.
    pub fn tpd(self, limit: u64) -> Self {
        self.limit("tpd", limit)
    }

    fn limit(mut self, name: &str, limit: u64) -> Self {
        self.last_tier()["limits"][name] = limit.into();
        self
    }

    /// More fields of the last tier; objects are merged, anything else is replaced.
    pub fn with_tier(mut self, fields: Value) -> Self {
        merge(self.last_tier(), fields);
        self
    }

    /// How long requests of the last tier wait for a lease.
    pub fn wait(mut self, wait: &str) -> Self {
        self.last_tier()["wait"] = wait.into();
        self
    }

    /// The admin API without a token, and usage at `/usage`.
    pub fn open_admin(self) -> Self {
        self.with(json!({
            "admin": {"path": "/-/tiergate", "insecure": true},
            "usage_path": "/usage"
        }))
    }

    /// [`Self::open_admin`], and limits that overload lowers to a fifth.
    pub fn adaptive(self) -> Self {
        self.open_admin()
            .with(json!({"load": {"from": "overload", "floor": 0.2}}))
    }

    /// More fields; objects are merged, anything else is replaced.
    pub fn with(mut self, fields: Value) -> Self {
        merge(&mut self.0, fields);
        self
    }

    fn tiers(&mut self) -> &mut Vec<Value> {
        if self.0["tiers"].is_null() {
            self.0["tiers"] = json!([]);
        }
        self.0["tiers"].as_array_mut().unwrap()
    }

    fn last_tier(&mut self) -> &mut Value {
        self.tiers().last_mut().expect("a tier comes first")
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn merge(into: &mut Value, fields: Value) {
    match (into, fields) {
        (Value::Object(into), Value::Object(fields)) => {
            for (name, value) in fields {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}
