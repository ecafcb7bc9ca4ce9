//! The processes of a stack, and where their files are.

use super::eventually;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A new directory for one test.
pub fn fresh_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{count}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

pub fn write(path: &Path, json: &serde_json::Value) {
    fs::write(path, serde_json::to_vec_pretty(json).unwrap()).unwrap();
}

/// Starts a child that ends with the test, even when the test is killed.
pub fn spawn(command: &mut Command) -> Child {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt as _;
        // SAFETY: prctl is async-signal-safe and touches no memory.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
    }
    command
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

pub fn start_upstream(dir: &Path) -> (Child, SocketAddr) {
    let deps = std::env::current_exe().unwrap();
    let debug = deps.parent().and_then(Path::parent).unwrap();
    let output = fs::File::create(dir.join("upstream.log")).unwrap();
    let child = spawn(
        Command::new(debug.join("examples/demo-upstream"))
            .arg("0")
            .stdout(output.try_clone().unwrap())
            .stderr(output),
    );
    let mut address = None;
    eventually("the upstream", || {
        let text = fs::read_to_string(dir.join("upstream.log")).unwrap();
        address = text.trim().rsplit(' ').next().and_then(|a| a.parse().ok());
        address.is_some()
    });
    (child, address.unwrap())
}

pub fn start_envoy(dir: &Path, config: &str, workers: usize, args: &[String]) -> Child {
    let envoy = std::env::var_os("TIERGATE_ENVOY");
    let envoy = envoy.map_or_else(|| root().join(".tools/bin/envoy"), PathBuf::from);
    assert!(
        envoy.exists(),
        "{} is missing: run `make envoy`",
        envoy.display()
    );
    spawn(
        Command::new(envoy)
            .arg("--config-path")
            .arg(dir.join(config))
            .args(["--concurrency", &workers.to_string()])
            .args(["--use-dynamic-base-id", "--log-level", "info"])
            .args(["--file-flush-interval-msec", "50"])
            .args(args)
            .arg("--admin-address-path")
            .arg(dir.join("admin"))
            .arg("--log-path")
            .arg(dir.join("envoy.log"))
            // The example configs name dist/ relative to the repository.
            .current_dir(root())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
}
