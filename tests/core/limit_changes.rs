//! Limits, windows and zones that change while requests are in flight.

use crate::harness::{Config, FakeRequest, Used, Worker, World};
use serde_json::{Value, json};
use std::sync::Arc;

/// One tier with these limits beside the four, which are unlimited.
fn limits(more: &[(&str, Value)]) -> Config {
    let mut limits = json!({"concurrency": "unlimited", "rpm": "unlimited",
        "tpm": "unlimited", "tpd": "unlimited"});
    for (name, limit) in more {
        limits[*name] = limit.clone();
    }
    let tier = json!({"name": "t", "recharge": 1, "limits": limits});
    Config::new().with(
        json!({"capacity": {"accounts": 64}, "usage_path": "/u", "tiers": [tier],
        "tokens": {"completion": 100, "prompt": 0}}),
    )
}

/// A request of 100 input and 100 output tokens.
fn acme() -> FakeRequest {
    FakeRequest::acme(100)
}

/// Requests of an old config are in flight; the new one fills a limit that the old one lacks.
fn a_refund_stays_within_what_was_counted(old: &[(&str, Value)], new: &[(&str, Value)]) {
    let world = World::new();
    let old = Worker::new(&world, limits(old));
    let open: Vec<_> = (0..5).map(|_| old.admission(&acme())).collect();
    let new = Worker::new(&world, limits(new));
    for _ in 0..5 {
        new.admit(&acme());
    }
    new.refuse(&acme());
    for admission in open {
        old.settle(admission, Used::Tokens(0));
    }
    new.refuse(&acme());
}

#[test]
fn a_refund_takes_nothing_from_a_limit_that_did_not_count_the_request() {
    let (day, hour) = (("tpd", json!(1_000_000)), ("tph", json!(1_000_000)));
    let output = json!({"unit": "output_tokens", "per": "hour", "limit": 500});
    a_refund_stays_within_what_was_counted(
        std::slice::from_ref(&day),
        &[day.clone(), ("otpd", json!(500))],
    );
    a_refund_stays_within_what_was_counted(
        std::slice::from_ref(&hour),
        &[hour.clone(), ("out", output)],
    );
}

/// An unlimited window is not counted, so it has no use and no reset in the view.
#[test]
fn a_change_of_tier_shows_the_day_only_where_it_is_limited() {
    let world = World::new();
    let limited = Config::tier("free").tpd(10_000).and_tier("paid");
    let worker = Worker::new(&world, limited.open_admin());
    let of = |tier: &str| FakeRequest::of("acme", tier, 100);
    let tpd = |tier: &str| {
        let usage = worker.usage(&of(tier))["limits"]["tpd"].clone();
        (usage["used"].as_u64(), usage["reset_ms"].as_u64())
    };
    let serve = |tier: &str| assert!(worker.serves(&of(tier), Used::Tokens(100)));
    serve("free");
    let (used, reset) = tpd("free");
    assert_eq!(used, Some(100));
    assert!((1..86_400_000).contains(&reset.unwrap()), "{reset:?}");
    serve("paid");
    assert_eq!(tpd("paid"), (None, None));
    serve("free");
    assert_eq!(
        tpd("free"),
        (Some(200), reset),
        "the paid part is not in it"
    );
}

#[test]
fn a_request_over_midnight_is_one_of_its_own_day() {
    let world = World::new();
    let worker = Worker::new(&world, limits(&[("rpd", json!(1)), ("tpd", json!(1_000))]));
    let day_us = 86_400_000_000;
    world.pass_us(day_us - world.wall_us() % day_us - 1_000_000);
    let open = worker.admission(&acme());
    world.pass_ms(2_000);
    worker.settle(open, Used::Tokens(150));
    let used = &worker.usage(&acme())["limits"];
    assert_eq!(
        (&used["rpd"]["used"], &used["tpd"]["used"]),
        (&json!(0), &json!(150))
    );
    worker.admit(&acme());
    worker.refuse(&acme());
}

#[test]
fn a_custom_window_keeps_its_count_when_a_known_one_changes_its_length() {
    let world = World::new();
    let burst = [(
        "burst",
        json!({"unit": "requests", "per": "60s", "limit": 3}),
    )];
    let old = Worker::new(&world, limits(&burst));
    for _ in 0..3 {
        old.admit(&acme());
    }
    let shorter = json!({"windows": {"minute": "30s"}});
    let new = Worker::new(&world, limits(&burst).with(shorter));
    new.refuse(&acme());
    world.pass_ms(60_001);
    new.admit(&acme());
}

#[test]
fn a_settlement_of_a_config_of_another_zone_leaves_the_day_alone() {
    let day = |world: &Arc<World>, zone: &str| {
        let zone = json!({"windows": {"day": {"calendar": zone}}});
        Worker::new(world, limits(&[("tpd", json!(1_000))]).with(zone))
    };
    for pass_ms in [0, 2 * 3_600_000] {
        let world = World::new();
        let old = day(&world, "+08:00");
        let open = old.admission(&acme());
        let new = day(&world, "+00:00");
        for _ in 0..4 {
            new.admit(&acme());
        }
        new.refuse(&acme());
        world.pass_ms(pass_ms); // past 16:00, midnight in the old zone
        old.settle(open, Used::Tokens(200));
        new.refuse(&acme());
        world.pass_ms(2 * 3_600_000);
        new.refuse(&acme());
    }
}

#[test]
fn calendar_and_rolling_days_leave_each_others_counts_alone() {
    let (calendar, rolling) = (json!({"calendar": "+00:00"}), json!({"rolling": "24h"}));
    for (old, new) in [(&calendar, &rolling), (&rolling, &calendar)] {
        let world = World::new();
        let of = |day: &Value| {
            let day = json!({"windows": {"day": day}});
            Worker::new(&world, limits(&[("tpd", json!(1_000))]).with(day))
        };
        let old = of(old);
        let open: Vec<_> = (0..5).map(|_| old.admission(&acme())).collect();
        let new = of(new);
        for admission in open {
            new.admit(&acme());
            world.pass_ms(1_000);
            old.settle(admission, Used::Tokens(200));
        }
        for _ in 0..2 {
            old.refuse(&acme());
            new.refuse(&acme());
            world.pass_ms(3_600_000);
        }
    }
}

#[test]
fn a_settlement_whose_record_is_gone_takes_nothing_from_others() {
    let world = World::new();
    let one_page = json!({"capacity": {"accounts": 8}, "tier": ["directory"], "unknown_tier": "t",
        "admin": {"path": "/a", "insecure": true}});
    let worker = Worker::new(&world, limits(&[("tpm", json!(2_000))]).with(one_page));
    worker.ready();
    let of = |name: &str| FakeRequest::of(name, "t", 100);
    let open: Vec<_> = (0..9).map(|_| worker.admission(&of("a"))).collect();
    for i in 0.. {
        worker.admit(&of(&format!("noise-{i}")));
        if worker.tick().get("overflow_requests", "") > 0 {
            break;
        }
    }
    let reset = crate::harness::Call::Reset(b"a".to_vec());
    assert_eq!(worker.call(&reset, "").1["reset"], true);
    worker.admit(&of("takes-its-place"));
    while worker.serves(&of("b"), Used::Unknown) {}
    for admission in open {
        worker.settle(admission, Used::Tokens(0));
    }
    worker.refuse(&of("b"));
}
