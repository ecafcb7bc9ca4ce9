//! Limits that follow the load by themselves: what the upstream answers goes in, over ticks, and
//! what is in force comes out.

use crate::fake_host::{FakeRequest, Worker, World, retry_after_ms};
use serde_json::{Value, json};
use std::sync::Arc;
use tiergate::admin::call::Call;
use tiergate::limiter::Next;

const TIERS: usize = 10;

fn config(load: &Value) -> String {
    let tier = |i: usize| {
        json!({"name": format!("tier{i}"), "recharge": i + 1, "limits":
            {"concurrency": "unlimited", "rpm": 1_000, "tpm": "unlimited", "tpd": 1_000_000}})
    };
    let tiers: Vec<_> = (0..TIERS).map(tier).collect();
    let admin = json!({"path": "/a", "insecure": true});
    json!({"capacity": {"accounts": 64}, "tiers": tiers, "load": load, "admin": admin}).to_string()
}

/// Two workers, and what is in force.
struct Loop {
    world: Arc<World>,
    workers: [Worker; 2],
}

impl Loop {
    fn start(load: &Value) -> Self {
        let world = World::new();
        let config = config(load);
        let workers = std::array::from_fn(|_| Worker::new(&world, &config));
        Self { world, workers }
    }

    fn by_header() -> Self {
        let from = json!({"header": "x-cluster-load"});
        Self::start(&json!({"from": from, "start": 0.8, "full": 1.0, "floor": 0.2}))
    }

    fn by_overload() -> Self {
        Self::start(&json!({"from": "overload", "floor": 0.2}))
    }

    /// Half a second, in which each worker sees such answers.
    fn tick(&self, answers: &[(&str, Option<&str>)]) {
        for worker in &self.workers {
            let mut limiter = worker.limiter.borrow_mut();
            for (status, load) in answers {
                limiter.observe(Some(status.as_bytes()), load.map(str::as_bytes));
            }
            drop(limiter);
            worker.tick();
        }
        self.world.pass_ms(500);
    }

    /// A tick in which all answers are 503, and no time.
    fn press(&self) {
        for worker in &self.workers {
            for _ in 0..100 {
                worker.limiter.borrow_mut().observe(Some(b"503"), None);
            }
            worker.tick();
        }
    }

    fn seconds(&self, seconds: u32, answers: &[(&str, Option<&str>)]) {
        for _ in 0..seconds * 2 {
            self.tick(answers);
        }
    }

    /// Answers of which so many in a hundred say that the upstream is overloaded.
    fn overloaded(&self, seconds: u32, percent: usize) {
        let answers: Vec<_> = (0..100)
            .map(|i| (if i < percent { "503" } else { "200" }, None))
            .collect();
        self.seconds(seconds, &answers);
    }

    fn reported(&self, seconds: u32, load: &str) {
        self.seconds(seconds, &[("200", Some(load))]);
    }

    fn view(&self) -> Value {
        let worker = &self.workers[0];
        let mut limiter = worker.limiter.borrow_mut();
        let answer = limiter.administer(&worker.host, &Call::Overload, b"");
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// What is in force of each tier.
    fn scales(&self) -> Vec<f64> {
        let view = self.view();
        let scale = |i| view["in_force"][format!("tier{i}")].as_f64().unwrap();
        (0..TIERS).map(scale).collect()
    }

    fn pressure(&self) -> f64 {
        self.view()["auto"]["pressure"].as_f64().unwrap()
    }

    fn changes(&self) -> usize {
        let news = |worker: &Worker| worker.limiter.borrow_mut().drain_events().len();
        self.workers.iter().map(news).sum()
    }
}

fn is_whole(scales: &[f64]) -> bool {
    scales.iter().all(|scale| *scale >= 1.0)
}

/// Lower tiers never have more than higher ones, and nobody less than the floor.
fn check_order(scales: &[f64]) {
    assert!(scales.is_sorted(), "{scales:?}");
    assert!(scales.iter().all(|s| (0.2..=1.0).contains(s)), "{scales:?}");
    let between = scales.iter().filter(|s| **s > 0.2 && **s < 1.0).count();
    assert!(between <= 1, "one gives way at a time: {scales:?}");
}

#[test]
fn limits_fall_with_the_reported_load_lowest_tiers_first_and_come_back() {
    let system = Loop::by_header();
    system.reported(60, "0.79");
    assert!(is_whole(&system.scales()));
    system.reported(60, "0.9");
    let scales = system.scales();
    check_order(&scales);
    assert!(
        (0.4..0.6).contains(&system.pressure()),
        "{}",
        system.pressure()
    );
    assert!(scales[0] <= 0.2 && scales[9] >= 1.0, "{scales:?}");
    system.reported(60, "1.3");
    assert_eq!(system.scales(), [0.2; TIERS], "all at the floor");
    system.reported(60, "0.3");
    assert!(is_whole(&system.scales()));
}

#[test]
fn a_load_that_wavers_moves_nothing_to_and_fro() {
    let system = Loop::by_header();
    system.reported(60, "0.9");
    system.changes();
    for _ in 0..60 {
        system.reported(1, "0.895");
        system.reported(1, "0.905");
    }
    assert_eq!(system.changes(), 0);
    let before = system.pressure();
    system.reported(1, "0.2");
    assert!(
        (system.pressure() - before).abs() < 0.02,
        "one report is little"
    );
}

#[test]
fn what_is_no_load_changes_nothing_and_is_counted() {
    let system = Loop::by_header();
    for wrong in ["nan", "-1", "1e9", "", "80%", "99"] {
        system.reported(10, wrong);
    }
    assert!(is_whole(&system.scales()));
    let worker = &system.workers[0];
    worker
        .limiter
        .borrow_mut()
        .observe(Some(b"200"), Some(b"nan"));
    assert_eq!(worker.tick().get("load_unreadable", ""), 1);
}

#[test]
fn when_no_load_is_reported_for_minutes_limits_return() {
    let system = Loop::by_header();
    system.reported(60, "1.0");
    assert!(system.scales()[0] < 0.3);
    system.seconds(25, &[("200", None)]);
    assert!(system.scales()[0] < 0.3, "a pause is no news");
    system.seconds(60, &[("200", None)]);
    assert!(is_whole(&system.scales()));
}

#[test]
fn overload_cuts_within_seconds_and_quiet_brings_all_back() {
    let system = Loop::by_overload();
    system.overloaded(30, 0);
    assert!(is_whole(&system.scales()));
    system.overloaded(3, 50);
    let first = system.pressure();
    assert!(first >= 0.5, "{first}");
    check_order(&system.scales());
    system.overloaded(20, 50);
    assert_eq!(system.scales(), [0.2; TIERS]);
    let mut before = system.pressure();
    for _ in 0..40 {
        system.overloaded(1, 0);
        let now = system.pressure();
        assert!(now <= before, "never back up in a calm");
        check_order(&system.scales());
        before = now;
    }
    assert!(is_whole(&system.scales()), "{:?}", system.scales());
}

#[test]
fn a_few_failures_among_many_answers_or_few_answers_are_no_overload() {
    let system = Loop::by_overload();
    for _ in 0..20 {
        system.seconds(1, &[("503", None)]);
        system.seconds(9, &[]);
    }
    assert!(is_whole(&system.scales()), "two in ten seconds");
    for _ in 0..60 {
        let mut answers = vec![("200", None); 200];
        answers[0] = ("503", None);
        system.tick(&answers);
    }
    assert!(is_whole(&system.scales()), "half a percent");
}

#[test]
fn a_day_is_not_lowered_by_the_loop() {
    let system = Loop::by_overload();
    system.overloaded(20, 50);
    let request = FakeRequest::of("acme", "tier9", 0);
    let mut limiter = system.workers[0].limiter.borrow_mut();
    let result = limiter.report_usage(&system.workers[0].host, &request);
    let Next::Reply(reply) = result.next else {
        panic!("not told")
    };
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(told["limits"]["tpd"]["remaining"], 1_000_000);
    assert_eq!(told["limits"]["rpm"]["in_force"], 200);
}

#[test]
fn by_hand_and_by_the_loop_the_lower_counts() {
    let system = Loop::by_overload();
    system.overloaded(20, 50);
    let put = |body: &str| {
        let worker = &system.workers[0];
        let mut limiter = worker.limiter.borrow_mut();
        let answer = limiter.administer(&worker.host, &Call::PutManual, body.as_bytes());
        assert_eq!(answer.status, 200);
    };
    put(r#"{"scale": 0.5, "ttl": "2s"}"#);
    assert_eq!(system.scales(), [0.2; TIERS]);
    put(r#"{"scale": 0.1, "ttl": "2s"}"#);
    assert_eq!(system.scales(), [0.1; TIERS]);
    system.overloaded(4, 50);
    assert_eq!(system.scales(), [0.2; TIERS]);
}

#[test]
fn when_nobody_runs_the_loop_any_more_its_pressure_ends() {
    let system = Loop::by_overload();
    system.overloaded(20, 50);
    let bystander = Worker::new(&system.world, &config(&Value::Null));
    let scale = |worker: &Worker| {
        worker.tick();
        let mut limiter = worker.limiter.borrow_mut();
        let answer = limiter.administer(&worker.host, &Call::Overload, b"");
        let view: Value = serde_json::from_slice(&answer.body).unwrap();
        view["in_force"]["tier0"].as_f64().unwrap()
    };
    assert!(
        scale(&bystander) < 0.3,
        "one load for all filters of a namespace"
    );
    system.world.pass_ms(10_000);
    assert!(scale(&bystander) >= 1.0);
}

/// A loop under full pressure: all tiers are at a fifth.
fn pressed() -> Loop {
    let system = Loop::by_overload();
    system.overloaded(20, 50);
    system
}

fn tier9() -> FakeRequest {
    FakeRequest::of("acme", "tier9", 0)
}

/// The wait that is named, or `None` when the request is admitted.
fn refused_for(worker: &Worker) -> Option<u64> {
    match worker.check(&tier9()).next {
        Next::Reply(reply) => Some(retry_after_ms(&reply)),
        Next::Forward(_) => None,
        Next::Queue(_) => unreachable!(),
    }
}

#[test]
fn an_account_that_used_its_limit_goes_on_at_the_lowered_pace_and_not_in_waves() {
    let system = Loop::by_overload();
    let worker = &system.workers[0];
    let admitted = (0..500).filter(|_| refused_for(worker).is_none()).count();
    assert_eq!(admitted, 500);
    system.overloaded(20, 50);
    // 200 a minute are in force, and a hundred a second are asked for.
    let per_second: Vec<usize> = (0..60)
        .map(|_| {
            system.press();
            let admitted = (0..100).filter(|_| {
                system.world.pass_ms(10);
                refused_for(worker).is_none()
            });
            admitted.count()
        })
        .collect();
    for six in per_second.chunks(6) {
        let admitted: usize = six.iter().sum();
        assert!((10..=40).contains(&admitted), "{per_second:?}");
    }
    let in_all: usize = per_second.iter().sum();
    assert!((180..=220).contains(&in_all), "{in_all}: {per_second:?}");
}

#[test]
fn many_accounts_at_their_lowered_limits_do_not_come_in_step() {
    let system = pressed();
    let worker = &system.workers[0];
    let mut per_second = vec![0_usize; 20];
    for second in &mut per_second {
        system.press();
        for _ in 0..10 {
            system.world.pass_ms(100);
            for account in 0..20 {
                let request = FakeRequest::of(&format!("account-{account}"), "tier9", 0);
                let admits = || matches!(worker.check(&request).next, Next::Forward(_));
                *second += (0..25).take_while(|_| admits()).count();
            }
        }
    }
    // 20 times 200 a minute are 67 a second.
    let steady = &per_second[6..];
    assert!(
        steady.iter().all(|n| (15..180).contains(n)),
        "{per_second:?}"
    );
}

#[test]
fn under_pressure_too_who_waits_as_told_is_admitted_and_no_sooner() {
    let system = pressed();
    let worker = &system.workers[0];
    for pause in (0..200).map(|i| i * 37 % 400) {
        system.press();
        match refused_for(worker) {
            None => system.world.pass_ms(pause),
            Some(wait) => {
                system.world.pass_ms(wait - 1);
                assert!(refused_for(worker).is_some(), "not before {wait}");
                system.world.pass_ms(1);
                assert_eq!(refused_for(worker), None, "after {wait}");
            }
        }
    }
}

#[test]
fn a_request_of_many_tokens_takes_its_time_under_pressure() {
    let load = json!({"from": "overload"});
    let mut config: Value = serde_json::from_str(&config(&load)).unwrap();
    config["tiers"][9]["limits"]["tpm"] = json!(100_000);
    let world = World::new();
    let workers = std::array::from_fn(|_| Worker::new(&world, &config.to_string()));
    let system = Loop { world, workers };
    system.overloaded(20, 50);
    let worker = &system.workers[0];
    // 20,000 a minute are in force: 10,000 and the completion are 33 s of them.
    let large = FakeRequest::of("acme", "tier9", 10_000);
    worker.admit(&large);
    for _ in 0..3 {
        let reply = worker.refuse(&large);
        assert_eq!(reply.code, "tpm");
        let wait = retry_after_ms(&reply);
        assert!((1..=33_200).contains(&wait), "{wait}");
        for _ in 0..wait.div_euclid(1_000) {
            system.world.pass_ms(1_000);
            system.press();
        }
        system.world.pass_ms(wait % 1_000);
        worker.admit(&large);
    }
    let never = FakeRequest::of("acme", "tier9", 50_000);
    let reply = worker.refuse(&never);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["error"]["type"], "engine_overloaded_error");
}
