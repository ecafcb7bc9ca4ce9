//! Limits that follow the load by themselves: what the upstream answers goes in, over ticks, and
//! what is in force comes out.

use crate::harness::{
    Call, Config, FakeRequest, Next, Worker, World, answers, error, pressure, put_load,
    retry_after_ms,
};
use serde_json::json;
use std::sync::Arc;

const TIERS: usize = 10;

/// Ten tiers of the same limits, and no adaptive limits yet.
fn config() -> Config {
    let tier = |config: Config| config.rpm(1_000).tpd(1_000_000);
    let first = tier(Config::tier("tier0").open_admin());
    (1..TIERS).fold(first, |config, i| {
        tier(config.and_tier(&format!("tier{i}")))
    })
}

/// Two workers, and what is in force.
struct Loop {
    world: Arc<World>,
    workers: [Worker; 2],
}

impl Loop {
    fn start(config: &Config) -> Self {
        let world = World::new();
        let workers = std::array::from_fn(|_| Worker::new(&world, config));
        Self { world, workers }
    }

    fn by_header() -> Self {
        let from = json!({"header": "x-cluster-load"});
        let load = json!({"from": from, "start": 0.8, "full": 1.0, "floor": 0.2});
        Self::start(&config().with(json!({"load": load})))
    }

    fn by_overload() -> Self {
        Self::start(&config().adaptive())
    }

    /// Half a second, in which each worker sees such answers.
    fn tick(&self, answers: &[(&str, Option<&str>)]) {
        for worker in &self.workers {
            for (status, load) in answers {
                worker.observe(status, *load);
            }
            worker.tick();
        }
        self.world.pass_ms(500);
    }

    /// A tick in which all answers are 503, and no time.
    fn press(&self) {
        for worker in &self.workers {
            answers(worker, "503", 100);
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

    /// What is in force of each tier.
    fn scales(&self) -> Vec<f64> {
        let (_, view) = self.workers[0].call(&Call::Overload, "");
        let scale = |i| view["in_force"][format!("tier{i}")].as_f64().unwrap();
        (0..TIERS).map(scale).collect()
    }

    fn pressure(&self) -> f64 {
        pressure(&self.workers[0])
    }

    fn changes(&self) -> usize {
        let news = |worker: &Worker| worker.news().len();
        self.workers.iter().map(news).sum()
    }
}

fn all_as_bought(scales: &[f64]) -> bool {
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
    assert!(all_as_bought(&system.scales()));
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
    assert!(all_as_bought(&system.scales()));
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
    let first = system.workers[0].tick();
    assert!(
        first.has("load_unreadable", ""),
        "a rate needs a value before"
    );
    for wrong in ["nan", "-1", "1e9", "", "80%", "99"] {
        system.reported(10, wrong);
    }
    assert!(all_as_bought(&system.scales()));
    let worker = &system.workers[0];
    worker.observe("200", Some("nan"));
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
    assert!(all_as_bought(&system.scales()));
}

#[test]
fn overload_cuts_within_seconds_and_quiet_brings_all_back() {
    let system = Loop::by_overload();
    system.overloaded(30, 0);
    assert!(all_as_bought(&system.scales()));
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
    assert!(all_as_bought(&system.scales()), "{:?}", system.scales());
}

#[test]
fn a_few_failures_among_many_answers_or_few_answers_are_no_overload() {
    let system = Loop::by_overload();
    for _ in 0..20 {
        system.seconds(1, &[("503", None)]);
        system.seconds(9, &[]);
    }
    assert!(all_as_bought(&system.scales()), "two in ten seconds");
    for _ in 0..60 {
        let mut answers = vec![("200", None); 200];
        answers[0] = ("503", None);
        system.tick(&answers);
    }
    assert!(all_as_bought(&system.scales()), "half a percent");
}

#[test]
fn a_day_is_not_lowered_by_the_loop() {
    let system = Loop::by_overload();
    system.overloaded(20, 50);
    let request = FakeRequest::of("acme", "tier9", 0);
    let told = system.workers[0].usage(&request);
    assert_eq!(told["limits"]["tpd"]["remaining"], 1_000_000);
    assert_eq!(told["limits"]["rpm"]["in_force"], 200);
}

#[test]
fn by_hand_and_by_the_loop_the_lower_counts() {
    let system = Loop::by_overload();
    system.overloaded(20, 50);
    let put = |body: &str| put_load(&system.workers[0], body);
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
    let bystander = Worker::new(&system.world, config());
    let scale = |worker: &Worker| {
        worker.tick();
        let (_, view) = worker.call(&Call::Overload, "");
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
    let load = json!({"load": {"from": "overload"}});
    let system = Loop::start(&config().tpm(100_000).with(load));
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
    assert_eq!(error(&reply)["type"], "engine_overloaded_error");
}
