//! The service with a real Redis: what it answers, and to what it does not give in.

use crate::redis_server::RedisServer;
use crate::service::{Service, check, item, kill, request, wait};
use crate::step;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tiergate::fleet::hex::AccountId;
use tiergate::fleet::message::{LossRule, MeterAsk, StepItem, StepObstacle};

const METRICS: [&str; 15] = [
    "requests_total{result=\"busy\"} 0",
    "items_total{result=\"granted\"} 0",
    "redis_failures_total{kind=\"timeout\"} 0",
    "clamped_total 0",
    "restated_total 0",
    "written_off_total 0",
    "period_turns_total 0",
    "in_work 0",
    "ready 1",
    "redis_connected 1",
    "redis_losses 0",
    "redis_clock_skew_ms ",
    "edges 0",
    "request_duration_seconds_count 0",
    "request_duration_seconds_bucket",
];

#[test]
fn a_deployment_is_checked() {
    let redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    let (_, text) = service.get("/metrics").unwrap();
    for name in METRICS {
        assert!(
            text.contains(&format!("\ntiergate_fleet_{name}")),
            "{name}\n{text}"
        );
    }
    let output = check(&service.url, &[]);
    assert!(output.status.success(), "{output:?}");
    let output = check(&service.url, &["--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["ok"], json!(true), "{found}");
    assert_eq!(check("http://127.0.0.1:1", &[]).status.code(), Some(2));
}

#[test]
fn a_token_is_needed_where_there_is_one() {
    let redis = RedisServer::start();
    let file = std::env::temp_dir().join(format!("tiergate-token-{}", std::process::id()));
    std::fs::write(&file, "secret\n").unwrap();
    let path = file.to_str().unwrap();
    let mut service = Service::start_with(&redis.url(), &["--token-file", path]).ready();
    for wrong in [None, Some("Secret"), Some("")] {
        service.token = wrong.map(str::to_owned);
        assert_eq!(service.post("{}").0, 401, "{wrong:?}");
    }
    assert_eq!(check(&service.url, &[]).status.code(), Some(2));
    assert!(
        check(&service.url, &["--token-file", path])
            .status
            .success()
    );
    service.token = Some("secret".into());
    assert!(service.ask(1, 1, 1, 1).ok);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn two_services_are_one_limit_and_know_all_edges() {
    let redis = RedisServer::start();
    let services = [
        Service::start(&redis).ready(),
        Service::start(&redis).ready(),
    ];
    let mut granted = 0;
    for n in 1..=10 {
        for (edge, service) in (1..).zip(&services) {
            let mut item = item(1, n, 1);
            // What was granted before is spent: it is not held.
            item.meters[0].spent = vec![0, 0, u64::from(n) - 1];
            let answer = service.step(&request(edge, vec![item]));
            granted += answer.items[0].meters[0].grant;
            if n > 1 {
                assert_eq!((u64::from(answer.rank), answer.edges), (edge - 1, 2));
            }
        }
        std::thread::sleep(Duration::from_millis(if n == 1 { 600 } else { 0 }));
    }
    assert_eq!(granted, 10);
}

#[test]
fn a_large_report_is_done_as_far_as_there_is_time() {
    // How much fits into a time depends on the machine.
    let mut times = ["8ms", "4ms", "2ms"].into_iter();
    assert!(
        times.any(is_told_in_parts),
        "all of it fitted into the time: the test asks for too little"
    );
}

/// Tells of many accounts, and says whether it took more than one request.
fn is_told_in_parts(within: &str) -> bool {
    let redis = RedisServer::start();
    let args = ["--redis-timeout", within];
    let service = Service::start_with(&redis.url(), &args).ready();
    let accounts = 500;
    // The report of an edge: no request waits for it.
    let mut left: Vec<u16> = (0..accounts).collect();
    let (mut was_late, mut keys) = (false, 0);
    let until = Instant::now() + Duration::from_secs(30);
    while !left.is_empty() {
        assert!(Instant::now() < until, "{} were never told", left.len());
        let items = left.iter().map(|account| report(*account)).collect();
        let (status, body) = service.post(serde_json::to_string(&request(1, items)).unwrap());
        let after: usize = redis::cmd("DBSIZE").query(&mut redis.connect()).unwrap();
        let new = after - keys;
        keys = after;
        if status != 200 {
            // A busy machine: not even the first was done in time.
            assert_eq!(status, 503, "{body}");
            continue;
        }
        let answers = body["items"].as_array().unwrap();
        let is_late = |answer: &&Value| answer["fault"] == "not in time";
        was_late |= answers.iter().any(|answer| is_late(&answer));
        let late = answers
            .iter()
            .zip(&left)
            .filter(|(answer, _)| is_late(answer));
        left = late.map(|(_, account)| *account).collect();
        let told = answers.len() - left.len();
        // Redis does little for nobody: an account is a key, and 16 are in line at most.
        assert!(new <= told + 20, "{new} new keys, and {told} accounts told");
    }
    was_late
}

/// A report of three requests that an account used.
fn report(account: u16) -> StepItem {
    StepItem {
        account: AccountId::parse(&format!("{account:032x}")).unwrap(),
        meters: vec![MeterAsk {
            limit: 10,
            spent: vec![0, 0, 3],
            own: 3,
            ..MeterAsk::default()
        }],
        ..item(0, 1, 0)
    }
}

#[test]
fn a_request_that_is_none_is_refused_and_nothing_else_suffers() {
    let redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    let one = |m: Value| {
        let item = json!({"a": "0".repeat(32), "i": "0".repeat(16), "n": 1, "m": [m]});
        json!({"v": 1, "ns": "t", "edge": "00000000000000ff", "meters": ["requests/60000/-"],
            "items": [item]})
        .to_string()
    };
    for wrong in [
        "".to_owned(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        json!({"v": 2, "ns": "t", "edge": "00000000000000ff"}).to_string(),
        json!({"v": 1, "ns": "", "edge": "00000000000000ff"}).to_string(),
        json!({"v": 1, "ns": "a}{b", "edge": "00000000000000ff"}).to_string(),
        json!({"v": 1, "ns": "t", "edge": "ff"}).to_string(),
        one(json!([0, 10, -1, [], [], [], 0, 1, 0])),
        one(json!([0, 10, 1e300, [], [], [], 0, 1, 0])),
        one(json!([0, 10, 0, [], [], []])),
        "[".repeat(100_000),
    ] {
        let (status, body) = service.post(&wrong);
        assert_eq!(status, 400, "{wrong:.200}: {body}");
    }
    let mut many = request(1, (0..501).map(|_| item(1, 1, 0)).collect());
    assert_eq!(service.post(serde_json::to_string(&many).unwrap()).0, 400);
    // Of items, each fails alone.
    many.items.truncate(1);
    let bad = |meter: u32, ask: MeterAsk| StepItem {
        meters: vec![MeterAsk {
            meter,
            limit: 10,
            ..ask
        }],
        ..item(2, 1, 0)
    };
    let asks = [
        bad(7, MeterAsk::default()),
        bad(
            0,
            MeterAsk {
                held: 1 << 53,
                ..MeterAsk::default()
            },
        ),
        bad(
            0,
            MeterAsk {
                spent: vec![0, 1],
                ..MeterAsk::default()
            },
        ),
        bad(
            0,
            MeterAsk {
                spent: vec![0; 99],
                ..MeterAsk::default()
            },
        ),
        StepItem {
            seq: 0,
            ..item(2, 1, 0)
        },
        StepItem {
            meters: vec![MeterAsk::default(); 2],
            ..item(2, 1, 0)
        },
    ];
    let count = asks.len();
    many.items.extend(asks);
    many.items.push(item(3, 1, 1));
    let answer = service.step(&many);
    let faults: Vec<_> = answer
        .items
        .iter()
        .map(|item| item.fault.is_some())
        .collect();
    assert_eq!(
        faults.iter().filter(|fault| **fault).count(),
        count,
        "{answer:?}"
    );
    assert!(answer.items.last().unwrap().ok);
}

/// A body of 100 MB that is never in memory.
struct Large(usize);

impl std::io::Read for Large {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(self.0);
        bytes[..count].fill(b' ');
        self.0 -= count;
        Ok(count)
    }
}

#[test]
fn a_body_of_100_mb_is_refused_unread() {
    use std::io::{Read as _, Write as _};
    let redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    let host = service.url.trim_start_matches("http://");
    for head in ["content-length: 100000000", "transfer-encoding: chunked"] {
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        write!(
            stream,
            "POST /v1/step HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n"
        )
        .unwrap();
        let mut body = Large(100_000_000);
        let mut bytes = [0; 65_536];
        let mut sent = 0;
        while let Ok(count @ 1..) = body.read(&mut bytes) {
            let chunk = if head.ends_with("chunked") {
                format!("{count:x}\r\n")
            } else {
                String::new()
            };
            let end = if chunk.is_empty() { "" } else { "\r\n" };
            let all = [chunk.as_bytes(), &bytes[..count], end.as_bytes()].concat();
            if stream.write_all(&all).is_err() {
                break;
            }
            sent += count;
        }
        assert!(sent < 50_000_000, "{head}: {sent} bytes were taken");
        let mut answer = [0; 12];
        if stream.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 413", "{head}");
        }
    }
    assert!(service.ask(1, 1, 1, 1).ok);
    let (_, metrics) = service.get("/metrics").unwrap();
    assert!(
        metrics.contains("requests_total{result=\"too_large\"} 2"),
        "{metrics}"
    );
}

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
fn limits_of_edges_are_cut_to_those_of_a_file() {
    let redis = RedisServer::start();
    let file = std::env::temp_dir().join(format!("tiergate-limits-{}", std::process::id()));
    std::fs::write(&file, r#"{"requests/60000/-": 4}"#).unwrap();
    let args = ["--max-limits", file.to_str().unwrap()];
    let service = Service::start_with(&redis.url(), &args).ready();
    assert!(!service.ask(1, 1, 1, 5).ok);
    assert!(service.ask(1, 1, 2, 4).ok);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_day_is_that_of_the_meters_zone() {
    let redis = RedisServer::start();
    let service = Service::start(&redis).ready();
    let mut ask = item(1, 1, 1);
    ask.meters[0].meter = 1;
    let answer = service.step(&request(1, vec![ask]));
    let ends = answer.items[0].meters[0].ends_ms;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let day = 86_400_000;
    let expected = day - (u64::try_from(now.as_millis()).unwrap() + 8 * 3_600_000) % day;
    assert!(
        ends.abs_diff(expected) < 2_000 || ends.abs_diff(expected) > day - 2_000,
        "{ends}"
    );
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

#[test]
fn a_signal_ends_the_service_after_its_requests() {
    let redis = RedisServer::start();
    let mut service = Service::start(&redis).ready();
    service.signal(libc::SIGTERM);
    wait("it is no longer ready", || {
        service
            .get("/readyz")
            .is_none_or(|(status, _)| status == 503)
    });
    assert_eq!(service.wait(), 0);
}
