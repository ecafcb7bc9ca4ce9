//! The load of a namespace in shared data: what an operator set, and where the loop stands.
//!
//! ```text
//! key    {namespace}/load
//! bytes  layout version (page::LAYOUT), 'O', setting, adaptive
//! setting = 0 | 1 scale set ends tiers
//! adaptive = kind (0: none, 1: header, 2: overload) policy_hash configured answers overloaded
//!           reports sum last_step load last_observed recent_answers recent_overloaded pressure
//!           last_increase hold_since just_cut knee recovery_steps tiers
//! tiers   = count, [length of the name, name, scale] ...
//! ```
//! Numbers are varints as in [`crate::ledger::bytes`]; times are monotonic milliseconds, scales and loads
//! millionths. Only ticks and admin calls read and write it.

use crate::limits::Scale;
use crate::overload::{
    Adaptive, Controller, Kind, ManualScale, Observed, Ownership, Part, Recent, State, TierScales,
};
use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};
use crate::shared::varint::{self, Corrupt};
use crate::time::Mono;

const LAYOUT: Layout = Layout {
    name: "the overload state",
    version: 1,
    kind: b'O',
};

/// The value of one namespace.
pub type StoredOverload = SharedCell<State>;

/// The load of `namespace`.
pub fn overload(namespace: &str) -> StoredOverload {
    SharedCell::new(format!("{namespace}/load"))
}

impl Content for State {
    const LAYOUT: Layout = LAYOUT;

    fn initial(_: Mono) -> Self {
        Self::default()
    }

    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes).ok()
    }
}

fn encode(state: &State) -> Vec<u8> {
    let mut out = LAYOUT.prefix().to_vec();
    match &state.manual {
        None => varint::put(&mut out, 0),
        Some(setting) => {
            varint::put(&mut out, 1);
            varint::put(&mut out, setting.scale.millionths().into());
            varint::put(&mut out, setting.set.as_millis());
            varint::put(&mut out, setting.ends.as_millis());
            put_tiers(&mut out, &setting.tiers);
        }
    }
    let (adaptive, controller) = (&state.adaptive, &state.adaptive.controller);
    let (ownership, observed) = (&adaptive.ownership, &adaptive.observed);
    let kind = match ownership.kind {
        None => 0,
        Some(Kind::Header) => 1,
        Some(Kind::Overload) => 2,
    };
    for number in [
        kind,
        ownership.policy_hash,
        ownership.configured.as_millis(),
        observed.answers,
        observed.overloaded,
        observed.reports,
        observed.sum,
        ownership.last_step.as_millis(),
        controller.load.into(),
        controller.last_observed.as_millis(),
        controller.recent.answers,
        controller.recent.overloaded,
        controller.pressure.into(),
        controller.last_increase.as_millis(),
        controller.hold_since.as_millis(),
        controller.just_cut.into(),
        controller.knee.into(),
        controller.recovery_steps.into(),
    ] {
        varint::put(&mut out, number);
    }
    put_tiers(&mut out, &adaptive.tiers);
    out
}

fn put_tiers(out: &mut Vec<u8>, tiers: &TierScales) {
    varint::put_len(out, tiers.len());
    for (name, scale) in tiers {
        varint::put_len(out, name.len());
        out.extend_from_slice(name.as_bytes());
        varint::put(out, scale.millionths().into());
    }
}

/// [`Corrupt`] for bytes that [`encode`] does not write.
fn decode(bytes: &[u8]) -> Result<State, Corrupt> {
    let mut rest = LAYOUT.body(bytes).ok_or(Corrupt)?;
    let input = &mut rest;
    let manual = match varint::take(input)? {
        0 => None,
        1 => Some(ManualScale {
            scale: take_scale(input)?,
            set: take_mono(input)?,
            ends: take_mono(input)?,
            tiers: take_tiers(input)?,
        }),
        _ => return Err(Corrupt),
    };
    let kind = match varint::take(input)? {
        0 => None,
        1 => Some(Kind::Header),
        2 => Some(Kind::Overload),
        _ => return Err(Corrupt),
    };
    let (policy_hash, configured) = (varint::take(input)?, take_mono(input)?);
    let observed = Observed {
        answers: varint::take(input)?,
        overloaded: varint::take(input)?,
        reports: varint::take(input)?,
        sum: varint::take(input)?,
        unreadable: 0,
    };
    let ownership = Ownership {
        kind,
        policy_hash,
        configured,
        last_step: take_mono(input)?,
    };
    let controller = Controller {
        load: take_part(input)?,
        last_observed: take_mono(input)?,
        recent: Recent {
            answers: varint::take(input)?,
            overloaded: varint::take(input)?,
        },
        pressure: take_part(input)?.min(Part::ONE),
        last_increase: take_mono(input)?,
        hold_since: take_mono(input)?,
        just_cut: varint::take(input)? != 0,
        knee: take_part(input)?.min(Part::ONE),
        recovery_steps: varint::take_as(input)?,
    };
    let adaptive = Adaptive {
        ownership,
        observed,
        controller,
        tiers: take_tiers(input)?,
    };
    match input {
        [] => Ok(State { manual, adaptive }),
        _ => Err(Corrupt),
    }
}

fn take_mono(input: &mut &[u8]) -> Result<Mono, Corrupt> {
    varint::take(input).map(Mono::from_millis)
}

fn take_part(input: &mut &[u8]) -> Result<Part, Corrupt> {
    varint::take_as(input).map(Part::from_millionths)
}

fn take_scale(input: &mut &[u8]) -> Result<Scale, Corrupt> {
    varint::take_as(input).map(Scale::from_millionths)
}

fn take_tiers(input: &mut &[u8]) -> Result<TierScales, Corrupt> {
    let count = varint::take_count(input)?;
    let mut tiers = Vec::with_capacity(count);
    for _ in 0..count {
        let length = varint::take_count(input)?;
        let (name, rest) = input.split_at_checked(length).ok_or(Corrupt)?;
        *input = rest;
        let name = str::from_utf8(name).map_err(|_| Corrupt)?.to_owned();
        tiers.push((name, take_scale(input)?));
    }
    Ok(tiers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_read_as_it_was_written_and_no_part_of_it_is_one() {
        let scale = Scale::from_millionths;
        let state = State {
            manual: Some(ManualScale {
                scale: scale(500_000),
                tiers: vec![("tier0".to_owned(), scale(200_000))],
                set: Mono::from_millis(1_000_000),
                ends: Mono::from_millis(1_600_000),
            }),
            adaptive: Adaptive {
                ownership: Ownership {
                    kind: Some(Kind::Overload),
                    policy_hash: u64::MAX,
                    configured: Mono::from_millis(20),
                    last_step: Mono::from_millis(5),
                },
                observed: Observed {
                    answers: 1,
                    overloaded: 2,
                    reports: 3,
                    sum: 4,
                    unreadable: 0,
                },
                controller: Controller {
                    load: Part::from_millionths(6),
                    last_observed: Mono::from_millis(7),
                    recent: Recent {
                        answers: 8,
                        overloaded: 9,
                    },
                    pressure: Part::from_millionths(10),
                    last_increase: Mono::from_millis(21),
                    hold_since: Mono::from_millis(11),
                    just_cut: true,
                    knee: Part::from_millionths(12),
                    recovery_steps: 13,
                },
                tiers: vec![("tier1".to_owned(), scale(14))],
            },
        };
        let bytes = encode(&state);
        assert_eq!(decode(&bytes), Ok(state));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Err(Corrupt), "{end}");
        }
    }
}
