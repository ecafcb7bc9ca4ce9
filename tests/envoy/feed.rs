//! The account directory pulled through an Envoy cluster.

use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::{Call, count};
use crate::harness::stack::{Stack, eventually, patience};
use serde_json::json;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

fn config(interval: &str) -> Config {
    config_for(131_072, interval)
}

fn config_for(accounts: u32, interval: &str) -> Config {
    let feed = json!({"cluster": "llm", "authority": "billing.internal",
        "path": "/feed/accounts", "interval": interval});
    Config::new().with(json!({"capacity": {"directory": accounts}, "directory": feed}))
}

const PER_PAGE: usize = 10_000;

fn path(page: usize) -> String {
    match page {
        0 => "/feed/accounts".to_owned(),
        n => format!("/feed/accounts?page={n}"),
    }
}

/// Has the upstream serve so many accounts.
fn publish(stack: &Stack, accounts: usize) {
    publish_with_trap(stack, accounts, None);
}

/// Has the upstream serve so many accounts, of which each so manyth has another recharge.
fn publish_changed(stack: &Stack, accounts: usize, every: usize) {
    publish_pages(stack, accounts, None, every);
}

/// Has the upstream serve so many accounts, and a page that traps the first VM that gets it.
fn publish_with_trap(stack: &Stack, accounts: usize, trap: Option<usize>) {
    publish_pages(stack, accounts, trap, 0);
}

fn publish_pages(stack: &Stack, accounts: usize, trap: Option<usize>, every: usize) {
    let pages = accounts.div_ceil(PER_PAGE);
    // Feeds of other numbers differ from the first page on, whose ETag stands for all.
    let cents = accounts % 100;
    // The first page last, so that nobody reads a feed that is not there yet.
    for page in (0..pages).rev() {
        let mut body = r#"{"accounts":["#.to_owned();
        for i in page * PER_PAGE..accounts.min((page + 1) * PER_PAGE) {
            let comma = if i % PER_PAGE > 0 { "," } else { "" };
            let paid = if every > 0 && i % every == 1 {
                i + 1
            } else {
                i
            };
            let account = format!(r#"{{"id":"account-{i:08}","recharge":"{paid}.{cents:02}"}}"#);
            write!(body, "{comma}{account}").unwrap();
        }
        body.push(']');
        if page + 1 < pages {
            write!(body, r#","next":"{}""#, path(page + 1)).unwrap();
        }
        body.push('}');
        // White space gives the page another ETag.
        body.extend(std::iter::repeat_n(' ', every % 7));
        let call = Call::new().post(&path(page)).body(&*body);
        let call = match trap {
            Some(trap) if trap == page => call.header("x-tiergate-trap", "now"),
            _ => call,
        };
        assert_eq!(stack.upstream(call).status, 200);
    }
}

fn set(stack: &Stack, page: usize, body: &str) {
    let call = Call::new().post(&path(page)).body(body);
    assert_eq!(stack.upstream(call).status, 200);
}

fn gets(stack: &Stack) -> u64 {
    let body = stack.upstream(Call::new().get("/feed-gets")).body;
    String::from_utf8(body).unwrap().parse().unwrap()
}

fn loads(stack: &Stack, outcome: &str) -> u64 {
    stack.stat(&["tiergate_feed_loads", &format!("outcome.{outcome}")])
}

fn written(stack: &Stack) -> u64 {
    stack.stat(&["tiergate_feed_accounts", "outcome.written"])
}

/// How long Envoy's threads that could run waited for a core, in milliseconds; 0 where the kernel
/// does not say.
fn waited_for_a_core(stack: &Stack) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", stack.pid())).unwrap();
    let waited_ns = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        stat.split(' ').nth(1)?.parse::<u64>().ok()
    });
    waited_ns.sum::<u64>() / 1_000_000
}

/// The last line of Envoy's log that tells of a load: what follows that word.
fn told(stack: &Stack, word: &str) -> u64 {
    let log = stack.envoy_log();
    let line = log.lines().rev().find(|l| l.contains("longest slice"));
    let line = line.unwrap_or_default();
    let number = line.split(word).nth(1).unwrap_or_default();
    let digits: String = number
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap()
}

/// How long a request takes.
fn wait(stack: &Stack) -> Duration {
    let sent = Instant::now();
    assert_eq!(stack.send(Call::of("acme", "tier5")).status, 200);
    sent.elapsed()
}

fn quantile(waits: &[Duration], part: f64) -> Duration {
    let mut sorted = waits.to_vec();
    sorted.sort();
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

#[test]
fn a_hundred_thousand_accounts_load_without_a_stall() {
    let stack = Stack::start(config("1h"));
    // Until there is a feed, loads fail and are counted.
    eventually("a failure", || loads(&stack, "failed") > 0);
    let before = stack.resident_bytes() >> 20;
    publish(&stack, 100_000);
    let waited = waited_for_a_core(&stack);
    let begun = Instant::now();
    // Traffic meanwhile: how long requests wait shows a stall too.
    let mut waits = Vec::new();
    while loads(&stack, "loaded") == 0 {
        assert!(begun.elapsed() < 5 * patience());
        waits.push(wait(&stack));
    }
    let waited = waited_for_a_core(&stack) - waited;
    let without: Vec<_> = waits.iter().map(|_| wait(&stack)).collect();
    assert_eq!(written(&stack), 100_000);
    let longest = told(&stack, "longest slice");
    println!(
        "100000 accounts: {} ms, longest slice {longest} us, Envoy's threads waited {waited} ms for \
         a core, memory {before} to {} MiB; of {} \
         requests meanwhile the slowest took {:?}, p99 {:?}; of as many without, {:?}, {:?}",
        told(&stack, "pages in"),
        stack.resident_bytes() >> 20,
        waits.len(),
        quantile(&waits, 1.0),
        quantile(&waits, 0.99),
        quantile(&without, 1.0),
        quantile(&without, 0.99),
    );
    assert!(waits.len() > 1, "requests were answered meanwhile");
    assert_eq!(
        gets(&stack) - loads(&stack, "failed"),
        10,
        "one VM of all fetched"
    );
}

/// The numbers of docs/directory.md: a first import, one of which nothing changed, and one in which a
/// hundredth did.
#[test]
#[ignore = "takes minutes: run it with --ignored --nocapture"]
fn a_million_accounts() {
    const ACCOUNTS: usize = 1_000_000;
    let stack = Stack::start(config_for(1_048_576, "1h"));
    eventually("a failure", || loads(&stack, "failed") > 0);
    let before = stack.resident_bytes() >> 20;
    let mut loaded = 0;
    let mut import = |what: &str, interval: &str| {
        let setup = Setup::new(config_for(1_048_576, interval));
        stack.reconfigure(&setup, true);
        let begun = Instant::now();
        let mut waits = Vec::new();
        while loads(&stack, "loaded") == loaded {
            assert!(begun.elapsed() < Duration::from_secs(600), "{what}");
            waits.push(wait(&stack));
        }
        loaded += 1;
        let count = |outcome| stack.stat(&["tiergate_feed_accounts", outcome]);
        println!(
            "{what}: {} ms, longest slice {} us, resident memory {before} to {} MiB, p99 of requests \
             {:?}; in all written {}, unchanged {}",
            told(&stack, "pages in"),
            told(&stack, "longest slice"),
            stack.resident_bytes() >> 20,
            quantile(&waits, 0.99),
            count("outcome.written"),
            count("outcome.unchanged"),
        );
    };
    publish(&stack, ACCOUNTS);
    import("a first import", "59m");
    publish_changed(&stack, ACCOUNTS, ACCOUNTS + 1);
    import("nothing changed", "5s");
    publish_changed(&stack, ACCOUNTS, 100);
    import("a hundredth changed", "4s");
}

#[test]
fn while_the_feed_is_down_service_goes_on_and_the_failure_is_counted() {
    let stack = Stack::start(config("1s"));
    publish(&stack, 100);
    eventually("a load", || loads(&stack, "loaded") == 1);
    eventually("nothing new", || loads(&stack, "unchanged") > 1);
    assert_eq!(written(&stack), 100);
    stack.upstream(Call::new().delete(&path(0)));
    let failed = loads(&stack, "failed");
    eventually("failures", || loads(&stack, "failed") > failed + 1);
    let replies = stack.flood(4, vec![Call::of("acme", "tier5"); 100]);
    assert_eq!(count(&replies, 200), 100);
    eventually("it ages", || {
        stack.stat(&["tiergate_directory_age_seconds"]) >= 3
    });
    set(&stack, 0, r#"{"accounts":[{"id":"a","recharge":"1e3"}]}"#);
    eventually("the reason is logged", || {
        stack.envoy_log().contains("page 1: accounts[0].recharge: ")
    });
    assert_eq!(written(&stack), 100, "nothing of a broken feed");
    publish(&stack, 200);
    eventually("a load", || loads(&stack, "loaded") == 2);
    assert_eq!(written(&stack), 200, "100 of them did not change");
    eventually("it is young again", || {
        stack.stat(&["tiergate_directory_age_seconds"]) <= 2
    });
}

#[test]
fn a_cluster_that_is_not_there_is_a_failure_and_no_trap() {
    let stack = Stack::start(config("1s").with(json!({"directory": {"cluster": "nowhere"}})));
    eventually("failures", || loads(&stack, "failed") > 1);
    assert_eq!(stack.send(Call::of("acme", "tier5")).status, 200);
    assert_eq!(stack.stat(&["wasm.tiergate.vm_reload"]), 0);
}

#[test]
fn a_feed_that_changes_its_source_is_loaded_from_the_new_one() {
    let stack = Stack::start(config("1h"));
    publish(&stack, 100);
    eventually("a load", || loads(&stack, "loaded") == 1);
    set(&stack, 7, r#"{"accounts":[]}"#);
    let moved = config("1h").with(json!({"directory": {"path": path(7)}}));
    stack.reconfigure(&Setup::new(moved), true);
    eventually("a load", || loads(&stack, "loaded") == 2);
    let got = gets(&stack);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(gets(&stack), got, "the old config's VMs leave it alone");
}

#[test]
fn the_loading_vm_is_trapped_and_another_finishes() {
    let config = config("1s");
    let mut setup = Setup::new(&config);
    setup.filters = vec![wasm_filter("tiergate", "tiergate_trap.wasm", &config)];
    let stack = Stack::with(&setup);
    publish(&stack, 30_000);
    eventually("a load", || loads(&stack, "loaded") == 1);
    let asked = gets(&stack);
    publish_with_trap(&stack, 30_001, Some(2));
    let trapped = || stack.envoy_log().matches("trapped as asked").count();
    eventually("the VM that loads is trapped", || trapped() == 1);
    let begun = Instant::now();
    eventually("another finishes", || {
        // A worker that was trapped comes back with its next request.
        stack.send(Call::new());
        loads(&stack, "loaded") == 2
    });
    println!("loaded {:?} after the trap", begun.elapsed());
    assert_eq!(trapped(), 1);
    assert!(gets(&stack) - asked >= 3 + 4, "begun anew");
    assert!(stack.envoy_log().contains("30001 accounts written"));
}

#[test]
fn accounts_of_the_feed_have_their_tiers_and_the_status_tells_of_it() {
    let config = config("1h").open_admin();
    let stack = Stack::start(config.with(json!({"tier": ["directory"]})));
    let of = |account: &str| stack.send(Call::new().header("x-account-id", account));
    assert_eq!(of("account-00000020").status, 503, "not ready");
    publish(&stack, 4_000);
    let status = || stack.send(Call::new().get("/-/tiergate/status")).json();
    eventually("the feed is in, and settled", || {
        status()["feed"]["due_in_ms"] != 0 && status()["ready"] == true
    });
    let limit = |account: &str| {
        let reply = of(account);
        reply
            .header("x-ratelimit-limit-requests")
            .map(str::to_owned)
    };
    assert_eq!(limit("account-00000020").as_deref(), Some("500"));
    assert_eq!(limit("account-00003000").as_deref(), Some("10000"));
    assert_eq!(of("account-00000000").code(), "recharge_required");
    let status = stack.send(Call::new().get("/-/tiergate/status")).json();
    assert_eq!(
        (&status["ready"], &status["feed"]["failures"]),
        (&true.into(), &0.into())
    );
    let due = status["feed"]["due_in_ms"].as_u64().unwrap();
    assert!((3_000_000..=3_600_000).contains(&due), "{due}");
    let view = stack.send(Call::new().get("/-/tiergate/accounts/account-00000020"));
    assert_eq!(view.json()["written_by"], "feed");
}
