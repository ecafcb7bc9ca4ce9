//! What logs and a scheduler behind the proxy are told of a request.

use crate::harness::{Config, FakeRequest, Next, Used, Worker, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tiergate::config::parse;
use tiergate::tokens::consumed::Consumed;
use tiergate::tokens::rates::TokenCounts;

const OBJECTIVE: &str = "x-gateway-inference-objective";
const FAIRNESS_ID: &str = "x-gateway-inference-fairness-id";

fn named(worker: &Worker, account: &str) -> String {
    let request = FakeRequest::with(&[("x-account-id", account), ("x-account-tier", "t")]);
    worker.check(&request).log_line()
}

#[test]
fn a_log_names_the_account_escaped_where_it_is_asked_to() {
    let config = Config::tier("t").rpm(1).with(json!({"log_account": true}));
    let worker = Worker::new(&World::new(), config);
    assert_eq!(
        named(&worker, "acme"),
        "tier=t outcome=admitted account=acme"
    );
    let limited = "tier=t outcome=limited limit=rpm account=acme";
    assert_eq!(named(&worker, "acme"), limited);
    let hostile = named(&worker, "a output=9 \"b\"%\\\u{e9}");
    let escaped = "account=a%20output=9%20%22b%22%25%5C%C3%A9";
    assert_eq!(hostile, format!("tier=t outcome=admitted {escaped}"));
    let long = "x".repeat(60_000);
    let line = named(&worker, &long);
    let digest = line.split("account=").nth(1).unwrap();
    assert!(
        digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()),
        "{line}"
    );
    let nobody = worker.check(&FakeRequest::with(&[])).log_line();
    assert!(!nobody.contains("account="), "{nobody}");
    let silent = Worker::new(&World::new(), Config::tier("t"));
    assert_eq!(named(&silent, "acme"), "tier=t outcome=admitted");
}

#[test]
fn a_log_names_the_target_of_an_alias() {
    let config = Config::tier("t").with(json!({"log_account": true, "tier": ["directory"]}));
    let worker = Worker::new(&World::new(), config.open_admin());
    worker.put("acme", r#"{"tier": "t"}"#);
    worker.put("sk-key", r#"{"account": "acme"}"#);
    worker.put("guest", r#"{"tier": "t", "exempt": true}"#);
    worker.ready();
    let line = |id: &str| {
        worker
            .check(&FakeRequest::with(&[("x-account-id", id)]))
            .log_line()
    };
    assert_eq!(line("sk-key"), "tier=t outcome=admitted account=acme");
    assert_eq!(line("guest"), "tier=t outcome=exempt account=guest");
}

#[test]
fn the_usage_of_a_request_is_an_estimate_until_it_is_read() {
    let tokens = json!({"completion": 30, "prompt": 0, "weights": {"cached": 0.5}});
    let models =
        json!({"models": [{"name": "k2", "match": ["k2*"]}], "model": [{"header": "x-model"}]});
    for limits in [Config::tier("t").tpm(1_000), Config::tier("t")] {
        let config = limits
            .with(json!({"log_usage": true, "tokens": tokens}))
            .with(models.clone());
        let worker = Worker::new(&World::new(), config);
        worker.host.world.pass_ms(5_000);
        let at = worker.host.world.wall_us() / 1_000;
        let mut request = FakeRequest::acme(100);
        request
            .headers
            .push(("x-model".to_owned(), b"k2-turbo".to_vec()));
        let open = worker.admission(&request);
        worker.host.world.pass_ms(700);
        let estimate = worker.usage_line(&open, None);
        let wanted = format!(
            "at={at} reserved=130 model=k2 input=100 cached=0 cache_write=0 output=30 estimated=true"
        );
        assert_eq!(estimate, wanted);
        let input = TokenCounts {
            input: 20,
            cached: 80,
            cache_write: 3,
            output: 0,
        };
        let consumed = Consumed {
            used: Used::Tokens(150),
            input: Some(input),
        };
        let read = worker.usage_line(&open, Some(consumed));
        let wanted = format!(
            "at={at} reserved=130 model=k2 input=20 cached=80 cache_write=3 output=47 estimated=false"
        );
        assert_eq!(read, wanted);
        let output = worker.usage_line(&open, Some(Used::Output(7).into()));
        assert!(
            output.ends_with("input=100 cached=0 cache_write=0 output=7 estimated=true"),
            "{output}"
        );
    }
}

fn scheduling(scheduler: Value) -> Worker {
    let config = Config::tier("t")
        .rpm(3)
        .and_tier("u")
        .with(json!({"scheduler": scheduler}));
    Worker::new(&World::new(), config)
}

/// The headers for the scheduler of a request that goes on.
fn told(worker: &Worker, account: &str, tier: &str) -> Vec<(&'static str, String)> {
    match worker.check(&FakeRequest::of(account, tier, 0)).next {
        Next::Forward(pass) => pass.neighbours,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_scheduler_is_told_the_objective_of_the_tier_and_an_id_that_is_no_account() {
    let all = json!({"objective": {"t": "batch"}, "fairness": true});
    let worker = scheduling(all);
    let of = |account: &str, tier: &str| told(&worker, account, tier);
    let acme = of("acme", "t");
    assert_eq!(acme[0], (OBJECTIVE, "batch".to_owned()));
    let id = |lines: &[(&str, String)]| {
        let found = lines.iter().find(|(name, _)| *name == FAIRNESS_ID);
        found.map(|(_, id)| id.clone()).unwrap()
    };
    assert_eq!(id(&acme), id(&of("acme", "u")), "one account, one id");
    assert_eq!(of("acme", "u").len(), 1, "no objective for this tier");
    let ids: BTreeSet<String> = (0..50).map(|n| id(&of(&n.to_string(), "u"))).collect();
    assert_eq!(ids.len(), 50);
    assert!(
        ids.iter()
            .all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    );
    let without = scheduling(json!({"objective": {"t": "batch"}}));
    assert_eq!(
        told(&without, "acme", "t"),
        [(OBJECTIVE, "batch".to_owned())]
    );
}

/// The ledger's secret is made up by each process; a key of the config is the same for all.
#[test]
fn gateways_with_one_key_have_one_fairness_id() {
    let keyed = |key: &str| {
        let worker = scheduling(json!({"fairness": true, "key": key}));
        told(&worker, "acme", "t")[0].1.clone()
    };
    let own = told(&scheduling(json!({"fairness": true})), "acme", "t")[0]
        .1
        .clone();
    let (one, two) = (keyed("a secret of the fleet"), keyed("another secret, too"));
    assert_eq!(one, keyed("a secret of the fleet"));
    assert!(one != two && one != own);
}

#[test]
fn a_scheduler_that_says_nothing_or_something_wrong_is_refused() {
    for (scheduler, path, says) in [
        (json!({}), "scheduler", "sets nothing"),
        (json!({"fairness": false}), "scheduler", "sets nothing"),
        (
            json!({"objective": {"gold": "x"}}),
            "scheduler.objective.gold",
            "no tier",
        ),
        (
            json!({"objective": {"tier0": ""}}),
            "scheduler.objective.tier0",
            "not the name",
        ),
        (
            json!({"objective": {"tier0": "a\r\nb: c"}}),
            "scheduler.objective.tier0",
            "not the name",
        ),
        (
            json!({"fairness": true, "key": "short"}),
            "scheduler.key",
            "16 bytes",
        ),
        (
            json!({"objective": {"tier0": "x"}, "key": "0123456789abcdef"}),
            "scheduler.key",
            "fairness",
        ),
        (json!({"fair": true}), "scheduler.fair", "unknown field"),
    ] {
        let config = json!({"scheduler": scheduler}).to_string();
        let refused = parse(config.as_bytes()).unwrap_err().to_string();
        let starts = refused.starts_with(&format!("{path}: "));
        assert!(starts && refused.contains(says), "{scheduler}: {refused}");
    }
    let keyed = r#"{"scheduler": {"fairness": true, "key": "0123456789abcdef"}}"#;
    let shared = parse(keyed.as_bytes()).unwrap().shareable;
    assert!(!shared.contains("0123456789abcdef"), "{shared}");
}
