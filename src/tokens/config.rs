//! The config part `tokens`.

use super::places::{self, UsagePlaceConfig};
use super::rates::{Weights, WeightsConfig};
use super::{Estimate, ReadOptions};
use crate::http::names::{header_name, is_path};
use crate::json::values::Count;
use crate::json::{Invalid, Object, in_range};
use serde::Deserialize;

/// The largest number of tokens in a config.
pub const MOST_TOKENS: u64 = 1_000_000_000;
/// Envoy buffers a body in memory, and the VM copies it once more.
const LONGEST_BODY: u64 = 16_777_216;

/// The part `tokens`, unchecked.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TokensConfig {
    /// The replacement of the reserve at the end of a request.
    settle: Option<Settle>,
    /// Let settlements far from all limits join the next write of their page.
    join: Option<bool>,
    /// The completion tokens that a request reserves.
    reserve: Option<ReserveRule>,
    /// The bytes of a body that count as one token.
    #[cfg_attr(feature = "cli", schemars(range(min = 1, max = MOST_TOKENS)))]
    bytes_per_token: Option<Count>,
    /// The maximum number of tokens of a body.
    #[cfg_attr(feature = "cli", schemars(range(min = 1, max = MOST_TOKENS)))]
    context: Option<Count>,
    /// The prompt tokens of a request of unknown length.
    #[cfg_attr(feature = "cli", schemars(range(min = 0, max = MOST_TOKENS)))]
    prompt: Option<Count>,
    /// The completion tokens of a request that states none.
    #[cfg_attr(feature = "cli", schemars(range(min = 0, max = MOST_TOKENS)))]
    completion: Option<Count>,
    /// The tokens of one picture or file inside a body.
    #[cfg_attr(feature = "cli", schemars(range(min = 0, max = MOST_TOKENS)))]
    media: Option<Count>,
    /// Pause requests until their body is read. Wants `allow_on_headers_stop_iteration`.
    read_body: Option<bool>,
    /// The longest body that is read, in bytes.
    #[cfg_attr(feature = "cli", schemars(range(min = 1, max = LONGEST_BODY)))]
    body_limit: Option<Count>,
    /// Ask streams for their usage: all, or those at paths with these ends. Needs `read_body`.
    include_usage: Option<IncludeUsage>,
    /// A short form of the weight of cached tokens.
    cached: Option<Cached>,
    /// The weight of one token of each kind in limits on tokens.
    weights: Option<Object<WeightsConfig>>,
    /// The response header or trailer that says the tokens, or up to 8 that are summed.
    header: Option<Headers>,
    /// Up to 16 more places of the usage in a response.
    #[cfg_attr(feature = "cli", schemars(length(max = places::MOST_PLACES)))]
    usage: Option<Vec<Object<UsagePlaceConfig>>>,
    /// Take `accept-encoding` off requests, so that responses can be read.
    identity: Option<bool>,
}

/// The paths of OpenAI's API whose streams take `stream_options`.
const TAKE_OPTIONS: [&str; 2] = ["/chat/completions", "/completions"];
/// The maximum number of suffixes.
const MOST_SUFFIXES: usize = 16;

/// True, false, or a list of the ends of paths.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "true, false, or a list of ends of paths")]
enum IncludeUsage {
    Switch(bool),
    Paths(Vec<String>),
}

fn suffixes(written: Option<IncludeUsage>) -> Result<Vec<String>, Invalid> {
    let paths = match written {
        None | Some(IncludeUsage::Switch(false)) => Vec::new(),
        Some(IncludeUsage::Switch(true)) => TAKE_OPTIONS.map(str::to_owned).to_vec(),
        Some(IncludeUsage::Paths(paths)) => paths,
    };
    let is_end = |path: &String| is_path(path) && !path.contains(['?', '#']);
    if paths.len() > MOST_SUFFIXES || !paths.iter().all(is_end) {
        let problem = "at most 16 ends of paths, such as \"/chat/completions\"";
        return Err(Invalid::new("tokens.include_usage", problem));
    }
    Ok(paths)
}

/// A short form of the weight of cached tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Cached {
    /// A weight of 1.
    Count,
    /// A weight of 0.
    Free,
}

/// The rules for reserving and settling tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The replacement of the reserve.
    pub settle: Settle,
    /// True for settlements that wait, far from all limits, for the next write of their page.
    pub join: bool,
    /// The completion tokens that a request reserves.
    pub reserve: ReserveRule,
    /// The size of a reserve.
    pub estimate: Estimate,
    /// The weight of a token in limits on tokens.
    pub weights: Weights,
    /// The maximum size of a request body that is read, in bytes; `None` reads no body.
    pub read_body: Option<u64>,
    /// The ends of paths whose streams are asked for usage where the client did not ask; empty to ask
    /// none.
    pub include_usage: Vec<String>,
    /// True to remove `accept-encoding` from requests, since encoded responses can't be read.
    pub identity: bool,
    /// The options of the response reader.
    pub options: ReadOptions,
}

/// The replacement of the reserve at the end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Settle {
    /// The response's usage.
    Usage,
    /// None: the reserve stays.
    Reserve,
}

/// The completion tokens that a request reserves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReserveRule {
    /// By the tokens that the request asks for; without that, a configured number.
    #[default]
    Assumed,
    /// As much as the account's responses usually need.
    Adaptive,
}

impl Tokens {
    /// Checks the part.
    ///
    /// # Errors
    /// [`Invalid`] for a number out of range, a bad header name, or `include_usage` without
    /// `read_body`.
    pub fn check(written: TokensConfig) -> Result<Self, Invalid> {
        let number = |name: &str, value: Option<Count>, default: u64, least: u64, most: u64| {
            let n = value.map_or(default, |c| c.0);
            in_range(&format!("tokens.{name}"), n, least..=most)
        };
        let most = MOST_TOKENS;
        let body_limit = number("body_limit", written.body_limit, 262_144, 1, LONGEST_BODY)?;
        let read_body = written.read_body.unwrap_or(false);
        let include_usage = suffixes(written.include_usage)?;
        if !include_usage.is_empty() && !read_body {
            let problem = "needs \"read_body\": true, since it changes the request's body";
            return Err(Invalid::new("tokens.include_usage", problem));
        }
        let settle = written.settle.unwrap_or(Settle::Usage);
        let reserve = written.reserve.unwrap_or_default();
        if reserve == ReserveRule::Adaptive && settle == Settle::Reserve {
            let problem =
                "\"adaptive\" learns from usage, which \"settle\": \"reserve\" does not read";
            return Err(Invalid::new("tokens.reserve", problem));
        }
        Ok(Self {
            settle,
            join: written.join.unwrap_or(false),
            reserve,
            estimate: Estimate {
                bytes_per_token: number("bytes_per_token", written.bytes_per_token, 4, 1, most)?,
                context: number("context", written.context, 262_144, 1, most)?,
                prompt: number("prompt", written.prompt, 1024, 0, most)?,
                completion: number("completion", written.completion, 1024, 0, most)?,
                media: number("media", written.media, 1024, 0, most)?,
            },
            weights: weights(written.weights, written.cached)?,
            read_body: read_body.then_some(body_limit),
            include_usage,
            identity: written.identity.unwrap_or(true),
            options: ReadOptions {
                headers: headers(written.header)?,
                dialects: places::dialects(written.usage.unwrap_or_default())?,
            },
        })
    }

    /// True when responses must reach the filter unencoded.
    pub fn needs_plain_responses(&self) -> bool {
        self.identity && (self.settle == Settle::Usage || !self.include_usage.is_empty())
    }
}

/// One response header, or several.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "the name of a header, or a list of them")]
enum Headers {
    One(String),
    Several(Vec<String>),
}

/// The maximum number of headers.
const MOST_HEADERS: usize = 8;

fn headers(written: Option<Headers>) -> Result<Vec<String>, Invalid> {
    let names = match written {
        None => Vec::new(),
        Some(Headers::One(name)) => vec![name],
        Some(Headers::Several(names)) => names,
    };
    if names.len() > MOST_HEADERS {
        return Err(Invalid::new("tokens.header", "at most 8 headers"));
    }
    let checked = names.iter().map(|name| header_name("tokens.header", name));
    checked.collect()
}

fn weights(
    written: Option<Object<WeightsConfig>>,
    cached: Option<Cached>,
) -> Result<Weights, Invalid> {
    let Object(written) = written.unwrap_or_default();
    if cached.is_some() && written.names_cached() {
        let problem = "tokens.weights.cached says the same: leave one of both out";
        return Err(Invalid::new("tokens.cached", problem));
    }
    let mut weights = written.over(&Weights::ONE);
    if cached == Some(Cached::Free) {
        weights.0.cached = 0;
    }
    Ok(weights)
}
