//! The account directory at the service: what operators write, and what edges follow.

use crate::operators::Files;
use crate::redis_server::RedisServer;
use crate::service::Service;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The default tiers, by recharge.
const CONFIG: &str = r#"{"tier": ["directory"], "voucher": {"at": "5", "amount": "5"},
    "fleet": {"cluster": "f", "authority": "f"}}"#;

fn started(name: &str) -> (RedisServer, Files, Service) {
    let redis = RedisServer::start();
    let files = Files::with(name, CONFIG);
    let service = files.start(&redis);
    assert_eq!(call(&service, "POST", "/v1/ready", "").0, 200);
    (redis, files, service)
}

fn call(service: &Service, method: &str, path: &str, body: &str) -> (u16, Value) {
    let body = (!body.is_empty()).then_some(body);
    service.operate("operator", method, path, body)
}

fn put(service: &Service, id: &str, body: &str) -> Value {
    let (status, said) = call(service, "PUT", &format!("/v1/accounts/{id}"), body);
    assert_eq!(status, 200, "{said}");
    said
}

/// What an edge knows of the directory.
#[derive(Default)]
struct Follower {
    tag: Option<String>,
    accounts: BTreeMap<String, Value>,
}

impl Follower {
    /// Follows the feed; returns the accounts and removals that came, or `None` for no change.
    fn follows(&mut self, service: &Service, path: &str) -> Option<usize> {
        let (status, tag, mut page) = service.feed(path, self.tag.as_deref());
        if status == 304 {
            return None;
        }
        assert_eq!(status, 200, "{page}");
        let mut came = 0;
        let mut named = BTreeSet::new();
        loop {
            for item in page["accounts"].as_array().unwrap() {
                let id = item["id"].as_str().unwrap();
                assert!(named.insert(id.to_owned()), "{id} came twice");
                self.accounts.insert(id.to_owned(), item.clone());
                came += 1;
            }
            for id in page["removed"].as_array().into_iter().flatten() {
                self.accounts.remove(id.as_str().unwrap());
                came += 1;
            }
            let Some(next) = page["next"].as_str() else {
                break;
            };
            page = service.feed(next, None).2;
        }
        self.tag = tag;
        Some(came)
    }
}

#[test]
fn an_account_is_written_shown_and_forgotten_as_at_the_filter() {
    let (_redis, _files, service) = started("directory-writes");
    let said = put(
        &service,
        "acme",
        r#"{"recharge": "20", "since": "2026-01-31"}"#,
    );
    let wanted = json!({
        "id": "acme", "recharge": "20.00", "tier": "tier2", "disabled": false, "exempt": false,
        "voucher_due": true, "new": true, "ready": true
    });
    assert_eq!(said, wanted);
    assert!(
        !put(&service, "acme", r#"{"recharge": "30"}"#)["voucher_due"]
            .as_bool()
            .unwrap()
    );
    put(
        &service,
        "acme",
        r#"{"tier": "tier3", "limits": {"rpm": 7}, "disabled": true}"#,
    );
    let (_, seen) = call(&service, "GET", "/v1/accounts/acme", "");
    let expected = json!({
        "id": "acme", "recharge": "30.00", "vouchers": null, "tier": "tier3", "tier_from": "tier",
        "written_by": "admin", "since": "2026-01-31", "disabled": true, "exempt": false,
        "admin": {"limits": {"rpm": 7}, "disabled": true}
    });
    assert_eq!(seen, expected);
    put(&service, "key", r#"{"account": "acme"}"#);
    assert_eq!(
        call(&service, "GET", "/v1/accounts/key", "").1["account"],
        "acme"
    );
    for (path, body, code, message) in [
        (
            "acme",
            r#"{"tier": "gold"}"#,
            "body_invalid",
            "there is no tier \"gold\"",
        ),
        (
            "acme",
            r#"{"account": "acme"}"#,
            "body_invalid",
            "is the account itself",
        ),
        (
            "acme",
            r#"{"tier": "tier1", "limits": {"nope": 3}}"#,
            "body_invalid",
            "nope",
        ),
        ("acme", "{", "body_invalid", "EOF"),
    ] {
        let (status, said) = call(&service, "PUT", &format!("/v1/accounts/{path}"), body);
        assert_eq!(
            (status, &said["error"]["code"]),
            (400, &json!(code)),
            "{said}"
        );
        assert!(
            said["error"]["message"].as_str().unwrap().contains(message),
            "{said}"
        );
    }
    let (status, said) = call(&service, "DELETE", "/v1/accounts/acme", "");
    assert_eq!(
        (status, said),
        (200, json!({"id": "acme", "deleted": true}))
    );
    for method in ["GET", "DELETE"] {
        let (status, said) = call(&service, method, "/v1/accounts/acme", "");
        assert_eq!(
            (status, &said["error"]["code"]),
            (404, &json!("account_unknown"))
        );
    }
}

#[test]
fn a_recharge_counts_once_for_ever_whoever_takes_it() {
    let redis = RedisServer::start();
    let files = Files::with("directory-recharges", CONFIG);
    let services = [files.start(&redis), files.start(&redis)];
    let pay = |n: usize, id: &str, amount: &str, kind: &str| {
        let body = json!({"id": id, "amount": amount, "kind": kind}).to_string();
        call(
            &services[n % 2],
            "POST",
            "/v1/accounts/acme/recharges",
            &body,
        )
    };
    // The same event at once, at both.
    let new = std::thread::scope(|scope| {
        let pay = &pay;
        let all: Vec<_> = (0..16)
            .map(|n| scope.spawn(move || pay(n, "e-1", "4.99", "cash").1))
            .collect();
        all.into_iter()
            .filter(|_| true)
            .map(|one| one.join().unwrap())
            .filter(|said| said["new"] == true)
            .count()
    });
    assert_eq!(new, 1);
    for n in 0..100 {
        assert_eq!(pay(n, &format!("gift-{n}"), "1", "voucher").1["new"], true);
    }
    let (_, said) = pay(0, "e-2", "0.01", "cash");
    assert_eq!(
        (&said["voucher_due"], &said["recharge"], &said["tier"]),
        (&json!(true), &json!("5.00"), &json!("tier0"))
    );
    let (_, said) = pay(1, "e-2", "0.01", "cash");
    assert_eq!(
        (&said["voucher_due"], &said["new"]),
        (&json!(true), &json!(false)),
        "the same answer"
    );
    // More events than an edge remembers lie between.
    let (_, said) = pay(1, "e-1", "4.99", "cash");
    assert_eq!(
        (&said["new"], &said["recharge"], &said["voucher_due"]),
        (&json!(false), &json!("5.00"), &json!(false))
    );
    let (_, said) = pay(0, "refund", "-2", "cash");
    assert_eq!(
        (&said["recharge"], &said["voucher_due"]),
        (&json!("3.00"), &json!(false))
    );
    let (_, seen) = call(&services[0], "GET", "/v1/accounts/acme", "");
    assert_eq!(seen["vouchers"], "100.00");
    put(&services[0], "key", r#"{"account": "acme"}"#);
    let body = json!({"id": "x", "amount": 1, "kind": "cash"}).to_string();
    let (status, said) = call(&services[0], "POST", "/v1/accounts/key/recharges", &body);
    assert_eq!(
        (status, &said["error"]["code"]),
        (400, &json!("account_is_alias"))
    );
}

#[test]
fn edges_follow_by_changes_and_have_then_what_the_whole_feed_has() {
    let (_redis, _files, service) = started("directory-changes");
    let mut random = fastrand::Rng::with_seed(3);
    let mut edges = [Follower::default(), Follower::default()];
    let paths = ["/v1/directory", "/v1/directory/changes"];
    for _ in 0..12 {
        for _ in 0..random.usize(0..9) {
            let id = format!("a/{}", random.u32(0..20));
            let path = format!("/v1/accounts/{}", id.replace('/', "%2F"));
            match random.u32(0..4) {
                0 => _ = call(&service, "DELETE", &path, ""),
                1 => {
                    let event =
                        json!({"id": random.u64(..).to_string(), "amount": 3, "kind": "cash"});
                    let path = format!("{path}/recharges");
                    let _ = call(&service, "POST", &path, &event.to_string());
                }
                _ => {
                    let body = json!({"tier": "tier2", "limits": {"rpm": random.u32(1..9)}});
                    assert_eq!(call(&service, "PUT", &path, &body.to_string()).0, 200);
                }
            }
        }
        put(&service, "always", r#"{"tier": "tier1"}"#);
        for (edge, path) in edges.iter_mut().zip(paths) {
            edge.follows(&service, path);
            assert_eq!(edge.follows(&service, path), None, "nothing changed since");
        }
        // The whole feed names no account that is gone; what is removed, only changes say.
        let whole = service.feed(paths[0], None).2;
        let whole: BTreeMap<_, _> = whole["accounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["id"].as_str().unwrap().to_owned(), item.clone()))
            .collect();
        assert_eq!(edges[1].accounts, whole);
    }
    // Few changes are a small answer.
    put(&service, "one", r#"{"tier": "tier1"}"#);
    assert_eq!(edges[1].follows(&service, paths[1]), Some(1));
    assert!(edges[0].follows(&service, paths[0]).unwrap() > 1);
}

#[test]
fn pages_name_each_account_once_while_others_come_and_go() {
    let (_redis, _files, service) = started("directory-pages");
    for part in 0..5 {
        let lines: Vec<String> = (0..1_000)
            .map(|n| {
                json!({"id": format!("acc-{:04}", part * 1_000 + n), "tier": "tier1"}).to_string()
            })
            .collect();
        let (status, said) = call(&service, "PUT", "/v1/accounts", &lines.join("\n"));
        assert_eq!((status, &said["accepted"]), (200, &json!(1_000)), "{said}");
    }
    let mut edge = Follower::default();
    let (_, tag, mut page) = service.feed("/v1/directory/changes", None);
    edge.tag = tag;
    let mut named = BTreeSet::new();
    let mut pages = 0;
    loop {
        pages += 1;
        for item in page["accounts"].as_array().unwrap() {
            assert!(named.insert(item["id"].as_str().unwrap().to_owned()));
        }
        let Some(next) = page["next"].as_str().map(str::to_owned) else {
            break;
        };
        // One before the place, one behind it, and one that is gone.
        put(&service, &format!("a{pages}"), r#"{"tier": "tier1"}"#);
        put(&service, &format!("z{pages}"), r#"{"tier": "tier1"}"#);
        assert_eq!(
            call(
                &service,
                "DELETE",
                &format!("/v1/accounts/acc-000{pages}"),
                ""
            )
            .0,
            200
        );
        page = service.feed(&next, None).2;
    }
    assert_eq!((pages, named.len()), (3, 5_002));
    // What it missed comes with the changes since its first page.
    edge.accounts = named.iter().map(|id| (id.clone(), Value::Null)).collect();
    assert_eq!(edge.follows(&service, "/v1/directory/changes"), Some(6));
    assert_eq!(edge.accounts.len(), 5_000 + 4 - 2);
    let (_, list) = call(&service, "GET", "/v1/accounts?limit=3&after=acc-4998", "");
    let ids: Vec<_> = list["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(ids, ["acc-4999", "z1", "z2"]);
    assert_eq!(list["next"], Value::Null);
}

#[test]
fn a_redis_that_comes_back_empty_gives_all_anew_and_a_foreign_key_is_left_alone() {
    let (mut redis, _files, service) = started("directory-empty");
    put(&service, "acme", r#"{"tier": "tier1"}"#);
    let mut edge = Follower::default();
    edge.follows(&service, "/v1/directory/changes");
    redis.kill();
    redis.run();
    crate::service::wait("the service is back", || {
        call(&service, "PUT", "/v1/accounts/bolt", r#"{"tier": "tier1"}"#).0 == 200
    });
    // One account makes it no whole directory: edges keep what they know, and new ones wait.
    for tag in [edge.tag.as_deref(), None] {
        assert_eq!(service.feed("/v1/directory/changes", tag).0, 503);
    }
    assert_eq!(call(&service, "POST", "/v1/ready", "").0, 200);
    let old = edge.tag.clone();
    edge.accounts.clear();
    assert_eq!(edge.follows(&service, "/v1/directory/changes"), Some(1));
    assert!(edge.tag != old && edge.accounts.contains_key("bolt"));
    let mut link = redis.connect();
    let keys = |part: &str| format!("{{tiergate}}:tg1:accounts{part}");
    for part in ["", ":order", ":log", ":gone", ":meta"] {
        redis::cmd("FLUSHALL").exec(&mut link).unwrap();
        let theirs = keys(part);
        redis::cmd("SET")
            .arg(&theirs)
            .arg("theirs")
            .exec(&mut link)
            .unwrap();
        let (status, said) = call(&service, "PUT", "/v1/accounts/x", r#"{"tier": "tier1"}"#);
        let code = &said["error"]["code"];
        assert_eq!(
            (status, code),
            (503, &json!("limiter_unavailable")),
            "{said}"
        );
        let all: Vec<String> = redis::cmd("KEYS")
            .arg("*accounts*")
            .query(&mut link)
            .unwrap();
        assert_eq!(all, [theirs]);
    }
    redis::cmd("FLUSHALL").exec(&mut link).unwrap();
    redis::cmd("HSET")
        .arg(keys(":meta"))
        .arg("theirs")
        .arg(1)
        .exec(&mut link)
        .unwrap();
    let (status, _) = call(&service, "PUT", "/v1/accounts/x", r#"{"tier": "tier1"}"#);
    assert_eq!(status, 503);
}

#[test]
fn the_feed_is_for_edges_and_writes_are_for_operators() {
    let (_redis, _files, mut service) = started("directory-tokens");
    put(&service, "acme", r#"{"tier": "tier1"}"#);
    assert_eq!(service.feed("/v1/directory", None).0, 200);
    service.token = Some("operator".to_owned());
    assert_eq!(service.feed("/v1/directory", None).0, 401);
    let (status, _) = service.operate(
        "edge",
        "PUT",
        "/v1/accounts/a",
        Some(r#"{"tier": "tier1"}"#),
    );
    assert_eq!(status, 401);
}

#[test]
fn a_redis_that_lost_the_last_writes_gives_all_anew() {
    let mut redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let files = Files::with("directory-rollback", CONFIG);
    let service = files.start(&redis);
    put(&service, "acme", r#"{"tier": "tier1"}"#);
    assert_eq!(call(&service, "POST", "/v1/ready", "").0, 200);
    let mut edge = Follower::default();
    edge.follows(&service, "/v1/directory/changes");
    // The same directory and version, of another process: what it knows may be another past.
    redis.kill();
    redis.run();
    crate::service::wait("the directory is back", || {
        service.feed("/v1/directory", None).0 == 200
    });
    assert_eq!(edge.follows(&service, "/v1/directory/changes"), Some(1));
    assert_eq!(edge.follows(&service, "/v1/directory/changes"), None);
}

#[test]
fn an_account_that_was_removed_is_named_in_a_whole_answer_to_one_who_takes_changes() {
    let (_redis, _files, service) = started("directory-removed");
    put(&service, "acme", r#"{"tier": "tier1"}"#);
    let mut edge = Follower::default();
    edge.follows(&service, "/v1/directory/changes");
    assert_eq!(call(&service, "DELETE", "/v1/accounts/acme", "").0, 200);
    // More changes than an answer of changes has.
    for part in 0..3 {
        let lines: Vec<String> = (0..900)
            .map(|n| json!({"id": format!("acc-{part}-{n:03}"), "tier": "tier1"}).to_string())
            .collect();
        assert_eq!(
            call(&service, "PUT", "/v1/accounts", &lines.join("\n")).0,
            200
        );
    }
    // 2,700 accounts, and one that is gone.
    assert_eq!(edge.follows(&service, "/v1/directory/changes"), Some(2_701));
    assert!(!edge.accounts.contains_key("acme"));
    let whole = service.feed("/v1/directory", None).2;
    assert!(whole.get("removed").is_none());
}

#[test]
fn a_write_that_changes_nothing_is_no_change() {
    let (_redis, _files, service) = started("directory-same");
    let body = r#"{"recharge": "20", "limits": {"rpm": 7}}"#;
    put(&service, "acme", body);
    let mut edge = Follower::default();
    edge.follows(&service, "/v1/directory/changes");
    put(&service, "acme", body);
    assert_eq!(edge.follows(&service, "/v1/directory/changes"), None);
    let long = "x".repeat(513);
    let (status, said) = call(&service, "PUT", &format!("/v1/accounts/{long}"), body);
    assert_eq!(
        (status, &said["error"]["code"]),
        (400, &json!("account_id_invalid"))
    );
}

#[test]
fn ids_of_any_signs_are_followed_over_pages() {
    let (_redis, _files, service) = started("directory-ids");
    let id = |n: usize| format!("{}{n:04}", "/ü%".repeat(100));
    let lines: Vec<String> = (0..2_400)
        .map(|n| json!({"id": id(n), "tier": "tier1"}).to_string())
        .collect();
    for some in lines.chunks(200) {
        assert_eq!(
            call(&service, "PUT", "/v1/accounts", &some.join("\n")).0,
            200
        );
    }
    let mut edge = Follower::default();
    assert_eq!(edge.follows(&service, "/v1/directory/changes"), Some(2_400));
    assert!(edge.accounts.contains_key(&id(2_399)));
}
