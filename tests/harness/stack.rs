//! A real Envoy with the filter in front of the demo upstream, on free ports, for one test.
//!
//! Its log is printed when the test fails. Everything stops with the [`Stack`].

use super::bootstrap::{self, Setup};
use super::client::{self, Call, Connection, Reply};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

#[path = "process.rs"]
mod process;

#[allow(unused_imports, reason = "not every bench starts more")]
pub use process::spawn;
pub use process::{fresh_dir, root};
use process::{start_envoy, start_upstream, write};

/// How long anything may take that should take no time. `TIERGATE_TEST_SLOWNESS` multiplies it,
/// for slow machines.
pub fn patience() -> Duration {
    let slowness = std::env::var("TIERGATE_TEST_SLOWNESS");
    let slowness = slowness.map_or(1.0, |text| text.parse().expect("a number"));
    Duration::from_secs(20).mul_f64(slowness)
}

/// Envoy, upstream and client of one test.
pub struct Stack {
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
    pub upstream: SocketAddr,
    pub runtime: Runtime,
    /// When Envoy was started.
    pub started: Instant,
    dir: PathBuf,
    envoy: Child,
    upstream_process: Child,
}

/// A request on its way.
pub struct Pending(JoinHandle<Result<Reply, String>>);

/// A reply that is read frame by frame.
pub struct Reading<'a> {
    stack: &'a Stack,
    body: Incoming,
    _connection: Connection,
}

impl Reading<'_> {
    /// The next piece of the body; `None` at its end.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let frame = self.stack.runtime.block_on(self.body.frame())?.unwrap();
        frame.into_data().ok().map(|data| data.to_vec())
    }
}

impl Stack {
    /// A stack with that plugin config and two workers.
    pub fn start(config: impl Display) -> Self {
        Self::with(&Setup::new(config))
    }

    pub fn with(setup: &Setup) -> Self {
        Self::before(setup, None)
    }

    /// An Envoy whose upstream is another one.
    pub fn in_front_of(gate: &Self, setup: &Setup) -> Self {
        Self::before(setup, Some(gate.proxy))
    }

    fn before(setup: &Setup, gate: Option<SocketAddr>) -> Self {
        let dir = fresh_dir();
        let (upstream_process, upstream) = start_upstream(&dir);
        write(
            &dir.join("listeners.json"),
            &bootstrap::listeners(setup, &dir.join("access.log")),
        );
        let to = gate.unwrap_or(upstream);
        let bootstrap = bootstrap::bootstrap(setup, &dir.join("listeners.json"), to);
        write(&dir.join("envoy.json"), &bootstrap);
        let envoy = start_envoy(&dir, "envoy.json", setup.workers, &setup.envoy_args);
        Self::when_ready(dir, envoy, (upstream_process, upstream))
    }

    /// A stack of a bootstrap file as operators have it, with its ports made free ones.
    pub fn of_file(file: &str) -> Self {
        Self::of_file_with(file, &[])
    }

    /// The same, with these words of the file replaced: what only a test can put in.
    pub fn of_file_with(file: &str, words: &[(&str, &str)]) -> Self {
        let dir = fresh_dir();
        let (upstream_process, upstream) = start_upstream(&dir);
        let mut text = fs::read_to_string(root().join(file)).unwrap();
        for (port, free) in [
            ("10000", 0),
            ("10001", 0),
            ("9901", 0),
            ("10010", upstream.port()),
        ] {
            text = text.replace(
                &format!("port_value: {port}"),
                &format!("port_value: {free}"),
            );
        }
        for (word, other) in words {
            assert!(text.contains(word), "{file} has no {word}");
            text = text.replace(word, other);
        }
        fs::write(dir.join("envoy.yaml"), text).unwrap();
        let envoy = start_envoy(&dir, "envoy.yaml", 2, &[]);
        Self::when_ready(dir, envoy, (upstream_process, upstream))
    }

    fn when_ready(dir: PathBuf, envoy: Child, upstream: (Child, SocketAddr)) -> Self {
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut stack = Self {
            proxy: unknown,
            admin: unknown,
            upstream: upstream.1,
            runtime,
            started,
            dir,
            envoy,
            upstream_process: upstream.0,
        };
        stack.admin = stack.wait_for("the admin port", |stack| {
            fs::read_to_string(stack.dir.join("admin"))
                .ok()?
                .parse()
                .ok()
        });
        stack.proxy = stack.wait_for("the listener", |stack| stack.listener("proxy"));
        stack.wait_for("Envoy", |stack| {
            stack.admin_get("/ready").filter(|r| r.status == 200)
        });
        stack
    }

    /// Where Envoy listens under that name.
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        let listeners = self.admin_get("/listeners?format=json")?.json();
        let mut all = listeners["listener_statuses"].as_array()?.iter();
        let listener = all.find(|listener| listener["name"] == name)?;
        let port = listener["local_address"]["socket_address"]["port_value"].as_u64()?;
        Some(SocketAddr::from((
            [127, 0, 0, 1],
            u16::try_from(port).ok()?,
        )))
    }

    fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if let Some(status) = self.envoy.try_wait().unwrap() {
                panic!("Envoy ended with {status}");
            }
            assert!(start.elapsed() < patience(), "waited too long for {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn admin_get(&self, path: &str) -> Option<Reply> {
        let reply = Call::new().get(path).send(self.admin);
        self.runtime.block_on(reply).ok()
    }

    /// Has Envoy listen no more; what is in process goes on.
    pub fn drain(&self) {
        let drain = Call::new().post("/drain_listeners").send(self.admin);
        assert_eq!(self.runtime.block_on(drain).unwrap().status, 200);
    }

    /// Sends a request and reads the whole reply.
    pub fn send(&self, call: Call) -> Reply {
        self.runtime.block_on(call.send(self.proxy)).unwrap()
    }

    /// Sends a request that may end without a whole reply.
    pub fn try_send(&self, call: Call) -> Result<Reply, String> {
        self.runtime.block_on(call.send(self.proxy))
    }

    /// Sends requests at the same time; replies in the order of the requests.
    pub fn send_all(&self, calls: impl IntoIterator<Item = Call>) -> Vec<Reply> {
        let pending: Vec<_> = calls.into_iter().map(|call| self.begin(call)).collect();
        pending.into_iter().map(|p| self.end(p)).collect()
    }

    /// Sends requests from so many clients that keep their connections; replies in no order.
    pub fn flood(&self, clients: usize, calls: Vec<Call>) -> Vec<Reply> {
        let flood = client::flood(self.proxy, clients, calls);
        self.runtime.block_on(flood)
    }

    /// Sends a request and does not wait for it.
    pub fn begin(&self, call: Call) -> Pending {
        Pending(self.runtime.spawn(call.send(self.proxy)))
    }

    /// Waits for the reply.
    pub fn end(&self, pending: Pending) -> Reply {
        self.runtime.block_on(pending.0).unwrap().unwrap()
    }

    /// Sends a request and reads the reply frame by frame; dropping it hangs up.
    pub fn read_slowly(&self, call: Call) -> Reading<'_> {
        let connection = client::connection(false);
        let reply = self.runtime.block_on(call.begin(&connection, self.proxy));
        Reading {
            stack: self,
            body: reply.unwrap().into_body(),
            _connection: connection,
        }
    }

    /// Waits for the reply, or for what came in its place.
    pub fn try_end(&self, pending: Pending) -> Result<Reply, String> {
        self.runtime.block_on(pending.0).unwrap()
    }

    /// Hangs up on the reply.
    pub fn hang_up(&self, pending: Pending) {
        pending.0.abort();
        let _ = self.runtime.block_on(pending.0);
    }

    /// Sends a request to the upstream itself.
    pub fn upstream(&self, call: Call) -> Reply {
        self.runtime.block_on(call.send(self.upstream)).unwrap()
    }

    /// The request headers that the upstream saw last.
    pub fn seen(&self) -> serde_json::Value {
        let reply = Call::new().get("/seen").send(self.upstream);
        self.runtime.block_on(reply).unwrap().json()
    }

    /// The request body that the upstream saw last.
    pub fn seen_body(&self) -> Vec<u8> {
        let reply = Call::new().get("/seen-body").send(self.upstream);
        self.runtime.block_on(reply).unwrap().body
    }

    /// How many requests of that name the upstream had in process at once, at most.
    pub fn most_at_once(&self, name: &str) -> u64 {
        let reply = Call::new().get("/most").send(self.upstream);
        let most = self.runtime.block_on(reply).unwrap().json();
        most[name].as_u64().unwrap_or(0)
    }

    /// Connections that each worker has accepted.
    pub fn accepted(&self) -> [u64; 2] {
        ["worker_0", "worker_1"].map(|w| self.stat(&["listener.", w, "downstream_cx_total"]))
    }

    /// Waits until requests on both workers see it so. Each call of `is_so` sends at least one, on a
    /// connection of its own: the kernel may give many in a row to one worker.
    pub fn both_workers(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let mut since = self.accepted();
        eventually(what, || {
            if !is_so() {
                since = self.accepted();
                return false;
            }
            let now = self.accepted();
            now.iter().zip(since).all(|(now, since)| *now > since)
        });
    }

    /// The sum of all stats whose name has all of these parts.
    pub fn stat(&self, parts: &[&str]) -> u64 {
        let stats = self.admin_get("/stats?format=json").unwrap().json();
        let stats = stats["stats"].as_array().unwrap();
        let of_name = |stat: &&serde_json::Value| {
            let name = stat["name"].as_str().unwrap_or_default();
            parts.iter().all(|part| name.contains(part))
        };
        stats
            .iter()
            .filter(of_name)
            .filter_map(|s| s["value"].as_u64())
            .sum()
    }

    /// What Prometheus scrapes.
    pub fn prometheus(&self) -> String {
        String::from_utf8(self.admin_get("/stats/prometheus").unwrap().body).unwrap()
    }

    /// Puts another plugin config in force, or tries to; `accepted` tells which is expected.
    pub fn reconfigure(&self, setup: &Setup, accepted: bool) {
        let counted = if accepted {
            "listener_manager.lds.update_success"
        } else {
            "listener_manager.lds.update_rejected"
        };
        let before = self.stat(&[counted]);
        let listeners = bootstrap::listeners(setup, &self.dir.join("access.log"));
        write(&self.dir.join("next.json"), &listeners);
        fs::rename(self.dir.join("next.json"), self.dir.join("listeners.json")).unwrap();
        eventually(counted, || self.stat(&[counted]) > before);
    }

    pub fn envoy_log(&self) -> String {
        fs::read_to_string(self.dir.join("envoy.log")).unwrap_or_default()
    }

    pub fn access_log(&self) -> String {
        fs::read_to_string(self.dir.join("access.log")).unwrap_or_default()
    }

    /// Stops Envoy where it stands, for so long.
    pub fn freeze(&self, time: Duration) {
        let signal = |signal| {
            // SAFETY: sends a signal to a child that has not been waited for.
            let done = unsafe { libc::kill(i32::try_from(self.pid()).unwrap(), signal) };
            assert_eq!(done, 0);
        };
        signal(libc::SIGSTOP);
        std::thread::sleep(time);
        signal(libc::SIGCONT);
    }

    /// The memory that Envoy has, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }

    /// Envoy's process.
    pub fn pid(&self) -> u32 {
        self.envoy.id()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for child in [&mut self.envoy, &mut self.upstream_process] {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.envoy_log();
            // The list of what is compiled in tells nothing.
            let told = |line: &&str| !line.contains("server.cc:467]");
            let lines: Vec<_> = log.lines().filter(told).collect();
            let tail = lines
                .get(lines.len().saturating_sub(40)..)
                .unwrap_or_default();
            eprintln!("--- the end of Envoy's log:\n{}", tail.join("\n"));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Waits until it is so: for what follows within a tick or two.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience(), "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
