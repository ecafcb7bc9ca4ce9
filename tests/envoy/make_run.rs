//! `make run`, by the script that it calls: its ports, its end, and what it says.

use crate::harness::client::Call;
use crate::harness::stack::{eventually, fresh_dir, root};
use crate::ports::free_port;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

const PORTS: [&str; 4] = [
    "PROXY_PORT",
    "ADMIN_PORT",
    "ENVOY_ADMIN_PORT",
    "UPSTREAM_PORT",
];

/// One run of the script, in a process group of its own.
struct Demo {
    dir: PathBuf,
    child: Child,
}

impl Demo {
    fn start(ports: &[u16; 4], more: &[(&str, &Path)]) -> Self {
        Self::start_with(ports.map(|port| port.to_string()), more)
    }

    fn start_with(ports: [String; 4], more: &[(&str, &Path)]) -> Self {
        let dir = fresh_dir();
        fs::create_dir(dir.join("tmp")).unwrap();
        let output = fs::File::create(dir.join("output")).unwrap();
        let child = Command::new("sh")
            .arg("envoy/run.sh")
            .current_dir(root())
            .envs(PORTS.into_iter().zip(ports))
            .env("TMPDIR", dir.join("tmp"))
            .envs(more.iter().copied())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { dir, child }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.join("output")).unwrap()
    }

    fn says(&self, text: &str) {
        eventually(text, || self.output().contains(text));
    }

    fn signal(&self, signal: i32) {
        let group = i32::try_from(self.child.id()).unwrap();
        // SAFETY: kill touches no memory; the group is that of our own child.
        unsafe { libc::kill(-group, signal) };
    }

    fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the demo", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn files_left(&self) -> usize {
        fs::read_dir(self.dir.join("tmp")).unwrap().count()
    }

    /// Checks that the run fails with this message and without the banner.
    fn fails_with(&mut self, text: &str) {
        let status = self.ends();
        let output = self.output();
        assert!(!status.success(), "{output}");
        assert!(output.contains(text), "{output}");
        assert!(!output.contains("tiergate is on"), "{output}");
        assert_eq!(self.files_left(), 0);
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.signal(libc::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Four free ports.
fn free_ports() -> [u16; 4] {
    [(); 4].map(|()| free_port())
}

/// A program to run in place of Envoy.
fn stand_in(script: &str) -> PathBuf {
    let path = fresh_dir().join("envoy");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn each_port_is_its_own_also_where_it_is_the_default_of_another() {
    let [.., upstream] = free_ports();
    let envoy = stand_in(r#"cat "$2""#);
    let ports = [10001, 9901, 10000, upstream];
    let mut demo = Demo::start(&ports, &[("TIERGATE_ENVOY", &envoy)]);
    demo.fails_with("Envoy ended");
    let output = demo.output();
    let found: Vec<u16> = output
        .split("port_value: ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(found, [10000, 10001, 9901, upstream]);
}

#[test]
fn a_port_that_is_no_number_is_named() {
    for wrong in ["abc", "0", "70000", "-1", "1e3", ""] {
        let ports = free_ports().map(|port| port.to_string());
        let [proxy, _, admin, upstream] = ports;
        let ports = [proxy, wrong.to_owned(), admin, upstream];
        let mut demo = Demo::start_with(ports, &[("TIERGATE_ENVOY", Path::new("false"))]);
        demo.fails_with(&format!(
            "ADMIN_PORT is no port from 1 to 65535: \"{wrong}\""
        ));
    }
}

#[test]
fn a_config_that_is_not_there_is_named() {
    let config = ("CONFIG", Path::new("envoy/none.yaml"));
    let mut demo = Demo::start(&free_ports(), &[config]);
    demo.fails_with("can't read CONFIG envoy/none.yaml");
}

#[test]
fn nothing_is_left_however_often_it_is_stopped() {
    let envoy = stand_in("exec sleep 60");
    let mut demo = Demo::start(&free_ports(), &[("TIERGATE_ENVOY", &envoy)]);
    eventually("its files", || demo.files_left() == 1);
    demo.signal(libc::SIGTERM);
    demo.signal(libc::SIGTERM);
    demo.ends();
    assert_eq!(demo.files_left(), 0);
}

#[test]
fn a_second_demo_on_a_port_of_the_first_fails() {
    let first = free_ports();
    let demo = Demo::start(&first, &[]);
    demo.says("Ctrl-C stops it.");
    for shared in 0..4 {
        let mut ports = free_ports();
        ports[shared] = first[shared];
        Demo::start(&ports, &[]).fails_with(&first[shared].to_string());
    }
}

#[test]
fn another_config_runs_in_front_of_the_demo_upstream() {
    let ports = free_ports();
    let config = ("CONFIG", Path::new("envoy/identity/header.yaml"));
    let demo = Demo::start(&ports, &[config]);
    demo.says("Ctrl-C stops it.");
    assert!(demo.output().contains("envoy/identity/header.yaml"));
    assert!(!demo.output().contains("x-account-tier"), "of envoy.yaml");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let call = Call::new().header("authorization", "Basic YWNtZTpkZW1vLW9mLWFjbWU=");
    let proxy = SocketAddr::from(([127, 0, 0, 1], ports[0]));
    let reply = runtime.block_on(call.send(proxy)).unwrap();
    assert_eq!(reply.status, 200);
}
