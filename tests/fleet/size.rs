//! The memory of a busy account in Redis, and the time of its step, as docs/fleet-service.md has them.

use crate::bench::{Bench, NOW, Say, ask, need};
use tiergate::fleet::message::{LeaseAsk, MeterAsk};

/// Each edge reports a use each 600 ms, for more than a window.
fn busy(edges: u64) -> Bench {
    let mut bench = Bench::new();
    for n in 1..=125 {
        for edge in 1..=edges {
            let now = NOW + u64::from(n) * 600 + edge;
            let spent = vec![u64::from(n) - 1, 0, u64::from(n)];
            let told = MeterAsk {
                limit: 5_000,
                spent,
                own: u64::from(n),
                ..need(1)
            };
            let leases = LeaseAsk {
                limit: 50,
                in_process: 1,
                ..LeaseAsk::default()
            };
            let day = MeterAsk {
                spent: vec![u64::from(n)],
                ..told.clone()
            };
            bench.say(
                now,
                &Say {
                    day: Some(day),
                    leases: Some(leases),
                    ..ask(edge, n, told)
                },
            );
        }
    }
    bench
}

#[test]
fn a_busy_account_takes_a_few_kilobytes_and_each_edge_some_hundred_bytes() {
    let [three, more] = [3, 103].map(|edges| {
        let mut bench = busy(edges);
        let bytes: u64 = redis::cmd("MEMORY")
            .arg("USAGE")
            .arg(&bench.store.key)
            .arg("SAMPLES")
            .arg(0)
            .query(&mut bench.store.redis)
            .unwrap();
        let info: String = redis::cmd("INFO")
            .arg("commandstats")
            .query(&mut bench.store.redis)
            .unwrap();
        let step = info
            .lines()
            .find(|line| line.starts_with("cmdstat_evalsha:"));
        println!("{edges} edges: {bytes} bytes; {}", step.unwrap());
        bytes
    });
    assert!(three < 4_096, "{three} bytes");
    assert!(more < three + 100 * 512, "{more} bytes");
}
