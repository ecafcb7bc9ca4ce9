//! Notices: an account's first coming to a share of a limit is told once in its period.

use crate::fleet::{Edge, waits};
use crate::harness::{Call, Config, FakeRequest, FleetStore, Next, Used, Worker, World, line};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tiergate::config::parse;

fn to() -> Value {
    json!({"cluster": "c", "authority": "a", "path": "/n"})
}

/// A day of 1,000 tokens, and notices at these shares.
fn config(at: &Value) -> Config {
    let tokens = json!({"completion": 0, "prompt": 0});
    let rest = json!({"notices": {"at": at, "to": to()}, "tokens": tokens});
    Config::tier("t")
        .rpm(1_000_000)
        .tpd(1_000)
        .with(rest)
        .open_admin()
}

fn worker(world: &Arc<World>) -> Worker {
    Worker::new(world, config(&json!([0.8, 1.0])))
}

/// One request that reserves and uses so many tokens.
fn spend(worker: &Worker, tokens: u64) {
    let open = worker.admission(&FakeRequest::acme(tokens));
    worker.settle(open, Used::Tokens(tokens));
}

/// The shares in what there is to tell.
fn shares(worker: &Worker) -> Vec<f64> {
    let all = worker.notices();
    all.iter()
        .map(|notice| notice["share"].as_f64().unwrap())
        .collect()
}

#[test]
fn a_share_is_noticed_once_with_all_that_a_receiver_needs() {
    let world = World::new();
    let worker = worker(&world);
    spend(&worker, 799);
    assert_eq!(shares(&worker), [0.0; 0]);
    spend(&worker, 1);
    let notices = worker.notices();
    let notice = &notices[0];
    assert_eq!(notices.len(), 1);
    for (name, value) in [
        ("namespace", json!("tiergate")),
        ("account", json!("acme")),
        ("tier", json!("t")),
        ("limit", json!("tpd")),
        ("share", json!(0.8)),
        ("used", json!(800)),
        ("of", json!(1_000)),
    ] {
        assert_eq!(notice[name], value, "{notice}");
    }
    assert!(notice["model"].is_null() && notice["id"].as_str().unwrap().len() == 32);
    let end = notice["resets_at"].as_str().unwrap();
    assert!(end.ends_with("T00:00:00Z"), "{end}");
    spend(&worker, 100);
    assert_eq!(shares(&worker), [0.0; 0], "once");
    worker.refuse(&FakeRequest::acme(500));
    assert_eq!(shares(&worker), [1.0], "the first refusal");
    worker.refuse(&FakeRequest::acme(500));
    assert_eq!(shares(&worker), [0.0; 0]);
    let metrics = worker.tick();
    assert_eq!(metrics.get("notices", "outcome.delivered"), 2);
}

#[test]
fn a_refund_and_a_second_crossing_are_not_news_but_a_new_day_is() {
    let world = World::new();
    let worker = worker(&world);
    let open = worker.admission(&FakeRequest::acme(900));
    assert_eq!(shares(&worker), [0.8]);
    worker.settle(open, Used::Tokens(0));
    spend(&worker, 900);
    assert_eq!(shares(&worker), [0.0; 0]);
    world.pass_ms(86_400_000);
    spend(&worker, 850);
    assert_eq!(shares(&worker), [0.8], "the next day");
    worker.call(&Call::Reset(b"acme".to_vec()), "");
    spend(&worker, 850);
    assert_eq!(shares(&worker), [0.8], "after a reset");
}

#[test]
fn a_refusal_warns_too_and_scripts_may_read_it() {
    let origin = "https://app.example.com";
    let cors = json!({"cors": {"origins": [origin]}});
    let worker = Worker::new(&World::new(), config(&json!([0.5, 0.8, 1.0])).with(cors));
    let refused = || {
        let mut request = FakeRequest::acme(900);
        request.headers.push(("origin".into(), origin.into()));
        worker.refuse(&request)
    };
    spend(&worker, 400);
    assert_eq!(line(&refused(), "x-ratelimit-warning"), None, "at no share");
    spend(&worker, 450);
    let reply = refused();
    assert_eq!(line(&reply, "x-ratelimit-warning"), Some("tpd=80"));
    let exposed = line(&reply, "access-control-expose-headers").unwrap();
    assert!(exposed.contains("x-ratelimit-warning"), "{exposed}");
    let shadow = config(&json!([0.5])).with(json!({"mode": "shadow"}));
    let shadow = Worker::new(&World::new(), shadow);
    spend(&shadow, 900);
    let pass = shadow.admit(&FakeRequest::acme(900));
    assert_eq!(pass.warning, None);
}

/// What a response used beyond its reserve crosses too, and so does a stream while it runs.
#[test]
fn a_settlement_and_a_running_stream_cross_shares() {
    let world = World::new();
    let worker = worker(&world);
    let open = worker.admission(&FakeRequest::acme(10));
    worker.settle(open, Used::Tokens(810));
    assert_eq!(shares(&worker), [0.8]);
}

#[test]
fn each_worker_notices_what_it_crosses_and_only_one_of_them() {
    let world = World::new();
    let (one, two) = (worker(&world), worker(&world));
    spend(&one, 500);
    spend(&two, 400);
    spend(&one, 50);
    let all = [shares(&one), shares(&two)].concat();
    assert_eq!(all, [0.8]);
}

#[test]
fn minutes_and_concurrency_have_no_notices_and_shadow_has_none() {
    let world = World::new();
    let minute = config(&json!([0.5])).rpm(2);
    let minute = Worker::new(&world, minute);
    spend(&minute, 1);
    spend(&minute, 1);
    minute.refuse(&FakeRequest::acme(1));
    assert_eq!(shares(&minute), [0.0; 0]);
    let shadow = config(&json!([0.5, 1.0])).with(json!({"mode": "shadow", "namespace": "s"}));
    let shadow = Worker::new(&world, shadow);
    spend(&shadow, 900);
    shadow.admit(&FakeRequest::acme(900));
    assert_eq!(shares(&shadow), [0.0; 0]);
    let enforced = Worker::new(
        &world,
        config(&json!([0.5, 1.0])).with(json!({"namespace": "s"})),
    );
    spend(&enforced, 1);
    assert_eq!(
        shares(&enforced),
        [0.5],
        "its use was there when the mode changed"
    );
}

#[test]
fn money_and_families_are_noticed_and_a_client_is_warned() {
    let models = json!([{"name": "k2", "match": ["k2*"], "price": {"input": "1", "output": "1"}}]);
    let spend = json!({"unit": "usd", "per": "minute", "limit": "1.00"});
    let limits = json!({"concurrency": 9, "rpm": 900, "tpm": "unlimited", "tpd": 10_000_000, "spend": spend});
    let tier =
        json!({"name": "t", "recharge": 1, "limits": limits, "models": {"k2": {"tpd": 1_000_000}}});
    let config = Config::new().with(
        json!({"tiers": [tier], "models": models, "unpriced": "free",
        "model": [{"header": "x-model"}], "notices": {"at": [0.5, 0.9], "to": to()},
        "tokens": {"completion": 0, "prompt": 0, "context": 10_000_000}}),
    );
    let world = World::new();
    let worker = Worker::new(&world, config);
    let request = |tokens: u64| {
        let mut request = FakeRequest::acme(tokens);
        request.headers.push(("x-model".to_owned(), b"k2".to_vec()));
        request
    };
    assert_eq!(worker.admit(&request(400_000)).warning, None);
    let pass = worker.admit(&request(550_000));
    assert_eq!(pass.warning.as_deref(), Some("spend=90, k2/tpd=90"));
    let said: BTreeSet<String> = worker
        .notices()
        .iter()
        .map(|n| {
            format!(
                "{} {} {} {} {}",
                n["model"], n["limit"], n["share"], n["used"], n["of"]
            )
        })
        .collect();
    let wanted = [
        r#""k2" "tpd" 0.5 950000 1000000"#,
        r#""k2" "tpd" 0.9 950000 1000000"#,
        r#"null "spend" 0.5 "0.95" "1.00""#,
        r#"null "spend" 0.9 "0.95" "1.00""#,
    ];
    assert_eq!(said, wanted.map(str::to_owned).into());
    world.pass_ms(61_000);
    let pass = worker.admit(&request(10_000));
    assert_eq!(
        pass.warning.as_deref(),
        Some("k2/tpd=90"),
        "the window slid on"
    );
}

#[test]
fn a_receiver_that_fails_gets_it_later_and_another_config_takes_over() {
    let world = World::new();
    let old = worker(&world);
    spend(&old, 900);
    let letter = old.take_letter().unwrap();
    old.end_letter(letter, false);
    assert!(old.take_letter().is_none(), "not at once");
    let new = old.beside(config(&json!([0.8, 0.9])));
    old.close();
    drop(old);
    world.pass_ms(1_000);
    assert_eq!(shares(&new), [0.8]);
    let bare = new.beside(Config::tier("t").open_admin());
    spend(&new, 10);
    assert!(bare.take_letter().is_none(), "it has no receiver");
    new.close();
    let metrics = bare.close();
    assert_eq!(
        metrics.get("notices", "outcome.lost"),
        1,
        "nobody is left to send it"
    );
}

#[test]
fn notices_that_could_never_be_are_refused() {
    for (notices, path, says) in [
        (json!({"at": [], "to": to()}), "notices.at", "1 to 8"),
        (
            json!({"at": [0.8, 0.8], "to": to()}),
            "notices.at",
            "different",
        ),
        (json!({"at": [1.01], "to": to()}), "notices.at", "1.0"),
        (
            json!({"at": [0.855], "to": to()}),
            "notices.at",
            "two decimals",
        ),
        (json!({"at": [0.8]}), "notices", "missing field `to`"),
        (
            json!({"at": [0.8], "to": {"cluster": "", "authority": "a", "path": "/"}}),
            "notices.to.cluster",
            "255",
        ),
        (
            json!({"at": [0.8], "to": {"cluster": "c", "authority": "a/b", "path": "/"}}),
            "notices.to.authority",
            "host",
        ),
        (
            json!({"at": [0.8], "to": {"cluster": "c", "authority": "a", "path": "n"}}),
            "notices.to.path",
            "begins with /",
        ),
    ] {
        let config = json!({"notices": notices}).to_string();
        let refused = parse(config.as_bytes()).unwrap_err().to_string();
        let starts = refused.starts_with(&format!("{path}: "));
        assert!(starts && refused.contains(says), "{notices}: {refused}");
    }
    let no_day = Config::tier("t")
        .rpm(3)
        .with(json!({"notices": {"at": [0.8], "to": to()}}));
    let refused = parse(no_day.to_string().as_bytes())
        .unwrap_err()
        .to_string();
    let starts = refused.starts_with("notices.at: no tier has a limit that is noticed");
    assert!(starts && refused.contains("such as tpd"), "{refused}");
    let token = r#"{"notices": {"at": [1], "to": {"cluster": "c", "authority": "a", "path": "/", "token": "secret"}}}"#;
    assert!(
        !parse(token.as_bytes())
            .unwrap()
            .shareable
            .contains("secret")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any traffic of two workers: each share of a day is told exactly once.
    #[test]
    fn a_share_is_told_exactly_once_in_a_day(steps in prop::collection::vec((0..2_usize, 1..300_u64, 0..400_u64), 1..40)) {
        let world = World::new();
        let workers = [worker(&world), worker(&world)];
        let mut open = Vec::new();
        let (mut reached, mut refused) = (false, false);
        let level = || {
            let (_, view) = workers[0].call(&Call::Get(b"acme".to_vec()), "");
            view["usage"]["tpd"]["used"].as_u64().unwrap_or_default()
        };
        for (by, reserve, used) in steps {
            match workers[by].check(&FakeRequest::acme(reserve)).next {
                Next::Forward(pass) => open.push((by, pass.admission.unwrap(), used)),
                _ => refused = true,
            }
            reached |= level() >= 800;
            if open.len() > 2 {
                let (by, admission, used) = open.remove(0);
                workers[by].settle(admission, Used::Tokens(used));
                reached |= level() >= 800;
            }
        }
        let told = [shares(&workers[0]), shares(&workers[1])].concat();
        let count = |share: f64| told.iter().filter(|one| (**one - share).abs() < 1e-9).count();
        prop_assert_eq!((count(0.8), count(1.0)), (reached.into(), refused.into()));
    }
}

/// Regression: the end was that of the edge's own clock.
#[test]
fn a_days_end_is_that_of_the_fleets_store_whatever_clock_the_edge_has() {
    let five_to_midnight: u64 = 20_000 * 86_400_000 - 300_000;
    for offset in [-600_000, 0, 600_000_i64] {
        let edge = Edge::new(&config(&json!([0.8])), 1);
        let wall = five_to_midnight.saturating_add_signed(offset);
        edge.world.set_wall_ms(wall);
        let ticket = waits(&edge.worker, &FakeRequest::acme(900));
        let call = edge.worker.fleet_call().unwrap();
        let request = serde_json::from_slice(&call.body).unwrap();
        let answer = FleetStore::default().answer(&request, five_to_midnight);
        let answer = serde_json::to_vec(&answer).unwrap();
        edge.worker.end_fleet_call(call, Some(&answer));
        assert!(matches!(edge.worker.retry(&ticket), Next::Forward(_)));
        let notices = edge.worker.notices();
        assert_eq!(notices[0]["resets_at"], "2024-10-04T00:00:00Z", "{offset}");
    }
}
