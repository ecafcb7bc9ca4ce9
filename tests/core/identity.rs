//! Who asks, and in which tier.

use crate::harness::{Config, FakeRequest, Next, Worker, World};
use serde_json::json;

fn worker(json: &str) -> Worker {
    Worker::new(&World::new(), json)
}

fn answer(worker: &Worker, headers: &[(&str, &str)]) -> (u32, &'static str) {
    let reply = worker.refuse(&FakeRequest::with(headers));
    (reply.status, reply.code)
}

#[test]
fn the_first_source_with_a_value_wins() {
    let worker = worker("{}");
    let log = |headers: &[(&str, &str)]| worker.check(&FakeRequest::with(headers)).log_line();
    assert_eq!(
        log(&[
            ("x-account-id", "a"),
            ("x-account-tier", "tier2"),
            ("x-account-recharge", "3000")
        ]),
        "tier=tier2 outcome=admitted"
    );
    assert_eq!(
        log(&[
            ("x-account-id", ""),
            ("authorization", "Bearer k"),
            ("x-account-recharge", "20.00")
        ]),
        "tier=tier2 outcome=admitted"
    );
}

#[test]
fn what_is_missing_or_malformed_is_refused() {
    let worker = worker("{}");
    let a = ("x-account-id", "a");
    let tier = "x-account-tier";
    let recharge = "x-account-recharge";
    assert_eq!(
        answer(&worker, &[(tier, "tier1")]),
        (401, "account_missing")
    );
    assert_eq!(answer(&worker, &[a]), (403, "tier_unknown"));
    assert_eq!(
        answer(&worker, &[a, (tier, "platinum")]),
        (403, "tier_unknown")
    );
    assert_eq!(
        answer(&worker, &[a, (tier, "TIER1")]),
        (403, "tier_unknown")
    );
    assert_eq!(
        answer(&worker, &[a, (recharge, "0.99")]),
        (403, "recharge_required")
    );
    assert_eq!(
        answer(&worker, &[a, (recharge, "1e3")]),
        (403, "tier_unknown")
    );
}

#[test]
fn a_repeated_identity_header_is_refused_not_guessed() {
    let worker = worker("{}");
    let (a, b) = (("x-account-id", "a"), ("x-account-id", "b"));
    let (t1, t5) = (("x-account-tier", "tier1"), ("x-account-tier", "tier5"));
    assert_eq!(answer(&worker, &[a, b, t1]), (401, "account_missing"));
    assert_eq!(
        answer(&worker, &[("x-account-id", "a, b"), t1]),
        (401, "account_missing")
    );
    assert_eq!(answer(&worker, &[a, t1, t5]), (403, "tier_unknown"));
    assert_eq!(
        answer(&worker, &[a, ("x-account-tier", "tier1,tier5")]),
        (403, "tier_unknown")
    );
    let reply = worker.refuse(&FakeRequest::with(&[a, b, t1]));
    assert!(reply.message.contains("x-account-id"), "{}", reply.message);
}

#[test]
fn any_bytes_are_an_account() {
    let worker = worker("{}");
    for id in [&b"\xff\xfe"[..], &[0x80; 60_000], "アカウント".as_bytes()] {
        let mut request = FakeRequest::of("x", "tier0", 0);
        request.headers[0].1 = id.to_vec();
        worker.admit(&request);
        let reply = worker.refuse(&request);
        assert_eq!(reply.status, 429);
        assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_ok());
    }
}

#[test]
fn a_digest_never_shows() {
    let worker = worker(
        r#"{"account": [{"header": "authorization", "digest": true, "prefix": "Bearer "}]}"#,
    );
    let request = |scheme: &str| {
        let credential = format!("{scheme} sk-secret");
        FakeRequest::with(&[("authorization", &credential), ("x-account-tier", "tier0")])
    };
    worker.admit(&request("Bearer"));
    let reply = worker.refuse(&request("bearer"));
    assert_eq!(
        reply.code, "concurrency",
        "the scheme's case does not matter"
    );
    assert!(!reply.message.contains("secret"));
    let other = FakeRequest::with(&[("authorization", "Basic abc"), ("x-account-tier", "tier0")]);
    assert_eq!(worker.refuse(&other).code, "account_missing");
}

#[test]
fn an_account_and_a_tier_may_come_from_properties() {
    let worker = worker(
        r#"{"account": [{"property": ["metadata", "acct"]}],
            "tier": [{"property": ["metadata", "paid"], "as": "recharge"}]}"#,
    );
    let path = |last: &str| vec!["metadata".to_owned(), last.to_owned()];
    let mut request = FakeRequest::with(&[("x-account-id", "forged")]);
    request.properties.push((path("acct"), b"real".to_vec()));
    request.properties.push((path("paid"), b"100".to_vec()));
    assert_eq!(
        worker.check(&request).log_line(),
        "tier=tier3 outcome=admitted"
    );
}

#[test]
fn an_account_may_be_a_query_parameter() {
    let at = |worker: &Worker, path: &str| {
        let request = [(":path", path), ("x-account-tier", "tier0")];
        worker.check(&FakeRequest::with(&request)).log_line()
    };
    let key = worker(r#"{"account": [{"query": "key"}]}"#);
    let once = "tier=tier0 outcome=admitted";
    assert_eq!(at(&key, "/v1?a=b&key=acme+co"), once);
    assert_eq!(
        at(&key, "/v2?k%65y=%61cme%20co"),
        "tier=tier0 outcome=limited limit=concurrency",
        "the same account, however it is written"
    );
    assert_eq!(at(&key, "/v1?key=a,b"), once, "nobody joins parameters");
    let missing = "tier=none outcome=refused code=account_missing sources=query:key";
    for path in ["", "/", "/?key", "/?key=&a", "/?Key=acme", "/?key=a&key=a"] {
        assert_eq!(at(&key, path), missing, "{path}");
    }
    let path = (":path", "/?key=a&k%65y=");
    let reply = key.refuse(&FakeRequest::with(&[path, ("x-account-tier", "tier0")]));
    let says = "more than one account in the query parameter key.";
    assert!(reply.message.ends_with(says), "{}", reply.message);

    let secret = worker(r#"{"account": [{"query": "key", "digest": true, "prefix": "sk-"}]}"#);
    assert_eq!(at(&secret, "/?key=SK-secret"), once);
    assert_eq!(at(&secret, "/?key=secret"), missing);
    let path = (":path", "/?key=sk-secret");
    let reply = secret.refuse(&FakeRequest::with(&[path, ("x-account-tier", "tier0")]));
    assert_eq!(reply.code, "concurrency");
    assert!(!reply.message.contains("secret"), "{}", reply.message);
}

#[test]
fn a_tier_may_come_from_a_shared_data_key_of_another_plugin() {
    let world = World::new();
    let worker = Worker::new(
        &world,
        r#"{"tier": [{"shared_data": "tier-of/{account}"}]}"#,
    );
    world.overwrite("tier-of/acme", b"tier4\n");
    let log = |id: &str| {
        worker
            .check(&FakeRequest::with(&[("x-account-id", id)]))
            .log_line()
    };
    assert_eq!(log("acme"), "tier=tier4 outcome=admitted");
    let unknown =
        "tier=none outcome=refused code=tier_unknown sources=shared_data:tier-of/{account}";
    assert_eq!(log("other"), unknown);
}

#[test]
fn unknown_tier_is_for_accounts_that_no_source_knows() {
    let worker = worker(r#"{"unknown_tier": "tier1"}"#);
    let result = worker.check(&FakeRequest::with(&[("x-account-id", "a")]));
    assert_eq!(result.log_line(), "tier=tier1 outcome=admitted");
    assert!(matches!(result.next, Next::Forward(_)));
    let named = [("x-account-id", "a"), ("x-account-tier", "platinum")];
    assert_eq!(answer(&worker, &named), (403, "tier_unknown"));
}

#[test]
fn one_credential_is_one_account_however_its_scheme_is_spelt() {
    let world = World::new();
    let rest = json!({"tier": [], "unknown_tier": "t"});
    let worker = Worker::new(&world, Config::tier("t").rpm(1).with(rest));
    worker.admit(&FakeRequest::with(&[("authorization", "Bearer key")]));
    for spelling in ["bearer key", "BEARER   key", "Bearer key "] {
        worker.refuse(&FakeRequest::with(&[("authorization", spelling)]));
    }
    worker.admit(&FakeRequest::with(&[("authorization", "Bearer Key")]));
}

#[test]
fn no_client_reads_what_shared_data_holds() {
    let world = World::new();
    let of_template = |fixed: &str| {
        let json = json!({"capacity": {"accounts": 64},
            "tier": [{"shared_data": format!("{{account}}{fixed}")}]});
        Worker::new(&world, json)
    };
    of_template("x");
    world.overwrite("others/secret", b"a secret value");
    let mut keys = world.keys();
    assert!(keys.contains(&"tiergate/vms".to_owned()));
    keys.push("others/secret".to_owned());
    for key in keys {
        // The client's id and the fixed part behind it come to a key.
        let (id, fixed) = key.split_at(key.len() - 1);
        let reply = of_template(fixed).refuse(&FakeRequest::with(&[("x-account-id", id)]));
        assert_eq!(reply.code, "tier_unknown", "{key}");
        let known = [
            "The account's tier is not known.",
            "is none of the limiter's.",
        ];
        assert!(
            known.iter().any(|end| reply.message.ends_with(end)),
            "{}",
            reply.message
        );
    }
}

#[test]
fn one_credential_is_one_account_wherever_it_is_read() {
    let path = ["request", "headers", "authorization"];
    for source in [
        json!({"header": "authorization", "digest": true}),
        json!({"header": "proxy-authorization", "digest": true}),
        json!({"property": path, "digest": true}),
    ] {
        let world = World::new();
        let rest = json!({"account": [source], "tier": [], "unknown_tier": "t"});
        let worker = Worker::new(&world, Config::tier("t").rpm(1).with(rest));
        let request = |credential: &str| {
            let value = credential.as_bytes().to_vec();
            let names = ["authorization", "proxy-authorization"];
            let mut request = FakeRequest::with(&names.map(|name| (name, credential)));
            request
                .properties
                .push((path.map(str::to_owned).to_vec(), value));
            request
        };
        worker.admit(&request("Bearer key"));
        for spelling in ["bearer key", "BEARER   key", "Bearer key "] {
            assert_eq!(worker.refuse(&request(spelling)).code, "rpm", "{source}");
        }
        worker.admit(&request("Bearer Key"));
    }
}

fn from(source: &str, forwarded: Option<&str>) -> FakeRequest {
    let mut request = FakeRequest::with(&[("x-account-tier", "tier5")]);
    let path = ["source", "address"].map(str::to_owned).to_vec();
    request.properties.push((path, source.as_bytes().to_vec()));
    if let Some(list) = forwarded {
        request
            .headers
            .push(("x-forwarded-for".to_owned(), list.as_bytes().to_vec()));
    }
    request
}

#[test]
fn an_address_is_an_account_without_its_port() {
    let world = World::new();
    let one = Config::tier("tier5").rpm(1);
    let worker = Worker::new(
        &world,
        one.with(json!({"account": [{"address": "source"}]})),
    );
    worker.admission(&from("127.0.0.1:45830", None));
    let reply = worker.refuse(&from("127.0.0.1:45831", None));
    assert!(
        reply.message.contains("account 127.0.0.1 in tier5"),
        "{}",
        reply.message
    );
    worker.admission(&from("[2001:db8:1:2::1]:1", None));
    worker.refuse(&from("[2001:db8:1:2:9::7]:2", None));
    worker.admission(&from("[2001:db8:1:3::1]:1", None));
    assert_eq!(worker.refuse(&from("", None)).code, "account_missing");
}

#[test]
fn the_trusted_hop_of_x_forwarded_for_is_an_account() {
    let world = World::new();
    let one = Config::tier("tier5").rpm(1);
    let source = json!({"account": [{"address": "x-forwarded-for", "hop": 2, "ipv6_prefix": 48}]});
    let worker = Worker::new(&world, one.with(source));
    let of = |list: &str| from("10.9.9.9:1", Some(list));
    worker.admission(&of("1.1.1.1, 10.0.0.1"));
    // What the client wrote stands before what the trusted proxies wrote.
    worker.refuse(&of("8.8.8.8, 1.1.1.1, 10.0.0.2"));
    worker.admission(&of("2001:db8:1:2::1, 10.0.0.1"));
    worker.refuse(&of("2001:db8:1:3::1, 10.0.0.1"));
    assert_eq!(
        worker.refuse(&of("1.1.1.1")).code,
        "account_missing",
        "one hop"
    );
    assert_eq!(
        worker.refuse(&from("10.9.9.9:1", None)).code,
        "account_missing"
    );
}

#[test]
fn an_address_source_is_checked() {
    for (source, at) in [
        (json!({"address": "client"}), "account[0].address"),
        (json!({"address": "source", "hop": 1}), "account[0].hop"),
        (
            json!({"address": "x-forwarded-for", "hop": 0}),
            "account[0].hop",
        ),
        (
            json!({"address": "x-forwarded-for", "hop": 17}),
            "account[0].hop",
        ),
        (
            json!({"address": "source", "ipv6_prefix": 0}),
            "account[0].ipv6_prefix",
        ),
        (
            json!({"address": "source", "ipv6_prefix": 129}),
            "account[0].ipv6_prefix",
        ),
        (json!({"address": "source", "header": "x"}), "account[0]"),
        (json!({"address": "source", "prefix": "x"}), "account[0]"),
        (json!({"header": "x", "hop": 1}), "account[0]"),
    ] {
        let config = json!({"account": [source]}).to_string();
        let error = tiergate::config::parse(config.as_bytes()).unwrap_err();
        assert_eq!(error.path, at, "{config}: {error}");
    }
    let tier = json!({"tier": [{"address": "source"}]}).to_string();
    assert_eq!(
        tiergate::config::parse(tier.as_bytes()).unwrap_err().path,
        "tier[0]"
    );
}
