//! What a cut does to the buckets of accounts: of idle and of busy ones, and of tiers that it does not
//! lower.

use crate::harness::{
    Call, Config, FakeRequest, Next, Used, Worker, World, answers, corrupt_state, pressure,
    retry_after_ms, ticks,
};
use serde_json::{Value, json};

#[test]
fn an_idle_accounts_first_request_after_a_cut_is_not_refused_for_the_cut_alone() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").tpm(500_000).adaptive());
    let mut waits = Vec::new();
    let mut cuts = 0;
    for i in 0..30 {
        let before = pressure(&worker);
        answers(&worker, "503", 100);
        worker.tick();
        if pressure(&worker) > before {
            cuts += 1;
            // Never seen before, 3,024 of at least 100,000 tokens a minute.
            let request = FakeRequest::of(&format!("idle-{i}"), "t", 2_000);
            if let Next::Reply(reply) = worker.check(&request).next {
                waits.push(retry_after_ms(&reply));
            }
        }
        world.pass_ms(500);
    }
    assert!(cuts > 3, "{cuts}");
    assert_eq!(waits, [0_u64; 0], "refused, waits in ms");
}

fn two_tiers(limits: &Value) -> Config {
    let high = json!({"concurrency": "unlimited", "rpm": 1_000, "tpm": "unlimited",
        "tpd": "unlimited"});
    let tiers = json!([{"name": "low", "recharge": 1, "limits": limits},
        {"name": "high", "recharge": 2, "limits": high}]);
    let load = json!({"from": {"header": "x-load"}, "start": 0.8, "full": 1.0, "floor": 0.2,
        "smooth": "1ms"});
    Config::new().with(json!({"tiers": tiers, "load": load}))
}

/// Pressure 0.5, with "low" at its floor, and then a rise each second that presses "high" alone. How
/// many of a request each 100 ms are admitted in those 20 s, and in 20 s of steady full pressure.
fn ramp(config: Config, prompt: u64) -> (u32, u32) {
    let world = World::new();
    let worker = Worker::new(&world, config);
    let report = |load: f64| {
        worker.observe("200", Some(&format!("{load:.4}")));
        worker.tick();
    };
    for _ in 0..120 {
        report(0.91);
        world.pass_ms(500);
    }
    let scale = || {
        let view = worker.call(&Call::Overload, "").1;
        view["in_force"]["low"].as_f64().unwrap()
    };
    assert_eq!(scale(), 0.2);
    let run = |load: &dyn Fn(u32) -> f64| {
        let mut admitted = 0;
        for i in 0..200 {
            if i % 5 == 0 {
                report(load(i));
                assert_eq!(scale(), 0.2, "low's own limit stays as it is");
            }
            world.pass_ms(50);
            let request = FakeRequest::of("acme", "low", prompt);
            admitted += u32::from(worker.serves(&request, Used::Unknown));
            world.pass_ms(50);
        }
        admitted
    };
    let rising = run(&|i| (0.91 + 0.0045 * f64::from(i / 10 + 1)).min(1.0));
    let steady = run(&|_| 1.0);
    (rising, steady)
}

#[test]
fn a_tier_at_its_floor_is_not_shut_out_while_the_pressure_rises_for_others() {
    let tpm = json!({"concurrency": "unlimited", "rpm": "unlimited", "tpm": 500_000,
        "tpd": "unlimited"});
    let (rising, steady) = ramp(two_tiers(&tpm), 2_000);
    assert!(rising * 2 >= steady, "rising {rising}, steady {steady}");
}

#[test]
fn a_rising_pressure_gives_no_request_more_each_step() {
    let rpm = json!({"concurrency": "unlimited", "rpm": 60, "tpm": "unlimited",
        "tpd": "unlimited"});
    let (rising, steady) = ramp(two_tiers(&rpm), 0);
    let at_most = steady + 2;
    assert!(
        rising <= at_most,
        "12 a minute: rising {rising}, steady {steady}"
    );
}

#[test]
fn what_came_in_the_millisecond_of_a_cut_counts() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(60).adaptive());
    ticks(&worker, 40, "503", 100);
    corrupt_state(&worker, |state, now| {
        for (_, at) in &mut state.adaptive.reductions {
            *at = now;
        }
        state.adaptive.ownership.last_step = now;
    });
    worker.tick();
    let request = FakeRequest::acme(0);
    let admitted = (0..60)
        .filter(|_| worker.serves(&request, Used::Unknown))
        .count();
    assert_eq!(admitted, 1, "12 a minute, the bucket holds one");
}

/// A busy account waits until its bucket has drained, and no longer.
#[test]
fn a_busy_account_waits_for_its_bucket_alone() {
    let world = World::new();
    let worker = Worker::new(&world, Config::tier("t").rpm(600).adaptive());
    let request = FakeRequest::acme(0);
    for _ in 0..300 {
        assert!(worker.serves(&request, Used::Unknown));
        world.pass_ms(100);
    }
    while pressure(&worker) == 0.0 {
        world.pass_ms(500);
        answers(&worker, "503", 100);
        worker.tick();
    }
    let reply = worker.refuse(&request);
    let wait = retry_after_ms(&reply);
    assert!(
        (1..=1_000).contains(&wait),
        "one of 10 in a bucket of a minute's tenth: {wait}"
    );
    world.pass_ms(wait);
    assert!(worker.serves(&request, Used::Unknown));
}
