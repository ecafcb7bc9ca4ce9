//! The config in force is known to all: an admin listener answers by the tiers that traffic is judged by.

use crate::harness::{Call, Config, FakeRequest, Worker, World};
use serde_json::{Value, json};
use std::sync::Arc;
use tiergate::claims::PublishedConfig;
use tiergate::host::SharedData as _;
use tiergate::shared::cell::{Content as _, encode};

const BARE: &str = r#"{"admin": {"path": "/-/tiergate", "insecure": true}}"#;

fn tiers(names: &[&str]) -> Config {
    let limits = json!({"concurrency": 5, "rpm": 60, "tpm": "unlimited", "tpd": "unlimited"});
    let tiers: Vec<_> = names
        .iter()
        .map(|name| json!({"name": name, "limits": limits}))
        .collect();
    Config::new().with(json!({"tiers": tiers, "tier": ["directory"], "unknown_tier": names[0],
        "capacity": {"accounts": 64, "directory": 64},
        "directory": {"cluster": "billing", "authority": "b", "path": "/", "interval": "60s", "token": "hush"},
        "admin": {"path": "/x", "token_sha256": "00".repeat(32)}}))
}

/// Runs the workers for a second; those with `true` get a request.
fn second(world: &Arc<World>, workers: &[(&Worker, bool)]) {
    for _ in 0..2 {
        for (worker, has_request) in workers {
            if *has_request {
                worker.check(&FakeRequest::with(&[("x-account-id", "acme")]));
            }
            worker.tick();
        }
        world.pass_ms(500);
    }
}

fn names(admin: &Worker) -> Vec<String> {
    let (_, status) = admin.call(&Call::Status, "");
    let tiers = status["tiers"].as_array().unwrap().iter();
    tiers
        .map(|tier| tier["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_bare_admin_listener_answers_by_the_config_that_judges() {
    let world = World::new();
    let proxy = Worker::new(&world, tiers(&["free", "pro"]));
    // It names no capacity: it takes what is there.
    let admin = proxy.beside(BARE);
    proxy.tick();
    admin.tick();
    assert_eq!(names(&admin), ["free", "pro"], "before any traffic");
    let (status, written) = admin.put("acme", r#"{"tier": "pro", "limits": {"rpm": 7}}"#);
    assert_eq!(
        (status, &written["tier"]),
        (200, &json!("pro")),
        "{written}"
    );
    assert_eq!(admin.put("acme", r#"{"tier": "tier1"}"#).0, 400);
    admin.ready();
    proxy.tick();
    proxy.admission(&FakeRequest::with(&[("x-account-id", "acme")]));
    let (_, view) = admin.call(&Call::Get(b"acme".to_vec()), "");
    assert_eq!(view["usage"]["rpm"]["limit"], 7);
    assert_eq!(
        (&view["usage"]["rpm"]["used"], &view["in_flight"]),
        (&json!(1), &json!(1))
    );
    let load = r#"{"tiers": {"free": 0.5}}"#;
    let (status, load) = admin.call(&Call::PutManual, load);
    assert_eq!(
        (status, &load["in_force"]["free"]),
        (200, &json!(0.5)),
        "{load}"
    );
    proxy.tick();
    let (_, status) = admin.call(&Call::Status, "");
    assert_eq!(
        (&status["feed"]["failures"], &status["ready"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(status["configs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_new_config_is_answered_by_once_requests_come_to_it_and_a_rollback_too() {
    let world = World::new();
    let (a, admin) = (
        Worker::new(&world, tiers(&["free", "pro"])),
        Worker::new(&world, BARE),
    );
    second(&world, &[(&a, true), (&admin, false)]);
    assert!(a.came_into_force().is_some());
    let b = Worker::new(&world, tiers(&["basic", "gold"]));
    for _ in 0..20 {
        second(&world, &[(&a, true), (&b, false), (&admin, false)]);
    }
    assert_eq!(
        names(&admin),
        ["free", "pro"],
        "no request came to the new one"
    );
    second(&world, &[(&a, false), (&b, true), (&admin, false)]);
    second(&world, &[(&a, false), (&b, true), (&admin, false)]);
    assert_eq!(names(&admin), ["basic", "gold"]);
    let digest = b.came_into_force().expect("told by the VM that did it");
    let (_, status) = admin.call(&Call::Status, "");
    assert_eq!(status["config"], digest);
    // All is quiet: no config takes the place of the last that judged.
    for _ in 0..20 {
        second(&world, &[(&a, false), (&b, false), (&admin, false)]);
    }
    assert_eq!(names(&admin), ["basic", "gold"]);
    for _ in 0..12 {
        second(&world, &[(&a, true), (&b, false), (&admin, false)]);
    }
    assert_eq!(names(&admin), ["free", "pro"], "rolled back");
    assert!(a.came_into_force().is_some() && b.came_into_force().is_none());
}

#[test]
fn two_tables_are_shown_and_are_an_alarm_after_a_drain() {
    let world = World::new();
    let (a, admin) = (
        Worker::new(&world, tiers(&["free"])),
        Worker::new(&world, BARE),
    );
    second(&world, &[(&a, true), (&admin, false)]);
    let since = |admin: &Worker| admin.call(&Call::Status, "").1["tables_differ_s"].clone();
    assert_eq!(since(&admin), Value::Null);
    let page = |admin: &Worker| {
        let page = admin.administer(&Call::Page(None), "").body;
        String::from_utf8(page)
            .unwrap()
            .contains("different tables")
    };
    let b = Worker::new(&world, tiers(&["basic"]));
    for _ in 0..30 {
        second(&world, &[(&a, true), (&b, true)]);
    }
    let told = since(&admin).as_u64().unwrap();
    assert!((29..=30).contains(&told), "{told}");
    assert!(!page(&admin), "a drain takes 600 s");
    for _ in 0..600 {
        second(&world, &[(&a, true), (&b, true)]);
    }
    assert!(page(&admin));
    let (_, status) = admin.call(&Call::Status, "");
    let in_force: Vec<_> = status["configs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["in_force"])
        .collect();
    assert_eq!(in_force, [true, false]);
}

#[test]
fn the_published_config_has_no_secret() {
    let world = World::new();
    let worker = Worker::new(&world, tiers(&["free"]));
    worker.tick();
    let stored = worker.host.get("tiergate/config").unwrap().unwrap().value;
    let text = String::from_utf8_lossy(&stored);
    assert!(text.contains("billing"), "{text}");
    assert!(
        !text.contains("hush") && !text.contains("000000000000"),
        "{text}"
    );
}

#[test]
fn a_published_config_that_cannot_be_read_leaves_the_listeners_own() {
    let world = World::new();
    let (proxy, admin) = (
        Worker::new(&world, tiers(&["free"])),
        Worker::new(&world, BARE),
    );
    proxy.tick();
    assert_eq!(names(&admin), ["free"]);
    for bytes in [&b"\x01Jnonsense"[..], b"\xc8?newer", b""] {
        world.overwrite("tiergate/config", bytes);
        assert_eq!(names(&admin)[0], "tier0", "{bytes:?}");
        assert_eq!(admin.call(&Call::Status, "").0, 200);
    }
}

#[test]
fn a_full_directory_is_counted_by_a_bare_listener_too() {
    let world = World::new();
    let config = Config::new().with(json!({"tier": ["directory"],
        "capacity": {"accounts": 64, "directory": 8}}));
    let proxy = Worker::new(&world, config);
    let admin = proxy.beside(BARE);
    proxy.tick();
    admin.tick();
    for n in 0..32 {
        assert_eq!(admin.put(&format!("a{n}"), r#"{"tier": "tier1"}"#).0, 200);
    }
    assert_eq!(admin.put("a32", r#"{"tier": "tier1"}"#).0, 507);
    let told = admin.tick().get("directory_full", "") + proxy.tick().get("directory_full", "");
    assert_eq!(told, 1);
}

/// While the claims are of newer code, nobody knows which config is in force: none takes turns.
#[test]
fn claims_that_cannot_be_read_do_not_make_the_published_config_flip() {
    let world = World::new();
    let (a, b) = (
        Worker::new(&world, tiers(&["free", "pro"])),
        Worker::new(&world, tiers(&["basic", "gold"])),
    );
    second(&world, &[(&a, true), (&b, false)]);
    second(&world, &[(&a, true), (&b, false)]);
    let _ = (a.came_into_force(), b.came_into_force());
    world.overwrite("tiergate/configs", b"\xc8Knewer");
    let mut flips = 0;
    for _ in 0..5 {
        second(&world, &[(&a, true), (&b, false)]);
        flips += u32::from(a.came_into_force().is_some());
        flips += u32::from(b.came_into_force().is_some());
    }
    assert_eq!(flips, 0);
}

/// A call that finds no limiter of the config in force leaves the VM's slot free to be given back.
#[test]
fn a_config_in_force_that_cannot_be_opened_costs_no_slot() {
    for is_broken in [false, true] {
        let world = World::new();
        let proxy = Worker::new(&world, tiers(&["free", "pro"]));
        let admin = Worker::new(&world, BARE);
        second(&world, &[(&proxy, true), (&admin, false)]);
        let head = world.stored("tiergate/directory").unwrap();
        if is_broken {
            world.overwrite("tiergate/directory", b"\xc8Mnewer");
            admin.call(&Call::Status, "");
            world.overwrite("tiergate/directory", &head);
        }
        let request = FakeRequest::with(&[("x-account-id", "b"), ("x-account-tier", "tier1")]);
        let pass = admin.admission(&request);
        admin.release(pass);
        let observer = proxy.beside(BARE);
        proxy.tick();
        let live = || {
            observer.call(&Call::Status, "").1["live_vms"]
                .as_u64()
                .unwrap()
        };
        let before = live();
        admin.close();
        proxy.tick();
        world.pass_ms(500);
        proxy.tick();
        assert_eq!(live(), before - 1, "{is_broken}");
    }
}

/// A newer module publishes fields that this one does not know: said once, and not parsed again.
#[test]
fn a_published_config_of_newer_code_is_said_once() {
    let world = World::new();
    let admin = Worker::new(&world, BARE);
    let published = PublishedConfig {
        digest: "ab".repeat(32),
        json: r#"{"of_newer_code": 1}"#.to_owned(),
        by_requests: true,
    };
    world.overwrite(
        "tiergate/config",
        &encode(PublishedConfig::LAYOUT, &published),
    );
    for _ in 0..3 {
        assert_eq!(names(&admin)[0], "tier0");
    }
    let lines = admin.log_lines();
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(
        line.contains("abab") && line.contains("of_newer_code"),
        "{line}"
    );
}
