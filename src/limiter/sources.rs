//! The sources of account and tier in words, for the access log of a request that none of them knew.

use crate::config::Config;
use crate::identity::address::AddressOf;
use crate::identity::{RequestField, TierSource};
use crate::reply::Code;

/// Returns the sources that were looked at before a refusal with that code:
/// `header:x-account-id,header:authorization`.
pub(super) fn looked_at(config: &Config, code: Option<Code>) -> Option<String> {
    let all: Vec<_> = match code? {
        Code::AccountMissing => config.account.iter().map(|s| field(&s.field)).collect(),
        Code::TierUnknown => config.tier.iter().map(tier_source).collect(),
        _ => return None,
    };
    // A name of the config may have any characters; the fields of the line end with a space.
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    Some(all.join(",").chars().map(plain).collect())
}

fn tier_source(source: &TierSource) -> String {
    match source {
        TierSource::Name(of) | TierSource::Recharge(of) => field(of),
        TierSource::SharedData(key) => format!("shared_data:{key}"),
        TierSource::Directory => "directory".to_owned(),
    }
}

fn field(field: &RequestField) -> String {
    match field {
        RequestField::Header(name) => format!("header:{name}"),
        RequestField::Property(path) => format!("property:{}", path.join(".")),
        RequestField::Query(name) => format!("query:{name}"),
        RequestField::Address(address) => match address.of {
            AddressOf::Source => "address:source".to_owned(),
            AddressOf::Forwarded(hop) => format!("address:x-forwarded-for:{hop}"),
        },
    }
}
