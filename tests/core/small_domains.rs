//! Proofs over small domains: every sequence of a few steps, where property tests draw some.
//!
//! Each walk shares its prefixes: a step clones the record and the model beside it.

use tiergate::limits::day::DayRule;
use tiergate::limits::lease::Liveness;
use tiergate::limits::record::{FamilyKey, Windows};
use tiergate::limits::units::Units;
use tiergate::limits::{
    Amounts, Ask, Decision, Holder, Limit, LimitKind, Limits, Plan, Record, Reservation, Terms,
    admit, settle,
};
use tiergate::shared::varint::{put, take};
use tiergate::time::{Mono, Now, Span, Wall};
use tiergate::zone::Zone;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn plan(name: &str, limit: u64, minute: Span, day: DayRule) -> Plan {
    let kind = LimitKind::known(name).unwrap();
    let limit = Limit::Finite(limit.try_into().unwrap());
    let limits: Limits = [(kind, limit)].into_iter().collect();
    let windows = Windows {
        second: Span::from_secs(1),
        minute,
        hour: Span::from_secs(3_600),
        day,
    };
    Plan::new(limits, windows)
}

fn terms(plan: &Plan) -> Terms<'_> {
    Terms {
        plan,
        lowered: None,
        tells: None,
        concurrency_wait: Span::from_secs(1),
    }
}

fn tokens(n: u64) -> Amounts {
    Amounts {
        requests: 1,
        tokens: n,
        ..Amounts::default()
    }
}

fn ask(n: u64) -> Ask {
    Ask {
        amounts: tokens(n),
        holder: VMS[0],
        free: Units::default(),
    }
}

const VMS: [Holder; 2] = [
    Holder {
        slot: 3,
        generation: 1,
    },
    Holder {
        slot: 9,
        generation: 7,
    },
];

/// A window of 600 ms, whose grains are 10 ms, with room for three tokens.
const WINDOW_MS: u64 = 600;
const GRAIN_MS: u64 = 10;
const ROOM: u64 = 3;

/// The time and the reserve of a request; the time and the use of its settlement.
type Request = (u64, u64, Option<(u64, u64)>);

#[derive(Clone)]
struct Window {
    record: Record,
    now: u64,
    /// Each admitted request.
    requests: Vec<Request>,
    open: Vec<(usize, Reservation)>,
}

impl Window {
    fn at(&self) -> Now {
        Now {
            mono: Mono::from_millis(self.now),
            wall: None,
        }
    }

    /// What the closed window that ends now holds: reserves that were not refunded, and use beyond
    /// them, which may leave a grain early.
    fn counted(&self) -> u64 {
        let start = self.now.saturating_sub(WINDOW_MS);
        let one = |(at, reserved, settled): &Request| {
            let kept = settled.map_or(*reserved, |(_, used)| used.min(*reserved));
            let kept = if *at >= start { kept } else { 0 };
            let beyond = settled.filter(|(at, _)| *at >= start + GRAIN_MS);
            kept + beyond.map_or(0, |(_, used)| used.saturating_sub(*reserved))
        };
        self.requests.iter().map(one).sum()
    }

    fn ask(&mut self, plan: &Plan, need: u64) {
        let now = self.at();
        match admit(&mut self.record, &ask(need), &terms(plan), now) {
            Decision::Admitted(reservation, _) => {
                self.open.push((self.requests.len(), reservation));
                self.requests.push((self.now, need, None));
                assert!(
                    self.counted() <= ROOM,
                    "over: {:?} at {}",
                    self.requests,
                    self.now
                );
            }
            Decision::Limited(limited) => self.retry(plan, need, limited.wait.as_millis()),
            Decision::TooLarge { .. } => unreachable!("no need is over the limit"),
        }
    }

    /// A client that comes back when it was told to is admitted, and not before.
    fn retry(&self, plan: &Plan, need: u64, wait: u64) {
        let after = |wait: u64| {
            let mut later = self.clone();
            later.now += wait;
            let now = later.at();
            admit(&mut later.record, &ask(need), &terms(plan), now)
        };
        assert!(wait > 0 && wait <= WINDOW_MS + GRAIN_MS + 1, "{wait}");
        assert!(
            matches!(after(wait), Decision::Admitted(..)),
            "{:?}",
            self.requests
        );
        assert!(
            matches!(after(wait - 1), Decision::Limited(_)),
            "{:?}",
            self.requests
        );
    }

    fn end(&mut self, plan: &Plan, used: u64) {
        if self.open.is_empty() {
            return;
        }
        let (request, reservation) = self.open.remove(0);
        let at = self.at();
        settle(
            &mut self.record,
            &reservation,
            &tokens(used),
            &terms(plan),
            at,
        );
        self.requests[request].2 = Some((self.now, used));
    }
}

/// All sequences of gaps and acts: never over the limit, and each wait is exact.
#[test]
fn a_sliding_window_is_never_over_and_its_waits_are_exact() {
    fn walk(plan: &Plan, before: &Window, depth: u32) -> u64 {
        let gaps = [
            0,
            GRAIN_MS - 1,
            GRAIN_MS,
            290,
            WINDOW_MS,
            WINDOW_MS + GRAIN_MS + 1,
        ];
        let mut steps = 0;
        for gap in gaps {
            for act in 0..4 {
                let mut state = before.clone();
                state.now += gap;
                match act {
                    0 => state.ask(plan, 1),
                    1 => state.ask(plan, 2),
                    2 => state.end(plan, 0),
                    _ => state.end(plan, 3),
                }
                assert!(state.record.is_valid());
                steps += 1;
                if depth > 1 {
                    steps += walk(plan, &state, depth - 1);
                }
            }
        }
        steps
    }
    let zone = DayRule::Calendar { zone: Zone::UTC };
    let plan = plan("tpm", ROOM, Span::from_millis(WINDOW_MS), zone);
    let start = Window {
        record: Record::default(),
        now: 1_000_000,
        requests: Vec::new(),
        open: Vec::new(),
    };
    assert_eq!(
        walk(&plan, &start, 4),
        24 + 24_u64.pow(2) + 24_u64.pow(3) + 24_u64.pow(4)
    );
}

#[derive(Clone)]
struct Days {
    record: Record,
    mono: u64,
    wall: u64,
    /// The latest day on which anything was counted, and what was admitted on it.
    latest: (u64, u64),
    open: Vec<(u64, Reservation)>,
    /// The hours and acts that led here.
    steps: Vec<(i64, u64)>,
}

impl Days {
    fn show_day(&mut self) {
        let day = self.wall / DAY_MS;
        if day > self.latest.0 {
            self.latest = (day, 0);
        }
    }

    fn step(&mut self, plan: &Plan, gap_h: i64, act: u64, refund: bool) {
        self.steps.push((gap_h, act));
        self.mono += 1_000;
        self.wall = self
            .wall
            .checked_add_signed(gap_h * HOUR_MS as i64)
            .unwrap();
        let now = Now {
            mono: Mono::from_millis(self.mono),
            wall: Some(Wall::from_millis(self.wall)),
        };
        if act > 0 {
            let decision = admit(&mut self.record, &ask(act), &terms(plan), now);
            if let Decision::Admitted(reservation, _) = decision {
                self.show_day();
                self.latest.1 += act;
                self.open.push((self.latest.0, reservation));
            }
        } else if let Some((day, reservation)) = self.open.pop() {
            let reserved = reservation.reserved.tokens;
            let used = if refund { 0 } else { reserved };
            settle(
                &mut self.record,
                &reservation,
                &tokens(used),
                &terms(plan),
                now,
            );
            if !refund {
                self.show_day();
            } else if day == self.latest.0 {
                self.latest.1 -= reserved;
            }
        }
        assert!(self.record.is_valid());
    }
}

/// All sequences of requests and settlements under a clock that goes on and skips, with refunds, or
/// that also steps back, without: no day has more than its limit, and no step back brings a second.
#[test]
fn a_calendar_day_is_never_over_whatever_the_clock_does() {
    const LIMIT: u64 = 2;
    fn walk(plan: &Plan, before: &Days, (gaps, refund): (&[i64], bool), depth: u32) {
        for gap in gaps {
            for act in 0..3 {
                let mut state = before.clone();
                state.step(plan, *gap, act, refund);
                assert!(state.latest.1 <= LIMIT, "{:?}", state.steps);
                if depth > 1 {
                    walk(plan, &state, (gaps, refund), depth - 1);
                }
            }
        }
    }
    let zone = DayRule::Calendar { zone: Zone::UTC };
    let plan = plan("tpd", LIMIT, Span::from_secs(60), zone);
    let start = Days {
        record: Record::default(),
        mono: 5_000_000,
        wall: 20_000 * DAY_MS + 12 * HOUR_MS,
        latest: (20_000, 0),
        open: Vec::new(),
        steps: Vec::new(),
    };
    walk(&plan, &start, (&[0, 1, 13], true), 5);
    walk(&plan, &start, (&[0, 1, 13, -2], false), 5);
}

struct Alive([bool; 2]);

impl Liveness for Alive {
    fn is_alive(&self, holder: Holder) -> bool {
        VMS.iter()
            .zip(self.0)
            .all(|(vm, alive)| *vm != holder || alive)
    }
}

/// All sequences of leases of two VMs in two families, one of which may be lost: none is lost with
/// another, none is made up.
#[test]
fn leases_are_counted_whatever_comes_when() {
    fn walk(record: &Record, counts: [[u64; 2]; 2], depth: u32) {
        let families = [FamilyKey::ACCOUNT, FamilyKey::of("k2")];
        for act in 0..10 {
            let (mut record, mut counts) = (record.clone(), counts);
            let (vm, family) = (act & 1, act >> 1 & 1);
            match act {
                0..4 => {
                    assert!(record.acquire(families[family], VMS[vm]));
                    counts[vm][family] += 1;
                }
                4..8 => {
                    record.release(families[family], VMS[vm]);
                    counts[vm][family] = counts[vm][family].saturating_sub(1);
                }
                _ => {
                    let lost = counts[vm][0] + counts[vm][1];
                    let mut alive = Alive([true; 2]);
                    alive.0[vm] = false;
                    assert_eq!(record.forget_stale(&alive), lost);
                    counts[vm] = [0; 2];
                }
            }
            for family in 0..2 {
                let count = counts[0][family] + counts[1][family];
                assert_eq!(record.leases(families[family]), count);
            }
            assert!(record.is_valid());
            assert_eq!(record.is_empty(), counts == [[0; 2]; 2]);
            if depth > 1 {
                walk(&record, counts, depth - 1);
            }
        }
    }
    walk(&Record::default(), [[0; 2]; 2], 5);
}

/// All numbers of up to two bytes, and those around each power of two.
#[test]
fn a_varint_is_read_as_it_was_written_and_never_too_far() {
    let near = (0..64).map(|bit| 1_u64 << bit);
    let near = near.flat_map(|n| [n - 1, n, n + 1]).chain([u64::MAX]);
    for n in (0..1 << 15).chain(near) {
        let mut bytes = Vec::new();
        put(&mut bytes, n);
        let input = &mut bytes.as_slice();
        assert_eq!(take(input).ok(), Some(n));
        assert!(input.is_empty());
        for cut in 0..bytes.len() {
            assert!(take(&mut &bytes[..cut]).is_err(), "{n} cut to {cut}");
        }
    }
    for a in 0..=u8::MAX {
        for b in 0..=u8::MAX {
            let bytes = [a, b];
            let mut input = &bytes[..];
            if let Ok(n) = take(&mut input) {
                let read = bytes.len() - input.len();
                assert!(n < 1 << (7 * read), "{n} of {read} bytes");
            }
        }
    }
}
