//! Repairs of a wrong config, so that its next error shows.

use super::place::NodePlace;
use super::tree::{DocNode, DocValue, Member};
use tiergate::json::Invalid;

/// The maximum number of members or elements that are left out one by one.
const MOST_PARTS: usize = 40;
/// Lengths to which a list that is too long is cut.
const LENGTHS: [usize; 5] = [64, 32, 16, 8, 1];
/// Numbers that fit most fields; in between are recharges of tiers.
const NUMBERS: [&str; 30] = [
    "1", "2", "3", "4", "5", "0", "7", "10", "15", "20", "30", "50", "75", "100", "150", "200",
    "300", "500", "750", "1000", "2000", "3000", "5000", "10000", "50000", "0.5", "0.9", "0.1",
    "100000", "1000000",
];
/// Texts that fit most fields.
const TEXTS: [&str; 12] = [
    "unlimited",
    "1s",
    "5m",
    "1h",
    "24h",
    "/made",
    "/-/made",
    "x-made",
    "https://made.example",
    "made.example",
    "a-secret-that-was-made-up",
    "minute",
];
/// Objects and lists that fit some.
const PARTS: [&str; 11] = [
    "true",
    "false",
    "{}",
    "[]",
    "[0.8]",
    r#"[{"header":"x-made"}]"#,
    r#"[{"name":"made","limits":{"concurrency":1,"rpm":1,"tpm":1,"tpd":1}}]"#,
    r#"{"header":"x-made"}"#,
    r#"["x-made"]"#,
    r#"{"calendar":"+00:00"}"#,
    r#"{"concurrency":1,"rpm":1,"tpm":1,"tpd":1}"#,
];

/// A change of a config.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Leaves the value out.
    Remove,
    /// Gives the member another name.
    Rename(String),
    /// Leaves out a member or an element of the value.
    RemovePart(usize),
    /// Cuts the list.
    Truncate(usize),
    /// Puts another value in this one's place.
    Replace(DocValue),
    /// Adds a member.
    Insert(String, DocValue),
}

/// The result of a repair.
pub enum AfterRepair {
    /// The config has no further error.
    Sound,
    /// The config's next error.
    Error(Invalid),
}

/// The judge of a config.
pub trait Judge {
    /// Judges a config; `None` when it may not be asked any more.
    fn judge(&mut self, config: &DocNode) -> Option<AfterRepair>;
}

/// Repairs an error at a place: returns the repaired config and its next error. `None` when no
/// repair helps.
///
/// A repair must not make errors of its own. So most decide: of all that help, one that leaves
/// nothing wrong, or else one of those that show the same next error.
pub fn repair(
    judge: &mut impl Judge,
    config: &DocNode,
    error: &Invalid,
    fresh: usize,
) -> Option<(DocNode, Edit, NodePlace, AfterRepair)> {
    let mut place = NodePlace::find(config, &error.path);
    let mut fallback = None;
    loop {
        let edits = edits(config, &place, error, fresh);
        match best(judge, config, &place, edits, error) {
            Some((node, edit, next, Blame::Before | Blame::Operator)) => {
                return Some((node, edit, place, next));
            }
            Some((node, edit, next, Blame::Repair)) => {
                fallback = fallback.or_else(|| Some((node, edit, place.clone(), next)));
            }
            None => {}
        }
        match place.around() {
            Some((around, _)) => place = around,
            None => return fallback,
        }
    }
}

/// The number of repairs with the same next error that are enough.
const ENOUGH: usize = 6;

/// Whose error the next one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blame {
    /// That of the repair itself.
    Repair,
    /// That of a repair before it.
    Before,
    /// The operator's.
    Operator,
}

/// The repairs with the same next error.
struct Party {
    next: Invalid,
    blame: Blame,
    votes: usize,
    /// The first of them.
    repaired: (DocNode, Edit),
}

/// Tries edits, and returns the one that most agree with.
fn best(
    judge: &mut impl Judge,
    config: &DocNode,
    place: &NodePlace,
    edits: Vec<Edit>,
    error: &Invalid,
) -> Option<(DocNode, Edit, AfterRepair, Blame)> {
    let mut parties: Vec<Party> = Vec::new();
    for edit in edits {
        let Some(edited) = apply(config, place, &edit) else {
            continue;
        };
        let next = match judge.judge(&edited) {
            Some(AfterRepair::Sound) => {
                return Some((edited, edit, AfterRepair::Sound, Blame::Operator));
            }
            Some(AfterRepair::Error(next)) if next == *error => continue,
            Some(AfterRepair::Error(next)) => next,
            None => break,
        };
        match parties.iter_mut().find(|party| party.next == next) {
            Some(party) => {
                party.votes = party.votes.saturating_add(1);
                if party.blame == Blame::Operator && party.votes >= ENOUGH {
                    break;
                }
            }
            None => parties.push(Party {
                blame: blame(&edited, config, place, &edit, &next),
                next,
                votes: 1,
                repaired: (edited, edit),
            }),
        }
    }
    // The first of the largest.
    parties.reverse();
    let elected = parties
        .into_iter()
        .max_by_key(|party| (party.blame, party.votes))?;
    let (edited, edit) = elected.repaired;
    Some((
        edited,
        edit,
        AfterRepair::Error(elected.next),
        elected.blame,
    ))
}

/// Says whose the next error is.
fn blame(
    edited: &DocNode,
    config: &DocNode,
    place: &NodePlace,
    edit: &Edit,
    next: &Invalid,
) -> Blame {
    let removed = match edit {
        Edit::Remove => place.name(config).map(|(name, _)| name),
        Edit::RemovePart(index) => {
            let node = place.node(config);
            let member = node.and_then(|node| node.members().get(*index));
            member.map(|member| member.name.clone())
        }
        _ => None,
    };
    let at = NodePlace::find(edited, &next.path);
    let missing = missing_field(&next.problem).or_else(|| at.missing());
    let is_inside = at.steps.starts_with(&place.steps);
    match at.is_made(edited) {
        _ if missing.is_some() && missing == removed.as_deref() => Blame::Repair,
        true if is_inside => Blame::Repair,
        true => Blame::Before,
        // The wrong value was one of this one's parts, and what it became does not suit it.
        false if place.steps.starts_with(&at.steps) && missing.is_none() => Blame::Before,
        false => Blame::Operator,
    }
}

/// Lists the edits for an error at a place, the smallest first.
fn edits(config: &DocNode, place: &NodePlace, error: &Invalid, fresh: usize) -> Vec<Edit> {
    let Some(node) = place.node(config) else {
        return Vec::new();
    };
    let problem = &error.problem;
    let mut edits = Vec::new();
    if let Some(name) = missing_field(problem).or_else(|| place.missing()) {
        let values = values(problem, fresh).into_iter();
        edits.extend(values.map(|value| Edit::Insert(name.to_owned(), value)));
    }
    if let Some((_, near)) = problem.split_once("(did you mean `") {
        let near = near.split('`').next().unwrap_or_default();
        edits.push(Edit::Rename(near.to_owned()));
    }
    let parts = node.members().len().max(node.elements().len());
    // From the end: of two that stand for the same, the second goes.
    let parts = (0..parts).rev().take(MOST_PARTS);
    edits.extend(parts.map(Edit::RemovePart));
    let cuts = LENGTHS.into_iter().filter(|n| *n < node.elements().len());
    edits.extend(cuts.map(Edit::Truncate));
    if !place.steps.is_empty() {
        // Another value comes first: without one, the object may miss it.
        edits.extend(values(problem, fresh).into_iter().map(Edit::Replace));
        edits.push(Edit::Remove);
    }
    edits
}

/// Lists values that a field may have: the words of the message first.
fn values(problem: &str, fresh: usize) -> Vec<DocValue> {
    let mut values = vec![
        DocValue::Text(format!("made-{fresh}")),
        // Rising from one repair to the next, as the recharges of tiers do.
        DocValue::Number(fresh.to_string()),
    ];
    values.extend(NUMBERS.map(|n| DocValue::Number(n.to_owned())));
    let words = words(problem).into_iter().take(MOST_PARTS);
    values.extend(words.map(|word| DocValue::Text(word.to_owned())));
    values.extend(TEXTS.map(|text| DocValue::Text(text.to_owned())));
    values.push(DocValue::Text(format!("{fresh:064x}")));
    let parts = PARTS
        .into_iter()
        .filter_map(|part| super::json_text::read(part).ok());
    values.extend(parts.map(|node| node.value));
    values
}

/// Returns the words of a message that may be allowed values: in quotes, or in its list.
fn words(problem: &str) -> Vec<&str> {
    let (said, allowed) = problem.rsplit_once(", expected ").unwrap_or(("", problem));
    let mut words: Vec<&str> = Vec::new();
    for quote in ['`', '"'] {
        words.extend(allowed.split(quote).skip(1).step_by(2));
    }
    if said.is_empty() {
        let list = allowed.rsplit_once(": ").map_or("", |(_, list)| list);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        words.extend(list.split(|c| !is_word(c)).filter(|word| !word.is_empty()));
    }
    words
}

/// Returns the name in a message of a field that is missing.
pub fn missing_field(problem: &str) -> Option<&str> {
    let rest = problem.strip_prefix("missing field `")?;
    rest.split_once('`').map(|(name, _)| name)
}

/// Returns the config with an edit; `None` where it does not fit.
fn apply(config: &DocNode, place: &NodePlace, edit: &Edit) -> Option<DocNode> {
    let mut config = config.clone();
    match edit {
        Edit::Remove => {
            let (around, index) = place.around()?;
            remove(around.node_mut(&mut config)?, index)?;
        }
        Edit::Rename(name) => {
            let (around, index) = place.around()?;
            let DocValue::Map(members) = &mut around.node_mut(&mut config)?.value else {
                return None;
            };
            name.clone_into(&mut members.get_mut(index)?.name);
        }
        Edit::RemovePart(index) => remove(place.node_mut(&mut config)?, *index)?,
        Edit::Truncate(length) => match &mut place.node_mut(&mut config)?.value {
            DocValue::List(elements) => elements.truncate(*length),
            _ => return None,
        },
        Edit::Replace(value) => {
            let node = place.node_mut(&mut config)?;
            node.value = value.clone();
            node.is_made = true;
        }
        Edit::Insert(name, value) => {
            let node = place.node_mut(&mut config)?;
            let DocValue::Map(members) = &mut node.value else {
                return None;
            };
            let mut made = DocNode::new(node.at.clone(), value.clone());
            made.is_made = true;
            members.push(Member {
                name: name.clone(),
                name_at: node.at.clone(),
                value: made,
            });
        }
    }
    Some(config)
}

fn remove(node: &mut DocNode, index: usize) -> Option<()> {
    match &mut node.value {
        DocValue::List(elements) if index < elements.len() => drop(elements.remove(index)),
        DocValue::Map(members) if index < members.len() => drop(members.remove(index)),
        _ => return None,
    }
    Some(())
}
