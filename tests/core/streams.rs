//! Streams: charged while they run, and reserved by what the account's responses usually need.

use crate::harness::{Admission, Config, FakeRequest, Next, Used, Worker, World};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write;
use tiergate::tokens::consumed::Streamed;

fn config(tokens: Value) -> Config {
    Config::tier("t").with(json!({"tokens": tokens}))
}

/// A stream that has put out so many events and said nothing.
fn running(events: u64) -> Used {
    Used::Streamed(Streamed {
        prompt: None,
        said: 0,
        events,
        is_whole: false,
    })
}

fn used(worker: &Worker, limit: &str) -> u64 {
    let usage = worker.usage(&FakeRequest::acme(0));
    usage["limits"][limit]["used"].as_u64().unwrap()
}

#[test]
fn a_stream_that_passes_its_reserve_is_charged_while_it_runs() {
    let world = World::new();
    let worker = Worker::new(
        &world,
        config(json!({"completion": 100})).tpm(10_000).tpd(50_000),
    );
    let mut open = worker.admission(&FakeRequest::acme(50));
    worker.charge(&mut open, running(80));
    assert_eq!(used(&worker, "tpm"), 150, "within its reserve");
    for events in [400, 900] {
        worker.charge(&mut open, running(events));
        assert_eq!(used(&worker, "tpm"), 50 + events);
        assert_eq!(used(&worker, "tpd"), 50 + events);
    }
    worker.settle(open, Used::Tokens(2_000));
    assert_eq!((used(&worker, "tpm"), used(&worker, "tpd")), (2_000, 2_000));
    let metrics = worker.tick();
    assert_eq!(metrics.get("tokens", "kind.used"), 2_000, "counted once");
}

/// The prompt by length is an assumption that the usage corrects: it is not charged on the way.
#[test]
fn an_assumed_prompt_is_not_charged_on_the_way() {
    let world = World::new();
    let config = config(json!({"completion": 100}))
        .tpm(10_000)
        .tpd(1_000_000);
    let worker = Worker::new(&world, config);
    let mut open = worker.admission(&FakeRequest::acme(60_000));
    assert_eq!(used(&worker, "tpm"), 10_000, "cut to the limit");
    worker.charge(&mut open, running(3));
    assert_eq!(used(&worker, "tpm"), 10_000);
    worker.settle(open, Used::Tokens(2_000));
    assert_eq!((used(&worker, "tpm"), used(&worker, "tpd")), (2_000, 2_000));
}

/// Where the reserve is the bill, nothing is charged on the way, and an unknown end refunds nothing.
#[test]
fn with_settle_reserve_a_stream_costs_its_reserve() {
    let world = World::new();
    let tokens = json!({"completion": 100, "settle": "reserve"});
    let worker = Worker::new(&world, config(tokens).tpm(10_000).tpd(50_000));
    let mut open = worker.admission(&FakeRequest::acme(50));
    worker.charge(&mut open, running(5_000));
    assert_eq!(used(&worker, "tpd"), 150);
    worker.settle(open, running(6_000));
    assert_eq!(used(&worker, "tpd"), 150);
    let worker = Worker::new(
        &World::new(),
        config(json!({"completion": 100})).tpd(50_000),
    );
    let mut open = worker.admission(&FakeRequest::acme(50));
    worker.charge(&mut open, running(400));
    worker.settle(open, Used::Unknown);
    assert_eq!(used(&worker, "tpd"), 450);
}

#[test]
fn many_streams_are_refused_before_the_first_ends() {
    let world = World::new();
    let worker = Worker::new(&world, config(json!({"completion": 100})).tpm(10_000));
    let mut open: Vec<_> = (0..10)
        .map(|_| worker.admission(&FakeRequest::acme(0)))
        .collect();
    for admission in &mut open {
        worker.charge(admission, running(1_000));
    }
    assert_eq!(worker.refuse(&FakeRequest::acme(0)).code, "tpm");
}

#[test]
fn a_charge_that_fails_is_made_up_for() {
    let world = World::new();
    let worker = Worker::new(&world, config(json!({"completion": 100})).tpm(10_000));
    let mut open = worker.admission(&FakeRequest::acme(0));
    worker.host.failing.set(1);
    worker.charge(&mut open, running(400));
    assert_eq!(used(&worker, "tpm"), 100);
    worker.charge(&mut open, running(500));
    assert_eq!(used(&worker, "tpm"), 500);
    worker.settle(open, running(600));
    assert_eq!(used(&worker, "tpm"), 600);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However often streams are charged, they cost what they used, and no refund is larger than the
    /// reserve.
    #[test]
    fn charges_on_the_way_change_nothing_at_the_end(
        streams in prop::collection::vec((0..500_u64, prop::collection::vec(0..900_u64, 0..5), 1..2_000_u64), 1..6),
        pause in 0..700_u64,
    ) {
        let world = World::new();
        let worker = Worker::new(&world, config(json!({"completion": 100})).tpm(1_000_000).tpd(1_000_000));
        let (mut sum, mut floor) = (0, 0);
        for (prompt, charges, last) in streams {
            let mut open = worker.admission(&FakeRequest::acme(prompt));
            let mut charged = 0;
            for events in charges {
                world.pass_ms(pause);
                worker.charge(&mut open, running(events));
                charged = charged.max((prompt + events).saturating_sub(prompt + 100));
                prop_assert!(used(&worker, "tpd") >= floor + prompt + 100 + charged);
            }
            worker.settle(open, Used::Tokens(last));
            // What was charged on the way is not taken back.
            sum += last.max(charged);
            floor = sum;
            prop_assert_eq!(used(&worker, "tpd"), sum);
        }
    }
}

#[test]
fn an_adaptive_reserve_follows_what_the_account_puts_out() {
    let world = World::new();
    let adaptive = json!({"completion": 1_000, "reserve": "adaptive"});
    let worker = Worker::new(&world, config(adaptive).tpm(1_000_000).tpd(10_000_000));
    let reserved = |worker: &Worker| {
        let before = used(worker, "tpm");
        let open = worker.admission(&FakeRequest::acme(10));
        let reserved = used(worker, "tpm") - before;
        (open, reserved)
    };
    let (open, first) = reserved(&worker);
    assert_eq!(first, 10 + 2 * 1_000 + 512, "nothing is known yet");
    worker.settle(open, Used::Tokens(110));
    let (open, second) = reserved(&worker);
    assert_eq!(second, 10 + 2 * 100 + 512);
    worker.settle(open, running(7_777));
    let (open, third) = reserved(&worker);
    assert_eq!(third, second, "a broken stream says nothing of completions");
    worker.settle(open, Used::Tokens(0));
    let (open, fourth) = reserved(&worker);
    assert_eq!(fourth, second, "nor does a failure");
    worker.settle(open, Used::Tokens(10 + 100 + 8 * 400));
    let (open, fifth) = reserved(&worker);
    assert_eq!(fifth, 10 + 2 * 500 + 512);
    worker.settle(open, Used::Tokens(10));
    let other = FakeRequest::of("other", "t", 10);
    let open = worker.admission(&other);
    let usage = worker.usage(&other);
    assert_eq!(usage["limits"]["tpm"]["used"], 10 + 2 * 1_000 + 512);
    worker.release(open);
}

#[test]
fn an_adaptive_reserve_is_cut_to_the_limit_and_to_what_the_body_asks_for() {
    let world = World::new();
    let adaptive = json!({"completion": 1_000, "reserve": "adaptive", "read_body": true});
    let worker = Worker::new(&world, config(adaptive).tpm(900));
    let request = |body: &str| FakeRequest {
        body: Some(body.as_bytes().to_vec()),
        ..FakeRequest::acme(0)
    };
    let open = worker.admission(&request(r#"{"max_tokens":128000}"#));
    assert_eq!(used(&worker, "tpm"), 900, "no maximum is refused for good");
    worker.settle(open, Used::Tokens(0));
    let open = worker.admission(&request(r#"{"max_tokens":20}"#));
    assert_eq!(used(&worker, "tpm"), 4 + 20);
    worker.settle(open, Used::Tokens(0));
    let long = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(4_000));
    assert_eq!(worker.refuse(&request(&long)).code, "tokens_exceed_tier");
}

/// A thousand clients come within a minute. Each streams 30,000 tokens in a minute, again and again,
/// under 5,000,000 tokens a minute. Returns the most tokens put out in any minute.
///
/// `charges`: streams are charged each second. `known`: the account had such a stream before.
fn most_in_a_minute(reserve: &str, charges: bool, known: bool) -> u64 {
    const CLIENTS: u64 = 1_000;
    const A_SECOND: u64 = 500;
    const LENGTH: u64 = 30_000;
    let world = World::new();
    let tokens = json!({"completion": 1_024, "reserve": reserve});
    let worker = Worker::new(&world, config(tokens).tpm(5_000_000).tpd(1_000_000_000_000));
    let request = FakeRequest::acme(100);
    if known {
        let first = worker.admission(&request);
        worker.settle(first, Used::Tokens(100 + LENGTH));
        world.pass_ms(61_000);
    }
    let mut clients: Vec<Option<(Admission, u64)>> = Vec::new();
    let mut put_out = Vec::new();
    for second in 0..240 {
        while clients.len() < usize::try_from(CLIENTS.min(second * CLIENTS / 60)).unwrap() {
            clients.push(None);
        }
        let (mut this_second, mut is_full) = (0, false);
        for client in &mut clients {
            match client.take() {
                // After the first refusal in a second, the rest would be refused too.
                None if is_full => {}
                None => match worker.check(&request).next {
                    Next::Forward(pass) => *client = Some((pass.admission.unwrap(), 0)),
                    _ => is_full = true,
                },
                Some((open, events)) if events + A_SECOND >= LENGTH => {
                    this_second += A_SECOND;
                    worker.settle(open, Used::Tokens(100 + LENGTH));
                }
                Some((mut open, events)) => {
                    this_second += A_SECOND;
                    if charges {
                        worker.charge(&mut open, running(events + A_SECOND));
                    }
                    *client = Some((open, events + A_SECOND));
                }
            }
        }
        put_out.push(this_second);
        world.pass_ms(1_000);
    }
    let minutes = put_out.windows(60).map(|minute| minute.iter().sum());
    minutes.max().unwrap()
}

/// The table of docs/tokens.md: `cargo test --test core -- --nocapture overshoot`.
#[test]
fn the_overshoot_of_a_thousand_streams_shrinks() {
    let mut table = String::new();
    let mut all = Vec::new();
    for (reserve, charges) in [
        ("assumed", false),
        ("assumed", true),
        ("adaptive", false),
        ("adaptive", true),
    ] {
        let most = [false, true].map(|known| most_in_a_minute(reserve, charges, known));
        let [new, known] = most.map(|most| most as f64 / 5_000_000.0);
        let charged = if charges { "each second" } else { "at the end" };
        writeln!(table, "| {reserve} | {charged} | {new:.2} | {known:.2} |").unwrap();
        all.push(most);
    }
    println!("{table}");
    let [before, charged, adaptive, both] = all[..] else {
        panic!("four rows");
    };
    assert!(charged < before && adaptive[1] < charged[1], "{table}");
    assert!(both <= adaptive && both[1] <= 5_000_000, "{table}");
}

/// The day ends between a charge and the end of the stream: no token is counted less than once.
#[test]
fn a_day_that_ends_between_charge_and_settlement_loses_no_token() {
    let world = World::new();
    let worker = Worker::new(&world, config(json!({"completion": 100})).tpd(50_000));
    let mut open = worker.admission(&FakeRequest::acme(0));
    worker.charge(&mut open, running(400));
    assert_eq!(used(&worker, "tpd"), 400);
    world.pass_ms(86_400_000);
    assert_eq!(used(&worker, "tpd"), 0, "another day");
    worker.charge(&mut open, running(700));
    assert_eq!(used(&worker, "tpd"), 300, "what came since the last charge");
    worker.settle(open, Used::Tokens(1_000));
    let today = used(&worker, "tpd");
    assert!(today + 300 >= 1_000, "300 were charged yesterday: {today}");
}

/// A trap takes the stream's end with it: what was charged stays, and nothing is refunded.
#[test]
fn a_stream_whose_vm_is_lost_keeps_what_was_charged() {
    let world = World::new();
    let limits = config(json!({"completion": 100}))
        .concurrency(1)
        .tpd(50_000);
    let lost = Worker::new(&world, &limits);
    let mut open = lost.admission(&FakeRequest::acme(0));
    lost.charge(&mut open, running(900));
    std::mem::forget(open);
    let other = Worker::new(&world, &limits);
    for _ in 0..20 {
        other.tick();
        world.pass_ms(500);
    }
    assert_eq!(used(&other, "tpd"), 900);
    other.admission(&FakeRequest::acme(0));
}
