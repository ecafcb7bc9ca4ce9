//! Redis fails: what the service answers then, and what it finds again.

use crate::redis_server::RedisServer;
use crate::service::{Service, check, item, kill, request, wait};
use crate::step;
use serde_json::json;
use std::time::{Duration, Instant};
use tiergate::fleet::hex::AccountId;
use tiergate::fleet::message::{LossRule, StepObstacle};

#[test]
fn a_foreign_key_fails_alone() {
    let redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    let account = AccountId::parse(&format!("{:032x}", 1)).unwrap();
    let key = step::key("tiergate", account);
    let _: () = redis::cmd("SET")
        .arg(&key)
        .arg("mine")
        .query(&mut redis.connect())
        .unwrap();
    let answer = service.step(&request(1, vec![item(1, 1, 1), item(2, 1, 1)]));
    assert_eq!(answer.items[0].fault.as_deref(), Some("a foreign key"));
    assert!(answer.items[1].ok);
    let kept: String = redis::cmd("GET")
        .arg(&key)
        .query(&mut redis.connect())
        .unwrap();
    assert_eq!(kept, "mine");
}

#[test]
fn scripts_that_redis_forgot_are_loaded_again() {
    let redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    for n in 1..=3 {
        let _: () = redis::cmd("SCRIPT")
            .arg("FLUSH")
            .query(&mut redis.connect())
            .unwrap();
        assert!(service.ask(1, 1, n, 1).ok);
    }
}

#[test]
fn an_eviction_policy_is_not_fit() {
    let redis = RedisServer::start_with(&["--maxmemory-policy", "volatile-lru"]);
    let service = Service::start(&redis);
    wait("the problem is told", || {
        service.problems().contains("volatile-lru")
    });
    let body = serde_json::to_string(&request(1, vec![item(1, 1, 1)])).unwrap();
    assert_eq!(service.post(&body).0, 503);
    let output = check(&service.url, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAIL  policy: volatile-lru"));
    let mut set = redis::cmd("CONFIG");
    let _: () = set
        .arg("SET")
        .arg("maxmemory-policy")
        .arg("noeviction")
        .query(&mut redis.connect())
        .unwrap();
    let service = service.ready();
    assert!(service.ask(1, 1, 1, 1).ok);
}

#[test]
fn a_full_redis_loses_nothing() {
    let redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    assert!(service.ask(1, 1, 1, 10).ok);
    let memory = |most: &str| {
        let mut set = redis::cmd("CONFIG");
        let _: () = set
            .arg("SET")
            .arg("maxmemory")
            .arg(most)
            .query(&mut redis.connect())
            .unwrap();
    };
    memory("1");
    let ask = |n: u32| {
        let mut ask = item(1, n, 0);
        ask.meters[0].held = 10;
        serde_json::to_string(&request(1, vec![ask])).unwrap()
    };
    let (status, body) = service.post(ask(2));
    assert_eq!(status, 503, "{body}");
    assert!(body.to_string().contains("out_of_memory"), "{body}");
    memory("0");
    // The message that failed changed nothing: the same one is answered, and not as a repeated one.
    let (status, body) = service.post(ask(2));
    assert_eq!(
        (status, &body["items"][0]["m"][0]),
        (200, &json!([0, 0, 0, 0, 0]))
    );
}

#[test]
fn a_replica_is_not_used() {
    let redis = RedisServer::start();
    let port = redis.port.to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let service = Service::start(&replica);
    wait("the problem is told", || {
        service.problems().contains("replica")
    });
    let body = serde_json::to_string(&request(1, vec![item(1, 1, 1)])).unwrap();
    assert_eq!(service.post(&body).0, 503);
    let mut promote = redis::cmd("REPLICAOF");
    let _: () = promote
        .arg("NO")
        .arg("ONE")
        .query(&mut replica.connect())
        .unwrap();
    let service = service.ready();
    // Another process's data may lack the last writes: nothing is granted at first.
    let refused = service.ask(1, 1, 1, 1);
    assert_eq!(refused.no.map(|no| no.by), Some(StepObstacle::Closed));
}

#[test]
fn a_wrong_password_is_told_and_a_right_one_works() {
    let redis = RedisServer::start_with(&["--requirepass", "right"]);
    let service = Service::start(&redis);
    wait("the problem is told", || {
        service.problems().contains("NOAUTH")
    });
    let wrong = Service::start_with(&format!("redis://:wrong@127.0.0.1:{}", redis.port), &[]);
    wait("the problem is told", || {
        wrong.problems().to_lowercase().contains("auth")
    });
    assert!(!wrong.problems().contains("wrong@"), "{}", wrong.problems());
    let file = std::env::temp_dir().join(format!("tiergate-password-{}", std::process::id()));
    std::fs::write(&file, "right\n").unwrap();
    let args = ["--redis-password-file", file.to_str().unwrap()];
    let right = Service::start_with(&redis.url(), &args).ready();
    assert!(right.ask(1, 1, 1, 1).ok);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn redis_restarted_empty_closes_accounts_for_the_life_of_an_allowance() {
    let mut redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    let first = service.step(&request(1, vec![item(1, 1, 10)]));
    redis.kill();
    wait("the service sees it", || {
        service.get("/readyz").unwrap().0 == 503
    });
    let body = serde_json::to_string(&request(1, vec![item(1, 2, 1)])).unwrap();
    assert_eq!(service.post(&body).0, 503);
    redis.run();
    let service = service.ready();
    let second = service.step(&request(2, vec![item(1, 1, 1), item(9, 1, 1)]));
    assert_ne!(first.store, second.store);
    for item in &second.items {
        let no = item.no.unwrap();
        assert!(
            no.by == StepObstacle::Closed && no.wait_ms <= 12_000,
            "{no:?}"
        );
    }
    let strict = request(2, vec![item(8, 1, 1)]);
    let strict = service.step(&tiergate::fleet::message::StepRequest {
        after_loss: Some(LossRule::Strict),
        ..strict
    });
    assert!(strict.items[0].no.unwrap().wait_ms > 60_000, "{strict:?}");
    // A service that begins now has it from the other.
    let other = Service::start(&redis).ready();
    let third = other.ask(3, 7, 1, 1);
    assert_eq!(third.no.map(|no| no.by), Some(StepObstacle::Closed));
}

#[test]
fn a_redis_that_stands_still_holds_nobody() {
    let redis = RedisServer::start();
    let service = Service::start_with(&redis.url(), &["--redis-timeout", "30ms"]).ready();
    wait("a grant", || {
        service
            .post(serde_json::to_string(&request(1, vec![item(1, 1, 1)])).unwrap())
            .0
            == 200
    });
    kill(redis.pid(), libc::SIGSTOP);
    let begun = Instant::now();
    let body = serde_json::to_string(&request(1, vec![item(1, 2, 1)])).unwrap();
    let (status, _) = service.post(&body);
    let took = begun.elapsed();
    kill(redis.pid(), libc::SIGCONT);
    assert_eq!(status, 503);
    assert!(took < Duration::from_millis(400), "{took:?}");
    let service = service.ready();
    wait("a grant", || {
        let body = serde_json::to_string(&request(1, vec![item(1, 3, 1)])).unwrap();
        service.post(&body).0 == 200
    });
}

#[test]
fn a_cluster_of_redis_is_a_store() {
    let redis = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("ADDSLOTSRANGE").arg(0).arg(16_383);
    let _: () = slots.query(&mut redis.connect()).unwrap();
    wait("the cluster is whole", || {
        let info: String = redis::cmd("CLUSTER")
            .arg("INFO")
            .query(&mut redis.connect())
            .unwrap();
        info.contains("cluster_state:ok")
    });
    let url = format!("redis+cluster://127.0.0.1:{}", redis.port);
    let service = Service::start_with(&url, &[]).ready();
    for account in 0..20 {
        assert!(service.ask(1, account, 1, 1).ok);
    }
    let _: () = redis::cmd("SCRIPT")
        .arg("FLUSH")
        .query(&mut redis.connect())
        .unwrap();
    assert!(service.ask(1, 1, 2, 1).ok);
}
