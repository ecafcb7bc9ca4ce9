//! Finds the account and its tier in a request, by the configured sources, in order.
//!
//! A repeated value is refused: one of the two may come from the client. Proxies may join repeats
//! with a comma, so a comma in an account header counts as a repeat.

pub mod address;
pub mod config;

use crate::directory::entry::{AccountEntry, ResolvedTier};
use crate::host::{Header, Request};
use crate::http::query;
use crate::http::sha256::sha256_hex;
use crate::limits::OwnLimits;
use crate::shared::StoreError;
use crate::tiers::money::Cents;
use crate::tiers::table::{TierId, TierTable};
use crate::time::{Span, Wall};
use address::{AddressField, AddressOf};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use std::borrow::Cow;

/// The header with the addresses of the proxies on the way, and of the client.
const FORWARDED: &str = "x-forwarded-for";

/// A source of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSource {
    /// The field of the request.
    pub field: RequestField,
    /// True when the id is the SHA-256 of the value, in hex: for credentials.
    pub digest: bool,
    /// The prefix to remove, such as a scheme, in any case; a value without it is ignored.
    pub prefix: Option<String>,
}

/// A field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestField {
    /// The request header of this lower-case name.
    Header(String),
    /// The Envoy property at this path.
    Property(Vec<String>),
    /// The query parameter of this name.
    Query(String),
    /// An address, without its port.
    Address(AddressField),
}

/// A source of the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierSource {
    /// A tier's name.
    Name(RequestField),
    /// Cumulative recharge in USD.
    Recharge(RequestField),
    /// A shared-data key with a tier's name as value; `{account}` is replaced by the account's id.
    SharedData(String),
    /// The account directory.
    Directory,
}

/// Look-ups of tiers outside the request.
pub trait Lookup {
    /// Reads the value of a shared-data key.
    fn shared(&self, key: &str) -> Option<Vec<u8>>;

    /// Finds the directory's entry of an account.
    ///
    /// # Errors
    /// [`IdentityError::DirectoryUnready`] when there is no entry and the directory is incomplete,
    /// or [`IdentityError::DirectoryFault`].
    fn entry(&self, account: &Account) -> Result<Option<AccountEntry>, IdentityError>;

    /// Reads the wall clock.
    fn wall(&self) -> Wall;
}

/// The tier of an account, and what else the directory says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierMatch {
    /// The tier's id; `None` for an exempt account without a tier.
    pub tier: Option<TierId>,
    /// The account's own limits.
    pub limits: OwnLimits,
    /// The account that the request's account stands for.
    pub alias_of: Option<Account>,
    /// True when the account passes uncounted.
    pub is_exempt: bool,
}

impl TierMatch {
    /// Returns a tier without anything else.
    pub fn tier(tier: TierId) -> Self {
        Self {
            tier: Some(tier),
            limits: OwnLimits::default(),
            alias_of: None,
            is_exempt: false,
        }
    }
}

/// The account of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's id; any bytes.
    pub id: Vec<u8>,
    /// True when replies do not repeat the id: a digest, or the target of an alias.
    pub is_hidden: bool,
}

/// The longest id in a log, in bytes.
const LOGGED_ID_BYTES: usize = 128;
/// The bytes that are escaped in a log: the fields of a line end with a space, and logs quote them.
const NOT_IN_LOGS: AsciiSet = CONTROLS.add(b' ').add(b'%').add(b'"').add(b'\\');

impl Account {
    /// Returns the id for access logs: percent-encoded, so that it has no blank and no quote; the
    /// SHA-256 of a longer one than 128 bytes.
    pub fn in_log(&self) -> String {
        match self.id.len() <= LOGGED_ID_BYTES {
            true => percent_encode(&self.id, &NOT_IN_LOGS).to_string(),
            false => sha256_hex(&self.id),
        }
    }
}

/// The reason why a request has no account or no tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// No source had an account.
    AccountMissing,
    /// The account came more than once in this field, named in words.
    AccountRepeated(String),
    /// No source had a tier.
    TierMissing,
    /// The tier came more than once in this field, named in words.
    TierRepeated(String),
    /// A source gave the name of an unknown tier.
    TierUnknown(Vec<u8>),
    /// Shared data holds a value for the account that names no tier. No client is told the value: it may
    /// be another's.
    StoredTierUnknown,
    /// The account is an alias of an account that the directory does not have.
    AliasOfNothing,
    /// A source gave a value that is not an amount of money.
    RechargeMalformed(Vec<u8>),
    /// The recharge is too small for the first tier.
    RechargeRequired(Cents),
    /// The account is switched off.
    AccountDisabled,
    /// The directory is incomplete.
    DirectoryUnready,
    /// The directory could not be read.
    DirectoryFault(StoreError),
}

/// The reason why a request has no tier, and the account that it concerns where the request's account
/// stands for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTier {
    /// The reason.
    pub error: IdentityError,
    /// The account that the request's account stands for.
    pub target: Option<Account>,
}

impl From<IdentityError> for NoTier {
    fn from(error: IdentityError) -> Self {
        Self {
            error,
            target: None,
        }
    }
}

/// Finds the account of a request.
///
/// # Errors
/// [`IdentityError::AccountMissing`] or [`IdentityError::AccountRepeated`].
pub fn account(request: &dyn Request, sources: &[AccountSource]) -> Result<Account, IdentityError> {
    for source in sources {
        let value = match value(request, &source.field) {
            Ok(None) => continue,
            Ok(Some(value)) => value,
            Err(Repeated(field)) => return Err(IdentityError::AccountRepeated(field)),
        };
        if let RequestField::Header(name) = &source.field
            && memchr::memchr(b',', &value).is_some()
        {
            return Err(IdentityError::AccountRepeated(format!("header {name}")));
        }
        let Some(value) = without_prefix(&value, source.prefix.as_deref()) else {
            continue;
        };
        let id = if source.digest {
            match source.prefix {
                Some(_) => sha256_hex(value).into_bytes(),
                None => sha256_hex(&one_spelling(value)).into_bytes(),
            }
        } else {
            value.to_vec()
        };
        return Ok(Account {
            id,
            is_hidden: source.digest,
        });
    }
    Err(IdentityError::AccountMissing)
}

/// Finds the tier of a request.
///
/// # Errors
/// [`NoTier`].
pub fn tier(
    request: &dyn Request,
    lookup: &dyn Lookup,
    account: &Account,
    sources: &[TierSource],
    tiers: &TierTable,
) -> Result<TierMatch, NoTier> {
    for source in sources {
        let found = match source {
            TierSource::Directory => match lookup.entry(account)? {
                Some(entry) => return by_entry(entry, lookup, tiers),
                None => continue,
            },
            TierSource::Name(field) => value(request, field),
            TierSource::Recharge(field) => match value(request, field) {
                Ok(Some(amount)) => {
                    let tier = by_recharge(&amount, tiers)?;
                    return Ok(TierMatch::tier(tier));
                }
                other => other,
            },
            TierSource::SharedData(template) => match stored(lookup, template, account) {
                Some(name) => {
                    let tier = tiers.by_name(&name).map(TierMatch::tier);
                    return tier.ok_or(IdentityError::StoredTierUnknown.into());
                }
                None => continue,
            },
        };
        match found {
            Ok(None) => {}
            Ok(Some(name)) => {
                let tier = tiers.by_name(&name).map(TierMatch::tier);
                return tier.ok_or_else(|| IdentityError::TierUnknown(name.into_owned()).into());
            }
            Err(Repeated(field)) => return Err(IdentityError::TierRepeated(field).into()),
        }
    }
    Err(IdentityError::TierMissing.into())
}

/// Follows an alias for one hop, and returns the tier of the account behind it.
fn by_entry(
    entry: AccountEntry,
    lookup: &dyn Lookup,
    tiers: &TierTable,
) -> Result<TierMatch, NoTier> {
    if entry.is_disabled() {
        return Err(IdentityError::AccountDisabled.into());
    }
    let Some(target) = &entry.alias_of else {
        return Ok(by_own_entry(&entry, false, lookup, tiers)?);
    };
    let target = Account {
        id: target.clone(),
        is_hidden: true,
    };
    let is_exempt = entry.is_exempt();
    let of_target = lookup.entry(&target).and_then(|found| match found {
        Some(entry) if entry.is_disabled() => Err(IdentityError::AccountDisabled),
        Some(entry) if entry.alias_of.is_none() => by_own_entry(&entry, is_exempt, lookup, tiers),
        _ => Err(IdentityError::AliasOfNothing),
    });
    match of_target {
        Ok(of_target) => Ok(TierMatch {
            alias_of: Some(target),
            ..of_target
        }),
        Err(error) => Err(NoTier {
            error,
            target: Some(target),
        }),
    }
}

/// Finds the tier of an account that is no alias; `is_exempt` is true for an exempt alias of it.
fn by_own_entry(
    entry: &AccountEntry,
    is_exempt: bool,
    lookup: &dyn Lookup,
    tiers: &TierTable,
) -> Result<TierMatch, IdentityError> {
    let is_exempt = is_exempt || entry.is_exempt();
    let found = |tier| TierMatch {
        tier,
        limits: entry
            .own_limits(|| lookup.wall())
            .cloned()
            .unwrap_or_default(),
        alias_of: None,
        is_exempt,
    };
    match entry.resolve_tier(tiers, || lookup.wall()) {
        ResolvedTier::Tier(tier) => Ok(found(Some(tier))),
        _ if is_exempt => Ok(found(None)),
        ResolvedTier::RechargeRequired(paid) => Err(IdentityError::RechargeRequired(paid)),
        ResolvedTier::Unknown(name) => Err(IdentityError::TierUnknown(name.into_bytes())),
        ResolvedTier::Nothing => Err(IdentityError::TierMissing),
    }
}

fn by_recharge(amount: &[u8], tiers: &TierTable) -> Result<TierId, IdentityError> {
    let cents =
        Cents::parse(amount).map_err(|_| IdentityError::RechargeMalformed(amount.to_vec()))?;
    // A request does not say since when.
    tiers
        .by_recharge(cents, Span::ZERO)
        .ok_or(IdentityError::RechargeRequired(cents))
}

/// The field, in words, that has more than one value.
struct Repeated(String);

/// Returns the value of a field; an empty value counts as absent. A header's value is not copied.
fn value<'a>(
    request: &'a dyn Request,
    field: &RequestField,
) -> Result<Option<Cow<'a, [u8]>>, Repeated> {
    let value = match field {
        RequestField::Header(name) => match request.header(name) {
            Header::Absent => None,
            Header::Once(value) => Some(Cow::Borrowed(value)),
            Header::Repeated => return Err(Repeated(format!("header {name}"))),
        },
        RequestField::Property(path) => request.property(path).map(Cow::Owned),
        RequestField::Query(name) => match request.header(":path") {
            Header::Once(path) => {
                let mut values = query::values(path, name);
                let value = values.next();
                if values.next().is_some() {
                    return Err(Repeated(format!("query parameter {name}")));
                }
                value.map(Cow::Owned)
            }
            // HTTP allows only one path, and a CONNECT has none.
            Header::Absent | Header::Repeated => None,
        },
        RequestField::Address(field) => address(request, field)?.map(Cow::Owned),
    };
    Ok(value.filter(|v| !v.is_empty()))
}

/// Returns the account of an address; `None` where there is no address.
fn address(request: &dyn Request, field: &AddressField) -> Result<Option<Vec<u8>>, Repeated> {
    let text = match field.of {
        AddressOf::Source => {
            let path = ["source", "address"].map(str::to_owned);
            request.property(&path).map(Cow::Owned)
        }
        AddressOf::Forwarded(_) => match request.header(FORWARDED) {
            Header::Absent => None,
            Header::Once(value) => Some(Cow::Borrowed(value)),
            Header::Repeated => return Err(Repeated(format!("header {FORWARDED}"))),
        },
    };
    let account = text.and_then(|text| field.account(&text));
    Ok(account.map(String::into_bytes))
}

/// Reads the tier's name under a shared-data key. Keys are text: other ids have no tier there.
fn stored(lookup: &dyn Lookup, template: &str, account: &Account) -> Option<Vec<u8>> {
    let id = std::str::from_utf8(&account.id).ok()?;
    let stored = lookup.shared(&template.replace("{account}", id))?;
    Some(stored.trim_ascii().to_vec()).filter(|v| !v.is_empty())
}

fn without_prefix<'a>(value: &'a [u8], prefix: Option<&str>) -> Option<&'a [u8]> {
    let Some(prefix) = prefix else {
        return Some(value);
    };
    let (head, rest) = value.split_at_checked(prefix.len())?;
    let rest = rest.trim_ascii();
    (head.eq_ignore_ascii_case(prefix.as_bytes()) && !rest.is_empty()).then_some(rest)
}

/// Returns a credential in one spelling, so that one key gives one account. The scheme has no case
/// (RFC 9110, 11.1).
fn one_spelling(credential: &[u8]) -> Vec<u8> {
    let credential = credential.trim_ascii();
    let blank = |b: &u8| b.is_ascii_whitespace();
    let Some(at) = credential.iter().position(blank) else {
        return credential.to_vec();
    };
    let (scheme, rest) = credential.split_at_checked(at).unwrap_or((credential, &[]));
    let mut one = scheme.to_ascii_lowercase();
    one.push(b' ');
    one.extend_from_slice(rest.trim_ascii_start());
    one
}
