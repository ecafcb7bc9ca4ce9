//! The two filter states of one request, as an access log prints them: words `key=value`.
//!
//! The filter escapes the account, so no value has a space, and a client can't add a word. Words of
//! unknown keys are ignored: a later filter may have more.

use crate::event::quoted;
use percent_encoding::percent_decode_str;
use tiergate::time::Wall;

/// The largest count that a state may have.
const MOST: u64 = (1 << 53) - 1;
/// The first moment that is no time of a request: the year 10000, in milliseconds.
const TOO_LATE: u64 = 253_402_300_800_000;

/// The fields of `wasm.tiergate` about a request.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestWords<'a> {
    /// The tier's name; "none" where it is not known.
    pub tier: &'a str,
    /// The outcome, such as "admitted".
    pub outcome: &'a str,
    /// The limit that refused, if one did.
    pub limit: Option<&'a str>,
    /// The family of the request's model, if it has one.
    pub model: Option<&'a str>,
    /// The account's bytes; `None` without `"log_account": true`.
    pub account: Option<Vec<u8>>,
}

/// The fields of `wasm.tiergate.usage` about a request.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageWords<'a> {
    /// The moment of the decision.
    pub at: Wall,
    /// The weighted tokens that were reserved, if the line has them.
    pub reserved: Option<u64>,
    /// The family of the request's model, if it has one.
    pub model: Option<&'a str>,
    /// True when no usage was read in the response.
    pub estimated: bool,
    /// The tokens by kind, in the order of [`KINDS`].
    pub tokens: [u64; KINDS.len()],
}

/// The kinds of tokens.
pub const KINDS: [&str; 4] = ["input", "cached", "cache_write", "output"];

/// The problem of a state.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadState {
    #[error("{0} is not a word such as output=431")]
    NotAWord(String),
    #[error("{0}= stands twice")]
    Doubled(&'static str),
    #[error("{0}= is missing: is the line cut?")]
    Missing(&'static str),
    #[error("{key}={value} is not a whole number from 0 to {MOST}")]
    NotACount { key: &'static str, value: String },
    #[error("at={0} is not a time in milliseconds since 1970")]
    NotAMoment(String),
    #[error("estimated={0} is neither true nor false")]
    NotABool(String),
    #[error("account={0} is not escaped as the filter does it")]
    NotEscaped(String),
}

impl<'a> RequestWords<'a> {
    /// Reads `tier=tier0 outcome=admitted account=acme`.
    pub fn parse(text: &'a str) -> Result<Self, BadState> {
        let (mut tier, mut outcome, mut account) = (None, None, None);
        let (mut limit, mut model) = (None, None);
        for word in text.split(' ') {
            let (key, value) = pair(word)?;
            match key {
                "tier" => once("tier", &mut tier, value)?,
                "outcome" => once("outcome", &mut outcome, value)?,
                "account" => once("account", &mut account, unescaped(value)?)?,
                "limit" => once("limit", &mut limit, value)?,
                "model" => once("model", &mut model, value)?,
                _ => {}
            }
        }
        Ok(Self {
            tier: tier.ok_or(BadState::Missing("tier"))?,
            limit,
            model,
            outcome: outcome.ok_or(BadState::Missing("outcome"))?,
            account,
        })
    }
}

impl<'a> UsageWords<'a> {
    /// Reads `at=1767225600000 input=120 cached=80 cache_write=0 output=431 estimated=false`.
    pub fn parse(text: &'a str) -> Result<Self, BadState> {
        let (mut at, mut model, mut estimated) = (None, None, None);
        let mut reserved = None;
        let mut tokens = [None; KINDS.len()];
        for word in text.split(' ') {
            let (key, value) = pair(word)?;
            match key {
                "at" => once("at", &mut at, moment(value)?)?,
                "reserved" => once("reserved", &mut reserved, count("reserved", value)?)?,
                "model" => once("model", &mut model, value)?,
                "estimated" => once("estimated", &mut estimated, flag(value)?)?,
                _ => {
                    for (kind, slot) in KINDS.into_iter().zip(&mut tokens) {
                        if kind == key {
                            once(kind, slot, count(kind, value)?)?;
                        }
                    }
                }
            }
        }
        for (kind, slot) in KINDS.into_iter().zip(&tokens) {
            slot.ok_or(BadState::Missing(kind))?;
        }
        Ok(Self {
            at: at.ok_or(BadState::Missing("at"))?,
            reserved,
            model,
            // The last word, so a state that is cut at its end lacks it.
            estimated: estimated.ok_or(BadState::Missing("estimated"))?,
            tokens: tokens.map(Option::unwrap_or_default),
        })
    }
}

fn pair(word: &str) -> Result<(&str, &str), BadState> {
    let pair = word.split_once('=').filter(|(_, value)| !value.is_empty());
    pair.ok_or_else(|| BadState::NotAWord(quoted(word)))
}

fn once<T>(key: &'static str, slot: &mut Option<T>, value: T) -> Result<(), BadState> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadState::Doubled(key)),
    }
}

fn digits(text: &str) -> Option<u64> {
    let all_digits = text.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| text.parse().ok())?
}

fn count(key: &'static str, text: &str) -> Result<u64, BadState> {
    let count = digits(text).filter(|n| *n <= MOST);
    count.ok_or_else(|| BadState::NotACount {
        key,
        value: quoted(text),
    })
}

fn moment(text: &str) -> Result<Wall, BadState> {
    let ms = digits(text).filter(|ms| *ms < TOO_LATE);
    let ms = ms.ok_or_else(|| BadState::NotAMoment(quoted(text)))?;
    Ok(Wall::from_millis(ms))
}

fn flag(text: &str) -> Result<bool, BadState> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(BadState::NotABool(quoted(text))),
    }
}

/// Takes the filter's escape off: `%41` for each byte that is not visible ASCII, and a few more.
fn unescaped(text: &str) -> Result<Vec<u8>, BadState> {
    let is_escape = |part: &str| {
        let hex = part.bytes().take(2).filter(u8::is_ascii_hexdigit);
        hex.count() == 2
    };
    let visible = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    if text.bytes().all(visible) && text.split('%').skip(1).all(is_escape) {
        return Ok(percent_decode_str(text).collect());
    }
    Err(BadState::NotEscaped(quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: &str = "at=1767225600123 reserved=1030 model=k2 input=120 cached=80 \
        cache_write=0 output=431 estimated=false";

    #[test]
    fn a_usage_is_read_whatever_a_later_filter_adds() {
        let usage = UsageWords {
            at: Wall::from_millis(1_767_225_600_123),
            reserved: Some(1030),
            model: Some("k2"),
            estimated: false,
            tokens: [120, 80, 0, 431],
        };
        assert_eq!(UsageWords::parse(USAGE).as_ref(), Ok(&usage));
        let later = format!("{USAGE} audio=7 note=a=b");
        assert_eq!(UsageWords::parse(&later), Ok(usage));
        let plain = USAGE.replace(" model=k2", "").replace("false", "true");
        let plain = UsageWords::parse(&plain).unwrap();
        assert_eq!((plain.model, plain.estimated), (None, true));
    }

    #[test]
    fn no_cut_of_a_usage_is_a_usage() {
        for end in 0..USAGE.len() {
            let cut = USAGE.get(..end).unwrap();
            assert!(UsageWords::parse(cut).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn counts_are_digits_and_bounded() {
        for (from, to) in [
            ("output=431", "output=9007199254740992"),
            ("output=431", "output=+431"),
            ("output=431", "output=-1"),
            ("output=431", "output=4.0"),
            ("output=431", "output=1e3"),
            ("output=431", "output=٣"),
            ("output=431", "output="),
            ("output=431", "output"),
            ("output=431", "output=431 output=431"),
            ("output=431", "431"),
            ("output=431 ", "output=431  "),
            ("at=1767225600123", "at=253402300800000"),
            ("at=1767225600123", "at=noon"),
            ("estimated=false", "estimated=maybe"),
            ("estimated=false", "estimated=false estimated=true"),
        ] {
            let bad = USAGE.replacen(from, to, 1);
            assert!(UsageWords::parse(&bad).is_err(), "{bad}");
        }
        let most = USAGE.replacen("431", "9007199254740991", 1);
        assert_eq!(UsageWords::parse(&most).unwrap().tokens[3], MOST);
    }

    #[test]
    fn an_account_is_the_bytes_that_were_escaped() {
        let account = |text: &str| {
            let text = format!("tier=t outcome=admitted model=k2 account={text}");
            let account = RequestWords::parse(&text).map(|words| words.account);
            account.map(Option::unwrap)
        };
        for (text, bytes) in [
            ("acme", &b"acme"[..]),
            ("output=999%20", b"output=999 "),
            ("a%0Ab%22%5c%25", b"a\nb\"\\%"),
            ("%E5%AE%A2%FF", "客".as_bytes()),
        ] {
            let account = account(text).unwrap();
            assert!(account.starts_with(bytes), "{text}");
        }
        for text in [
            "", "%", "a%4", "%zz", "a\"b", "a\\b", "a\u{7f}b", "客", "a b",
        ] {
            assert!(account(text).is_err(), "{text}");
        }
    }
}
