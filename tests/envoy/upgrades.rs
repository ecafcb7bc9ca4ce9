//! Two builds of the module over the same shared data, on a real Envoy while requests run: an
//! upgrade, a rollback, and the way forward again.
//!
//! `TIERGATE_OLD_MODULE` names a module of version 0.1.0, whose pages have layout 1; `make upgrades`
//! builds one. Envoy keeps shared data by `vm_id`, so both modules see all of it.

use crate::ends::never_finished;
use crate::harness::Config;
use crate::harness::bootstrap::{Setup, wasm_filter};
use crate::harness::client::{Call, Connection, Reply, connection};
use crate::harness::stack::{Stack, eventually, patience};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LIMIT: usize = 10;

/// The two builds of the module.
struct Builds {
    old: PathBuf,
    new: PathBuf,
    /// The time for which Envoy drains an old listener.
    drain_s: u64,
}

impl Builds {
    /// Drains outlast the test.
    fn with_endless_drains() -> Option<Self> {
        Self::for_drains_of(36_000)
    }

    /// Drains end in the test. Envoy counts a drain from the beginning of the update, and first
    /// compiles the module, which takes seconds on a busy machine: a short drain cuts connections.
    fn with_short_drains() -> Option<Self> {
        Self::for_drains_of(patience().as_secs() * 2)
    }

    fn for_drains_of(drain_s: u64) -> Option<Self> {
        let Some(old) = std::env::var_os("TIERGATE_OLD_MODULE") else {
            // Past the harness, which would keep it to itself.
            let says = "an upgrade between two modules: skipped, no TIERGATE_OLD_MODULE; \
                        run `make upgrades`";
            let mut stderr = std::io::stderr();
            writeln!(stderr, "{says}").unwrap();
            return None;
        };
        Some(Self {
            old: old.into(),
            new: "tiergate.wasm".into(),
            drain_s,
        })
    }

    /// Waits for the end of a drain: as many VMs run as before the update.
    fn drained(&self, stack: &Stack, vms_before: u64) {
        std::thread::sleep(Duration::from_secs(self.drain_s));
        eventually("the other VMs are gone", || vms(stack) == vms_before);
    }

    fn to_old(&self, config: &Config) -> Setup {
        self.setup("old", &self.old, config)
    }

    fn to_new(&self, config: &Config) -> Setup {
        self.setup("new", &self.new, config)
    }

    /// Each reply names the module that served it, as its `server`: refusals do so too.
    fn setup(&self, name: &str, module: &Path, config: &Config) -> Setup {
        let mut setup = Setup::new(config);
        setup.filters = vec![wasm_filter("tiergate", module.to_str().unwrap(), config)];
        // From the drain's beginning, HTTP/1 clients are told after this time to connect anew.
        let drain_timeout = format!("{}s", self.drain_s / 20);
        setup.manager = json!({"server_name": name, "drain_timeout": drain_timeout});
        setup = setup.bodies_while_headers_are_held();
        setup.envoy_args = ["--drain-time-s".to_owned(), self.drain_s.to_string()].into();
        setup
    }
}

/// One page, which both workers have written once traffic flows: 0.1.0 creates a page that it
/// misses with a blind write. Windows outlast the test, and any fault would be a 503.
fn config() -> Config {
    let limited = Config::tier("limited").rpm(LIMIT as u64);
    let daily = limited.and_tier("daily").tpd(3_000);
    let config = daily.and_tier("one").concurrency(1);
    let config = config.and_tier("many").concurrency(1_000);
    config.and_tier("large").rpm(1_000_000).with(json!({
        "capacity": {"accounts": 8, "directory": 8},
        "windows": {"minute": "1h", "day": {"rolling": "24h"}},
        "on_fault": "deny",
    }))
}

fn server(reply: &Reply) -> &str {
    reply.header("server").unwrap()
}

/// Sends on that connection, and returns the module that served it, and the status or the code.
fn on(stack: &Stack, connection: &Connection, call: Call) -> (String, String) {
    let reply = stack
        .runtime
        .block_on(call.send_on(connection, stack.proxy));
    outcome(&reply.unwrap())
}

/// Sends on a connection of its own.
fn send(stack: &Stack, call: Call) -> (String, String) {
    outcome(&stack.send(call))
}

fn outcome(reply: &Reply) -> (String, String) {
    let outcome = match reply.status {
        429 => reply.code(),
        status => status.to_string(),
    };
    (server(reply).to_owned(), outcome)
}

/// Waits until new connections are served by that module.
fn serves(stack: &Stack, module: &str) {
    eventually(module, || server(&stack.send(large())) == module);
}

fn large() -> Call {
    Call::of("other", "large")
}

/// Asks for more than the account has, from eight clients, and returns how many were admitted. All
/// are served by that module.
fn use_up(stack: &Stack, module: &str, account: &str) -> usize {
    let replies = stack.flood(8, vec![Call::of(account, "limited"); 4 * LIMIT]);
    let outcomes: Vec<_> = replies.iter().map(outcome).collect();
    let with = |wanted: &str| {
        let is_it = |(by, outcome): &&(String, String)| by == module && outcome == wanted;
        outcomes.iter().filter(is_it).count()
    };
    assert_eq!(with("200") + with("rpm"), replies.len(), "{outcomes:?}");
    with("200")
}

/// Has the account at its tokens of the day.
fn use_up_the_day(stack: &Stack, account: &str) {
    let usage = r#"{"usage":{"total_tokens":3000}}"#;
    let reply = stack.send(Call::of(account, "daily").header("x-demo-body", usage));
    assert_eq!(reply.status, 200);
    eventually("the usage is settled", || {
        send(stack, Call::of(account, "daily")).1 == "tpd"
    });
}

/// How many VMs run, of all modules.
fn vms(stack: &Stack) -> u64 {
    stack.stat(&["wasm.envoy.wasm.runtime.v8.active"])
}

/// Tells the traffic to stop, also when the story fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the story while eight clients send requests; half of them keep a connection as long as Envoy
/// lets them. None of these requests fails. Returns the modules that served them, sorted.
fn during_traffic(stack: &Stack, story: impl FnOnce()) -> Vec<String> {
    let stop = AtomicBool::new(false);
    let client = |n: usize| {
        let stop = &stop;
        move || {
            let mut served = Vec::new();
            let (http2, keeps) = (n % 2 == 1, n < 4);
            let mut kept = connection(http2);
            while !stop.load(Ordering::Relaxed) {
                if !keeps {
                    kept = connection(http2);
                }
                let call = Call::of(&format!("other-{}", n % 4), "large");
                let (by, outcome) = on(stack, &kept, call.header("x-demo-latency-ms", "25"));
                assert_eq!(outcome, "200", "{by}");
                served.push(by);
            }
            served.dedup();
            served
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|n| scope.spawn(client(n))).collect();
        let stop = Stop(&stop);
        story();
        drop(stop);
        let mut served: Vec<_> = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect();
        served.sort();
        served.dedup();
        served
    })
}

fn nothing_is_wrong(stack: &Stack) {
    let log = stack.envoy_log();
    for word in ["panicked", "newer layout"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
    for parts in [
        &["vm_reload"][..],
        &["tiergate_damaged_values"],
        &["tiergate_unleased"],
        &["tiergate_requests", "faulted"],
    ] {
        assert_eq!(stack.stat(parts), 0, "{parts:?}");
    }
}

/// Both modules are in force: the listener of the old one drains for longer than the test runs.
#[test]
fn at_an_upgrade_each_module_holds_an_account_to_its_limit_once() {
    let Some(builds) = Builds::with_endless_drains() else {
        return;
    };
    let stack = Stack::with(&builds.to_old(&config()));
    // In HTTP/2, since Envoy closes an HTTP/1 connection whose request is refused before its body.
    let kept = connection(true);
    let served = during_traffic(&stack, || {
        assert_eq!(use_up(&stack, "old", "acme"), LIMIT);
        use_up_the_day(&stack, "daily");
        let limited = || Call::of("acme", "limited");
        let old = |outcome: &str| ("old".to_owned(), outcome.to_owned());
        let new = |outcome: &str| ("new".to_owned(), outcome.to_owned());
        assert_eq!(on(&stack, &kept, limited()), old("rpm"));
        // A lease is the account's in any tier, so "one" shows if there is one.
        let one = || Call::of("stream", "one");
        let stream = || stack.begin(never_finished(Call::of("stream", "many")));
        let before = stream();
        eventually("it is in flight", || {
            send(&stack, one()) == old("concurrency")
        });

        stack.reconfigure(&builds.to_new(&config()), true);
        serves(&stack, "new");
        assert_eq!(use_up(&stack, "new", "acme"), LIMIT, "its own count");
        assert_eq!(on(&stack, &kept, limited()), old("rpm"), "at both limits");
        assert_eq!(use_up(&stack, "new", "acme"), 0);
        use_up_the_day(&stack, "daily");

        assert_eq!(send(&stack, one()), new("200"), "its own leases");
        let after = stream();
        eventually("one more is in flight", || {
            send(&stack, one()) == new("concurrency")
        });
        let in_flight = || stack.stat(&["tiergate_in_flight", "many"]);
        eventually("the gauge has both", || in_flight() == 2);
        stack.hang_up(before);
        eventually("the gauge has the second", || in_flight() == 1);
        assert_eq!(send(&stack, one()), new("concurrency"));
        stack.hang_up(after);
        eventually("the lease is free", || send(&stack, one()) == new("200"));
        eventually("the gauge is 0", || in_flight() == 0);
    });
    assert_eq!(served, ["new", "old"]);
    nothing_is_wrong(&stack);
}

#[test]
fn after_the_drain_of_an_upgrade_only_the_new_module_counts() {
    let Some(builds) = Builds::with_short_drains() else {
        return;
    };
    let stack = Stack::with(&builds.to_old(&config()));
    let before = vms(&stack);
    let served = during_traffic(&stack, || {
        assert_eq!(use_up(&stack, "old", "acme"), LIMIT);
        let cut = stack.begin(never_finished(Call::of("stream", "many")));
        let in_flight = || stack.stat(&["tiergate_in_flight", "many"]);
        eventually("it is in flight", || in_flight() == 1);
        stack.reconfigure(&builds.to_new(&config()), true);
        serves(&stack, "new");
        builds.drained(&stack, before);
        stack.hang_up(cut);
        eventually("the gauge is 0", || in_flight() == 0);
        assert_eq!(use_up(&stack, "new", "acme"), LIMIT);
        assert_eq!(use_up(&stack, "new", "acme"), 0);
    });
    assert_eq!(served, ["new", "old"]);
    let last = during_traffic(&stack, || assert_eq!(use_up(&stack, "new", "acme"), 0));
    assert_eq!(last, ["new"]);
    nothing_is_wrong(&stack);
}

/// At each step the VMs of the module before are gone, so all that is known comes from shared data.
#[test]
fn a_rollback_counts_anew_and_forward_again_finds_the_counts_it_left() {
    let Some(builds) = Builds::with_short_drains() else {
        return;
    };
    let stack = Stack::with(&builds.to_new(&config()));
    let before = vms(&stack);
    let alone = |module: &str| {
        serves(&stack, module);
        builds.drained(&stack, before);
    };
    let served = during_traffic(&stack, || {
        assert_eq!(use_up(&stack, "new", "acme"), LIMIT);
        use_up_the_day(&stack, "daily");

        stack.reconfigure(&builds.to_old(&config()), true);
        alone("old");
        eventually("it missed its page", || {
            stack.stat(&["tiergate_lost_pages"]) > 0
        });
        assert_eq!(use_up(&stack, "old", "acme"), LIMIT, "its own count");
        assert_eq!(use_up(&stack, "old", "acme"), 0);
        use_up_the_day(&stack, "daily");

        stack.reconfigure(&builds.to_new(&config()), true);
        alone("new");
        assert_eq!(use_up(&stack, "new", "acme"), 0, "as it was left");
        let daily = send(&stack, Call::of("daily", "daily"));
        assert_eq!(daily, ("new".to_owned(), "tpd".to_owned()));
        assert_eq!(use_up(&stack, "new", "newcomer"), LIMIT);
    });
    assert_eq!(served, ["new", "old"]);
    nothing_is_wrong(&stack);
}

#[test]
fn a_rollback_needs_a_config_of_the_old_module_and_the_capacity_from_before_growth() {
    let Some(builds) = Builds::with_endless_drains() else {
        return;
    };
    let sized = |accounts: u32| config().with(json!({"capacity": {"accounts": accounts}}));
    let stack = Stack::with(&builds.to_new(&sized(8)));
    assert_eq!(use_up(&stack, "new", "acme"), LIMIT);
    stack.reconfigure(&builds.to_new(&sized(16)), true);
    stack.reconfigure(&builds.to_old(&sized(16)), false);
    assert!(stack.envoy_log().contains("keeps a ledger of 1 pages"));
    let unknown = sized(8).with(json!({"log_admitted": false}));
    stack.reconfigure(&builds.to_old(&unknown), false);
    assert!(stack.envoy_log().contains("log_admitted"));
    assert_eq!(use_up(&stack, "new", "acme"), 0, "the new module goes on");
    stack.reconfigure(&builds.to_old(&sized(8)), true);
    serves(&stack, "old");
    assert_eq!(use_up(&stack, "old", "acme"), LIMIT);
    nothing_is_wrong(&stack);
}

#[test]
fn each_module_has_its_own_directory_and_its_own_manual_scale() {
    let Some(builds) = Builds::with_endless_drains() else {
        return;
    };
    let fields = json!({"tier": ["directory"], "load": {"from": "overload"}});
    let config = config().open_admin().with(fields);
    let stack = Stack::with(&builds.to_new(&config));
    let put = |account: &str, entry: &str| {
        let path = format!("/-/tiergate/accounts/{account}");
        let reply = stack.send(Call::new().method("PUT", &path).body(entry));
        assert_eq!(reply.status, 200);
    };
    let status = |account: &str| {
        stack
            .send(Call::new().header("x-account-id", account))
            .status
    };
    put("plain", r#"{"tier": "limited"}"#);
    put("named", r#"{"tier": "limited", "limits": {"rpd": 5}}"#);
    assert_eq!((status("plain"), status("named")), (200, 200));

    let load = |method| Call::new().method(method, "/-/tiergate/load");
    let lower = load("PUT").body(r#"{"scale": 0.5}"#);
    assert_eq!(stack.send(lower).status, 200);
    let scale = || stack.send(load("GET")).json()["in_force"]["limited"].clone();
    eventually("it is lowered", || scale() == 0.5);

    stack.reconfigure(&builds.to_old(&config), true);
    let by = |account: &str| {
        let reply = stack.send(Call::new().header("x-account-id", account));
        server(&reply).to_owned()
    };
    eventually("the old module serves", || by("plain") == "old");
    assert_eq!(
        status("plain"),
        503,
        "the directory of the old module is empty"
    );
    assert_eq!(scale(), 1.0);
    put("later", r#"{"tier": "limited"}"#);
    eventually("the old module has it", || status("later") == 200);

    stack.reconfigure(&builds.to_new(&config), true);
    eventually("the new module serves", || by("plain") == "new");
    let all = ["plain", "named", "later"].map(status);
    assert_eq!(all, [200, 200, 503], "as it was before the rollback");
    eventually("it is lowered again", || scale() == 0.5);
}
