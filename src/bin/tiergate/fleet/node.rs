//! The service's knowledge of the Redis nodes: their incarnation, their clock and their settings.

use super::target::{Link, RedisTarget};
use redis::{FromRedisValue as _, RedisResult, Value};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest time of a question about a node.
const WITHIN: Duration = Duration::from_secs(1);
/// The largest difference of the clocks of service and Redis, in milliseconds.
pub const MOST_SKEW_MS: u64 = 500;
/// The oldest Redis, by its first number.
const OLDEST: u32 = 7;

/// A node that has data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisNode {
    /// The address within a cluster; `None` for a single server.
    pub address: Option<(String, u16)>,
    /// The first and the last slot of each range; all for a single server.
    pub slots: Vec<(u16, u16)>,
    /// The process and its data: another after a restart, a promotion, or a new data set.
    pub incarnation: String,
    /// The version, such as `7.0.15`.
    pub version: String,
    /// The eviction policy; it must be `noeviction`.
    pub policy: String,
    /// True for a replica that the service was sent to.
    pub is_replica: bool,
    /// Its clock minus the service's, in milliseconds.
    pub skew_ms: i64,
}

impl RedisNode {
    /// Returns what is wrong with the node, in words.
    pub fn problems(&self) -> Vec<String> {
        let mut all = Vec::new();
        let of = self
            .address
            .as_ref()
            .map_or_else(String::new, |(host, port)| format!(" of {host}:{port}"));
        let major = self
            .version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST) {
            all.push(format!(
                "Redis{of} is {}, and {OLDEST}.0 is needed",
                self.version
            ));
        }
        if self.policy != "noeviction" {
            all.push(format!(
                "maxmemory-policy{of} is {}: accounts would vanish; set noeviction",
                self.policy
            ));
        }
        if self.is_replica {
            all.push(format!(
                "Redis{of} is a replica; the service needs the master"
            ));
        }
        if self.skew_ms.unsigned_abs() > MOST_SKEW_MS {
            all.push(format!(
                "the clock{of} differs from the service's by {} ms",
                self.skew_ms
            ));
        }
        all
    }
}

/// Asks all nodes with data.
pub async fn ask(link: &Link, target: &RedisTarget) -> RedisResult<Vec<RedisNode>> {
    if !target.is_cluster() {
        return Ok(vec![ask_one(link, None, vec![(0, u16::MAX)]).await?]);
    }
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let reply = link.run_at(None, command, WITHIN).await?;
    let mut nodes = Vec::new();
    for (address, slots) in ranges(&reply) {
        nodes.push(ask_one(link, Some(address), slots).await?);
    }
    Ok(nodes)
}

/// A master's address, and the ranges of its slots.
type Master = ((String, u16), Vec<(u16, u16)>);

/// The masters in the reply of `CLUSTER SLOTS`.
fn ranges(reply: &Value) -> Vec<Master> {
    let mut all: Vec<Master> = Vec::new();
    let Value::Array(ranges) = reply else {
        return all;
    };
    for range in ranges {
        let Value::Array(parts) = range else { continue };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = parts.as_slice()
        else {
            continue;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else {
            continue;
        };
        let (Ok(host), Ok(port)) = (String::from_redis_value_ref(host), u16::try_from(*port))
        else {
            continue;
        };
        let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(*last)) else {
            continue;
        };
        let address = (host, port);
        match all.iter_mut().find(|(known, _)| *known == address) {
            Some((_, slots)) => slots.push((first, last)),
            None => all.push((address, vec![(first, last)])),
        }
    }
    all
}

async fn ask_one(
    link: &Link,
    address: Option<(String, u16)>,
    slots: Vec<(u16, u16)>,
) -> RedisResult<RedisNode> {
    let at = address.as_ref().and(slots.first()).map(|(first, _)| *first);
    let info = link.run_at(at, redis::cmd("INFO"), WITHIN).await?;
    let info = String::from_redis_value(info)?;
    let field = |name: &str| {
        let mut lines = info.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("").trim().to_owned()
    };
    let before = Instant::now();
    let local = wall_ms();
    let time = link.run_at(at, redis::cmd("TIME"), WITHIN).await?;
    let (seconds, micros) = <(u64, u64)>::from_redis_value(time)?;
    let theirs = seconds
        .saturating_mul(1_000)
        .saturating_add(micros.div_euclid(1_000));
    // The clock was read in the middle of the question.
    let half = u64::try_from(before.elapsed().as_millis())
        .unwrap_or(0)
        .div_euclid(2);
    let (run, data) = (field("run_id"), field("master_replid"));
    let short = |id: &str| id.get(..16).unwrap_or(id).to_owned();
    Ok(RedisNode {
        slots,
        incarnation: format!("{}-{}", short(&run), short(&data)),
        version: field("redis_version"),
        policy: field("maxmemory_policy"),
        is_replica: field("role") == "slave",
        skew_ms: theirs
            .cast_signed()
            .saturating_sub(local.saturating_add(half).cast_signed()),
        address,
    })
}

/// The service's own clock, in milliseconds.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Returns the slot of a cluster that has a key with a hash tag.
pub fn slot(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let tag = tag.map_or(key, |(tag, _)| tag);
    let sum = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM).checksum(tag.as_bytes());
    sum & 0x3fff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_that_of_the_hash_tag() {
        // CLUSTER KEYSLOT of Redis 7.0.15.
        assert_eq!(slot("foo"), 12182);
        assert_eq!(slot("{foo}:tg1"), 12182);
        assert_eq!(slot("123456789"), 12739);
    }

    #[test]
    fn a_node_without_noeviction_is_not_fit() {
        let node = RedisNode {
            address: None,
            slots: vec![],
            incarnation: String::new(),
            version: "7.0.15".into(),
            policy: "allkeys-lru".into(),
            is_replica: false,
            skew_ms: -501,
        };
        assert_eq!(node.problems().len(), 2, "{:?}", node.problems());
        let fit = RedisNode {
            policy: "noeviction".into(),
            skew_ms: 500,
            ..node
        };
        assert!(fit.problems().is_empty());
        assert_eq!(
            RedisNode {
                version: "6.2.1".into(),
                ..fit
            }
            .problems()
            .len(),
            1
        );
    }
}
