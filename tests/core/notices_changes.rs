//! Notices where the list of shares, the limits or the windows change within a period.

use crate::harness::{Call, Config, FakeRequest, Next, Used, Worker, World};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use tiergate::config::parse;

/// Notices at these shares.
fn at(shares: &Value) -> Value {
    json!({"notices": {"at": shares, "to": {"cluster": "c", "authority": "a", "path": "/n"}},
        "tokens": {"completion": 0, "prompt": 0}})
}

fn day(shares: &Value, tokens: u64) -> Config {
    Config::tier("t").tpd(tokens).with(at(shares)).open_admin()
}

/// Two tiers with 1,000 and 10,000 tokens a day.
fn two_tiers() -> Config {
    Config::tier("t")
        .tpd(1_000)
        .and_tier("u")
        .tpd(10_000)
        .with(at(&json!([0.8, 1.0])))
}

fn spend(worker: &Worker, tier: &str, tokens: u64) {
    let open = worker.admission(&FakeRequest::of("acme", tier, tokens));
    worker.settle(open, Used::Tokens(tokens));
}

fn refuse(worker: &Worker, tier: &str) {
    worker.refuse(&FakeRequest::of("acme", tier, 500));
}

/// What there is to tell: share and size of the limit.
fn told(worker: &Worker) -> Vec<(f64, u64)> {
    let all = worker.notices();
    let line = |n: &Value| (n["share"].as_f64().unwrap(), n["of"].as_u64().unwrap());
    all.iter().map(line).collect()
}

#[test]
fn a_list_that_changes_loses_no_share_and_repeats_none() {
    for (old, first, new, used, second) in [
        (
            json!([0.5, 0.8, 1.0]),
            600,
            json!([0.8, 1.0]),
            250,
            &[0.8][..],
        ),
        (json!([0.8, 1.0]), 900, json!([0.5, 0.8, 1.0]), 1, &[]),
        (json!([0.8, 1.0]), 900, json!([0.5, 0.95]), 50, &[0.95]),
        (json!([0.5]), 600, json!([0.5, 0.8, 0.9]), 350, &[0.8, 0.9]),
        (json!([0.9]), 600, json!([0.5]), 1, &[0.5]),
    ] {
        let world = World::new();
        let before = Worker::new(&world, day(&old, 1_000));
        spend(&before, "t", first);
        told(&before);
        let after = Worker::new(&world, day(&new, 1_000));
        spend(&after, "t", used);
        let shares: Vec<f64> = told(&after).into_iter().map(|(share, _)| share).collect();
        assert_eq!(shares, second, "{old} {new}");
        spend(&before, "t", 1);
        assert_eq!(told(&before), [], "{old} {new}: while the old one drains");
    }
}

#[test]
fn a_raised_limit_has_shares_and_a_refusal_of_its_own() {
    let worker = Worker::new(&World::new(), two_tiers());
    spend(&worker, "t", 900);
    refuse(&worker, "t");
    assert_eq!(told(&worker), [(0.8, 1_000), (1.0, 1_000)]);
    spend(&worker, "u", 100);
    assert_eq!(told(&worker), []);
    spend(&worker, "u", 8_900);
    refuse(&worker, "u");
    let all = told(&worker);
    assert_eq!(all, [(0.8, 10_000), (1.0, 10_000)]);
}

#[test]
fn a_raise_by_the_admin_api_is_a_new_limit_too() {
    let config = day(&json!([0.8, 1.0]), 1_000);
    let worker = Worker::new(
        &World::new(),
        config.with(json!({"tier": ["directory", {"header": "x-account-tier"}]})),
    );
    worker.ready();
    worker.put("acme", r#"{"tier": "t"}"#);
    spend(&worker, "t", 850);
    assert_eq!(told(&worker), [(0.8, 1_000)]);
    worker.put("acme", r#"{"tier": "t", "limits": {"tpd": 2000}}"#);
    spend(&worker, "t", 800);
    assert_eq!(told(&worker), [(0.8, 2_000)]);
}

#[test]
fn a_settlement_under_the_old_limit_takes_nothing_from_the_new_one() {
    let worker = Worker::new(&World::new(), two_tiers());
    let old = worker.admission(&FakeRequest::of("acme", "t", 100));
    spend(&worker, "u", 8_000);
    assert_eq!(told(&worker), [(0.8, 10_000)]);
    worker.settle(old, Used::Tokens(950));
    assert_eq!(told(&worker), []);
    spend(&worker, "u", 10);
    assert_eq!(told(&worker), [], "its mark stands");
    // And before the new limit has a mark.
    let worker = Worker::new(&World::new(), two_tiers());
    let old = worker.admission(&FakeRequest::of("acme", "t", 100));
    spend(&worker, "u", 1_000);
    worker.settle(old, Used::Tokens(900));
    told(&worker);
    spend(&worker, "u", 7_000);
    assert_eq!(told(&worker), [(0.8, 10_000)]);
}

#[test]
fn a_settlement_that_crosses_a_raised_limit_is_told() {
    let worker = Worker::new(&World::new(), two_tiers());
    spend(&worker, "t", 900);
    told(&worker);
    let open = worker.admission(&FakeRequest::of("acme", "u", 10));
    worker.settle(open, Used::Tokens(8_000));
    assert_eq!(told(&worker), [(0.8, 10_000)]);
}

#[test]
fn a_lowered_limit_is_told_and_two_that_alternate_are_not_for_ever() {
    let worker = Worker::new(&World::new(), two_tiers());
    spend(&worker, "u", 8_500);
    refuse_of(&worker, "t");
    assert_eq!(told(&worker), [(0.8, 10_000), (0.8, 1_000), (1.0, 1_000)]);
    for _ in 0..50 {
        spend(&worker, "u", 1);
        refuse_of(&worker, "t");
    }
    let all = told(&worker);
    assert!(all.len() <= 9, "{all:?}");
    spend(&worker, "u", 1_000);
    refuse(&worker, "u");
    assert_eq!(
        told(&worker),
        [(1.0, 10_000)],
        "the larger one keeps its marks"
    );
}

fn refuse_of(worker: &Worker, tier: &str) {
    worker.refuse(&FakeRequest::of("acme", tier, 10));
}

#[test]
fn a_share_of_a_sliding_limit_is_told_once_in_a_window() {
    let world = World::new();
    let rolling = json!({"windows": {"day": {"rolling": "24h"}}});
    let worker = Worker::new(&world, day(&json!([0.8, 1.0]), 1_000).with(rolling));
    const HOUR: u64 = 3_600_000;
    spend(&worker, "t", 850);
    assert_eq!(told(&worker), [(0.8, 1_000)]);
    world.pass_ms(23 * HOUR);
    refuse(&worker, "t");
    assert_eq!(told(&worker), [(1.0, 1_000)]);
    world.pass_ms(HOUR + HOUR / 2);
    spend(&worker, "t", 900);
    refuse(&worker, "t");
    assert_eq!(told(&worker), [], "90 minutes after it");
    world.pass_ms(25 * HOUR);
    spend(&worker, "t", 900);
    refuse(&worker, "t");
    assert_eq!(
        told(&worker),
        [(0.8, 1_000), (1.0, 1_000)],
        "a window later"
    );
}

#[test]
fn each_crossing_has_an_id_of_its_own_and_each_try_the_same() {
    let world = World::new();
    let worker = Worker::new(&world, day(&json!([0.8, 1.0]), 1_000));
    let id = |notice: &Value| notice["id"].as_str().unwrap().to_owned();
    spend(&worker, "t", 850);
    let letter = worker.take_letter().unwrap();
    let first = id(&serde_json::from_slice(&letter.body).unwrap());
    worker.end_letter(letter, false);
    world.pass_ms(1_000);
    assert_eq!(id(&worker.notices()[0]), first, "the same bytes");
    worker.call(&Call::Reset(b"acme".to_vec()), "");
    spend(&worker, "t", 850);
    let again = worker.notices();
    assert_ne!(
        id(&again[0]),
        first,
        "the same share of the same day, after a reset"
    );
}

#[test]
fn a_record_that_marks_make_too_large_is_refused() {
    let families: Vec<Value> = (0..32)
        .map(|n| json!({"name": format!("f{n}"), "match": [format!("f{n}")]}))
        .collect();
    let mut limits = serde_json::Map::new();
    for unit in ["requests", "tokens", "input_tokens", "output_tokens"] {
        for per in ["day", "week"] {
            let limit = json!({"unit": unit, "per": per, "limit": 100});
            limits.insert(format!("{unit}_{per}"), limit);
        }
    }
    let models: serde_json::Map<String, Value> = (0..32)
        .map(|n| (format!("f{n}"), Value::Object(limits.clone())))
        .collect();
    let plain =
        Config::tier("t").with(json!({"models": families, "model": [{"header": "x-model"}]}));
    let mut plain: Value = serde_json::from_str(&plain.to_string()).unwrap();
    plain["tiers"][0]["models"] = Value::Object(models);
    assert!(parse(plain.to_string().as_bytes()).is_ok());
    let mut noticed = plain.clone();
    noticed["notices"] = at(&json!([0.8]))["notices"].clone();
    let refused = parse(noticed.to_string().as_bytes())
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with("tiers[0]: a full record would have") && refused.contains("notices"),
        "{refused}"
    );
}

/// The lists that the property test changes between.
const LISTS: [&[f64]; 4] = [&[0.8, 1.0], &[0.5, 0.8], &[0.25, 0.5, 0.9], &[0.6, 1.0]];

fn workers(world: &Arc<World>) -> Vec<Worker> {
    let all = LISTS.iter().map(|list| day(&json!(list), 1_000));
    all.map(|config| Worker::new(world, config)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Configs with different lists alternate: what an account has come to is told, and none twice.
    #[test]
    fn no_change_of_the_list_loses_or_repeats_a_share(steps in prop::collection::vec((0..LISTS.len(), 1..150_u64), 1..30)) {
        let world = World::new();
        let workers = workers(&world);
        let mut all: Vec<f64> = Vec::new();
        let (mut used, mut refused) = (0, false);
        for (by, tokens) in steps {
            let worker = &workers[by];
            match worker.check(&FakeRequest::acme(tokens)).next {
                Next::Forward(pass) => {
                    worker.settle(pass.admission.unwrap(), Used::Tokens(tokens));
                    used += tokens;
                }
                _ => refused |= LISTS[by].contains(&1.0),
            }
            all.extend(told(worker).into_iter().map(|(share, _)| share));
            let highest = all.iter().copied().filter(|share| *share < 1.0).fold(0.0, f64::max);
            let come_to = LISTS[by].iter().filter(|share| **share < 1.0 && used as f64 >= **share * 1_000.0);
            for share in come_to {
                prop_assert!(highest >= *share, "{share} of {all:?}");
            }
        }
        let mut once = all.clone();
        once.sort_by(f64::total_cmp);
        once.dedup();
        prop_assert_eq!(once.len(), all.len(), "{:?}", all);
        prop_assert_eq!(all.iter().filter(|share| **share >= 1.0).count(), usize::from(refused));
    }
}
