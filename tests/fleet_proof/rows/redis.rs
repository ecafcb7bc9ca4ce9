//! Redis fails.

use super::{LOSS, REDIS, Row};
use crate::judge::{Promise, Seen};
use crate::proxy::{TcpProxy, Way};
use crate::redis_server::RedisServer;
use crate::rig::{Plan, Rig, seconds, windows};
use crate::service::{kill, wait};
use std::net::SocketAddr;
use std::time::Instant;

/// How many times the limit is offered.
const OFFERED: f64 = 3.0;
const ALWAYS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

pub const ROWS: [Row; 9] = [
    Row {
        name: "redis-killed",
        what: "Redis killed, back after 3 s with all that it acknowledged; `share`",
        link: LOSS,
        promise: Promise::ClosedShare,
        plan: || Plan::of(120, 6).redis(ALWAYS),
        run: |rig| killed(rig, 3.0),
    },
    Row {
        name: "redis-killed-deny",
        what: "the same; `deny`",
        link: LOSS,
        promise: Promise::Exact,
        plan: || Plan::of(120, 6).redis(ALWAYS).on_failure("deny"),
        run: |rig| killed(rig, 3.0),
    },
    Row {
        name: "redis-emptied",
        what: "Redis killed, back at once and empty; `deny`, `close`",
        link: LOSS,
        promise: Promise::Second,
        plan: || Plan::of(300, 20).on_failure("deny"),
        run: |rig| killed(rig, 0.0),
    },
    Row {
        name: "redis-emptied-share",
        what: "the same; `share`, `close`",
        link: LOSS,
        promise: Promise::ClosedShare,
        plan: || Plan::of(300, 20),
        run: |rig| killed(rig, 0.0),
    },
    Row {
        name: "redis-emptied-strict",
        what: "the same; `deny`, `strict`",
        link: LOSS,
        promise: Promise::Exact,
        plan: || Plan::of(150, 10).on_failure("deny").after_loss("strict"),
        run: |rig| killed(rig, 0.0),
    },
    Row {
        name: "redis-paused",
        what: "Redis stopped for 5 s (SIGSTOP); `share`",
        link: LOSS,
        promise: Promise::AllShare,
        plan: || Plan::of(120, 6),
        run: paused,
    },
    Row {
        name: "redis-promoted",
        what: "a replica that lacks the last second is promoted; `deny`, `close`",
        link: LOSS,
        promise: Promise::Second,
        plan: || Plan::of(300, 20).on_failure("deny"),
        run: promoted,
    },
    Row {
        name: "redis-promoted-strict",
        what: "the same; `deny`, `strict`",
        link: LOSS,
        promise: Promise::Exact,
        plan: || Plan::of(150, 10).on_failure("deny").after_loss("strict"),
        run: promoted,
    },
    Row {
        name: "redis-full",
        what: "Redis out of memory for 5 s (`maxmemory`, `noeviction`); `share`",
        link: REDIS,
        promise: Promise::AllShare,
        plan: || Plan::of(120, 6),
        run: full,
    },
];

/// Runs a fault under load; the account is served again within the life of an allowance, the margin
/// and a window, or two of these with `strict`.
fn under_load(rig: &mut Rig, fault: impl FnOnce(&mut Rig)) -> Seen {
    let traffic = rig.offer(OFFERED);
    windows(&rig.plan, 1.5);
    let begin = Instant::now();
    fault(rig);
    let end = Instant::now();
    let window = rig.plan.window as f64;
    seconds(match rig.plan.after_loss {
        "strict" => 15.0 + 3.0 * window,
        _ => 15.0 + 2.0 * window,
    });
    traffic.end(rig);
    Seen::fault(begin, end)
}

fn killed(rig: &mut Rig, away: f64) -> Seen {
    under_load(rig, |rig| {
        rig.redis.kill();
        seconds(away);
        rig.redis.run();
    })
}

fn paused(rig: &mut Rig) -> Seen {
    under_load(rig, |rig| {
        kill(rig.redis.pid(), libc::SIGSTOP);
        seconds(5.0);
        kill(rig.redis.pid(), libc::SIGCONT);
    })
}

fn full(rig: &mut Rig) -> Seen {
    let most = |rig: &Rig, bytes: &str| {
        let mut config = redis::cmd("CONFIG");
        let config = config.arg("SET").arg("maxmemory").arg(bytes);
        config.exec(&mut rig.redis.connect()).unwrap();
    };
    under_load(rig, |rig| {
        most(rig, "1");
        seconds(5.0);
        most(rig, "0");
    })
}

/// A replica's link is cut for a second. Then the master dies, and the replica takes its place.
fn promoted(rig: &mut Rig) -> Seen {
    let address = |redis: &RedisServer| SocketAddr::from(([127, 0, 0, 1], redis.port));
    let master = address(&rig.redis);
    let link = TcpProxy::start(rig.runtime.handle(), vec![master]);
    let port = link.address.port().to_string();
    let mut replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    wait("the replica has all", || {
        let info: String = redis::cmd("INFO").query(&mut replica.connect()).unwrap();
        info.contains("master_link_status:up")
    });
    under_load(rig, |rig| {
        link.set(Way::Cut);
        seconds(1.0);
        rig.redis.kill();
        let mut promote = redis::cmd("REPLICAOF");
        let promote = promote.arg("NO").arg("ONE");
        promote.exec(&mut replica.connect()).unwrap();
        rig.store_link.lead_to(vec![address(&replica)]);
        std::mem::swap(&mut rig.redis, &mut replica);
    })
}
