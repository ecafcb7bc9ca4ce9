//! Each rule of the protocol, taken out: the adversary passes a limit then. So it would see the
//! same in the script or in an edge. What chance does not find has a test of its own in `holes`.

use crate::adversary::{FAULTS, Loss, Play, play_all, seeds};
use crate::edge::Rules;

/// Plays until a limit is passed, from a seed where it is known to be.
fn is_over(first: u64, play: Play, change: &[(&str, &str)]) {
    let over = play_all(seeds(first, first + 1), play, change);
    assert!(!over.is_empty(), "no seed of these passes a limit");
    println!("{over:?}");
}

#[test]
fn without_extra_of_its_own() {
    let change = [(
        "left_before[i] = limit - used(state) - state.o",
        "left_before[i] = limit - used(state) - state.o + k.X",
    )];
    is_over(12, FAULTS, &change);
}

#[test]
fn with_ages_that_are_too_old() {
    let change = [(
        "count(part[1], amount - counted)",
        "count(part[1] + 1000, amount - counted)",
    )];
    is_over(1, FAULTS, &change);
}

#[test]
fn with_older_messages() {
    let change = [("if q.n < entry.n then return {'stale', head.gen} end", "")];
    is_over(0, FAULTS, &change);
}

#[test]
fn with_one_id_for_all_lives() {
    let rules = Rules {
        same_id_after_restart: true,
        ..Rules::default()
    };
    is_over(6, Play { rules, ..FAULTS }, &[]);
}

#[test]
fn with_late_answers() {
    let rules = Rules {
        takes_late_answers: true,
        ..Rules::default()
    };
    is_over(239, Play { rules, ..FAULTS }, &[]);
}

#[test]
fn with_write_offs_that_net_for_ever() {
    is_over(14, FAULTS, &[("    k.w = 0\n    -- 6.", "    -- 6.")]);
}

#[test]
fn with_write_offs_that_do_not_count() {
    is_over(
        50,
        FAULTS,
        &[("add(state, now, amount)\n    end\n  end", "end\n  end")],
    );
}

#[test]
fn with_leases_that_end_with_an_allowance() {
    is_over(
        0,
        FAULTS,
        &[("local LEASES_LIVE = 150000", "local LEASES_LIVE = 1000")],
    );
}

#[test]
fn without_closing_after_a_rollback() {
    let play = Play {
        loss: Loss::RolledBack,
        ..FAULTS
    };
    is_over(
        31,
        play,
        &[("if now < head.closed then\n    ok", "if false then\n    ok")],
    );
}
