//! The fate of counters when a setting changes. The facts are the tests of `tests/core`.

use serde::Deserialize as _;
use serde_json::Value;
use std::cmp::Ordering;
use tiergate::json::values::Count;
use tiergate::ledger::{USUAL_ACCOUNTS, pages_for};

/// The names of fields that hold secrets.
const SECRETS: [&str; 4] = ["token", "token_sha256", "sha256", "key"];

/// True for a field that is a secret.
pub fn is_secret(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path);
    SECRETS.contains(&name)
}

/// Returns what a change of a setting does to counters; `None` where it leaves them alone. A config
/// `in_fleet` has a fleet before and after the change.
pub fn of_setting(path: &str, old: &Value, new: &Value, in_fleet: bool) -> Option<&'static str> {
    let part = path.split(['.', '[']).next().unwrap_or(path);
    match (part, path) {
        ("windows", _) if in_fleet => of_window_in_fleet(path, old, new),
        ("fleet", _) => of_fleet(path, old, new),
        ("namespace", _) => Some(
            "all begins anew under the new prefix: counters, leases, directory, lowered limits",
        ),
        (_, "windows.day") => Some(match (kind_of_day(old), kind_of_day(new)) {
            (DayKind::Calendar, DayKind::Calendar) => {
                "what is counted of the present day, week and month counts on, to their end in the new \
                 zone"
            }
            (DayKind::Rolling, DayKind::Rolling) => "what is counted stays",
            _ => "days, weeks and months begin anew",
        }),
        ("windows", _) => Some("what is counted stays, and counts for the new length"),
        ("models", _) => Some(
            "a family's counters have its name: a new name begins at zero, another pattern, weight or \
             price counts from now on",
        ),
        ("model", _) | ("unknown_model", _) => {
            Some("requests count on other families from now on; what is counted stays")
        }
        ("account", _) => Some("an account that gets another id by this begins anew"),
        ("tier", _) | ("unknown_tier", _) | ("not_ready", _) => {
            Some("an account in another tier keeps its counters")
        }
        ("mode", _) => Some("counters stay"),
        (_, "tokens.weights" | "tokens.cached") => {
            Some("what is counted stays; new requests count by the new weights")
        }
        ("routes", _) => Some("requests count by the new rules from now on; what is counted stays"),
        (_, "capacity.accounts") => Some(of_accounts(pages(old), pages(new))),
        (_, "capacity.directory") => Some("the directory keeps its size until Envoy restarts"),
        _ => None,
    }
}

/// Returns the effect of another window in a fleet: the store's meters have the length and the zone
/// in their names.
fn of_window_in_fleet(path: &str, old: &Value, new: &Value) -> Option<&'static str> {
    let days = (kind_of_day(old), kind_of_day(new));
    Some(match path {
        "windows.day" if days.0 != days.1 => {
            "days, weeks and months begin anew at the store and on each edge"
        }
        "windows.day" => {
            "what an edge has counted stays; days, weeks and months begin anew at the store"
        }
        _ => "what an edge has counted stays; counters of the new length begin anew at the store",
    })
}

/// Returns the effect of a change of the fleet, see docs/fleet.md.
fn of_fleet(path: &str, old: &Value, new: &Value) -> Option<&'static str> {
    match path {
        "fleet" if old.is_null() => Some(
            "what an edge has counted stays; the store grants from its own counters, at first zero",
        ),
        "fleet" if new.is_null() => Some(
            "what an edge has counted stays, and limits that edge; the store's counters limit no more",
        ),
        "fleet.key" => Some(
            "the store knows accounts by other names: the store's counters begin anew; what an edge has \
             counted stays",
        ),
        "fleet.cluster" | "fleet.authority" => Some(
            "a service with the same Redis keeps counters; one with another store has counters of its \
             own",
        ),
        "fleet.edges" => Some(
            "counters stay; `share` divides limits by the new least number while the service is away",
        ),
        "fleet.on_failure" => Some("counters stay; the new rule holds while the service is away"),
        "fleet.after_loss" => Some("counters stay; the new rule holds after Redis has lost writes"),
        "fleet.cut_off" => Some(
            "counters stay; the new rule holds for requests in flight on an edge that is cut off",
        ),
        _ => None,
    }
}

/// Returns the pages of a ledger for a number of accounts; `None` without one.
fn pages(accounts: &Value) -> Option<u32> {
    // The parser takes 2000.0 as well as 2000.
    let Count(accounts) = Count::deserialize(accounts).ok()?;
    u32::try_from(accounts).ok().map(pages_for)
}

/// Returns the effect of other pages of the ledger. Without a number, it keeps those that it has.
fn of_accounts(old: Option<u32>, new: Option<u32>) -> &'static str {
    let compared = |new: u32| new.cmp(&old.unwrap_or(pages_for(USUAL_ACCOUNTS)));
    match (old, new.map(compared)) {
        (_, None) => "the ledger keeps its size, and counters stay; a new process has 65,536",
        (Some(_), Some(Ordering::Greater)) => "the ledger grows, and counters stay",
        (Some(_), Some(Ordering::Equal)) => "the ledger keeps its size, and counters stay",
        (Some(_), Some(Ordering::Less)) => {
            "a process refuses this config, unless it had the size before; then counters stay"
        }
        (None, Some(Ordering::Greater)) => {
            "a ledger of 65,536 accounts, as a new process has it, grows, and counters stay; a larger one \
             refuses this config, unless the process had the size before"
        }
        (None, Some(Ordering::Equal)) => {
            "a ledger of 65,536 accounts, as a new process has it, keeps its size, and counters stay; a larger \
             one refuses this config, unless the process had the size before"
        }
        (None, Some(Ordering::Less)) => {
            "a ledger of 65,536 accounts, as a new process has it, refuses this config, unless the process had \
             the size before"
        }
    }
}

#[derive(PartialEq, Eq)]
enum DayKind {
    Calendar,
    Rolling,
}

fn kind_of_day(day: &Value) -> DayKind {
    match day.get("rolling").is_some_and(|rolling| !rolling.is_null()) {
        true => DayKind::Rolling,
        false => DayKind::Calendar,
    }
}
