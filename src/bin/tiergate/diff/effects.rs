//! What becomes of counters when a setting changes. The facts are the tests of `tests/core`.

use serde_json::Value;

/// The names of fields that hold secrets.
const SECRETS: [&str; 4] = ["token", "token_sha256", "sha256", "key"];

/// True for a field that is a secret.
pub fn is_secret(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path);
    SECRETS.contains(&name)
}

/// Returns what a change of a setting does to counters; `None` where it leaves them alone.
pub fn of_setting(path: &str, old: &Value, new: &Value) -> Option<&'static str> {
    let part = path.split(['.', '[']).next().unwrap_or(path);
    match (part, path) {
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
        (_, "capacity.accounts") => Some(match (old.as_u64(), new.as_u64()) {
            (Some(old), Some(new)) if new < old => {
                "a process that has the larger ledger refuses this config"
            }
            _ => "the ledger grows, and counters stay",
        }),
        (_, "capacity.directory") => Some("the directory keeps its size until Envoy restarts"),
        _ => None,
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
