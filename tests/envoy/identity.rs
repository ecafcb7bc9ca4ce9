//! Each identity source by its example in envoy/identity: an account is admitted, and what a
//! client can forge is refused or nothing.

use crate::harness::client::{Call, Reply};
use crate::harness::stack::{Stack, root};
use crate::harness::tls::{Ca, Identity};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};

/// The requests per minute that an admitted reply's tier has; the status of any other reply.
fn rpm(reply: &Reply) -> String {
    let limit = reply.header("x-ratelimit-limit-requests");
    match (reply.status, limit) {
        (200, Some(limit)) => limit.to_owned(),
        (status, _) => status.to_string(),
    }
}

/// With every header that the filter reads by default, as a client may send them.
fn forged(call: Call) -> Call {
    call.header("x-account-id", "forged")
        .header("x-account-tier", "tier5")
        .header("x-account-recharge", "3000")
}

/// Sends what tier0 admits three times in a minute; the last reply says as whom.
fn fourth_reply(stack: &Stack, call: impl Fn() -> Call) -> Reply {
    for i in 0..3 {
        assert_eq!(rpm(&stack.send(call())), "3", "request {i}");
    }
    let refused = stack.send(call());
    assert_eq!((refused.status, refused.code()), (429, "rpm".to_owned()));
    refused
}

fn message(reply: &Reply) -> String {
    let message = &reply.json()["error"]["message"];
    message.as_str().unwrap().to_owned()
}

fn bearer(token: &str) -> Call {
    Call::new().header("authorization", format!("Bearer {token}"))
}

#[test]
fn header_is_the_edge_s_own_whatever_the_client_sends() {
    let stack = Stack::of_file("envoy/identity/header.yaml");
    let of = |user: &str, password: &str| {
        use base64::engine::general_purpose::STANDARD;
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        Call::new().header("authorization", format!("Basic {credentials}"))
    };
    let acme = || of("acme", "demo-of-acme");
    let refused = fourth_reply(&stack, || forged(acme()));
    assert!(message(&refused).contains("account acme in tier0"));
    assert_eq!(rpm(&stack.send(acme())), "429", "the same account");
    assert_eq!(rpm(&stack.send(of("globex", "demo-of-globex"))), "3");
    assert_eq!(rpm(&stack.send(of("acme", "demo-of-globex"))), "401");
    assert_eq!(rpm(&stack.send(forged(Call::new()))), "401");
}

#[test]
fn digest_is_of_the_key_alone() {
    let stack = Stack::of_file("envoy/identity/digest.yaml");
    let refused = fourth_reply(&stack, || forged(bearer("sk-one")));
    assert!(message(&refused).contains("this account in tier0"));
    let other_spelling = Call::new().header("authorization", "bEARER   sk-one");
    assert_eq!(rpm(&stack.send(other_spelling)), "429");
    assert_eq!(rpm(&stack.send(bearer("sk-two"))), "3");
    let two = bearer("sk-three").header("authorization", "Bearer sk-four");
    assert_eq!(rpm(&stack.send(two)), "401");
    let no_scheme = Call::new().header("authorization", "sk-one");
    assert_eq!(rpm(&stack.send(no_scheme)), "401");
    assert_eq!(rpm(&stack.send(forged(Call::new()))), "401");
}

#[test]
fn keys_that_the_operator_issues_are_one_account() {
    let stack = Stack::of_file("envoy/identity/keys.yaml");
    let admin = stack.listener("tiergate_admin").unwrap();
    let call = |method: &str, path: &str, body: &str| {
        let call = Call::new().method(method, &format!("/-/tiergate{path}"));
        let call = call.header("authorization", "Bearer demo").body(body);
        let reply = stack.runtime.block_on(call.send(admin)).unwrap();
        assert_eq!(
            reply.status,
            200,
            "{:?}",
            String::from_utf8_lossy(&reply.body)
        );
    };
    assert_eq!(
        rpm(&stack.send(bearer("sk-one"))),
        "503",
        "the directory is empty"
    );
    call("PUT", "/accounts/acme", r#"{"tier": "tier0"}"#);
    for key in ["sk-one", "sk-two"] {
        let digest = tiergate::http::sha256::sha256_hex(key.as_bytes());
        call(
            "PUT",
            &format!("/accounts/{digest}"),
            r#"{"account": "acme"}"#,
        );
    }
    call("POST", "/ready", "");
    stack.both_workers("all workers know", || {
        rpm(&stack.send(bearer("sk-made-up"))) == "403"
    });
    for key in ["sk-one", "sk-two", "sk-one"] {
        assert_eq!(rpm(&stack.send(forged(bearer(key)))), "3");
    }
    let refused = stack.send(bearer("sk-two"));
    assert_eq!((refused.status, refused.code()), (429, "rpm".to_owned()));
    assert!(
        message(&refused).contains("this account in tier0"),
        "names neither key nor account"
    );
}

const JWT: &str = "envoy/identity/jwt.yaml";

/// The word of the example that begins so, up to a quotation mark.
fn word_of_example(begin: &str) -> String {
    let text = std::fs::read_to_string(root().join(JWT)).unwrap();
    let (_, word) = text.split_once(begin).unwrap();
    word.split(['"', '\'']).next().unwrap().to_owned()
}

fn token(key: &KeyPair, claims: &Value) -> String {
    let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let head = json!({"alg": "EdDSA", "kid": "demo"});
    let signed = format!("{}.{}", encoded(&head), encoded(claims));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What the issuer of the example says of an account, but for what `change` changes, or takes
/// out by null.
fn claims(account: &str, tier: &str, change: &Value) -> Value {
    let mut claims = json!({"iss": "https://issuer.example", "aud": "llm-api",
        "sub": account, "tier": tier, "exp": 4_102_444_800_u64});
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, v| !v.is_null());
    claims
}

#[test]
fn jwt_claims_are_account_and_tier_and_no_header_is() {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let public = URL_SAFE_NO_PAD.encode(key.public_key_raw());
    let stack = Stack::of_file_with(JWT, &[(&word_of_example("\"x\": \""), &public)]);
    let none = json!({});
    let of = |account: &str, tier: &str| bearer(&token(&key, &claims(account, tier, &none)));

    assert_eq!(rpm(&stack.send(of("acme", "tier2"))), "500");
    let reply = stack.send(forged(of("acme", "tier2")));
    assert_eq!(rpm(&reply), "500", "no header is a source");
    assert_eq!(
        reply.header("x-ratelimit-remaining-requests"),
        Some("498"),
        "both were acme's"
    );
    let refused = fourth_reply(&stack, || forged(of("newcomer", "tier0")));
    assert!(message(&refused).contains("account newcomer in tier0"));

    assert_eq!(rpm(&stack.send(Call::new())), "401", "no token");
    assert_eq!(rpm(&stack.send(forged(Call::new()))), "401");
    let claimed = |change: Value| token(&key, &claims("acme", "tier5", &change));
    let others = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let good = claimed(none.clone());
    let bad = token(&others, &claims("acme", "tier5", &none));
    let part = |token: &str, i| token.split('.').nth(i).unwrap().to_owned();
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let unsigned = format!("{head}.{}.", part(&good, 1));
    let promoted = token(&others, &claims("newcomer", "tier5", &none));
    let changed = format!(
        "{}.{}.{}",
        part(&good, 0),
        part(&promoted, 1),
        part(&good, 2)
    );
    for (forgery, token, status) in [
        ("another's key", bad, "401"),
        ("changed claims", changed, "401"),
        ("no signature", unsigned, "401"),
        (
            "past its time",
            claimed(json!({"exp": 1_500_000_000})),
            "401",
        ),
        (
            "another issuer",
            claimed(json!({"iss": "https://evil.example"})),
            "401",
        ),
        (
            "another audience",
            claimed(json!({"aud": "another-api"})),
            "403",
        ),
    ] {
        assert_eq!(rpm(&stack.send(bearer(&token))), status, "{forgery}");
    }
    assert_eq!(rpm(&stack.send(bearer(&good))), "10000");
}

#[test]
fn jwt_claims_that_are_missing_or_no_text_are_refused() {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let public = URL_SAFE_NO_PAD.encode(key.public_key_raw());
    let stack = Stack::of_file_with(JWT, &[(&word_of_example("\"x\": \""), &public)]);
    for (change, code) in [
        (json!({"sub": null}), "account_missing"),
        (json!({"sub": ""}), "account_missing"),
        (json!({"tier": null}), "tier_unknown"),
        (json!({"tier": 2}), "tier_unknown"),
        (json!({"tier": "gold"}), "tier_unknown"),
        (json!({"tier": ["tier5"]}), "tier_unknown"),
    ] {
        let reply = stack.send(bearer(&token(&key, &claims("acme", "tier1", &change))));
        assert_eq!(reply.code(), code, "{change}");
    }
}

#[test]
fn jwt_example_admits_its_own_token_as_it_stands() {
    let stack = Stack::of_file(JWT);
    let own = word_of_example("authorization: Bearer ");
    assert_eq!(rpm(&stack.send(forged(bearer(&own)))), "500");
    let seen = stack.seen();
    assert_eq!(seen["authorization"], Value::Null, "the token stays here");
    assert_eq!(rpm(&stack.send(Call::new())), "401");
}

#[test]
fn ext_authz_says_who_it_is_and_no_header_does() {
    let stack = Stack::of_file("envoy/identity/ext_authz.yaml");
    let acme = || bearer("demo-key-of-acme");
    assert_eq!(rpm(&stack.send(acme())), "500");
    let reply = stack.send(forged(acme()));
    assert_eq!(rpm(&reply), "500", "no header is a source");
    assert_eq!(
        reply.header("x-ratelimit-remaining-requests"),
        Some("498"),
        "both were acme's"
    );
    assert_eq!(rpm(&stack.send(forged(bearer("made-up")))), "401");
    assert_eq!(rpm(&stack.send(forged(Call::new()))), "401");
}

#[test]
fn filter_state_is_the_edge_s_own_whatever_the_client_sends() {
    let stack = Stack::of_file("envoy/identity/filter_state.yaml");
    let elsewhere = || forged(Call::new()).header("x-forwarded-for", "192.0.2.1");
    let refused = fourth_reply(&stack, elsewhere);
    assert!(message(&refused).contains("account 127.0.0.1 in tier0"));
    assert_eq!(rpm(&stack.send(Call::new())), "429");
}

#[test]
fn tls_san_of_a_certificate_of_the_ca_is_the_account() {
    let ca = Ca::new();
    let certs = format!("{}/", ca.dir.display());
    let file = "envoy/identity/tls_san.yaml";
    let stack = Stack::of_file_with(file, &[("filename: certs/", &format!("filename: {certs}"))]);
    let forged = "x-account-id: forged\r\nx-account-tier: tier5\r\n";
    let get = |identity: Option<&Identity>| {
        let reply = stack
            .runtime
            .block_on(ca.get(stack.proxy, identity, forged));
        reply.unwrap_or_else(|error| format!("no reply: {error}"))
    };
    let uri = |name: &str| format!("spiffe://example.com/account/{name}");
    let acme = ca.client(&[&uri("acme"), &uri("globex")]);
    for _ in 0..3 {
        let reply = get(Some(&acme));
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    }
    let refused = get(Some(&acme));
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("account acme in tier0"), "{refused}");
    let globex = ca.client(&[&uri("globex")]);
    assert!(get(Some(&globex)).starts_with("HTTP/1.1 200 "));

    for uris in [
        &[][..],
        &["spiffe://example.com/workload/acme"],
        &[&uri("")],
    ] {
        let reply = get(Some(&ca.client(uris)));
        assert!(reply.starts_with("HTTP/1.1 401 "), "{uris:?}: {reply}");
    }
    let own = Ca::new().client(&[&uri("acme")]);
    for identity in [None, Some(&own)] {
        let reply = get(identity);
        assert!(reply.starts_with("no reply: "), "{reply}");
    }
}

#[test]
fn query_key_is_known_and_comes_once() {
    let stack = Stack::of_file("envoy/identity/query.yaml");
    let at = |query: &str| Call::new().get(&format!("/v1/models?{query}"));
    let refused = fourth_reply(&stack, || forged(at("limit=2&key=demo-key-of-acme")));
    assert!(message(&refused).contains("this account in tier0"));
    assert_eq!(rpm(&stack.send(at("key=demo-key-of-acme&limit=3"))), "429");
    assert_eq!(rpm(&stack.send(at("key=demo-key-of-globex"))), "3");
    for (forgery, status) in [
        ("key=made-up", "403"),
        ("", "403"),
        ("KEY=demo-key-of-acme", "403"),
        ("key=demo-key-of-acm%65", "403"),
        ("key=made-up&key=demo-key-of-acme", "401"),
        ("key=demo-key-of-acme&k%65y=made-up", "401"),
    ] {
        assert_eq!(rpm(&stack.send(at(forgery))), status, "{forgery}");
    }
}
