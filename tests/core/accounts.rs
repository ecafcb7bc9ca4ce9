//! Entries of the directory beyond a tier: lists of exempt accounts, own limits in families and
//! with an end, tiers without money, tiers after a time; and the calls that list and write many.

mod aliases;

use crate::harness::{Call, Config, FakeRequest, Next, Worker, World};
use serde_json::{Value, json};
use std::sync::Arc;

fn config() -> Config {
    Config::new().open_admin().with(json!({
        "tier": ["directory"],
        "capacity": {"accounts": 64, "directory": 4096},
    }))
}

fn of(account: &str) -> FakeRequest {
    FakeRequest::with(&[("x-account-id", account)])
}

fn get(worker: &Worker, id: &str) -> (u32, Value) {
    worker.call(&Call::Get(id.as_bytes().to_vec()), "")
}

fn outcome(worker: &Worker, account: &str) -> String {
    worker.check(&of(account)).log_line()
}

fn ready(world: &Arc<World>, config: Config) -> Worker {
    let worker = Worker::new(world, config);
    worker.ready();
    worker
}

#[test]
fn an_exempt_account_passes_uncounted_and_is_shown() {
    let world = World::new();
    let worker = ready(&world, config());
    worker.put("probe", r#"{"tier": "tier0", "exempt": true}"#);
    for _ in 0..10 {
        assert_eq!(outcome(&worker, "probe"), "tier=tier0 outcome=exempt");
    }
    let (_, view) = get(&worker, "probe");
    assert_eq!(
        (&view["exempt"], &view["usage"]["rpm"]["used"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(
        worker.tick().get("requests", "tier.tier0.outcome.exempt"),
        10
    );
    // An exempt account passes without a tier of the table.
    worker.put("odd", r#"{"recharge": "0.01", "exempt": true}"#);
    assert_eq!(outcome(&worker, "odd"), "tier=none outcome=exempt");
    worker.put(
        "probe",
        r#"{"tier": "tier0", "exempt": true, "disabled": true}"#,
    );
    assert_eq!(worker.refuse(&of("probe")).code, "account_disabled");
}

#[test]
fn own_limits_end_by_themselves() {
    let world = World::new();
    let worker = ready(&world, config());
    let rpm = |worker: &Worker| worker.usage(&of("a"))["limits"]["rpm"]["limit"].clone();
    // The fake host's clock begins within 2023.
    let until =
        |at: &str| format!(r#"{{"tier": "tier0", "limits": {{"rpm": 50}}, "until": "{at}"}}"#);
    assert_eq!(worker.put("a", &until("2999-01-01T00:00:00Z")).0, 200);
    assert_eq!(rpm(&worker), 50);
    let (_, view) = get(&worker, "a");
    assert_eq!(view["admin"]["until"], "2999-01-01T00:00:00Z");
    assert_eq!(view["admin"]["limits"]["rpm"], 50);
    assert_eq!(worker.put("a", &until("2001-01-01T00:00:00+08:00")).0, 200);
    assert_eq!(rpm(&worker), 3);
    let (status, refused) =
        worker.put("a", r#"{"tier": "tier0", "until": "2999-01-01T00:00:00Z"}"#);
    assert_eq!(status, 400);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("until")
    );
    assert_eq!(worker.put("a", &until("tomorrow")).0, 400);
}

#[test]
fn an_account_has_limits_of_its_own_on_a_family() {
    let world = World::new();
    let models = json!({
        "models": [{"name": "k2", "match": ["kimi-k2*"]}, {"name": "v1", "match": ["*"]}],
        "model": [{"header": "x-model"}],
        "tiers": [{"name": "t", "recharge": 0,
            "limits": {"concurrency": "unlimited", "rpm": 100, "tpm": "unlimited", "tpd": "unlimited"},
            "models": {"k2": {"rpm": 5}}}],
    });
    let worker = ready(&world, config().with(models));
    let body = r#"{"tier": "t", "models": {"k2": {"rpm": 2}, "v1": {"rpm": 1}}}"#;
    assert_eq!(worker.put("a", body).0, 200);
    let count = |model: &str| {
        let request = || {
            let headers = [
                ("x-account-id", "a"),
                ("x-model", model),
                ("content-length", "9"),
            ];
            FakeRequest::with(&headers)
        };
        (0..20)
            .filter(|_| matches!(worker.check(&request()).next, Next::Forward(_)))
            .count()
    };
    assert_eq!((count("kimi-k2-turbo"), count("other")), (2, 1));
    let usage = worker.usage(&of("a"));
    assert_eq!(usage["models"]["k2"]["rpm"]["limit"], 2);
    let (_, view) = get(&worker, "a");
    assert_eq!(view["admin"]["models"]["v1"]["rpm"], 1);
    for (wrong, at) in [
        (
            r#"{"tier": "t", "models": {"k9": {"rpm": 2}}}"#,
            "models.k9",
        ),
        (
            r#"{"tier": "t", "models": {"k2": {"rpm": 0}}}"#,
            "models.k2.rpm",
        ),
        (
            r#"{"tier": "t", "models": {"k2": {"tokens_x": 2}}}"#,
            "models.k2.tokens_x",
        ),
    ] {
        let (status, refused) = worker.put("a", wrong);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(at), "{wrong}: {message}");
    }
}

#[test]
fn tiers_can_be_names_alone() {
    let world = World::new();
    let limits = |rpm: u64| json!({"concurrency": "unlimited", "rpm": rpm, "tpm": "unlimited", "tpd": "unlimited"});
    let names = json!({"tiers": [
        {"name": "free", "limits": limits(1)}, {"name": "pro", "limits": limits(2)}]});
    let worker = ready(&world, config().with(names.clone()));
    worker.put("a", r#"{"tier": "pro"}"#);
    assert_eq!(outcome(&worker, "a"), "tier=pro outcome=admitted");
    let (status, refused) = worker.put("b", r#"{"recharge": "20"}"#);
    assert_eq!(
        (status, &refused["error"]["code"]),
        (400, &json!("body_invalid"))
    );
    let (_, status) = worker.call(&Call::Status, "");
    assert_eq!(status["tiers"][0]["recharge"], Value::Null);
    // The default sources of the tier lose the recharge header.
    let defaults = names.to_string();
    let parsed = tiergate::config::parse(defaults.as_bytes()).unwrap();
    assert_eq!(parsed.tier.len(), 1);
    let error = |json: Value| {
        let error = tiergate::config::parse(json.to_string().as_bytes()).unwrap_err();
        (error.path, error.problem)
    };
    let mut mixed = names.clone();
    mixed["tiers"][0]["recharge"] = json!("1");
    assert_eq!(error(mixed).0, "tiers[1].recharge");
    let mut reads = names;
    reads["tier"] = json!([{"header": "x-paid", "as": "recharge"}]);
    assert_eq!(error(reads).0, "tier[0]");
}

#[test]
fn a_tier_can_ask_for_a_time_since_the_first_recharge() {
    let world = World::new();
    let limits =
        json!({"concurrency": "unlimited", "rpm": 9, "tpm": "unlimited", "tpd": "unlimited"});
    let tiers = json!({"tiers": [
        {"name": "new", "recharge": 5, "limits": limits},
        {"name": "old", "recharge": 50, "after": "7d", "limits": limits}]});
    let worker = ready(&world, config().with(tiers.clone()));
    for (since, tier) in [
        (r#", "since": "2001-01-31""#, "old"),
        (r#", "since": "2999-01-31""#, "new"),
        ("", "new"),
    ] {
        let id = format!("a{}", since.len() + tier.len());
        assert_eq!(
            worker.put(&id, &format!(r#"{{"recharge": 50{since}}}"#)).0,
            200
        );
        assert_eq!(
            outcome(&worker, &id),
            format!("tier={tier} outcome=admitted"),
            "{since}"
        );
    }
    let mut first = tiers;
    first["tiers"][0]["after"] = json!("1d");
    let error = tiergate::config::parse(first.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.path, "tiers[0].after");
}

#[test]
fn many_accounts_are_written_each_by_itself() {
    let world = World::new();
    let worker = Worker::new(&world, config());
    let lines = "{\"id\": \"a\", \"tier\": \"tier1\"}\n{\"id\": \"b\", \"recharge\": \"20\", \"disabled\": true}\n\
                 {\"id\": \"c\"}\n{\"tier\": \"tier1\"}\n{\"id\": \"d\", \"tier\": \"gold\"}\n";
    let (status, report) = worker.call(&Call::PutMany, lines);
    assert_eq!(
        (status, &report["accepted"], &report["ready"]),
        (200, &json!(2), &json!(false))
    );
    let refused = report["refused"].as_array().unwrap();
    let places: Vec<_> = refused.iter().map(|r| (&r["item"], &r["id"])).collect();
    assert_eq!(
        places,
        [
            (&json!(3), &json!("c")),
            (&json!(4), &Value::Null),
            (&json!(5), &json!("d"))
        ]
    );
    assert!(
        refused[2]["message"]
            .as_str()
            .unwrap()
            .contains("body at tier")
    );
    assert_eq!(get(&worker, "b").1["disabled"], true);
    let array = r#"[{"id": "a", "tier": "tier2"}, {"id": "e", "account": "a"}]"#;
    assert_eq!(worker.call(&Call::PutMany, array).1["accepted"], 2);
    for wrong in ["", "[]", "{", r#"{"id": "a", "tier": "tier1"} x"#] {
        assert_eq!(worker.call(&Call::PutMany, wrong).0, 400, "{wrong}");
    }
    let many: Vec<_> = (0..1_001)
        .map(|i| json!({"id": format!("m{i}"), "tier": "tier1"}))
        .collect();
    assert_eq!(worker.call(&Call::PutMany, &json!(many).to_string()).0, 400);
    assert_eq!(
        worker
            .call(&Call::PutMany, &json!(many[..1_000]).to_string())
            .1["accepted"],
        1_000
    );
}

#[test]
fn the_directory_is_listed_page_by_page_while_accounts_come_and_go() {
    let world = World::new();
    let worker = Worker::new(&world, config());
    for i in 0..500 {
        worker.put(&format!("stays-{i}"), r#"{"tier": "tier1"}"#);
    }
    let long = "x".repeat(200);
    worker.put(&long, r#"{"tier": "tier1"}"#);
    let (mut seen, mut after, mut calls) = (Vec::new(), None, 0);
    loop {
        let list = Call::List {
            after,
            limit: Some(b"40".to_vec()),
        };
        let (status, view) = worker.call(&list, "");
        assert_eq!(status, 200);
        let accounts = view["accounts"].as_array().unwrap();
        assert!(accounts.len() <= 40);
        seen.extend(
            accounts
                .iter()
                .map(|a| a["id"].as_str().unwrap().to_owned()),
        );
        calls += 1;
        worker.put(&format!("comes-{calls}"), r#"{"tier": "tier1"}"#);
        worker.call(
            &Call::Delete(format!("comes-{}", calls - 1).into_bytes()),
            "",
        );
        match view["next"].as_str() {
            Some(next) => after = Some(next.as_bytes().to_vec()),
            None => break,
        }
    }
    let stays = seen.iter().filter(|id| id.starts_with("stays-")).count();
    seen.sort();
    seen.dedup();
    assert_eq!(stays, 500);
    assert_eq!(
        seen.iter().filter(|id| id.starts_with("stays-")).count(),
        500,
        "each once"
    );
    assert!(seen.contains(&tiergate::http::sha256::sha256_hex(long.as_bytes())));
    for (after, limit) in [
        (Some("zz"), None),
        (None, Some("0")),
        (None, Some("1001")),
        (Some("1-x"), None),
    ] {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let list = Call::List {
            after: bytes(after),
            limit: bytes(limit),
        };
        assert_eq!(worker.call(&list, "").0, 400, "{after:?} {limit:?}");
    }
    // A large, empty directory takes several calls, each of bounded work.
    let before = worker.host.calls.get();
    worker.call(
        &Call::List {
            after: None,
            limit: None,
        },
        "",
    );
    assert!(worker.host.calls.get() - before <= 260);
}

#[test]
fn an_account_outside_the_directory_is_shown_with_its_usage_and_forgotten() {
    let world = World::new();
    let worker = ready(
        &world,
        config().with(json!({"tier": [{"header": "x-account-tier"}]})),
    );
    assert_eq!(get(&worker, "guest").0, 404);
    let guest = FakeRequest::of("guest", "tier0", 100);
    let admission = worker.admission(&guest);
    let (status, view) = get(&worker, "guest");
    assert_eq!(
        (status, &view["tier"], &view["written_by"]),
        (200, &Value::Null, &Value::Null)
    );
    assert_eq!(
        (&view["usage"]["rpm"]["used"], &view["in_flight"]),
        (&json!(1), &json!(1))
    );
    worker.release(admission);
    for _ in 0..5 {
        worker.check(&guest);
    }
    worker.tick();
    let refused = |worker: &Worker| {
        let (_, status) = worker.call(&Call::Status, "");
        status["refusals"]["accounts"].as_array().unwrap().len()
    };
    assert_eq!(refused(&worker), 1);
    let answer = worker.administer(&Call::Delete(b"guest".to_vec()), "");
    assert_eq!((answer.status, answer.writes.len()), (200, 1));
    assert_eq!(
        (get(&worker, "guest").0, refused(&worker)),
        (200, 0),
        "a request is in flight"
    );
}

#[test]
fn each_write_is_one_line_with_what_was_before_and_after() {
    let world = World::new();
    let worker = Worker::new(&world, config());
    let put = |body: &str| {
        worker
            .administer(&Call::Put(b"acme\n".to_vec()), body)
            .writes
    };
    let [line] = &put(r#"{"tier": "tier1"}"#)[..] else {
        panic!("one line");
    };
    assert!(line.starts_with("PUT account acme"), "{line}");
    assert!(
        !line.contains('\n') && line.contains("before null"),
        "{line}"
    );
    let [line] = &put(r#"{"tier": "tier2", "disabled": true}"#)[..] else {
        panic!("one line");
    };
    let (before, after) = line.split_once("after").unwrap();
    assert!(before.contains("tier1") && after.contains("tier2") && after.contains("true"));
    assert_eq!(put(r#"{"tier": "gold"}"#), [""; 0], "nothing was written");
    let load = worker.administer(&Call::PutManual, r#"{"scale": 0.5}"#);
    assert_eq!(load.writes, [r#"PUT load {"scale": 0.5}"#]);
}

/// A deletion needs no room: what it deletes may be usage alone.
#[test]
fn an_account_with_usage_alone_is_forgotten_where_its_page_is_full() {
    let world = World::new();
    let config = Config::new().open_admin().with(json!({
        "tier": ["directory"], "unknown_tier": "tier1",
        "capacity": {"accounts": 64, "directory": 8},
    }));
    let worker = ready(&world, config);
    for n in 0..32 {
        assert_eq!(worker.put(&format!("a{n}"), r#"{"tier": "tier1"}"#).0, 200);
    }
    let pass = worker.admission(&of("passer-by"));
    worker.release(pass);
    let (status, said) = worker.call(&Call::Delete(b"passer-by".to_vec()), "");
    assert_eq!(status, 200, "{said}");
    let (status, said) = worker.call(&Call::Delete(b"nobody".to_vec()), "");
    assert_eq!(status, 404, "{said}");
}

/// Nothing is half applied: a write that is answered 503 is not there, and one that is there is logged.
#[test]
fn a_write_that_is_answered_as_failed_was_not_made() {
    let world = World::new();
    let worker = ready(&world, config());
    worker.put("acme", r#"{"tier": "tier1"}"#);
    world.overwrite("tiergate/feed-state", b"\xc8Lnewer");
    let body = r#"{"tier": "tier1", "disabled": true}"#;
    let done = worker.administer(&Call::Put(b"acme".to_vec()), body);
    let (_, view) = get(&worker, "acme");
    assert_eq!(
        (view["disabled"] == json!(true), done.writes.len() == 1),
        (done.status == 200, done.status == 200),
        "{}: {view}",
        done.status
    );
}

/// A recharge of a key is money of the account that the key stands for.
/// A reset of a key answers as if it had cleared something.
/// The refused accounts name the target, as docs/directory.md says; a key may be a secret.
/// A request without a secret is never the holder of a token.
#[test]
fn the_digest_of_nothing_is_no_token() {
    use tiergate::http::sha256::sha256_hex;
    let config = Config::new().with(json!({
        "admin": {"path": "/-/tiergate", "token_sha256": sha256_hex(b"")}
    }));
    let Ok(config) = tiergate::config::parse(config.to_string().as_bytes()) else {
        return;
    };
    let admin = config.admin.unwrap();
    let tokens = admin.tokens.as_deref();
    let done = tiergate::admin::auth::check(tokens, Some(b"Anything at-all"), true, false);
    assert!(done.is_err(), "{done:?}");
}
