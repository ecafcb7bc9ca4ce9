//! A real Redis on a free port of loopback.

use crate::ports::free_port;
use redis::{Client, Connection};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The file of settings in a server's directory; a Sentinel writes into it.
const SETTINGS: &str = "redis.conf";

/// A Redis server with a directory of its own; it ends with this.
pub struct RedisServer {
    pub port: u16,
    dir: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

/// The program: `TIERGATE_REDIS`, the one that `make` unpacked, or that of the PATH.
fn program() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin/redis-server");
    match std::env::var_os("TIERGATE_REDIS") {
        Some(path) => path.into(),
        None if unpacked.exists() => unpacked,
        None => "redis-server".into(),
    }
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(args: &[&str]) -> Self {
        Self::start_as(None, args)
    }

    /// Starts a Sentinel that alone decides on the master of a name.
    pub fn start_sentinel(name: &str, master: u16) -> Self {
        let settings = format!(
            "sentinel monitor {name} 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds {name} 500\n\
             sentinel failover-timeout {name} 2000\n"
        );
        Self::start_as(Some(settings), &["--sentinel"])
    }

    /// Starts the process with a file of settings, if there is one.
    fn start_as(settings: Option<String>, args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("tiergate-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        if let Some(settings) = settings {
            std::fs::write(dir.join(SETTINGS), settings).unwrap();
        }
        let mut server = Self {
            port: free_port(),
            dir,
            args: args.iter().map(ToString::to_string).collect(),
            child: None,
        };
        server.run();
        server
    }

    /// Starts the process; it must not run.
    pub fn run(&mut self) {
        let mut command = Command::new(program());
        let settings = self.dir.join(SETTINGS);
        if settings.exists() {
            command.arg(settings);
        }
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--port"])
            .arg(self.port.to_string())
            .arg("--dir")
            .arg(&self.dir)
            .args(&self.args)
            .stdout(Stdio::null());
        let started = command.spawn();
        self.child =
            Some(started.expect("redis-server runs: `make redis` or apt-get install redis-server"));
        let until = Instant::now() + Duration::from_secs(10);
        while !self.answers() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "Redis ended: {ended:?}");
            assert!(Instant::now() < until, "Redis does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// True once the server answers a command, be it with an error: a connection alone may be one
    /// that waits for a server that is still to come.
    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0];
            stream.read_exact(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        ask().is_ok_and(|answer| matches!(&answer, b"+" | b"-"))
    }

    /// Kills the process; without persistence, all of its data is lost.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id().try_into().unwrap()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> Connection {
        let client = Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
