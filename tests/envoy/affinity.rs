//! Without a store (envoy/affinity): two fronts hash accounts to three gates, which count exactly. A
//! lost gate's accounts move and begin anew; the others stay where they are.

use crate::harness::client::{Call, Reply};
use crate::harness::stack::{Stack, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const FRONT: &str = "envoy/affinity/front.yaml";
const FRONT_OF_KEYS: &str = "envoy/affinity/front_keys.yaml";
const GATE: &str = "envoy/affinity/gate.yaml";

/// The ports of gates in the examples.
const GATE_PORTS: [&str; 3] = ["10021", "10022", "10023"];

/// The window of requests per minute.
const WINDOW: Duration = Duration::from_secs(60);

/// Three gates, each with an upstream of its own.
struct Gates {
    ports: Vec<u16>,
    running: Vec<Option<Stack>>,
}

impl Gates {
    fn start() -> Self {
        let ports: Vec<u16> = GATE_PORTS.iter().map(|_| port_that_stays_free()).collect();
        let running = ports.iter().map(|port| Some(gate(*port))).collect();
        Self { ports, running }
    }

    /// Two fronts of that example, with more of its words replaced. The second lists the gates the
    /// other way round, as a DNS answer may.
    fn fronts(&self, file: &str, words: &[(&str, &str)]) -> Fronts {
        let reversed: Vec<u16> = self.ports.iter().rev().copied().collect();
        let fronts = [&self.ports, &reversed].map(|ports| start_front(file, ports, words));
        Fronts(fronts)
    }

    /// Ends a gate's process, and with it everything that it counted.
    fn kill(&mut self, port: u16) {
        let index = self.index(port);
        self.running[index] = None;
    }

    fn start_again(&mut self, port: u16) {
        let index = self.index(port);
        self.running[index] = Some(gate(port));
    }

    fn index(&self, port: u16) -> usize {
        self.ports.iter().position(|p| *p == port).unwrap()
    }
}

struct Fronts([Stack; 2]);

impl Fronts {
    /// The gate of each key, which both fronts choose; `None` while they differ. Nothing is counted.
    fn places(&self, keys: &[String]) -> Option<BTreeMap<String, u16>> {
        let place = |key: &String| {
            let call = || bearer(key).get("/healthz");
            let [one, other] = self.0.each_ref().map(|front| front.send(call()));
            let both = (served_by(&one)?, served_by(&other)?);
            (both.0 == both.1).then(|| (key.clone(), both.0))
        };
        keys.iter().map(place).collect()
    }

    /// The same, once all of it is as it should be.
    fn places_once(
        &self,
        keys: &[String],
        so: impl Fn(&BTreeMap<String, u16>) -> bool,
    ) -> BTreeMap<String, u16> {
        let mut places = BTreeMap::new();
        eventually("both fronts choose the same gates", || {
            let now = self.places(keys).filter(&so);
            // Twice, since each of two workers learns for itself.
            let same = now.is_some() && self.places(keys) == now;
            places = now.unwrap_or_default();
            same
        });
        places
    }

    /// Sends a request through one of the fronts, each in its turn.
    fn send(&self, turn: usize, call: Call) -> Reply {
        self.0[turn % 2].send(call)
    }

    /// How many of four requests, through both fronts in turn, are admitted.
    fn admitted_of_four(&self, key: &str) -> usize {
        let replies = (0..4).map(|turn| self.send(turn, bearer(key)));
        replies.filter(is_admitted).count()
    }
}

fn start_front(file: &str, gates: &[u16], words: &[(&str, &str)]) -> Stack {
    let ports = GATE_PORTS.map(|port| format!("port_value: {port}"));
    let free: Vec<String> = gates.iter().map(|p| format!("port_value: {p}")).collect();
    // For the test alone: clients have no business with the gates' addresses.
    let named = "domains: [\"*\"]\n              response_headers_to_add:\n              \
        - header: { key: x-gate, value: \"%UPSTREAM_REMOTE_ADDRESS%\" }";
    let mut all = vec![("domains: [\"*\"]", named)];
    all.extend(
        ports
            .iter()
            .map(String::as_str)
            .zip(free.iter().map(String::as_str)),
    );
    all.extend(words);
    Stack::of_file_with(file, &all)
}

fn gate(port: u16) -> Stack {
    Stack::of_file_with(
        GATE,
        &[("port_value: 10021", &format!("port_value: {port}"))],
    )
}

/// A port below those that the kernel gives to outgoing connections, so that a gate can come back to it.
fn port_that_stays_free() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let tries = std::iter::repeat_with(|| fastrand::u16(15_000..32_000));
    tries.take(1_000).find(is_free).expect("a free port")
}

fn bearer(key: &str) -> Call {
    Call::new().header("authorization", format!("Bearer {key}"))
}

/// With every header by which a client may try to choose its account, its gate or its tier.
fn forged(call: Call, account: &str) -> Call {
    call.header("x-account-id", account)
        .header("x-account-tier", "tier5")
        .header("x-account-recharge", "3000")
}

fn is_admitted(reply: &Reply) -> bool {
    match (reply.status, reply.code().as_str()) {
        (200, _) => true,
        (429, "rpm") => false,
        other => panic!("{other:?}"),
    }
}

/// The port of the gate that answered.
fn served_by(reply: &Reply) -> Option<u16> {
    let (_, port) = reply.header("x-gate")?.rsplit_once(':')?;
    port.parse().ok()
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("sk-{i}")).collect()
}

#[test]
fn an_account_is_limited_exactly_through_both_fronts() {
    let gates = Gates::start();
    a_burst_gets_its_limit(&gates);
    let fronts = gates.fronts(FRONT_OF_KEYS, &[]);
    one_request_runs_at_once(&fronts);
    no_client_chooses_its_gate(&fronts);
    a_planned_stop_moves_accounts_first(&gates, &fronts);
    drop(fronts);
    the_account_that_a_front_sets_is_hashed(&gates);
}

fn a_burst_gets_its_limit(gates: &Gates) {
    // 200 requests a minute, 50 at once.
    let fronts = gates.fronts(FRONT_OF_KEYS, &[("value: tier0", "value: tier1")]);
    let start = Instant::now();
    let burst = |front: &Stack| {
        let replies = front.flood(8, vec![bearer("sk-burst"); 150]);
        replies.iter().filter(|reply| is_admitted(reply)).count()
    };
    let [one, other] = &fronts.0;
    let admitted = std::thread::scope(|scope| {
        let one = scope.spawn(|| burst(one));
        burst(other) + one.join().unwrap()
    });
    assert_eq!(admitted, 200);
    assert!(start.elapsed() < WINDOW);
}

fn one_request_runs_at_once(fronts: &Fronts) {
    let [one, other] = &fronts.0;
    let reading = one.read_slowly(bearer("sk-one").streamed(200, 100));
    let refused = other.send(bearer("sk-one"));
    let refused = (refused.status, refused.code());
    assert_eq!(refused, (429, "concurrency".to_owned()));
    drop(reading);
    eventually("the lease is given back", || {
        other.send(bearer("sk-one")).status == 200
    });
}

fn no_client_chooses_its_gate(fronts: &Fronts) {
    let spellings = [
        "Bearer sk-two",
        "bearer sk-two",
        "BEARER    sk-two",
        "Bearer sk-two",
    ];
    let replies: Vec<_> = (spellings.iter().enumerate())
        .map(|(i, spelling)| {
            let call = Call::new().header("authorization", spelling);
            fronts.send(i, forged(call, &format!("forged-{i}")))
        })
        .collect();
    let admitted: Vec<_> = replies.iter().map(is_admitted).collect();
    assert_eq!(admitted, [true, true, true, false]);
    let gate = served_by(&replies[0]);
    assert!(replies.iter().all(|reply| served_by(reply) == gate));

    let two = bearer("sk-three").header("authorization", "Bearer sk-four");
    assert_eq!(fronts.send(0, two).status, 401);
    assert_eq!(fronts.send(1, forged(Call::new(), "forged")).status, 401);
}

fn a_planned_stop_moves_accounts_first(gates: &Gates, fronts: &Fronts) {
    let key = ["sk-planned".to_owned()];
    let port = fronts.places_once(&key, |_| true)[&key[0]];
    assert_eq!(fronts.admitted_of_four(&key[0]), 3);
    let gate = gates.running[gates.index(port)].as_ref().unwrap();
    let admin = |path: &str| {
        let reply = gate
            .runtime
            .block_on(Call::new().post(path).send(gate.admin));
        assert_eq!(reply.unwrap().status, 200);
    };
    admin("/healthcheck/fail");
    fronts.places_once(&key, |places| places[&key[0]] != port);
    assert_eq!(fronts.admitted_of_four(&key[0]), 3, "begins anew");
    admin("/healthcheck/ok");
    fronts.places_once(&key, |places| places[&key[0]] == port);
    assert_eq!(fronts.admitted_of_four(&key[0]), 0, "this gate still knows");
}

fn the_account_that_a_front_sets_is_hashed(gates: &Gates) {
    let fronts = gates.fronts(FRONT, &[]);
    for user in ["acme", "globex"] {
        let credentials = STANDARD.encode(format!("{user}:demo-of-{user}"));
        let call = Call::new().header("authorization", format!("Basic {credentials}"));
        let replies = (0..4).map(|i| fronts.send(i, forged(call.clone(), &format!("forged-{i}"))));
        let admitted: Vec<_> = replies.map(|reply| is_admitted(&reply)).collect();
        assert_eq!(admitted, [true, true, true, false], "{user}");
    }
    assert_eq!(fronts.send(0, forged(Call::new(), "acme")).status, 401);
}

/// What the loss of a gate costs: its accounts begin anew, once as they move and once as they come
/// back. Nobody else does.
#[test]
fn a_lost_gate_s_accounts_move_and_begin_anew() {
    let mut gates = Gates::start();
    let fronts = gates.fronts(FRONT_OF_KEYS, &[]);
    let all = keys(300);
    let before = fronts.places_once(&all, |_| true);
    let share = |port: u16| before.values().filter(|at| **at == port).count();
    let shares: Vec<_> = gates.ports.iter().map(|port| share(*port)).collect();
    assert!(shares.iter().all(|s| (60..=140).contains(s)), "{shares:?}");

    let start = Instant::now();
    let lost = before["sk-0"];
    let (gone, here): (Vec<_>, Vec<_>) = all.iter().partition(|key| before[*key] == lost);
    let (gone, here) = (&gone[..8], &here[..8]);
    for key in gone.iter().chain(here) {
        assert_eq!(fronts.admitted_of_four(key), 3, "{key} comes to its limit");
    }
    gates.kill(lost);
    // The moment in which connections break. A request that a gate had is not sent again.
    std::thread::sleep(Duration::from_millis(200));
    for (i, key) in gone.iter().enumerate() {
        let reply = fronts.send(i, bearer(key));
        assert_eq!(reply.status, 200, "{key}, before any check has failed");
        assert_ne!(served_by(&reply), Some(lost));
    }

    let after = fronts.places_once(&all, |places| places.values().all(|port| *port != lost));
    let also = all
        .iter()
        .filter(|key| before[*key] != lost && after[*key] != before[*key]);
    let also = also.count();
    assert!(
        also <= 6,
        "{also} of others moved, where Maglev moves about 1 %"
    );
    for key in gone {
        assert_eq!(fronts.admitted_of_four(key), 2, "{key} began anew");
    }
    for key in here {
        assert_eq!(fronts.admitted_of_four(key), 0, "{key} stays at its limit");
    }

    gates.start_again(lost);
    fronts.places_once(&all, |places| *places == before);
    for key in gone {
        assert_eq!(fronts.admitted_of_four(key), 3, "{key} began anew again");
    }
    for key in here {
        assert_eq!(fronts.admitted_of_four(key), 0, "{key} stays at its limit");
    }
    assert!(start.elapsed() < WINDOW, "or limits ended by time");
}
