//! The account directory: tiers by recharge or by name, limits of an account's own, and writers
//! that lose nothing.

use crate::harness::{Call, Config, FakeRequest, Next, Used, Worker, World};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn config() -> Config {
    Config::new().open_admin().with(json!({
        "tier": ["directory"],
        "capacity": {"accounts": 64, "directory": 64}
    }))
}

fn worker(world: &Arc<World>) -> Worker {
    Worker::new(world, config())
}

fn recharge(worker: &Worker, id: &str, event: &str, amount: &str, kind: &str) -> (u32, Value) {
    let body = format!(r#"{{"id": "{event}", "amount": "{amount}", "kind": "{kind}"}}"#);
    worker.call(&Call::Recharge(id.as_bytes().to_vec()), &body)
}

fn of(account: &str) -> FakeRequest {
    FakeRequest::with(&[("x-account-id", account)])
}

fn rpm_of(worker: &Worker, account: &str) -> String {
    match worker.check(&of(account)).next {
        Next::Forward(pass) => worker.told(&pass)[0].1.clone().unwrap(),
        Next::Reply(reply) => reply.code.to_owned(),
        Next::Queue(_) => unreachable!("no tier waits"),
    }
}

#[test]
fn the_seed_table_gives_the_published_tiers_and_the_voucher_once() {
    let world = World::new();
    let worker = worker(&world);
    for (amount, tier, rpm) in [
        ("0.99", None, "recharge_required"),
        ("1", Some("tier0"), "3"),
        ("4.99", Some("tier0"), "3"),
        ("5", Some("tier0"), "3"),
        ("9.99", Some("tier0"), "3"),
        ("10", Some("tier1"), "200"),
        ("20", Some("tier2"), "500"),
        ("100", Some("tier3"), "5000"),
        ("999.99", Some("tier3"), "5000"),
        ("1000", Some("tier4"), "5000"),
        ("3000", Some("tier5"), "10000"),
    ] {
        let account = format!("with-{amount}");
        let gift = recharge(&worker, &account, "gift", "5", "voucher").1;
        assert_eq!(
            (&gift["tier"], &gift["voucher_due"]),
            (&Value::Null, &false.into())
        );
        let (status, written) = recharge(&worker, &account, "first", amount, "cash");
        assert_eq!((status, &written["tier"]), (200, &tier.into()), "{amount}");
        let due = amount.parse::<f64>().unwrap() >= 5.0;
        assert_eq!(written["voucher_due"], due, "{amount}");
        let more = recharge(&worker, &account, "second", "0.01", "cash").1;
        assert_eq!(more["voucher_due"], amount == "4.99", "once: {amount}");
        recharge(&worker, &account, "third", "-0.01", "cash");
        assert_eq!(rpm_of(&worker, &account), rpm, "{amount}");
    }
}

#[test]
fn an_event_that_comes_again_changes_nothing_and_is_answered_alike() {
    let world = World::new();
    let worker = worker(&world);
    let first = recharge(&worker, "acme", "e1", "20", "cash").1;
    let again = recharge(&worker, "acme", "e1", "20", "cash").1;
    assert_eq!(
        (&first["new"], &again["new"]),
        (&true.into(), &false.into())
    );
    for field in ["recharge", "tier", "voucher_due"] {
        assert_eq!(first[field], again[field], "{field}");
    }
    let (_, refunded) = recharge(&worker, "acme", "e2", "-15", "cash");
    assert_eq!(
        (&refunded["recharge"], &refunded["tier"]),
        (&"5.00".into(), &"tier0".into())
    );
}

#[test]
fn an_account_can_be_put_into_a_tier_get_its_own_limits_and_be_switched_off() {
    let world = World::new();
    let worker = worker(&world);
    assert_eq!(
        rpm_of(&worker, "acme"),
        "limiter_unavailable",
        "nothing was pushed yet"
    );
    assert_eq!(
        worker
            .put("acme", r#"{"tier": "tier3", "limits": {"rpm": 20000}}"#)
            .0,
        200
    );
    assert_eq!(rpm_of(&worker, "nobody"), "limiter_unavailable");
    worker.ready();
    assert_eq!(rpm_of(&worker, "acme"), "20000");
    assert_eq!(rpm_of(&worker, "nobody"), "tier_unknown");
    worker.put("acme", r#"{"recharge": "20"}"#);
    assert_eq!(
        rpm_of(&worker, "acme"),
        "500",
        "and its own limits are gone"
    );
    worker.put("acme", r#"{"tier": "tier3", "disabled": true}"#);
    assert_eq!(rpm_of(&worker, "acme"), "account_disabled");
    let (status, refused) = worker.put("acme", r#"{"tier": "gold"}"#);
    let message = refused["error"]["message"].as_str().unwrap();
    assert_eq!(status, 400);
    assert!(
        message.contains("body at tier: ") && message.contains("tier5"),
        "{message}"
    );
    assert_eq!(worker.call(&Call::Delete(b"acme".to_vec()), "").0, 200);
    assert_eq!(worker.call(&Call::Delete(b"acme".to_vec()), "").0, 404);
    assert_eq!(rpm_of(&worker, "acme"), "tier_unknown");
}

#[test]
fn errors_of_the_admin_api_have_the_keys_of_refusals_in_their_order() {
    let world = World::new();
    let worker = worker(&world);
    let refused = worker.administer(&Call::Put(b"acme".to_vec()), "{");
    let body = String::from_utf8(refused.body).unwrap();
    let keys = [
        "{\"error\":{\"message\":",
        "\"type\":",
        "\"code\":",
        "\"param\":",
    ];
    let at = keys.map(|key| body.find(key).expect(key));
    assert!(at.is_sorted(), "{body}");
}

#[test]
fn what_is_known_of_an_account_is_shown_with_its_usage() {
    let world = World::new();
    let worker = worker(&world);
    worker.put("acme", r#"{"recharge": "1"}"#);
    worker.ready();
    let _admission = worker.admission(&of("acme"));
    let (_, view) = worker.call(&Call::Get(b"acme".to_vec()), "");
    assert_eq!(
        (&view["recharge"], &view["tier"]),
        (&"1.00".into(), &"tier0".into())
    );
    assert_eq!(
        (&view["tier_from"], &view["in_flight"]),
        (&"recharge".into(), &1.into())
    );
    assert_eq!(
        (
            &view["usage"]["rpm"]["used"],
            &view["usage"]["rpm"]["remaining"]
        ),
        (&1.into(), &2.into())
    );
    assert_eq!(view["usage"]["tpm"]["used"], 2048);
    assert_eq!(view["usage"]["tpd"]["limit"], 1_500_000);
    let (status, _) = worker.call(&Call::Reset(b"acme".to_vec()), "");
    assert_eq!(status, 200);
    let (_, view) = worker.call(&Call::Get(b"acme".to_vec()), "");
    assert_eq!(
        (&view["usage"]["rpm"]["used"], &view["in_flight"]),
        (&0.into(), &1.into())
    );
    assert_eq!(worker.call(&Call::Get(b"nobody".to_vec()), "").0, 404);
    let (_, status) = worker.call(&Call::Status, "");
    assert_eq!(
        (&status["ready"], &status["directory"]["records"]),
        (&true.into(), &1.into())
    );
}

#[test]
fn not_ready_can_be_a_tier() {
    let world = World::new();
    let more = json!({"not_ready": "tier1", "unknown_tier": "tier3"});
    let worker = Worker::new(&world, config().with(more));
    assert_eq!(rpm_of(&worker, "acme"), "200");
    let (_, written) = worker.put("other", r#"{"tier": "tier2"}"#);
    assert_eq!(written["ready"], false);
    worker.tick();
    assert_eq!(
        rpm_of(&worker, "acme"),
        "200",
        "one account is not all of them"
    );
    worker.ready();
    assert_eq!(
        rpm_of(&worker, "acme"),
        "5000",
        "now it is known that it is not known"
    );
}

#[test]
fn past_its_capacity_a_write_is_refused_and_nothing_old_is_lost() {
    let world = World::new();
    let worker = worker(&world);
    let mut written = Vec::new();
    let mut refused = 0;
    for i in 0..1_000 {
        let id = format!("account-{i}");
        match worker.put(&id, r#"{"tier": "tier2"}"#).0 {
            200 => written.push(id),
            507 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(
        written.len() >= 64,
        "at least what was promised: {}",
        written.len()
    );
    assert_eq!(worker.tick().get("directory_full", ""), refused);
    for id in &written {
        assert_eq!(rpm_of(&worker, id), "500");
    }
}

#[test]
fn eight_writers_lose_nothing_and_the_same_events_again_change_nothing() {
    let world = World::new();
    worker(&world);
    for round in 0..2 {
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let world = &world;
                scope.spawn(move || {
                    let worker = worker(world);
                    // Within what is remembered: 8 x 8 events.
                    for event in 0..8 {
                        let id = format!("{writer}-{event}");
                        let (status, written) = recharge(&worker, "acme", &id, "0.25", "cash");
                        assert_eq!((status, &written["new"]), (200, &(round == 0).into()));
                    }
                });
            }
        });
        let worker = worker(&world);
        let (_, view) = worker.call(&Call::Get(b"acme".to_vec()), "");
        assert_eq!(view["recharge"], "16.00");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_directory_page_or_empty_or_newer(bytes in prop::collection::vec(any::<u8>(), 0..300), known in any::<bool>()) {
        let world = World::new();
        let worker = worker(&world);
        worker.put("acme", r#"{"tier": "tier2"}"#);
        let mut bytes = bytes;
        if known {
            bytes.splice(0..0, [2, b'D']);
        }
        for key in world.keys().iter().filter(|k| k.contains("/e")) {
            world.overwrite(key, &bytes);
        }
        worker.check(&of("acme"));
        let is_newer = bytes.first().is_some_and(|version| *version > 2);
        let (status, _) = worker.put("acme", r#"{"tier": "tier2"}"#);
        prop_assert_eq!(status, if is_newer { 503 } else { 200 });
        if !is_newer {
            prop_assert_eq!(rpm_of(&worker, "acme"), "500");
        }
    }
}

#[test]
fn what_a_request_reserved_before_a_reset_is_not_refunded_out_of_what_came_later() {
    let world = World::new();
    let more = json!({"tokens": {"completion": 10000, "prompt": 0}});
    let worker = Worker::new(&world, config().with(more));
    worker.put("acme", r#"{"tier": "tier1", "limits": {"tpd": 1000000}}"#);
    let before = worker.admission(&of("acme"));
    world.pass_ms(10);
    worker.call(&Call::Reset(b"acme".to_vec()), "");
    world.pass_ms(10);
    worker.admit(&of("acme"));
    worker.settle(before, Used::Tokens(100));
    let (_, view) = worker.call(&Call::Get(b"acme".to_vec()), "");
    assert_eq!(view["usage"]["tpm"]["used"], 10_000);
    assert_eq!(view["usage"]["tpd"]["used"], 10_000);
}

/// A damaged head is written anew by the next change: with the size that the directory has, or the next
/// VM would lay it out with the size of its own config.
#[test]
fn a_head_that_was_damaged_keeps_the_size() {
    let world = crate::harness::World::new();
    let host = crate::harness::FakeHost::new(&world);
    let open =
        |accounts| tiergate::directory::Directory::open(&host, "tiergate", accounts).unwrap();
    let directory = open(Some(64));
    world.overwrite("tiergate/directory", b"\x02Mnonsense-nonsense");
    directory.set_ready(&host).unwrap();
    assert_eq!(open(None).pages(), directory.pages());
}
