//! A directory entry as bytes, and back. Decoding takes any bytes and never panics.
//!
//! ```text
//! entry   = flags tier limits [history] [others]
//! flags   = bit 0 switched off, bit 1 written by the feed, bit 2 a history follows, bit 3 voucher,
//!           bit 4 other limits follow
//! tier    = length, name; length 0 for none
//! limits  = 4 x (0: the tier's, 1: unlimited, n + 1: n)
//! others  = own limits of other names or meanings (own_limits.rs)
//! history = cash (zigzag) vouchers (zigzag) [voucher_by (8)] count, events (8 each)
//! ```
//! Numbers are varints as in [`crate::shared::varint`], hashes little endian.

use super::own_limits;
use crate::directory::entry::AccountEntry;
use crate::limits::own::{OwnLimit, Size};
use crate::limits::{Limit, LimitKind, Overrides};
use crate::shared::varint::{put, put_len, take, take_count};
use crate::tiers::money::SignedCents;
use crate::tiers::recharge::{History, REMEMBERED};
use std::num::NonZeroU64;

const DISABLED: u8 = 1;
const BY_FEED: u8 = 2;
const HISTORY: u8 = 4;
const VOUCHER: u8 = 8;
const OTHERS: u8 = 16;

/// The maximum size of an entry in bytes: flags, a tier's name of 64, six numbers of at most 10, a
/// hash, the remembered events, and other limits.
pub const MOST_BYTES: usize = 1 + 65 + 60 + 8 + 1 + 8 * REMEMBERED + own_limits::MOST_BYTES;

/// Encodes an entry.
pub fn encode(entry: &AccountEntry) -> Vec<u8> {
    let voucher = entry.history.as_ref().and_then(|h| h.voucher_by);
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let mut out = vec![
        flag(entry.disabled, DISABLED)
            | flag(entry.by_feed, BY_FEED)
            | flag(entry.history.is_some(), HISTORY)
            | flag(voucher.is_some(), VOUCHER)
            | flag(!split(&entry.limits).1.is_empty(), OTHERS),
    ];
    let tier = entry.tier.as_deref().unwrap_or_default();
    put_len(&mut out, tier.len());
    out.extend_from_slice(tier.as_bytes());
    let (plain, others) = split(&entry.limits);
    for limit in plain {
        put(&mut out, limit_number(limit));
    }
    if let Some(history) = &entry.history {
        put(&mut out, zigzag(history.cash.get()));
        put(&mut out, zigzag(history.vouchers.get()));
        if let Some(event) = voucher {
            out.extend_from_slice(&event.to_le_bytes());
        }
        put_len(&mut out, history.recent_ids.len());
        for event in &history.recent_ids {
            out.extend_from_slice(&event.to_le_bytes());
        }
    }
    if !others.is_empty() {
        own_limits::put_all(&mut out, &others);
    }
    out
}

/// Splits own limits into those of the four necessary kinds, and others.
fn split(own: &Overrides) -> ([Option<Limit>; 4], Vec<&(String, OwnLimit)>) {
    let mut plain = [None; 4];
    let mut others = Vec::new();
    for named in &own.0 {
        let (name, own) = named;
        let necessary = LimitKind::NECESSARY.iter().position(|n| n == name);
        let place = necessary.and_then(|at| plain.get_mut(at));
        match (place, own) {
            (
                Some(place),
                OwnLimit {
                    size: Size::Whole(limit),
                    counted: None,
                },
            ) => *place = Some(*limit),
            _ => others.push(named),
        }
    }
    (plain, others)
}

/// Reads an entry from all of `bytes`; `None` for bytes that are not an entry.
pub fn decode(bytes: &[u8]) -> Option<AccountEntry> {
    let (flags, mut rest) = bytes.split_first()?;
    let input = &mut rest;
    let length = take_count(input).ok()?;
    let (tier, after) = input.split_at_checked(length)?;
    *input = after;
    let tier = std::str::from_utf8(tier).ok()?;
    let mut limits = Overrides::default();
    for name in LimitKind::NECESSARY {
        if let Some(limit) = number_limit(take(input).ok()?) {
            let own = OwnLimit {
                size: Size::Whole(limit),
                counted: None,
            };
            limits.0.push((name.to_owned(), own));
        }
    }
    let history = match flags & HISTORY {
        0 => None,
        _ => Some(take_history(input, flags & VOUCHER != 0)?),
    };
    if flags & OTHERS != 0 {
        limits.0.extend(own_limits::take_all(input)?);
    }
    input.is_empty().then(|| AccountEntry {
        history,
        tier: (!tier.is_empty()).then(|| tier.to_owned()),
        limits,
        disabled: flags & DISABLED != 0,
        by_feed: flags & BY_FEED != 0,
    })
}

fn take_history(input: &mut &[u8], voucher: bool) -> Option<History> {
    let cash = SignedCents::new(unzigzag(take(input).ok()?));
    let vouchers = SignedCents::new(unzigzag(take(input).ok()?));
    let voucher_by = match voucher {
        true => Some(take_hash(input)?),
        false => None,
    };
    let count = take_count(input).ok()?;
    let recent_ids = (0..count)
        .map(|_| take_hash(input))
        .collect::<Option<_>>()?;
    Some(History {
        cash,
        vouchers,
        voucher_by,
        recent_ids,
    })
}

fn take_hash(input: &mut &[u8]) -> Option<u64> {
    let (hash, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*hash))
}

pub(super) fn limit_number(limit: Option<Limit>) -> u64 {
    match limit {
        None => 0,
        Some(Limit::Unlimited) => 1,
        Some(Limit::Finite(n)) => n.get().saturating_add(1),
    }
}

/// Reads a limit: 0 is the tier's, 1 is unlimited, a larger number is the limit plus 1.
pub(super) fn number_limit(number: u64) -> Option<Limit> {
    match number {
        0 => None,
        1 => Some(Limit::Unlimited),
        n => NonZeroU64::new(n.saturating_sub(1)).map(Limit::Finite),
    }
}

/// Maps small numbers of either sign to small numbers (Protocol Buffers, "ZigZag").
fn zigzag(n: i64) -> u64 {
    (n.wrapping_shl(1) ^ n.wrapping_shr(63)).cast_unsigned()
}

fn unzigzag(n: u64) -> i64 {
    n.wrapping_shr(1).cast_signed() ^ (n & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::kinds::{Counted, Per};
    use crate::limits::units::Unit;
    use crate::time::Span;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let history = History {
            cash: SignedCents::new(-1),
            vouchers: SignedCents::new(i64::MAX),
            voucher_by: Some(7),
            recent_ids: (0..64).collect(),
        };
        let own = |limit, counted| OwnLimit {
            size: Size::Whole(limit),
            counted,
        };
        let in_cents = |counted| OwnLimit {
            size: Size::Cents(1_250),
            counted,
        };
        let usd = Some(Counted::Sum(Unit::Usd, Per::Month));
        let one = Limit::Finite(NonZeroU64::MIN);
        let per = |per| Some(Counted::Sum(Unit::Requests, per));
        let custom = Per::Custom(Span::from_secs(90));
        let limits = [
            ("rpm", own(Limit::Unlimited, None)),
            ("tpm", own(one, None)),
            ("rpd", own(one, None)),
            ("images", own(one, per(Per::Week))),
            ("bursts", own(Limit::Unlimited, per(custom))),
            ("spend", in_cents(None)),
            ("budget", in_cents(usd)),
        ];
        let limits = Overrides(limits.map(|(name, own)| (name.to_owned(), own)).to_vec());
        let full = AccountEntry {
            history: Some(history),
            tier: Some("tier3".to_owned()),
            limits,
            disabled: true,
            by_feed: true,
        };
        for entry in [AccountEntry::default(), full] {
            let bytes = encode(&entry);
            assert_eq!(decode(&bytes), Some(entry));
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), None, "{end}");
            }
        }
    }

    #[test]
    fn numbers_of_either_sign_are_kept() {
        for n in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(n)), n);
        }
    }
}
