//! Aliases: many keys, one account, and what the admin API does with each.

use super::{config, get, of, ready};
use crate::harness::{Call, Next, World};
use serde_json::json;

#[test]
fn many_keys_are_one_account() {
    let world = World::new();
    let worker = ready(&world, config());
    worker.put("acme", r#"{"tier": "tier0"}"#);
    for key in ["key-1", "key-2", "key-3"] {
        assert_eq!(worker.put(key, r#"{"account": "acme"}"#).0, 200);
    }
    for key in ["key-1", "key-2", "acme"] {
        let Next::Forward(pass) = worker.check(&of(key)).next else {
            panic!("{key}");
        };
        worker.release(pass.admission.unwrap());
    }
    let reply = worker.refuse(&of("key-3"));
    assert_eq!(reply.code, "rpm", "3 in a minute, of all keys");
    assert!(reply.message.contains("this account"), "{}", reply.message);
    assert!(!reply.message.contains("key-3") && !reply.message.contains("acme"));
    assert_eq!(worker.usage(&of("key-1"))["limits"]["rpm"]["used"], 3);
    let (_, view) = get(&worker, "key-2");
    assert_eq!(
        (&view["account"], &view["tier"], &view["tier_from"]),
        (&json!("acme"), &json!("tier0"), &json!("account"))
    );
    assert_eq!(view["usage"]["rpm"]["used"], 3);
    worker.tick();
    let (_, status) = worker.call(&Call::Status, "");
    assert_eq!(status["refusals"]["accounts"][0]["account"], "acme");
}

#[test]
fn an_alias_has_one_hop_and_a_switch_of_its_own() {
    let world = World::new();
    let worker = ready(&world, config());
    worker.put("acme", r#"{"tier": "tier5"}"#);
    worker.put("key", r#"{"account": "acme"}"#);
    worker.put("hop", r#"{"account": "key"}"#);
    worker.put("dangling", r#"{"account": "nobody"}"#);
    for account in ["hop", "dangling"] {
        assert_eq!(
            worker.refuse(&of(account)).code,
            "tier_unknown",
            "{account}"
        );
    }
    let (status, refused) = worker.put("self", r#"{"account": "self"}"#);
    assert_eq!(status, 400, "{refused}");
    worker.put("key", r#"{"account": "acme", "disabled": true}"#);
    assert_eq!(worker.refuse(&of("key")).code, "account_disabled");
    worker.put("key", r#"{"account": "acme"}"#);
    worker.put("acme", r#"{"tier": "tier5", "disabled": true}"#);
    assert_eq!(worker.refuse(&of("key")).code, "account_disabled");
}

#[test]
fn an_exempt_alias_passes_whatever_tier_its_account_has() {
    let worker = ready(&World::new(), config());
    worker.put("poor", r#"{"recharge": "0.50"}"#);
    worker.put("off", r#"{"tier": "tier5", "disabled": true}"#);
    assert_eq!(worker.refuse(&of("poor")).code, "recharge_required");
    worker.put("key", r#"{"account": "poor", "exempt": true}"#);
    let line = worker.check(&of("key")).log_line();
    assert!(line.contains("outcome=exempt"), "{line}");
    worker.put("key", r#"{"account": "nobody", "exempt": true}"#);
    assert_eq!(worker.refuse(&of("key")).code, "tier_unknown");
    worker.put("key", r#"{"account": "off", "exempt": true}"#);
    assert_eq!(worker.refuse(&of("key")).code, "account_disabled");
}

#[test]
fn a_recharge_of_an_alias_is_not_lost() {
    let world = World::new();
    let worker = ready(&world, config());
    worker.put("acme", r#"{"recharge": "1"}"#);
    worker.put("key", r#"{"account": "acme"}"#);
    let body = r#"{"id": "r-1", "amount": "99", "kind": "cash"}"#;
    let (status, said) = worker.call(&Call::Recharge(b"key".to_vec()), body);
    let (_, acme) = get(&worker, "acme");
    assert!(
        status >= 400 || acme["recharge"] == "100.00",
        "{status} {said}, and the account has {}",
        acme["recharge"]
    );
}

#[test]
fn a_reset_of_an_alias_clears_what_the_view_of_it_shows() {
    let world = World::new();
    let worker = ready(&world, config());
    worker.put("acme", r#"{"tier": "tier1"}"#);
    worker.put("key", r#"{"account": "acme"}"#);
    let pass = worker.admission(&of("key"));
    worker.release(pass);
    let (status, said) = worker.call(&Call::Reset(b"key".to_vec()), "");
    let (_, view) = get(&worker, "key");
    assert!(
        status >= 400 || said["reset"] == json!(false) || view["usage"]["rpm"]["used"] == 0,
        "{status} {said}: {}",
        view["usage"]["rpm"]
    );
}

#[test]
fn the_refused_accounts_name_the_target_of_a_switched_off_alias() {
    let world = World::new();
    let worker = ready(&world, config());
    worker.put("acme", r#"{"tier": "tier1", "disabled": true}"#);
    worker.put("key-1", r#"{"account": "acme"}"#);
    worker.refuse(&of("key-1"));
    world.pass_ms(5_000);
    worker.tick();
    let (_, status) = worker.call(&Call::Status, "");
    assert_eq!(
        status["refusals"]["accounts"][0]["account"], "acme",
        "{}",
        status["refusals"]
    );
}
