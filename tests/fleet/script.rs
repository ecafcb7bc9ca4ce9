//! The script in a real Redis, with a clock of the test's own.

use crate::step::{self, MeterOver, MeterSlot, StepCall, StepContext, StepReply};
use redis::{Connection, Script};
use tiergate::fleet::message::StepItem;

/// The script without its last line, which alone reads the time.
fn body(change: &[(&str, &str)]) -> String {
    let mut text = with_a_clock(step::SCRIPT, "step(tonumber(ARGV[2]))");
    for (from, to) in change {
        assert!(text.contains(from), "the script lacks {from:?}");
        text = text.replace(from, to);
    }
    text
}

fn with_a_clock(script: &str, call: &str) -> String {
    let (body, last) = script.trim_end().rsplit_once('\n').unwrap();
    assert!(last.contains("TIME") && !body.contains("'TIME'"), "{last}");
    format!("{body}\nreturn {call}")
}

/// The store of one account.
pub struct Store {
    pub redis: Connection,
    script: Script,
    pub key: String,
}

impl Store {
    /// The store with another script: texts of it are replaced.
    pub fn changed(redis: Connection, key: &str, change: &[(&str, &str)]) -> Self {
        Self {
            redis,
            script: Script::new(&body(change)),
            key: key.to_owned(),
        }
    }

    /// Begins the use anew: the generation that begins, or the fault.
    pub fn reset(&mut self, now: u64) -> Result<u32, String> {
        let text = include_str!("../../src/bin/tiergate/fleet/reset.lua");
        let script = Script::new(&with_a_clock(text, "reset(tonumber(ARGV[1]))"));
        let reply: (String, redis::Value) = script
            .key(&self.key)
            .arg(now)
            .invoke(&mut self.redis)
            .unwrap();
        match reply {
            (kind, redis::Value::Int(generation)) if kind == "done" => {
                Ok(generation.try_into().unwrap())
            }
            (_, why) => Err(redis::from_redis_value(why).unwrap()),
        }
    }

    pub fn step(
        &mut self,
        now: u64,
        context: &StepContext<'_>,
        item: &StepItem,
        slots: &[MeterSlot],
    ) -> StepReply {
        let call = StepCall::new(context, item, slots).unwrap();
        let reply = self
            .script
            .key(&self.key)
            .arg(call.to_json())
            .arg(now)
            .invoke(&mut self.redis);
        step::read(&reply.unwrap(), item).expect("a reply")
    }
}

pub fn slot(name: &str, over: MeterOver) -> MeterSlot {
    MeterSlot {
        name: name.to_owned(),
        over,
        most: u64::MAX,
    }
}
