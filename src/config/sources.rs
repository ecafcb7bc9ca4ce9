//! The check of where accounts and tiers are read from.

use super::error::ConfigError;
use super::schema::{Reading, Source, TierEntry};
use crate::account::identity::RequestField;
use crate::account::{AccountSource, TierSource};
use crate::json::Object;

const CREDENTIALS: [&str; 1] = ["authorization"];

type Checked<T> = Result<T, ConfigError>;

/// Checks the items of a list, each with its own path.
pub(super) fn indexed<T, U>(
    path: &str,
    items: Vec<T>,
    check: fn(&str, T) -> Checked<U>,
) -> Checked<Vec<U>> {
    items
        .into_iter()
        .enumerate()
        .map(|(i, item)| check(&format!("{path}[{i}]"), item))
        .collect()
}

fn header(name: &str) -> RequestField {
    RequestField::Header(name.to_owned())
}

/// The account sources of a config that names none.
pub(super) fn default_account() -> Vec<AccountSource> {
    let source = |name, digest| AccountSource {
        field: header(name),
        digest,
        prefix: None,
    };
    vec![source("x-account-id", false), source("authorization", true)]
}

/// The tier sources of a config that names none.
pub(super) fn default_tier() -> Vec<TierSource> {
    vec![
        TierSource::Name(header("x-account-tier")),
        TierSource::Recharge(header("x-account-recharge")),
    ]
}

/// A header's name, in lower case.
pub(super) fn header_name(path: &str, name: &str) -> Checked<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if (1..=128).contains(&name.len()) && name.bytes().all(token) {
        return Ok(name.to_ascii_lowercase());
    }
    Err(ConfigError::new(
        format!("{path}.header"),
        format!("{name:?} is not the name of a header"),
    ))
}

/// The one place that a source names.
fn request_field(path: &str, source: &Source) -> Checked<RequestField> {
    match (&source.header, &source.property, &source.query) {
        (Some(name), None, None) => Ok(RequestField::Header(header_name(path, name)?)),
        (None, None, Some(name)) if name.is_empty() => Err(ConfigError::new(
            format!("{path}.query"),
            "a parameter without a name: give the name that it has in the query",
        )),
        (None, None, Some(name)) => Ok(RequestField::Query(name.clone())),
        (None, Some(segments), None) => {
            if segments.is_empty() || segments.iter().any(|s| s.is_empty() || s.contains('\0')) {
                let problem = "a path has at least one segment, and none is empty";
                return Err(ConfigError::new(format!("{path}.property"), problem));
            }
            Ok(RequestField::Property(segments.clone()))
        }
        _ => Err(ConfigError::new(
            path,
            "a source names exactly one place: header, property, or query (account sources only)",
        )),
    }
}

/// One account source.
pub(super) fn account_source(path: &str, Object(source): Object<Source>) -> Checked<AccountSource> {
    if source.reading.is_some() || source.shared_data.is_some() {
        return Err(ConfigError::new(
            path,
            "an account source has header, property or query, digest and prefix; \
             as and shared_data are for tiers",
        ));
    }
    let field = request_field(path, &source)?;
    if source.prefix.as_deref() == Some("") {
        let problem = "an empty prefix: leave it out";
        return Err(ConfigError::new(format!("{path}.prefix"), problem));
    }
    Ok(AccountSource {
        field,
        digest: source.digest.unwrap_or(false),
        prefix: source.prefix,
    })
}

/// One tier source.
pub(super) fn tier_source(path: &str, entry: TierEntry) -> Checked<TierSource> {
    let source = match entry {
        TierEntry::Directory => return Ok(TierSource::Directory),
        TierEntry::Source(source) => source,
    };
    if source.digest.is_some() || source.prefix.is_some() {
        let problem = "digest and prefix are for account sources";
        return Err(ConfigError::new(path, problem));
    }
    if source.query.is_some() {
        let problem = "query is for account sources: a client writes its own query";
        return Err(ConfigError::new(format!("{path}.query"), problem));
    }
    let Some(key) = &source.shared_data else {
        let field = request_field(path, &source)?;
        return Ok(match source.reading {
            None | Some(Reading::Name) => TierSource::Name(field),
            Some(Reading::Recharge) => TierSource::Recharge(field),
        });
    };
    if source.header.is_some() || source.property.is_some() || source.reading.is_some() {
        let problem = "shared_data stands alone: it holds a tier's name";
        return Err(ConfigError::new(path, problem));
    }
    if !key.contains("{account}") {
        return Err(ConfigError::new(
            format!("{path}.shared_data"),
            format!("{key:?} does not hold {{account}}: every account would read the same key"),
        ));
    }
    Ok(TierSource::SharedData(key.clone()))
}

/// The headers that identify, less those that the upstream needs itself.
pub(super) fn identity_headers(account: &[AccountSource], tier: &[TierSource]) -> Vec<String> {
    let fields = account.iter().map(|s| &s.field);
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
