//! The script in a real Redis, with a clock of the test's own.

use crate::step::{self, MeterOver, MeterSlot, StepCall, StepContext, StepReply};
use redis::{Connection, Script};
use tiergate::fleet::message::StepItem;

/// The script without its last line, which alone reads the time.
fn body(change: &[(&str, &str)]) -> String {
    let (body, last) = step::SCRIPT.trim_end().rsplit_once('\n').unwrap();
    assert!(last.contains("TIME") && !body.contains("'TIME'"), "{last}");
    let mut text = format!("{body}\nreturn step(tonumber(ARGV[2]))");
    for (from, to) in change {
        assert!(text.contains(from), "the script lacks {from:?}");
        text = text.replace(from, to);
    }
    text
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
