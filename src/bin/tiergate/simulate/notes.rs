//! The facts that a log cannot say, and what the replay did in their place.

use super::event::EventReader;
use super::tally::Tally;
use serde::Serialize;
use tiergate::config::Config;
use tiergate::identity::TierSource;
use tiergate::text::number;
use tiergate::tokens::config::{ReserveRule, Settle};

/// One thing that the log does not say.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The subject, in a word for machines.
    pub about: &'static str,
    /// The requests that it touches; `None` for all.
    pub requests: Option<u64>,
    /// The lacking fact, and what was done in its place.
    pub says: String,
}

/// Returns the notes on a run.
pub fn notes(config: &Config, tally: &Tally, reader: &EventReader) -> Vec<Note> {
    let mut notes = counted(tally, config);
    let mut all = |about, says: &str| {
        notes.push(Note {
            about,
            requests: None,
            says: says.to_owned(),
        });
    };
    all("start", "windows, days and months begin empty with the log");
    all(
        "retries",
        "clients that are refused try again, or not: the log has what they did then",
    );
    if config.tokens.settle == Settle::Usage {
        let says = "tokens of a stream beyond its reserve count at its end, and not while it runs";
        all("streams", says);
    }
    if config.tokens.reserve == ReserveRule::Adaptive {
        let says = "the maximum of completion tokens that a request asks for is not in the log: an \
            adaptive reserve follows the account's completions alone";
        all("adaptive_reserve", says);
    }
    if config.overload.is_some() {
        all(
            "overload",
            "limits lowered for load: the base limits were replayed",
        );
    }
    if config.fleet.is_some() {
        all(
            "fleet",
            "allowances of edges: the limits were replayed as those of one edge",
        );
    }
    if config.tier.contains(&TierSource::Directory) {
        let says =
            "own limits and their ends, in the directory: each account has its tier's limits";
        all("directory", says);
    }
    let asked = reader.asked();
    if !asked.is_empty() {
        let says = format!(
            "rules of the routes ask for {}, which the log does not have: they match no request",
            asked.join(", ")
        );
        all("routes", &says);
    }
    notes
}

/// Returns the notes on what some requests lack.
fn counted(tally: &Tally, config: &Config) -> Vec<Note> {
    let lacks = &tally.lacks;
    let model = match config.models.is_empty() {
        true => 0,
        false => lacks.model,
    };
    let all = [
        (
            "reserve",
            lacks.reserve,
            "have no reserved=: the config's assumption was reserved",
        ),
        ("usage", lacks.usage, "have no usage: their reserve stands"),
        (
            "duration",
            lacks.duration,
            "have no duration: they end at once",
        ),
        (
            "model",
            model,
            "have no model of a family: they count on the account's limits alone",
        ),
        (
            "refused_then",
            lacks.refused_then,
            "were refused then and are admitted now: the account's last admitted one stands in for their \
             tokens and their length",
        ),
    ];
    let crowded = "shared a record: there are more accounts than the replay has room for";
    let all = all.into_iter().chain([("crowded", tally.crowded, crowded)]);
    let some = all.filter(|(_, requests, _)| *requests > 0);
    some.map(|(about, requests, says)| Note {
        about,
        requests: Some(requests),
        says: format!("{} requests {says}", number(requests)),
    })
    .collect()
}
