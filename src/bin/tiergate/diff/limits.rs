//! The limits that a new config changes, tier by tier.

use super::DiffRow;
use serde::Serialize;
use std::collections::BTreeMap;
use tiergate::limits::kinds::Counted;
use tiergate::limits::{Limit, LimitKind};
use tiergate::tiers::{Tier, TierTable};
use tiergate::time::Span;

/// The kind of a tier's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TierFate {
    Added,
    Removed,
    Changed,
}

/// A tier that changes.
#[derive(Serialize)]
pub struct TierChange {
    tier: String,
    fate: TierFate,
    limits: Vec<LimitChange>,
    /// Its other fields.
    fields: Vec<FieldChange>,
}

/// A limit that changes.
#[derive(Serialize)]
struct LimitChange {
    name: String,
    /// The family; null for the limits of all requests.
    model: Option<String>,
    /// The old limit in words; null where there was none.
    old: Option<String>,
    /// The new limit in words; null for a removed one.
    new: Option<String>,
    /// The fate of counters.
    counters: &'static str,
}

/// A field of a tier that changes.
#[derive(Serialize)]
struct FieldChange {
    name: &'static str,
    old: Option<String>,
    new: Option<String>,
}

/// Lists the tiers that change, in the order of the new config; removed ones come last.
pub fn changes(old: &TierTable, new: &TierTable) -> Vec<TierChange> {
    let named = |table: &TierTable, name: &str| table.iter().find(|t| t.name == name).cloned();
    let mut changes = Vec::new();
    for tier in new.iter() {
        let before = named(old, &tier.name);
        changes.extend(change(&tier.name, before.as_ref(), Some(tier)));
    }
    for tier in old.iter().filter(|tier| named(new, &tier.name).is_none()) {
        changes.extend(change(&tier.name, Some(tier), None));
    }
    changes
}

fn change(name: &str, old: Option<&Tier>, new: Option<&Tier>) -> Option<TierChange> {
    let fate = match (old, new) {
        (None, _) => TierFate::Added,
        (_, None) => TierFate::Removed,
        (Some(_), Some(_)) => TierFate::Changed,
    };
    let limits = limit_changes(old, new);
    let fields = field_changes(old, new);
    let is_changed = fate != TierFate::Changed || !limits.is_empty() || !fields.is_empty();
    is_changed.then(|| TierChange {
        tier: name.to_owned(),
        fate,
        limits,
        fields,
    })
}

/// The limits of a tier by family and name.
type ByName = BTreeMap<(Option<&'static str>, &'static str), (LimitKind, Limit)>;

fn by_name(tier: Option<&Tier>) -> ByName {
    let limits = tier.map(Tier::all_limits).unwrap_or_default();
    let all = limits
        .iter()
        .map(|(kind, limit)| ((kind.model(), kind.as_str()), (kind, *limit)));
    all.collect()
}

fn limit_changes(old: Option<&Tier>, new: Option<&Tier>) -> Vec<LimitChange> {
    let (olds, news) = (by_name(old), by_name(new));
    let mut names: Vec<_> = olds.keys().chain(news.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let changed = names.into_iter().filter_map(|key| {
        let (old, new) = (olds.get(&key), news.get(&key));
        (old != new).then(|| LimitChange {
            name: key.1.to_owned(),
            model: key.0.map(str::to_owned),
            old: old.map(|(kind, limit)| in_words(*kind, *limit)),
            new: new.map(|(kind, limit)| in_words(*kind, *limit)),
            counters: counters(old, new),
        })
    });
    changed.collect()
}

fn in_words(kind: LimitKind, limit: Limit) -> String {
    let size = kind.limit(limit).grouped();
    match limit {
        Limit::Unlimited => size,
        Limit::Finite(_) => format!("{size} {}", kind.in_words()),
    }
}

/// Returns what becomes of the counters of a limit.
fn counters(old: Option<&(LimitKind, Limit)>, new: Option<&(LimitKind, Limit)>) -> &'static str {
    let finite = |one: Option<&(LimitKind, Limit)>| {
        let (kind, limit) = one?;
        Some((kind.counted(), limit.finite()?))
    };
    match (finite(old), finite(new)) {
        (_, None) => "is not counted any more",
        (None, Some((Counted::Leases, _))) => "requests that begin from now on count",
        (Some((old, _)), Some((new, _))) if old == new => "what is counted stays",
        (_, Some(_)) => "starts from what is counted of its unit in that window, else at zero",
    }
}

fn field_changes(old: Option<&Tier>, new: Option<&Tier>) -> Vec<FieldChange> {
    let (olds, news) = (fields(old), fields(new));
    let pairs = olds.into_iter().zip(news);
    let changed = pairs.filter(|((_, old), (_, new))| old != new);
    changed
        .map(|((name, old), (_, new))| FieldChange { name, old, new })
        .collect()
}

/// The fields of a tier beside its limits, in words.
fn fields(tier: Option<&Tier>) -> [(&'static str, Option<String>); 4] {
    let after = tier.filter(|tier| tier.after > Span::ZERO);
    let wait = tier.and_then(|tier| tier.wait);
    let mode = tier.and_then(|tier| tier.mode);
    let recharge = tier.and_then(|tier| tier.recharge);
    [
        ("recharge", recharge.map(|recharge| recharge.to_string())),
        ("after", after.map(|tier| tier.after.to_string())),
        ("wait", wait.map(|wait| format!("{} ms", wait.as_millis()))),
        ("mode", mode.map(|mode| mode.as_str().to_owned())),
    ]
}

impl TierChange {
    /// Returns the line above those of the tier.
    pub fn headline(&self) -> String {
        match self.fate {
            TierFate::Added => format!("tier {}: new", self.tier),
            TierFate::Removed => {
                format!("tier {}: gone; its accounts need another", self.tier)
            }
            TierFate::Changed => format!("tier {}", self.tier),
        }
    }

    /// Returns the lines of the tier.
    pub fn rows(&self) -> Vec<DiffRow> {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let is_changed = self.fate == TierFate::Changed;
        let change = |old: &Option<String>, new: &Option<String>| match self.fate {
            TierFate::Added => shown(new),
            TierFate::Removed => shown(old),
            TierFate::Changed => format!("{} -> {}", shown(old), shown(new)),
        };
        let fields = self.fields.iter().map(|field| DiffRow {
            what: field.name.to_owned(),
            change: change(&field.old, &field.new),
            counters: None,
        });
        let limits = self.limits.iter().map(|limit| DiffRow {
            what: match &limit.model {
                Some(model) => format!("models.{model}.{}", limit.name),
                None => limit.name.clone(),
            },
            change: change(&limit.old, &limit.new),
            counters: is_changed.then(|| limit.counters.to_owned()),
        });
        fields.chain(limits).collect()
    }
}
