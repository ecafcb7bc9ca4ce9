//! Routes in the config.

use super::{Applies, Charge, LimitList, Match, NamedLimits, RouteRule, Routes, TokenCharge};
use crate::http::names::{is_visible_ascii, request_header};
use crate::http::path::has_one_reading;
use crate::json::values::Count;
use crate::json::{Invalid, Object, in_range};
use crate::limits::LimitKind;
use crate::order::in_order;
use crate::tiers::{Tier, TierTable};
use serde::Deserialize;

/// The maximum number of rules.
pub const MOST_RULES: usize = 64;
/// The longest text in a match, in bytes.
const LONGEST: usize = 256;
/// The largest number of requests that one counts as.
const HIGHEST_COST: u64 = 1_000;

/// A rule as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// The fields that must all hold.
    r#match: Object<MatchConfig>,
    /// The limits that count: `none` for a request that passes uncounted, or names.
    limits: Option<LimitsConfig>,
    /// `none` for a request that reserves and costs no tokens.
    tokens: Option<NoTokens>,
    /// The number of requests that one counts as.
    #[cfg_attr(feature = "cli", schemars(range(min = 0, max = HIGHEST_COST)))]
    cost: Option<Count>,
}

/// The fields that a rule matches, as written in the config.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct MatchConfig {
    /// The whole path, without the query.
    path: Option<String>,
    /// The beginning of the path.
    path_prefix: Option<String>,
    /// The end of the path.
    path_suffix: Option<String>,
    /// The method, in capitals.
    method: Option<String>,
    /// A request header.
    header: Option<Object<HeaderConfig>>,
    /// The name of the Envoy route.
    route_name: Option<String>,
}

/// A header that a rule matches.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct HeaderConfig {
    /// The name of the header.
    name: String,
    /// The value; any without it.
    value: Option<String>,
}

/// The limits that count: none, or those of a list.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "\"none\", or a list of names of limits")]
enum LimitsConfig {
    None(NoLimits),
    Names(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum NoLimits {
    /// The request passes without an account.
    None,
}

/// The only rule for tokens that a route can have.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum NoTokens {
    /// The request reserves and costs no tokens.
    None,
}

/// Checks the rules; the names of limits are those of `tiers` and the known ones.
///
/// # Errors
/// [`Invalid`] for the first invalid rule, one that contradicts itself, or one that can never match.
pub fn routes(
    written: Option<Vec<Object<RouteConfig>>>,
    tiers: &TierTable,
) -> Result<Routes, Invalid> {
    let written = written.unwrap_or_default();
    if written.len() > MOST_RULES {
        let problem = format!("{} rules: at most {MOST_RULES} are allowed", written.len());
        return Err(Invalid::new("routes", problem));
    }
    let mut routes = Routes::default();
    for (i, Object(rule)) in written.into_iter().enumerate() {
        let path = format!("routes[{i}]");
        let rule = RouteRule {
            applies: applies(&path, &rule, tiers, &mut routes)?,
            matches: matches(&format!("{path}.match"), rule.r#match.0)?,
        };
        can_match(&path, &rule, &routes.rules)?;
        routes.rules.push(rule);
    }
    Ok(routes)
}

/// Checks what a rule says of the requests that it matches.
fn applies(
    path: &str,
    written: &RouteConfig,
    tiers: &TierTable,
    routes: &mut Routes,
) -> Result<Applies, Invalid> {
    let says_more = written.tokens.is_some() || written.cost.is_some();
    let limits = match &written.limits {
        Some(LimitsConfig::None(NoLimits::None)) if says_more => {
            let problem = "with \"limits\": \"none\" nothing counts: leave tokens and cost out";
            return Err(Invalid::new(path, problem));
        }
        Some(LimitsConfig::None(NoLimits::None)) => return Ok(Applies::Not),
        Some(LimitsConfig::Names(names)) => Some(list(
            &format!("{path}.limits"),
            names,
            tiers,
            &mut routes.lists,
        )?),
        None => None,
    };
    let cost = written.cost.map_or(1, |Count(cost)| cost);
    let tokens = match written.tokens {
        None => TokenCharge::Generated,
        Some(NoTokens::None) if routes.list(limits).is_some_and(|list| list.consumed) => {
            let problem =
                "\"none\" contradicts the limits of this rule: they name one on tokens or money";
            return Err(Invalid::new(format!("{path}.tokens"), problem));
        }
        Some(NoTokens::None) => TokenCharge::None,
    };
    Ok(Applies::As(Charge {
        limits,
        tokens,
        requests: in_range(&format!("{path}.cost"), cost, 0..=HIGHEST_COST)?,
    }))
}

/// Checks a list of limits and returns its position; equal lists are one.
fn list(
    path: &str,
    names: &[String],
    tiers: &TierTable,
    lists: &mut Vec<NamedLimits>,
) -> Result<LimitList, Invalid> {
    if names.is_empty() {
        return Err(Invalid::new(
            path,
            "no limit: write \"none\" for a request that passes uncounted",
        ));
    }
    let mut list = NamedLimits {
        names: Vec::new(),
        consumed: false,
    };
    for (i, name) in names.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let kinds: Vec<LimitKind> = kinds_of(name, tiers);
        if kinds.is_empty() {
            let problem = format!(
                "{name:?} is no limit: {} are allowed",
                all_names(tiers).join(", ")
            );
            return Err(Invalid::new(path, problem));
        }
        if list.names.contains(name) {
            return Err(Invalid::new(path, "named twice"));
        }
        list.consumed |= kinds.into_iter().any(LimitKind::is_consumed);
        list.names.push(name.clone());
    }
    if !list.names.iter().any(|name| is_limited(name, tiers)) {
        let problem = format!(
            "counts nothing: no tier and no family limits {}. Name one that they limit, or give one of \
             these to a tier; own limits of accounts alone are not enough. \"none\" lets requests pass \
             uncounted",
            list.names.join(", ")
        );
        return Err(Invalid::new(path, problem));
    }
    list.names = in_order(list.names, String::clone);
    let at = match lists.iter().position(|other| *other == list) {
        Some(at) => at,
        None => {
            lists.push(list);
            lists.len().saturating_sub(1)
        }
    };
    Ok(LimitList(u8::try_from(at).unwrap_or(u8::MAX)))
}

/// Returns the limits of that name: the known one, and those of the tiers.
fn kinds_of(name: &str, tiers: &TierTable) -> Vec<LimitKind> {
    let known = LimitKind::known(name);
    known
        .into_iter()
        .chain(kinds(tiers).filter(|kind| kind.as_str() == name))
        .collect()
}

fn kinds(tiers: &TierTable) -> impl Iterator<Item = LimitKind> {
    let all = tiers.iter().flat_map(|tier| [&tier.limits, &tier.models]);
    all.flat_map(|limits| limits.iter().map(|(kind, _)| kind))
}

/// True when a tier, or a family in one, has a finite limit of that name.
fn is_limited(name: &str, tiers: &TierTable) -> bool {
    let mut all = tiers.iter().map(Tier::all_limits);
    all.any(|limits| limits.finite().any(|(kind, _)| kind.as_str() == name))
}

fn all_names(tiers: &TierTable) -> Vec<&'static str> {
    let mut names: Vec<_> = LimitKind::known_names()
        .chain(kinds(tiers).map(LimitKind::as_str))
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    names
}

/// Checks the fields of a match.
fn matches(path: &str, written: MatchConfig) -> Result<Match, Invalid> {
    let at = |field: &str| format!("{path}.{field}");
    let text = |field: &str, text: Option<String>, fits: fn(&str) -> bool, example: &str| {
        let Some(text) = text else { return Ok(None) };
        if (1..=LONGEST).contains(&text.len()) && fits(&text) {
            return Ok(Some(text));
        }
        let problem = format!("{text:?} is no {field} such as {example:?}");
        Err(Invalid::new(at(field), problem))
    };
    let matches = Match {
        path: text("path", written.path, is_path_text, "/healthz")?,
        path_prefix: text(
            "path_prefix",
            written.path_prefix,
            is_path_text,
            "/v1/files/",
        )?,
        path_suffix: text(
            "path_suffix",
            written.path_suffix,
            is_path_part,
            ":countTokens",
        )?,
        method: text("method", written.method, is_method, "GET")?,
        header: written
            .header
            .map(|Object(one)| header(&at("header"), one))
            .transpose()?,
        route_name: text(
            "route_name",
            written.route_name,
            |text| !text.contains('\0'),
            "files",
        )?,
    };
    if matches == Match::default() {
        let problem = "no field: name at least one; {\"path_prefix\": \"/\"} matches every path";
        return Err(Invalid::new(path, problem));
    }
    Ok(matches)
}

fn header(path: &str, written: HeaderConfig) -> Result<(String, Option<String>), Invalid> {
    let name = request_header(&format!("{path}.name"), &written.name)?;
    if let Some(problem) = written.value.as_deref().and_then(no_value) {
        return Err(Invalid::new(format!("{path}.value"), problem));
    }
    Ok((name, written.value))
}

/// Returns why a text can't be the value of a header (RFC 9110, 5.5); `None` for one that can.
fn no_value(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return Some(format!("longer than {LONGEST} bytes"));
    }
    let blank = [' ', '\t'];
    if text.starts_with(blank) || text.ends_with(blank) {
        return Some(format!(
            "{text:?} can never match: a value comes without the spaces around it, so leave them out"
        ));
    }
    let is_control = |c: char| c.is_ascii_control() && c != '\t';
    text.contains(is_control).then(|| {
        format!("{text:?} can never match: no value has a line end or another control character")
    })
}

fn is_path_part(text: &str) -> bool {
    is_visible_ascii(text) && !text.contains(['?', '#'])
}

fn is_path_text(text: &str) -> bool {
    text.starts_with('/') && is_path_part(text)
}

/// Methods have a case, and none in use has a lower one (RFC 9110, 9.1).
fn is_method(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
}

/// Checks that some request reaches the rule behind those before it.
fn can_match(path: &str, rule: &RouteRule, before: &[RouteRule]) -> Result<(), Invalid> {
    let never = |problem: String| Err(Invalid::new(path, format!("can never match: {problem}")));
    let matches = &rule.matches;
    if let Some(exact) = &matches.path {
        let (start, end) = (
            matches.path_prefix.as_deref(),
            matches.path_suffix.as_deref(),
        );
        if !start.is_none_or(|start| exact.starts_with(start)) {
            return never("path does not begin with path_prefix".to_owned());
        }
        if !end.is_none_or(|end| exact.ends_with(end)) {
            return never("path does not end with path_suffix".to_owned());
        }
    }
    if let Some(text) = odd(matches).filter(|_| rule.applies.exempts()) {
        return never(format!(
            "upstreams read {text:?} in different ways, and no rule that exempts matches such a path"
        ));
    }
    match before.iter().position(|other| other.takes_all_of(rule)) {
        Some(at) => never(format!(
            "routes[{at}] takes all its requests: put this rule before it"
        )),
        None => Ok(()),
    }
}

/// Returns a text of a match that no path with one reading has, whatever stands before or behind it.
fn odd(matches: &Match) -> Option<&str> {
    let around = |text: &Option<String>, before: &str, behind: &str| {
        let path = format!("{before}{}{behind}", text.as_deref().unwrap_or_default());
        !has_one_reading(path.as_bytes())
    };
    let path = Some(&matches.path).filter(|text| around(text, "", ""));
    // A letter makes a name of a last dot: "/." begins "/.well-known". An escape may be cut.
    let prefix = || {
        let odd = |behind: &str| around(&matches.path_prefix, "", behind);
        Some(&matches.path_prefix).filter(|_| ["", "x", "20", "0"].into_iter().all(odd))
    };
    let suffix = || {
        let odd = |before: &str| around(&matches.path_suffix, before, "");
        Some(&matches.path_suffix).filter(|_| ["", "x", "%", "%2"].into_iter().all(odd))
    };
    path.or_else(prefix).or_else(suffix)?.as_deref()
}

impl RouteRule {
    /// True when every request that `later` matches comes to this rule first.
    fn takes_all_of(&self, later: &Self) -> bool {
        let (own, other) = (&self.matches, &later.matches);
        let both = [&other.path, &other.path_prefix];
        let starts = |wanted: &str| {
            both.iter()
                .any(|text| text.as_ref().is_some_and(|t| t.starts_with(wanted)))
        };
        let both = [&other.path, &other.path_suffix];
        let ends = |wanted: &str| {
            both.iter()
                .any(|text| text.as_ref().is_some_and(|t| t.ends_with(wanted)))
        };
        // An exempting rule leaves a path with two readings to the next one.
        (later.applies.exempts() || !self.applies.exempts())
            && (own.path.is_none() || own.path == other.path)
            && own.path_prefix.as_deref().is_none_or(starts)
            && own.path_suffix.as_deref().is_none_or(ends)
            && (own.method.is_none() || own.method == other.method)
            && (own.route_name.is_none() || own.route_name == other.route_name)
            && own.header.as_ref().is_none_or(|(name, value)| {
                let same = other.header.as_ref().filter(|(other, _)| other == name);
                same.is_some_and(|(_, other)| value.is_none() || value == other)
            })
    }
}
