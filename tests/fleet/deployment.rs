//! The service with a real Redis: what it answers, and to what it does not give in.

use crate::redis_server::RedisServer;
use crate::service::{Service, check, item, request, wait};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tiergate::fleet::hex::AccountId;
use tiergate::fleet::message::{MeterAsk, StepItem};

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
