//! A place of the directory as bytes, and back: postcard's wire format of the types below
//! (postcard.jamesmunns.com, "wire format"). Decoding takes any bytes and never panics.
//!
//! The types mirror those of the core, so that a change of the core changes no stored byte unseen.

use super::stored_entry::{EntryId, Staged, StoredEntry};
use crate::directory::entry::{AccountEntry, AccountTerms};
use crate::limits::Limit;
use crate::limits::kinds::{Counted, Per};
use crate::limits::overrides::{Overrides, OwnLimits};
use crate::limits::own::{OwnLimit, Size};
use crate::limits::units::Unit;
use crate::tiers::money::SignedCents;
use crate::tiers::recharge::History;
use crate::time::{Mono, Span, Wall};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

#[derive(Serialize, Deserialize)]
struct StoredBytes {
    id: EntryId,
    entry: Option<EntryBytes>,
    staged: Option<(u32, Option<EntryBytes>)>,
    seen: u32,
    written: Option<Mono>,
}

#[derive(Serialize, Deserialize)]
struct EntryBytes {
    history: Option<HistoryBytes>,
    tier: Option<String>,
    alias_of: Option<Vec<u8>>,
    since: Option<u32>,
    by_feed: bool,
    feed: TermsBytes,
    admin: TermsBytes,
}

#[derive(Serialize, Deserialize)]
struct HistoryBytes {
    cash: i64,
    vouchers: i64,
    voucher_by: Option<u64>,
    recent_ids: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct TermsBytes {
    limits: Option<Vec<ScopeBytes>>,
    disabled: Option<bool>,
    exempt: Option<bool>,
    /// Milliseconds since 1970.
    until: Option<u64>,
}

/// The limits on all requests, or on one family.
#[derive(Serialize, Deserialize)]
struct ScopeBytes {
    model: Option<String>,
    limits: Vec<LimitBytes>,
}

#[derive(Serialize, Deserialize)]
struct LimitBytes {
    name: String,
    size: SizeBytes,
    /// The unit by its position in [`Unit::ALL`], and the time.
    counted: Option<(u8, PerBytes)>,
}

#[derive(Serialize, Deserialize)]
enum SizeBytes {
    Unlimited,
    Whole(u64),
    Cents(u64),
}

#[derive(Serialize, Deserialize)]
enum PerBytes {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    /// A window in milliseconds.
    Custom(u64),
}

/// Encodes a place.
pub fn encode(place: &StoredEntry) -> Vec<u8> {
    let staged = place.staged.as_ref();
    let bytes = StoredBytes {
        id: place.id.clone(),
        entry: place.entry.as_ref().map(EntryBytes::from),
        staged: staged.map(|s| (s.generation, s.entry.as_ref().map(EntryBytes::from))),
        seen: place.seen,
        written: place.written,
    };
    // Serialising into a Vec fails only for maps and sequences of unknown length.
    postcard::to_allocvec(&bytes).unwrap_or_default()
}

/// Reads a place from all of `bytes`; `None` for bytes that are not a place.
pub fn decode(bytes: &[u8]) -> Option<StoredEntry> {
    let (place, rest): (StoredBytes, _) = postcard::take_from_bytes(bytes).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let staged = match place.staged {
        None => None,
        Some((generation, entry)) => Some(Staged {
            generation,
            entry: all(entry)?,
        }),
    };
    Some(StoredEntry {
        id: place.id,
        entry: all(place.entry)?,
        staged,
        seen: place.seen,
        written: place.written,
    })
}

/// Converts an entry that may be absent; `None` for one that can't be converted.
fn all(entry: Option<EntryBytes>) -> Option<Option<AccountEntry>> {
    match entry {
        None => Some(None),
        Some(entry) => entry.entry().map(Some),
    }
}

impl From<&AccountEntry> for EntryBytes {
    fn from(entry: &AccountEntry) -> Self {
        Self {
            history: entry.history.as_ref().map(|history| HistoryBytes {
                cash: history.cash.get(),
                vouchers: history.vouchers.get(),
                voucher_by: history.voucher_by,
                recent_ids: history.recent_ids.iter().copied().collect(),
            }),
            tier: entry.tier.clone(),
            alias_of: entry.alias_of.clone(),
            since: entry.since,
            by_feed: entry.by_feed,
            feed: TermsBytes::from(&entry.feed),
            admin: TermsBytes::from(&entry.admin),
        }
    }
}

impl EntryBytes {
    fn entry(self) -> Option<AccountEntry> {
        Some(AccountEntry {
            history: self.history.map(|history| History {
                cash: SignedCents::new(history.cash),
                vouchers: SignedCents::new(history.vouchers),
                voucher_by: history.voucher_by,
                recent_ids: history.recent_ids.into(),
            }),
            tier: self.tier,
            alias_of: self.alias_of,
            since: self.since,
            by_feed: self.by_feed,
            feed: self.feed.terms()?,
            admin: self.admin.terms()?,
        })
    }
}

impl From<&AccountTerms> for TermsBytes {
    fn from(terms: &AccountTerms) -> Self {
        let scopes = |own: &OwnLimits| own.scopes().map(ScopeBytes::from).collect();
        Self {
            limits: terms.limits.as_ref().map(scopes),
            disabled: terms.disabled,
            exempt: terms.exempt,
            until: terms.until.map(Wall::as_millis),
        }
    }
}

impl TermsBytes {
    fn terms(self) -> Option<AccountTerms> {
        let limits = match self.limits {
            None => None,
            Some(scopes) => {
                let mut own = OwnLimits::default();
                for scope in scopes {
                    let limits = scope.limits.into_iter().map(LimitBytes::limit);
                    let limits = Overrides(limits.collect::<Option<_>>()?);
                    match scope.model {
                        None => own.account = limits,
                        Some(model) => own.models.push((model, limits)),
                    }
                }
                Some(own)
            }
        };
        Some(AccountTerms {
            limits,
            disabled: self.disabled,
            exempt: self.exempt,
            until: self.until.map(Wall::from_millis),
        })
    }
}

impl From<(Option<&str>, &Overrides)> for ScopeBytes {
    fn from((model, own): (Option<&str>, &Overrides)) -> Self {
        let limits = own.0.iter().map(|(name, own)| LimitBytes {
            name: name.clone(),
            size: match own.size {
                Size::Whole(Limit::Unlimited) => SizeBytes::Unlimited,
                Size::Whole(Limit::Finite(n)) => SizeBytes::Whole(n.get()),
                Size::Cents(cents) => SizeBytes::Cents(cents),
            },
            counted: match own.counted {
                None | Some(Counted::Leases) => None,
                Some(Counted::Sum(unit, per)) => Some((unit as u8, per.into())),
            },
        });
        Self {
            model: model.map(str::to_owned),
            limits: limits.collect(),
        }
    }
}

impl LimitBytes {
    fn limit(self) -> Option<(String, OwnLimit)> {
        let size = match self.size {
            SizeBytes::Unlimited => Size::Whole(Limit::Unlimited),
            SizeBytes::Whole(n) => Size::Whole(Limit::Finite(NonZeroU64::new(n)?)),
            SizeBytes::Cents(cents) => Size::Cents(cents),
        };
        let counted = match self.counted {
            None => None,
            Some((unit, per)) => {
                let unit = *Unit::ALL.get(usize::from(unit))?;
                Some(Counted::Sum(unit, per.per()?))
            }
        };
        Some((self.name, OwnLimit { size, counted }))
    }
}

impl From<Per> for PerBytes {
    fn from(per: Per) -> Self {
        match per {
            Per::Second => Self::Second,
            Per::Minute => Self::Minute,
            Per::Hour => Self::Hour,
            Per::Day => Self::Day,
            Per::Week => Self::Week,
            Per::Month => Self::Month,
            Per::Custom(length) => Self::Custom(length.as_millis()),
        }
    }
}

impl PerBytes {
    /// Returns the time; `None` for a window that no config can have.
    fn per(&self) -> Option<Per> {
        Some(match self {
            Self::Second => Per::Second,
            Self::Minute => Per::Minute,
            Self::Hour => Per::Hour,
            Self::Day => Per::Day,
            Self::Week => Per::Week,
            Self::Month => Per::Month,
            Self::Custom(ms) => {
                let fits = (60..=u64::from(u32::MAX)).contains(ms);
                return fits.then(|| Per::Custom(Span::from_millis(*ms)));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(size: Size, counted: Option<Counted>) -> OwnLimit {
        OwnLimit { size, counted }
    }

    fn every_limit() -> OwnLimits {
        let usd = Some(Counted::Sum(Unit::Usd, Per::Month));
        let one = Size::Whole(Limit::Finite(NonZeroU64::MIN));
        let open = Size::Whole(Limit::Unlimited);
        let sum = |per| Some(Counted::Sum(Unit::Requests, per));
        let named = |limits: &[(&str, OwnLimit)]| {
            let limits = limits.iter().map(|(name, own)| ((*name).to_owned(), *own));
            Overrides(limits.collect())
        };
        OwnLimits {
            account: named(&[
                ("rpm", own(open, None)),
                ("images", own(one, sum(Per::Week))),
                ("bursts", own(open, sum(Per::Custom(Span::from_secs(90))))),
                ("budget", own(Size::Cents(1_250), usd)),
            ]),
            models: vec![("k2".to_owned(), named(&[("tpm", own(one, None))]))],
        }
    }

    #[test]
    fn a_place_is_read_as_it_was_written_and_no_part_of_it_is_one() {
        let entry = AccountEntry {
            history: Some(History {
                cash: SignedCents::new(-1),
                vouchers: SignedCents::new(i64::MAX),
                voucher_by: Some(7),
                recent_ids: (0..64).collect(),
            }),
            tier: Some("tier3".to_owned()),
            alias_of: Some(b"acme\xff".to_vec()),
            since: Some(20_000),
            by_feed: true,
            feed: AccountTerms {
                limits: Some(every_limit()),
                disabled: Some(false),
                ..AccountTerms::default()
            },
            admin: AccountTerms {
                limits: Some(OwnLimits::default()),
                disabled: Some(true),
                exempt: Some(true),
                until: Some(Wall::from_millis(u64::MAX)),
            },
        };
        let staged = |entry| Staged {
            generation: u32::MAX,
            entry,
        };
        let of = |id: &[u8]| StoredEntry::new(EntryId::of(id));
        for place in [
            of(b"a"),
            of(&[b'x'; 129]),
            StoredEntry {
                entry: Some(AccountEntry::default()),
                ..of(b"")
            },
            StoredEntry {
                entry: Some(entry.clone()),
                staged: Some(staged(None)),
                seen: 9,
                written: Some(Mono::from_millis(8)),
                ..of(&[0xff; 128])
            },
            StoredEntry {
                staged: Some(staged(Some(entry))),
                ..of(b"b")
            },
        ] {
            let bytes = encode(&place);
            assert_eq!(decode(&bytes), Some(place));
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), None, "{end}");
            }
            assert_eq!(decode(&[&bytes[..], b"x"].concat()), None);
        }
    }

    /// The stored form: a change of it needs a new layout version and a new key.
    #[test]
    fn the_bytes_of_a_place_are_these() {
        let entry = AccountEntry {
            tier: Some("t".to_owned()),
            since: Some(300),
            feed: AccountTerms {
                disabled: Some(true),
                ..AccountTerms::default()
            },
            ..AccountEntry::default()
        };
        let place = StoredEntry {
            entry: Some(entry),
            seen: 2,
            written: Some(Mono::from_millis(5)),
            ..StoredEntry::new(EntryId::of(b"a"))
        };
        let id = [0, 1, b'a'];
        let basis = [0, 1, 1, b't', 0, 1, 0xac, 0x02, 0];
        let terms = [0, 1, 1, 0, 0, 0, 0, 0, 0];
        let wanted = [&id[..], &[1], &basis, &terms, &[0, 2, 1, 5]].concat();
        assert_eq!(encode(&place), wanted);
    }
}
