//! All errors of a config, by the filter's own parser: each is repaired, so that the next one shows.

use super::json_text::without_place;
use super::place::NodePlace;
use super::repair::{AfterRepair, Edit, Judge, missing_field, repair};
use super::tree::{Bytes, DocNode, DocValue, Member};
use std::collections::BTreeSet;
use tiergate::config::{self, Config};
use tiergate::json::Invalid;

/// The maximum number of errors that are listed.
const MOST_ERRORS: usize = 100;
/// The maximum number of bytes that the parser reads for one config, in all.
const MOST_WORK: usize = 64 * 1024 * 1024;

/// An error of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub at: Bytes,
    /// The JSON path.
    pub path: String,
    /// The problem.
    pub problem: String,
    /// The allowed values.
    pub allowed: Option<String>,
    /// The remedy.
    pub remedy: Option<String>,
}

/// A config that was judged.
pub struct Judged {
    /// The errors, in the order of the file.
    pub errors: Vec<ConfigError>,
    /// False when errors may hide behind others.
    pub is_whole: bool,
    /// The config, where it has no error.
    pub config: Option<Config>,
}

/// The filter's parser, with a bound for its work.
struct Parser {
    work: usize,
}

impl Parser {
    fn parse(&mut self, json: &str) -> Option<Result<Config, Invalid>> {
        self.work = self.work.checked_sub(json.len())?;
        let parsed = config::parse(json.as_bytes());
        Some(parsed.map_err(|invalid| {
            let problem = without_place(&invalid.problem).to_owned();
            Invalid::new(invalid.path, problem)
        }))
    }
}

impl Judge for Parser {
    fn judge(&mut self, config: &DocNode) -> Option<AfterRepair> {
        self.parse(&config.json()).map(|parsed| match parsed {
            Ok(_) => AfterRepair::Sound,
            Err(invalid) => AfterRepair::Error(invalid),
        })
    }
}

/// Judges a config.
pub fn judge(config: &DocNode) -> Judged {
    let mut work = config.clone();
    work.name_paths("");
    let doubles = leave_out_doubles(&mut work);
    let mut parser = Parser { work: MOST_WORK };
    let mut judged = Judged {
        errors: doubles,
        is_whole: true,
        config: None,
    };
    let mut next = match parser.parse(&work.json()) {
        Some(Ok(config)) => {
            judged.config = judged.errors.is_empty().then_some(config);
            return judged;
        }
        Some(Err(invalid)) => invalid,
        None => Invalid::new("$", "the config is too long to be checked"),
    };
    let mut changes = Changes::default();
    let mut seen: Vec<Invalid> = Vec::new();
    for fresh in 1..=MOST_ERRORS.saturating_mul(2) {
        // A repair that brings an error back leads nowhere.
        if seen.contains(&next) {
            judged.is_whole = false;
            break;
        }
        seen.push(next.clone());
        if !changes.explain(&work, &next) {
            let error = describe(&work, &next);
            if !judged.errors.contains(&error) {
                judged.errors.push(error);
            }
        }
        let Some((repaired, edit, place, after)) = repair(&mut parser, &work, &next, fresh) else {
            judged.is_whole = false;
            break;
        };
        changes.add(&work, &place, &edit, &next);
        work = repaired;
        match after {
            AfterRepair::Sound => break,
            AfterRepair::Error(_) if judged.errors.len() >= MOST_ERRORS => {
                judged.is_whole = false;
                break;
            }
            AfterRepair::Error(invalid) => next = invalid,
        }
    }
    judged.errors.sort_by_key(|error| error.at.start);
    judged
}

/// The changes by repairs, which can make errors that are not the operator's.
#[derive(Default)]
struct Changes {
    /// Members that were left out: the path of the object, and the name.
    removed: Vec<(String, String)>,
    /// Lists and objects that have lost a part which belonged to them.
    emptied: Vec<String>,
    /// Names of tiers and families that were replaced, and that others refer to.
    replaced: Vec<String>,
}

impl Changes {
    fn add(&mut self, config: &DocNode, place: &NodePlace, edit: &Edit, error: &Invalid) {
        let Some(node) = place.node(config) else {
            return;
        };
        let gone = match edit {
            Edit::Remove => place
                .around()
                .and_then(|(around, index)| Some((around.node(config)?, index))),
            Edit::RemovePart(index) => Some((node, *index)),
            Edit::Truncate(_) | Edit::Rename(_) | Edit::Replace(_) | Edit::Insert(..) => None,
        };
        if let Some((around, index)) = gone {
            if let Some(member) = around.members().get(index) {
                let name = member.name.clone();
                self.removed.push((around.path.clone(), name));
            }
            if !error.problem.starts_with("unknown field") {
                self.emptied.push(around.path.clone());
                let is_last = around.members().len().max(around.elements().len()) == 1;
                let outer = around.path.rsplit_once('.').filter(|_| is_last);
                self.emptied
                    .extend(outer.map(|(outer, _)| outer.to_owned()));
            }
        }
        let is_name = node.path.ends_with("].name");
        if let (Edit::Replace(_), true, Some(text)) = (edit, is_name, node.text()) {
            self.replaced.push(text.to_owned());
        }
    }

    /// True when a repair may have made an error.
    fn explain(&self, config: &DocNode, error: &Invalid) -> bool {
        let place = NodePlace::find(config, &error.path);
        let Some(node) = place.node(config) else {
            return false;
        };
        let missing = missing_field(&error.problem).or_else(|| place.missing());
        let is_removed = missing.is_some_and(|name| {
            let mut removed = self.removed.iter();
            removed.any(|(path, removed)| *path == node.path && removed == name)
        });
        let is_emptied = missing.is_none() && self.emptied.contains(&node.path);
        let name = place.name(config).map(|(name, _)| name);
        let mut names = node.text().into_iter().chain(name.as_deref());
        let refers = ["tier", "famil"]
            .iter()
            .any(|to| error.problem.contains(to));
        let is_replaced = refers && names.any(|name| self.replaced.iter().any(|text| text == name));
        is_removed
            || is_emptied
            || is_replaced
            || place.is_made(config)
            || follows_made(config, &place, error)
    }
}

/// True for a tier that does not ascend from one whose recharge a repair has made.
fn follows_made(config: &DocNode, place: &NodePlace, error: &Invalid) -> bool {
    let mut before = place.clone();
    let Some(tier) = before.steps.get_mut(1) else {
        return false;
    };
    let Some(less) = tier.checked_sub(1) else {
        return false;
    };
    *tier = less;
    before.steps.truncate(2);
    let recharge = before.node(config).and_then(|tier| tier.get("recharge"));
    error.problem.contains("of the tier before") && recharge.is_none_or(|made| made.is_made)
}

/// Puts an error into the operator's terms and places.
fn describe(config: &DocNode, error: &Invalid) -> ConfigError {
    let place = NodePlace::find(config, &error.path);
    let node = place.node(config).unwrap_or(config);
    let dot = match (node.path.as_str(), place.rest.as_str()) {
        ("", _) | (_, "") => "",
        _ => ".",
    };
    let path = format!("{}{dot}{}", node.path, place.rest);
    let (problem, allowed, remedy) = in_parts(&error.problem, node);
    ConfigError {
        at: place_of(config, &place, node, &problem),
        path: if path.is_empty() {
            "$".to_owned()
        } else {
            path
        },
        problem,
        allowed,
        remedy,
    }
}

/// Returns the bytes to point at: a scalar, or the name of what is wrong in whole.
fn place_of(config: &DocNode, place: &NodePlace, node: &DocNode, problem: &str) -> Bytes {
    let is_whole = !node.members().is_empty() || !node.elements().is_empty();
    let is_name = ["unknown field", "unknown limit"]
        .iter()
        .any(|begin| problem.starts_with(begin));
    match place.name(config) {
        Some((_, at)) if is_whole || is_name => at,
        _ => node.at.clone(),
    }
}

/// Takes each member out of a config whose name stood before it in the object, as an error: the parser
/// refuses that in objects with fields and in those with names.
fn leave_out_doubles(node: &mut DocNode) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    match &mut node.value {
        DocValue::List(elements) => {
            for element in elements {
                errors.extend(leave_out_doubles(element));
            }
        }
        DocValue::Map(members) => {
            let mut seen = BTreeSet::new();
            members.retain(|member| {
                let is_new = seen.insert(member.name.clone());
                if !is_new {
                    errors.push(double(member));
                }
                is_new
            });
            for member in members {
                errors.extend(leave_out_doubles(&mut member.value));
            }
        }
        _ => {}
    }
    errors
}

fn double(member: &Member) -> ConfigError {
    ConfigError {
        at: member.name_at.clone(),
        path: member.value.path.clone(),
        problem: format!("duplicate field `{}`", member.name),
        allowed: None,
        remedy: Some("leave one of both out".to_owned()),
    }
}

/// Cuts a message into the problem, the allowed values, and what to do.
fn in_parts(message: &str, node: &DocNode) -> (String, Option<String>, Option<String>) {
    if let Some(name) = missing_field(message) {
        let hint = message
            .split_once("`: ")
            .map(|(_, hint)| format!(": {hint}"));
        let remedy = format!("add `{name}`{}", hint.unwrap_or_default());
        return (format!("missing field `{name}`"), None, Some(remedy));
    }
    if message == "expected value" {
        // serde's words for a value of another type, where a word is expected.
        let problem = format!("{} is of the wrong type", shortened(&node.json()));
        return (problem, Some("a text, in quotes".to_owned()), None);
    }
    if is_expectation(message) {
        let problem = format!("{} is not allowed", shortened(&node.json()));
        return (problem, Some(message.to_owned()), None);
    }
    let (problem, allowed) = match message.rsplit_once(", expected ") {
        Some((problem, allowed)) => (problem, Some(allowed.to_owned())),
        None => match message.rsplit_once(": ") {
            Some((problem, range)) => match range.strip_suffix(" is allowed") {
                Some(range) => (problem, Some(range.to_owned())),
                None => (message, None),
            },
            None => (message, None),
        },
    };
    let (problem, near) = match problem.split_once(" (did you mean ") {
        Some((problem, near)) => (problem, near.strip_suffix("?)")),
        None => (problem, None),
    };
    let remedy = near.map(|near| format!("did you mean {near}?"));
    let allowed = allowed.map(|allowed| match allowed.as_str() {
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        "a string" => "a text, in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "f64" => "a number".to_owned(),
        _ => allowed,
    });
    let problem = match problem {
        "invalid type: sequence" => "invalid type: a list",
        "invalid type: map" => "invalid type: an object",
        problem => problem,
    };
    (problem.to_owned(), allowed, remedy)
}

/// True for a message that says what is allowed, and nothing else.
fn is_expectation(message: &str) -> bool {
    let is_list = message.contains("a list of ") && !message.contains(": ");
    is_list && !message.starts_with("invalid")
}

/// The longest value in a message, in characters.
const LONGEST_VALUE: usize = 60;

fn shortened(json: &str) -> String {
    match json.char_indices().nth(LONGEST_VALUE) {
        Some((byte, _)) => format!("{}…", json.get(..byte).unwrap_or_default()),
        None => json.to_owned(),
    }
}
