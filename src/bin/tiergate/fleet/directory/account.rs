//! An account of the fleet's directory: as it is stored, as edges read it, and as operators see it.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tiergate::config::Config;
use tiergate::directory::entry::{AccountEntry, ResolvedTier, TierBasis};
use tiergate::directory::written::CheckedEntry;
use tiergate::tiers::money::SignedCents;
use tiergate::tiers::recharge::History;
use tiergate::time::Wall;
use tiergate::zone::rfc3339::{self, Date};

/// The fields of an account beside its id and the basis of its tier.
const TERMS: [&str; 5] = ["limits", "models", "until", "disabled", "exempt"];

/// An account as `directory.lua` keeps it: all values are texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StoredAccount {
    /// Cumulative recharge, and the sum of vouchers, in cents.
    cash: Option<String>,
    vouchers: Option<String>,
    /// `recharge`, `tier` or `account`.
    basis: String,
    /// The name of the tier, or the target of an alias.
    name: Option<String>,
    /// The day of the first recharge: 2026-01-31.
    since: Option<String>,
    /// The other terms, as JSON.
    terms: String,
}

/// The fields that a PUT writes, as arguments of `directory.lua`.
pub struct PutArgs {
    pub basis: &'static str,
    pub name: String,
    pub since: String,
    pub terms: String,
}

impl PutArgs {
    /// Makes the arguments of a checked body; its terms are kept as they are written.
    pub fn new(put: &CheckedEntry, body: &[u8]) -> Self {
        let (basis, name) = match &put.basis {
            TierBasis::Recharge(total) => ("recharge", total.get().to_string()),
            TierBasis::Tier(name) => ("tier", name.to_string()),
            TierBasis::Alias(target) => ("account", target.to_string()),
        };
        let written: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let terms = written.into_iter();
        let terms =
            terms.filter(|(name, value)| TERMS.contains(&name.as_str()) && !value.is_null());
        Self {
            basis,
            name,
            since: put.since.map(rfc3339::date).unwrap_or_default(),
            terms: Value::Object(terms.collect()).to_string(),
        }
    }
}

impl StoredAccount {
    /// Reads an account; `None` for another text.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Returns the account that this one stands for.
    pub fn target(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.basis == "account")
    }

    fn terms(&self) -> Map<String, Value> {
        serde_json::from_str(&self.terms).unwrap_or_default()
    }

    fn holds(&self, term: &str) -> bool {
        self.terms().get(term) == Some(&Value::Bool(true))
    }

    fn cents(text: Option<&String>) -> Option<SignedCents> {
        Some(SignedCents::new(text?.parse().ok()?))
    }

    /// Returns the account as a feed has it.
    pub fn in_feed(&self, id: &str) -> Value {
        let mut item = self.terms();
        item.insert("id".to_owned(), id.into());
        let basis = match (self.basis.as_str(), &self.name) {
            (basis @ ("tier" | "account"), Some(name)) => (basis, name.clone()),
            _ => {
                let cash = Self::cents(self.cash.as_ref()).unwrap_or_default();
                ("recharge", cash.at_least_nothing().decimal())
            }
        };
        item.insert(basis.0.to_owned(), basis.1.into());
        if let Some(since) = &self.since {
            item.insert("since".to_owned(), since.as_str().into());
        }
        Value::Object(item)
    }

    /// Returns the tier that the account has now.
    fn tier(&self, config: &Config) -> Option<String> {
        let history = Self::cents(self.cash.as_ref()).map(|cash| History {
            cash,
            ..History::default()
        });
        let since = self.since.as_deref();
        let since = since.and_then(|day| serde_json::from_value(json!(day)).ok());
        let entry = AccountEntry {
            history,
            tier: self.name.clone().filter(|_| self.basis == "tier"),
            since: since.map(|Date(day)| day),
            ..AccountEntry::default()
        };
        match entry.resolve_tier(&config.tiers, now) {
            ResolvedTier::Tier(tier) => Some(config.tiers.get(tier)?.name.clone()),
            ResolvedTier::RechargeRequired(_)
            | ResolvedTier::Unknown(_)
            | ResolvedTier::Nothing => None,
        }
    }

    /// Returns the account as the admin API of the filter shows it.
    pub fn view(&self, id: &str, config: &Config) -> Map<String, Value> {
        let decimal = |cents: Option<&String>| Self::cents(cents).map(SignedCents::decimal);
        let view = json!({
            "id": id,
            "recharge": decimal(self.cash.as_ref()),
            "vouchers": decimal(self.vouchers.as_ref()),
            "tier": self.tier(config),
            "tier_from": self.basis,
            "written_by": "admin",
            "disabled": self.holds("disabled"),
            "exempt": self.holds("exempt"),
        });
        let Value::Object(mut view) = view else {
            return Map::new();
        };
        if let Some(target) = self.target() {
            view.insert("account".to_owned(), target.into());
        }
        if let Some(since) = &self.since {
            view.insert("since".to_owned(), since.as_str().into());
        }
        let terms = self.terms();
        if !terms.is_empty() {
            view.insert("admin".to_owned(), Value::Object(terms));
        }
        view
    }

    /// Shows in the view of an alias what it has of its target, which is this account.
    pub fn lend_to(&self, view: &mut Map<String, Value>, config: &Config) {
        view.insert("tier".to_owned(), self.tier(config).into());
        for term in ["disabled", "exempt"] {
            let own = view.get(term) == Some(&Value::Bool(true));
            view.insert(term.to_owned(), (own || self.holds(term)).into());
        }
    }

    /// Returns the answer to a write of the account.
    pub fn written(
        &self,
        id: &str,
        config: &Config,
        (due, new, ready): (bool, bool, bool),
    ) -> Value {
        let mut written = self.view(id, config);
        for shown in ["vouchers", "tier_from", "written_by", "since", "admin"] {
            written.remove(shown);
        }
        written.insert("voucher_due".to_owned(), due.into());
        written.insert("new".to_owned(), new.into());
        written.insert("ready".to_owned(), ready.into());
        Value::Object(written)
    }
}

fn now() -> Wall {
    Wall::from_millis(crate::fleet::node::wall_ms())
}
