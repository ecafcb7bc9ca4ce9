//! Each style byte for byte against what its vendor documents, or what a named reply had.

use super::*;
use crate::limits::LimitKind;
use crate::limits::kinds::{Counted, Per};
use crate::limits::snapshot::{Gauge, RefusedBy};
use crate::limits::units::Unit;
use crate::time::{Span, Wall};
use crate::zone::rfc3339;
use sfv::{BareItem, ListEntry, Parser};

fn kind(name: &str) -> LimitKind {
    LimitKind::known(name).unwrap()
}

fn gauge(limit: u64, remaining: u64, resets_in_ms: u64) -> Gauge {
    Gauge {
        limit,
        remaining,
        used: limit - remaining,
        resets_in: Span::from_millis(resets_in_ms),
        window: Some(Span::from_secs(60)),
    }
}

/// The headers of a style as lines of text; those that are removed are left out.
fn sent(style: HeaderStyle, snapshot: &Snapshot) -> String {
    let lines = StyleList::of(vec![style]).lines(snapshot).into_iter();
    let lines = lines.filter_map(|(name, value)| Some(format!("{name}: {}\n", value?)));
    lines.collect()
}

/// platform.openai.com/docs/guides/rate-limits, "Rate limits in headers", the column of samples.
#[test]
fn openai_as_its_guide_shows_it() {
    let snapshot: Snapshot = [
        (kind("rpm"), gauge(60, 59, 1_000)),
        (kind("tpm"), gauge(150_000, 149_984, 360_000)),
    ]
    .into_iter()
    .collect();
    let wanted = "x-ratelimit-limit-requests: 60\n\
                  x-ratelimit-remaining-requests: 59\n\
                  x-ratelimit-reset-requests: 1s\n\
                  x-ratelimit-limit-tokens: 150000\n\
                  x-ratelimit-remaining-tokens: 149984\n\
                  x-ratelimit-reset-tokens: 6m0s\n";
    assert_eq!(sent(HeaderStyle::OpenAi, &snapshot), wanted);
}

/// console.groq.com/docs/rate-limits, "Rate limit headers": requests are those of a day.
#[test]
fn groq_as_its_documentation_shows_it() {
    let all = [
        (kind("rpm"), gauge(30, 1, 1_000)),
        (kind("rpd"), gauge(14_400, 14_370, 179_560)),
        (kind("tpm"), gauge(18_000, 17_997, 7_660)),
    ];
    let wanted = "x-ratelimit-limit-requests: 14400\n\
                  x-ratelimit-remaining-requests: 14370\n\
                  x-ratelimit-reset-requests: 2m59.56s\n\
                  x-ratelimit-limit-tokens: 18000\n\
                  x-ratelimit-remaining-tokens: 17997\n\
                  x-ratelimit-reset-tokens: 7.66s\n";
    assert_eq!(sent(HeaderStyle::Groq, &all.into_iter().collect()), wanted);
    let without_day: Snapshot = [all[0]].into_iter().collect();
    assert!(sent(HeaderStyle::Groq, &without_day).starts_with("x-ratelimit-limit-requests: 30\n"));
}

/// The reply in bespokelabsai/curator issue 535 on GitHub (2025-02-24), the two limits that it has.
#[test]
fn anthropic_as_a_reply_had_it() {
    let wall = rfc3339::parse("2025-02-24T20:37:51Z").unwrap();
    let mut snapshot: Snapshot = [
        (kind("rpm"), gauge(4_000, 3_999, 0)),
        (kind("otpm"), gauge(80_000, 80_000, 12_000)),
    ]
    .into_iter()
    .collect();
    snapshot.wall = Some(wall);
    let wanted = "anthropic-ratelimit-requests-limit: 4000\n\
                  anthropic-ratelimit-requests-remaining: 3999\n\
                  anthropic-ratelimit-requests-reset: 2025-02-24T20:37:51Z\n\
                  anthropic-ratelimit-output-tokens-limit: 80000\n\
                  anthropic-ratelimit-output-tokens-remaining: 80000\n\
                  anthropic-ratelimit-output-tokens-reset: 2025-02-24T20:38:03Z\n";
    assert_eq!(sent(HeaderStyle::Anthropic, &snapshot), wanted);
}

/// A client that reads `rejected` takes its plan for used up, so a minute never says it.
#[test]
fn anthropics_unified_status_is_that_of_a_day_and_longer() {
    let status = |snapshot: &Snapshot| {
        let sent = sent(HeaderStyle::Anthropic, snapshot);
        let unified = sent.lines().filter(|line| line.contains("unified"));
        unified.map(str::to_owned).collect::<Vec<_>>()
    };
    let refuses = |refused: Option<&str>, used: u64, overloaded: bool| {
        let minute = (kind("rpm"), gauge(10, 0, 1_000));
        let day = (kind("tpd"), gauge(100, 100 - used, 30_000));
        let mut snapshot: Snapshot = [minute, day].into_iter().collect();
        snapshot.wall = Some(Wall::from_millis(1_764_370_000_500));
        snapshot.refused = refused.map(|name| RefusedBy {
            kind: kind(name),
            wait: Span::from_secs(30),
            overloaded,
        });
        snapshot
    };
    let at = |refused: Option<&str>, used: u64| refuses(refused, used, false);
    assert_eq!(status(&at(None, 80)), [""; 0]);
    assert_eq!(
        status(&at(None, 81)),
        ["anthropic-ratelimit-unified-status: allowed_warning"]
    );
    assert_eq!(status(&at(Some("rpm"), 81)), [""; 0]);
    assert_eq!(
        status(&refuses(Some("tpd"), 81, true)),
        [""; 0],
        "lowered for load, and not used up"
    );
    assert_eq!(
        status(&at(Some("tpd"), 100)),
        [
            "anthropic-ratelimit-unified-status: rejected",
            "anthropic-ratelimit-unified-reset: 1764370031"
        ]
    );
}

/// The reply of api.mistral.ai in mistralai/client-ts issue 169 on GitHub (2026-02-12). Headers have no
/// order.
#[test]
fn mistral_as_a_reply_had_it() {
    let mut snapshot: Snapshot = [
        (kind("rpm"), gauge(720, 717, 60_000)),
        (kind("tpm"), gauge(5_000_000, 4_999_911, 60_000)),
    ]
    .into_iter()
    .collect();
    snapshot.cost = Some(52);
    let mut wanted = [
        "x-ratelimit-limit-tokens-minute: 5000000",
        "x-ratelimit-remaining-tokens-minute: 4999911",
        "x-ratelimit-tokens-query-cost: 52",
        "x-ratelimit-limit-req-minute: 720",
        "x-ratelimit-remaining-req-minute: 717",
    ];
    wanted.sort_unstable();
    let sent = sent(HeaderStyle::Mistral, &snapshot);
    let mut lines: Vec<_> = sent.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, wanted);
}

/// The names of the month are those of replies of api.mistral.ai; the numbers are our own.
#[test]
fn mistral_has_a_month() {
    let monthly = Counted::Sum(Unit::Tokens, Per::Month);
    let monthly = LimitKind::named("monthly_tokens", monthly).unwrap();
    let mut snapshot: Snapshot = [
        (kind("rpm"), gauge(300, 299, 1_000)),
        (kind("tpm"), gauge(500_000, 499_964, 1_000)),
        (monthly, gauge(1_000_000_000, 999_999_964, 1_000)),
    ]
    .into_iter()
    .collect();
    snapshot.cost = Some(36);
    let wanted = "x-ratelimit-limit-req-minute: 300\n\
                  x-ratelimit-remaining-req-minute: 299\n\
                  x-ratelimit-limit-tokens-minute: 500000\n\
                  x-ratelimit-remaining-tokens-minute: 499964\n\
                  x-ratelimit-limit-tokens-month: 1000000000\n\
                  x-ratelimit-remaining-tokens-month: 999999964\n\
                  x-ratelimit-tokens-query-cost: 36\n";
    assert_eq!(sent(HeaderStyle::Mistral, &snapshot), wanted);
}

fn all_kinds() -> Snapshot {
    let spend = LimitKind::named("spend", Counted::Sum(Unit::Usd, Per::Month)).unwrap();
    let concurrency = Gauge {
        window: None,
        ..gauge(50, 49, 0)
    };
    let money = Gauge {
        window: None,
        ..gauge(12_500_000_000_000, 12_495_000_000_000, 5_000)
    };
    [
        (kind("concurrency"), concurrency),
        (kind("rpm"), gauge(200, 199, 59_001)),
        (
            kind("itpm").of_model("k2").unwrap(),
            gauge(u64::MAX >> 11, 7, 100),
        ),
        (spend, money),
    ]
    .into_iter()
    .collect()
}

#[test]
fn ietf_has_an_item_for_each_limit() {
    let wanted = "ratelimit-policy: \"concurrency\";q=50;qu=\"concurrent-requests\", \
                  \"rpm\";q=200;w=60, \
                  \"k2/itpm\";q=999999999999999;qu=\"tokens\";w=60, \
                  \"spend\";q=1250;qu=\"usd-cents\"\n\
                  ratelimit: \"concurrency\";r=49, \"rpm\";r=199;t=60, \"k2/itpm\";r=7;t=1, \
                  \"spend\";r=1249;t=5\n";
    assert_eq!(sent(HeaderStyle::Ietf, &all_kinds()), wanted);
    let none = StyleList::of(vec![HeaderStyle::Ietf]).lines(&Snapshot::default());
    assert_eq!(none, [("ratelimit-policy", None), ("ratelimit", None)]);
}

#[test]
fn ietf_says_tokens_of_every_kind() {
    let all = ["tpm", "tpd", "itpm", "itpd", "otpm", "otpd"];
    let gauges = all.map(|name| (kind(name), gauge(9, 8, 0)));
    let policy = sent(HeaderStyle::Ietf, &gauges.into_iter().collect());
    let policy = policy.lines().next().unwrap();
    assert_eq!(
        policy.matches(";qu=\"tokens\"").count(),
        all.len(),
        "{policy}"
    );
}

/// A `t` that contradicts `retry-after` would have clients choose one of them.
#[test]
fn ietf_tells_the_wait_of_the_limit_that_refuses() {
    let at = |name: &str, wait: u64| {
        let mut snapshot = all_kinds();
        snapshot.refused = Some(RefusedBy {
            kind: kind(name),
            wait: Span::from_millis(wait),
            overloaded: false,
        });
        sent(HeaderStyle::Ietf, &snapshot)
    };
    for (name, wait, item) in [
        ("rpm", 12_001, "\"rpm\";r=199;t=13, "),
        ("rpm", 3, "\"rpm\";r=199;t=1, "),
        (
            "concurrency",
            250,
            "\"concurrency\";r=49;t=1, \"rpm\";r=199;t=60, ",
        ),
    ] {
        let sent = at(name, wait);
        assert!(sent.contains(item), "{sent}");
    }
}

/// A parser of structured fields reads what we write, and writes the same.
#[test]
fn ietf_is_a_list_of_structured_fields() {
    for (_, value) in StyleList::of(vec![HeaderStyle::Ietf]).lines(&all_kinds()) {
        let value = value.unwrap();
        let list = Parser::new(&value).parse::<sfv::List>().unwrap();
        assert_eq!(list.len(), 4);
        for entry in &list {
            let ListEntry::Item(item) = entry else {
                panic!("{value}")
            };
            assert!(matches!(item.bare_item, BareItem::String(_)), "{value}");
        }
    }
}

#[test]
fn styles_with_the_same_names_are_refused_together() {
    let list = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        HeaderStyle::list("headers", Some(names))
    };
    assert!(list(&["openai", "anthropic", "ietf", "mistral"]).is_ok());
    assert!(list(&["groq", "ietf"]).is_ok());
    let refused = list(&["openai", "groq"]).unwrap_err().to_string();
    assert!(
        refused.starts_with("headers[1]: ") && refused.contains("same names"),
        "{refused}"
    );
    assert!(list(&["openai", "openai"]).is_err());
    let unknown = list(&["azure"]).unwrap_err().to_string();
    assert!(unknown.contains("\"mistral\""), "{unknown}");
    assert!(!unknown.contains("did you mean"), "{unknown}");
}

#[test]
fn a_misspelt_style_is_answered_with_the_nearest_one() {
    for (name, near) in [
        ("anthropc", "anthropic"),
        ("OpenAI", "openai"),
        ("mistrall", "mistral"),
    ] {
        let error = HeaderStyle::list("headers", Some(vec![name.to_owned()])).unwrap_err();
        let wanted =
            format!("headers[0]: {name:?} is no style (did you mean {near:?}?): \"openai\"");
        assert!(error.to_string().starts_with(&wanted), "{error}");
    }
}
