//! The sources of account and tier in the config.

use super::address::{AddressField, AddressOf};
use super::{AccountSource, RequestField, TierSource};
use crate::http::names::{property_path, request_header};
use crate::json::values::Count;
use crate::json::{Invalid, Object, in_range};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::fmt;

/// Headers that upstreams need: by default the filter does not remove them.
const CREDENTIALS: [&str; 1] = ["authorization"];

/// The maximum number of sources of an account, and of a tier.
pub const MOST_SOURCES: usize = 8;
/// The maximum number of trusted hops.
const MOST_HOPS: u64 = 16;
/// The bits of an IPv6 address.
const LONGEST_PREFIX: u64 = 128;

type Checked<T> = Result<T, Invalid>;

/// A source as written in the config.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// The name of a request header.
    header: Option<String>,
    /// The path of an Envoy attribute.
    property: Option<Vec<String>>,
    /// The name of a query parameter; for accounts.
    query: Option<String>,
    /// `source`, or the name of a header with addresses; for accounts.
    address: Option<String>,
    /// The length of the prefix that counts of an IPv6 address, in bits.
    #[cfg_attr(feature = "cli", schemars(range(min = 1, max = LONGEST_PREFIX)))]
    ipv6_prefix: Option<Count>,
    /// The number of the trusted hop in the header, from its end.
    #[cfg_attr(feature = "cli", schemars(range(min = 1, max = MOST_HOPS)))]
    hop: Option<Count>,
    /// True when the id is the SHA-256 of the value: for credentials.
    digest: Option<bool>,
    /// The prefix to remove, such as `Bearer `.
    prefix: Option<String>,
    /// The meaning of a tier source's value.
    #[serde(rename = "as")]
    reading: Option<ReadAs>,
    /// A shared-data key with a tier's name, such as `tier-of/{account}`; for tiers.
    shared_data: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum ReadAs {
    /// The name of a tier.
    Name,
    /// Cumulative recharge in USD.
    Recharge,
}

/// An object, or the word "directory".
#[derive(Debug)]
pub enum TierSourceConfig {
    /// The account directory.
    Directory,
    /// A field of the request, or a key of shared data.
    Source(SourceConfig),
}

struct TierSourceConfigVisitor;

impl<'de> Visitor<'de> for TierSourceConfigVisitor {
    type Value = TierSourceConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with header, property or shared_data, or \"directory\"")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<TierSourceConfig, E> {
        if value == "directory" {
            return Ok(TierSourceConfig::Directory);
        }
        Err(E::invalid_value(de::Unexpected::Str(value), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TierSourceConfig, A::Error> {
        SourceConfig::deserialize(MapAccessDeserializer::new(map)).map(TierSourceConfig::Source)
    }
}

impl<'de> Deserialize<'de> for TierSourceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TierSourceConfigVisitor)
    }
}

/// Checks the items of a list, each with its own path.
fn indexed<T, U>(path: &str, items: Vec<T>, check: fn(&str, T) -> Checked<U>) -> Checked<Vec<U>> {
    if items.len() > MOST_SOURCES {
        let problem = format!(
            "{} sources: at most {MOST_SOURCES} are allowed",
            items.len()
        );
        return Err(Invalid::new(path, problem));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(i, item)| check(&format!("{path}[{i}]"), item))
        .collect()
}

/// Checks the account sources.
///
/// # Errors
/// [`Invalid`] for the first invalid source, for too many, or for an empty list.
pub fn account_sources(
    written: Option<Vec<Object<SourceConfig>>>,
) -> Result<Vec<AccountSource>, Invalid> {
    let sources = match written {
        None => default_account(),
        Some(sources) => indexed("account", sources, account_source)?,
    };
    if sources.is_empty() {
        return Err(Invalid::new("account", "no source: name at least one"));
    }
    Ok(sources)
}

/// Checks the tier sources; `by_recharge`: tiers follow from a recharge.
///
/// # Errors
/// [`Invalid`] for the first invalid source, or for too many.
pub fn tier_sources(
    written: Option<Vec<TierSourceConfig>>,
    by_recharge: bool,
) -> Result<Vec<TierSource>, Invalid> {
    let is_recharge = |source: &TierSource| matches!(source, TierSource::Recharge(_));
    let Some(entries) = written else {
        let sources = default_tier().into_iter();
        return Ok(sources
            .filter(|source| by_recharge || !is_recharge(source))
            .collect());
    };
    let sources = indexed("tier", entries, tier_source)?;
    match sources.iter().position(is_recharge) {
        Some(at) if !by_recharge => {
            let problem = "reads a recharge, and the tiers have none: they are names alone";
            Err(Invalid::new(format!("tier[{at}]"), problem))
        }
        _ => Ok(sources),
    }
}

fn header(name: &str) -> RequestField {
    RequestField::Header(name.to_owned())
}

/// Returns the default account sources.
fn default_account() -> Vec<AccountSource> {
    let source = |name, digest| AccountSource {
        field: header(name),
        digest,
        prefix: None,
    };
    vec![source("x-account-id", false), source("authorization", true)]
}

/// Returns the default tier sources.
fn default_tier() -> Vec<TierSource> {
    vec![
        TierSource::Name(header("x-account-tier")),
        TierSource::Recharge(header("x-account-recharge")),
    ]
}

/// Returns the one request field of a source.
fn request_field(path: &str, source: &SourceConfig) -> Checked<RequestField> {
    if let Some(of) = &source.address {
        return address(path, of, source);
    }
    if source.ipv6_prefix.is_some() || source.hop.is_some() {
        let problem = "ipv6_prefix and hop stand beside address";
        return Err(Invalid::new(path, problem));
    }
    match (&source.header, &source.property, &source.query) {
        (Some(name), None, None) => Ok(RequestField::Header(request_header(
            &format!("{path}.header"),
            name,
        )?)),
        (None, None, Some(name)) if name.is_empty() => Err(Invalid::new(
            format!("{path}.query"),
            "a parameter without a name: give the name that it has in the query",
        )),
        (None, None, Some(name)) => Ok(RequestField::Query(name.clone())),
        (None, Some(segments), None) => {
            let segments = property_path(&format!("{path}.property"), segments.clone())?;
            Ok(RequestField::Property(segments))
        }
        _ => Err(Invalid::new(
            path,
            "a source names exactly one place: header, property, query or address (account sources \
             only)",
        )),
    }
}

/// Returns the field of an address.
fn address(path: &str, of: &str, source: &SourceConfig) -> Checked<RequestField> {
    let is_alone = source.header.is_none() && source.property.is_none() && source.query.is_none();
    if !is_alone || source.prefix.is_some() {
        let problem = "address stands without header, property, query and prefix";
        return Err(Invalid::new(path, problem));
    }
    let hop = source.hop.as_ref().map(|Count(hop)| *hop);
    let of = match (of, hop) {
        ("source", None) => AddressOf::Source,
        ("source", Some(_)) => {
            let problem = "is for x-forwarded-for: a connection has one address";
            return Err(Invalid::new(format!("{path}.hop"), problem));
        }
        ("x-forwarded-for", hop) => {
            let hop = in_range(&format!("{path}.hop"), hop.unwrap_or(1), 1..=MOST_HOPS)?;
            AddressOf::Forwarded(usize::try_from(hop).unwrap_or(usize::MAX))
        }
        _ => {
            let problem = format!("{of:?} is neither \"source\" nor \"x-forwarded-for\"");
            return Err(Invalid::new(format!("{path}.address"), problem));
        }
    };
    let prefix = source.ipv6_prefix.as_ref().map_or(64, |Count(bits)| *bits);
    let prefix = in_range(&format!("{path}.ipv6_prefix"), prefix, 1..=LONGEST_PREFIX)?;
    let ipv6_prefix = u8::try_from(prefix).unwrap_or(128);
    Ok(RequestField::Address(AddressField { of, ipv6_prefix }))
}

/// Checks one account source.
fn account_source(path: &str, Object(source): Object<SourceConfig>) -> Checked<AccountSource> {
    if source.reading.is_some() || source.shared_data.is_some() {
        return Err(Invalid::new(
            path,
            "an account source has header, property or query, digest and prefix; \
             as and shared_data are for tiers",
        ));
    }
    let field = request_field(path, &source)?;
    if source.prefix.as_deref() == Some("") {
        let problem = "an empty prefix: leave it out";
        return Err(Invalid::new(format!("{path}.prefix"), problem));
    }
    Ok(AccountSource {
        field,
        digest: source.digest.unwrap_or(false),
        prefix: source.prefix,
    })
}

/// Checks one tier source.
fn tier_source(path: &str, entry: TierSourceConfig) -> Checked<TierSource> {
    let source = match entry {
        TierSourceConfig::Directory => return Ok(TierSource::Directory),
        TierSourceConfig::Source(source) => source,
    };
    if source.digest.is_some() || source.prefix.is_some() {
        let problem = "digest and prefix are for account sources";
        return Err(Invalid::new(path, problem));
    }
    if source.query.is_some() {
        let problem = "query is for account sources: a client writes its own query";
        return Err(Invalid::new(format!("{path}.query"), problem));
    }
    if source.address.is_some() || source.ipv6_prefix.is_some() || source.hop.is_some() {
        let problem = "an address is for account sources: it is the name of no tier";
        return Err(Invalid::new(path, problem));
    }
    let Some(key) = &source.shared_data else {
        let field = request_field(path, &source)?;
        return Ok(match source.reading {
            None | Some(ReadAs::Name) => TierSource::Name(field),
            Some(ReadAs::Recharge) => TierSource::Recharge(field),
        });
    };
    if source.header.is_some() || source.property.is_some() || source.reading.is_some() {
        let problem = "shared_data stands alone: it holds a tier's name";
        return Err(Invalid::new(path, problem));
    }
    if !key.contains("{account}") {
        return Err(Invalid::new(
            format!("{path}.shared_data"),
            format!("{key:?} does not hold {{account}}: every account would read the same key"),
        ));
    }
    Ok(TierSource::SharedData(key.clone()))
}

/// Returns the headers of all sources, without those that are credentials: the upstream may need them.
pub fn identity_headers(account: &[AccountSource], tier: &[TierSource]) -> Vec<String> {
    let fields = account.iter().filter(|s| !s.digest).map(|s| &s.field);
    let tiers = tier.iter().filter_map(|s| match s {
        TierSource::Name(field) | TierSource::Recharge(field) => Some(field),
        TierSource::SharedData(_) | TierSource::Directory => None,
    });
    let mut names: Vec<String> = Vec::new();
    for field in fields.chain(tiers) {
        if let RequestField::Header(name) = field
            && !CREDENTIALS.contains(&name.as_str())
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    names
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for TierSourceConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TierSource".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let source = generator.subschema_for::<SourceConfig>();
        schemars::json_schema!({
            "anyOf": [{"const": "directory", "description": "The account directory."}, source]
        })
    }
}
