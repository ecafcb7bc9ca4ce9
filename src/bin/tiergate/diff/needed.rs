//! The settings that a change needs: with their new values alone, the old config means what the new
//! one means.
//!
//! The filter's own parser compares meanings. So a default that is written out, another spelling of a
//! value and a setting without effect are no changes, and no list of such cases is kept.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use tiergate::config::{self, Config};
use tiergate::ledger::USUAL_ACCOUNTS;
use tiergate::limits::day::DayRule;

/// Settings that are compared as a whole, since their parts mean nothing alone.
const WHOLE: [&str; 3] = ["windows.day", "voucher", "tokens.weights"];
/// Objects of settings that mean the same when they are empty and when they are absent.
const SECTIONS: [&str; 3] = ["windows", "tokens", "capacity"];

/// The names of the members on the way to a setting.
pub type SettingPath = Vec<String>;

/// The way from one written config to another.
pub struct ConfigStep<'a> {
    pub old: &'a Value,
    pub new: &'a Value,
    /// True when the list of tiers shows how they change, so that the settings need not.
    pub tiers_are_shown: bool,
}

impl ConfigStep<'_> {
    /// Returns the settings that the change needs, in order.
    pub fn needed(&self) -> Vec<SettingPath> {
        let mut needed = Vec::new();
        differing(&[], Some(self.old), Some(self.new), &mut needed);
        if self.tiers_are_shown {
            needed.retain(|path| path.first().is_none_or(|name| name != "tiers"));
        }
        let Some(target) = self.with(&needed) else {
            return needed;
        };
        for path in needed.clone() {
            needed = self.without(&[&path], &target, &needed).unwrap_or(needed);
        }
        while let Some(fewer) = self.without_a_pair(&target, &needed) {
            needed = fewer;
        }
        needed
    }

    /// Leaves out two settings of `tokens` that mean nothing together: `cached`, and the weight that it
    /// stands for. No other section has such a pair, and each try parses the config.
    fn without_a_pair(&self, target: &Meaning, needed: &[SettingPath]) -> Option<Vec<SettingPath>> {
        let is_of_tokens = |path: &&SettingPath| path.first().is_some_and(|name| name == "tokens");
        let of_tokens = || needed.iter().filter(is_of_tokens);
        let mut pairs = of_tokens().enumerate().flat_map(|(i, one)| {
            let others = of_tokens().skip(i.saturating_add(1));
            others.map(move |other| [one, other])
        });
        pairs.find_map(|pair| self.without(&pair, target, needed))
    }

    /// Leaves settings out; `None` where the others do not reach the target.
    fn without(
        &self,
        left_out: &[&SettingPath],
        target: &Meaning,
        needed: &[SettingPath],
    ) -> Option<Vec<SettingPath>> {
        let rest = needed.iter().filter(|path| !left_out.contains(path));
        let rest: Vec<SettingPath> = rest.cloned().collect();
        (self.with(&rest).as_ref() == Some(target)).then_some(rest)
    }

    /// Returns the meaning of the old config with the new values of these settings.
    fn with(&self, paths: &[SettingPath]) -> Option<Meaning> {
        let mut config = self.old.clone();
        if self.tiers_are_shown {
            set(&mut config, &["tiers".to_owned()], self.new.get("tiers"));
        }
        for path in paths {
            set(&mut config, path, at(self.new, path));
        }
        config::parse(config.to_string().as_bytes())
            .ok()
            .map(Meaning::of)
    }
}

/// The filter's behaviour by a config.
#[derive(PartialEq)]
struct Meaning {
    /// The config without its text, and with the usual capacity where it has none. Another line of the
    /// diff shows a bare config.
    config: Config,
    /// The name of the zone of days in a fleet: the store's meters have it in their names, and two names
    /// of one zone are equal.
    zone: Option<String>,
}

impl Meaning {
    fn of(config: Config) -> Self {
        let usual = |accounts: Option<u32>| accounts.or(Some(USUAL_ACCOUNTS));
        let zone = match (&config.fleet, config.windows.day) {
            (Some(_), DayRule::Calendar { zone }) => Some(zone.to_string()),
            _ => None,
        };
        let config = Config {
            digest: String::new(),
            shareable: String::new(),
            is_bare: false,
            accounts: usual(config.accounts),
            directory_accounts: usual(config.directory_accounts),
            ..config
        };
        Self { config, zone }
    }
}

/// Returns the value at a path.
pub fn at<'a>(config: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(config, |value, name| value.get(name))
}

/// Writes a value at a path, or takes it off.
fn set(config: &mut Value, path: &[String], value: Option<&Value>) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    if !config.is_object() {
        *config = Value::Object(Map::new());
    }
    let Some(members) = config.as_object_mut() else {
        return;
    };
    match (rest, value) {
        ([], Some(value)) => {
            members.insert(name.clone(), value.clone());
        }
        ([], None) => {
            members.remove(name);
        }
        _ => set(members.entry(name).or_insert(Value::Null), rest, value),
    }
}

/// Lists the settings that differ as they are written.
fn differing(
    path: &[String],
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Vec<SettingPath>,
) {
    if old == new {
        return;
    }
    let joined = path.join(".");
    let is_section = path.is_empty() || SECTIONS.contains(&joined.as_str());
    let empty = Map::new();
    let of_none = is_section.then_some(&empty);
    let members = (members(old, of_none), members(new, of_none));
    let (Some(olds), Some(news)) = members else {
        return found.push(path.to_vec());
    };
    if WHOLE.contains(&joined.as_str()) {
        return found.push(path.to_vec());
    }
    let names: BTreeSet<&String> = olds.keys().chain(news.keys()).collect();
    for name in names {
        let mut path = path.to_vec();
        path.push(name.clone());
        differing(&path, olds.get(name), news.get(name), found);
    }
}

fn members<'a>(
    value: Option<&'a Value>,
    of_none: Option<&'a Map<String, Value>>,
) -> Option<&'a Map<String, Value>> {
    match value {
        None | Some(Value::Null) => of_none,
        Some(value) => value.as_object(),
    }
}
