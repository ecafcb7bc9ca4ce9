//! The protocol holds: never over, and nothing lost for ever, in each state that two edges with a
//! limit of 2 come to.

use tiergate_fleet_model::{Setup, check};

fn holds(name: &str, setup: Setup) {
    let found = check(name, &setup);
    if let Some((property, actions)) = found.violated {
        panic!("{property} is violated:\n{}", actions.join("\n"));
    }
    assert!(
        found.uses_all,
        "{name}: the whole limit is used in some state"
    );
}

fn window() -> Setup {
    Setup::window_of_two()
}

/// Requests that use their reserve, less than it, or more.
fn uses() -> Vec<([u8; 2], [u8; 2])> {
    vec![([1, 0], [1, 0]), ([1, 0], [0, 0]), ([1, 0], [2, 0])]
}

fn period() -> Setup {
    Setup {
        period: Some(3),
        ..window()
    }
}

fn leases() -> Setup {
    Setup {
        limits: [0, 0],
        leases: 2,
        requests: vec![([0, 0], [0, 0])],
        admissions: 3,
        ..window()
    }
}

fn family() -> Setup {
    Setup {
        limits: [2, 3],
        requests: vec![([1, 1], [1, 1]), ([1, 2], [1, 2])],
        ..window()
    }
}

#[test]
fn window_with_late_messages() {
    holds(
        "window",
        Setup {
            life: 3,
            horizon: 5,
            ..window()
        },
    );
}

#[test]
fn window_with_a_duplicate() {
    holds(
        "window, one duplicate",
        Setup {
            duplicates: 1,
            messages: 2,
            ..window()
        },
    );
}

#[test]
fn window_with_a_restart() {
    holds(
        "window, one restart",
        Setup {
            restarts: 1,
            admissions: 3,
            messages: 2,
            horizon: 3,
            ..window()
        },
    );
}

#[test]
fn window_with_two_messages_in_the_network() {
    holds(
        "window, two in the network",
        Setup {
            in_network: 2,
            horizon: 3,
            admissions: 3,
            ..window()
        },
    );
}

#[test]
fn refunds_and_use_beyond_reserves() {
    holds(
        "refunds",
        Setup {
            requests: uses()[..2].to_vec(),
            horizon: 2,
            ..window()
        },
    );
    holds(
        "refunds and extras",
        Setup {
            requests: uses(),
            messages: 2,
            horizon: 3,
            admissions: 3,
            ..window()
        },
    );
}

#[test]
fn period_with_late_messages() {
    holds(
        "period",
        Setup {
            requests: uses(),
            messages: 2,
            ..period()
        },
    );
}

#[test]
fn period_with_a_restart() {
    holds(
        "period, one restart",
        Setup {
            restarts: 1,
            messages: 2,
            ..period()
        },
    );
}

#[test]
fn leases_with_a_restart() {
    holds(
        "leases, one restart",
        Setup {
            restarts: 1,
            messages: 2,
            ..leases()
        },
    );
}

#[test]
fn leases_with_a_duplicate() {
    holds(
        "leases, one duplicate",
        Setup {
            duplicates: 1,
            messages: 2,
            ..leases()
        },
    );
}

#[test]
fn family_with_late_messages() {
    holds(
        "family",
        Setup {
            messages: 2,
            ..family()
        },
    );
}

#[test]
fn family_with_a_restart() {
    let requests = vec![([1, 2], [1, 2])];
    holds(
        "family, one restart",
        Setup {
            restarts: 1,
            limits: [2, 4],
            requests,
            messages: 2,
            horizon: 3,
            ..family()
        },
    );
}

#[test]
fn window_with_a_store_that_forgets() {
    holds(
        "window, rollback, strict",
        Setup {
            rollback: true,
            messages: 2,
            horizon: 5,
            ..window()
        },
    );
}

/// The account is closed for a life alone, and the window is longer: restating does the rest.
#[test]
fn window_with_a_store_that_forgets_and_edges_that_restate() {
    holds(
        "window, rollback, close",
        Setup {
            rollback: true,
            strict: false,
            window: 4,
            horizon: 5,
            messages: 2,
            ..window()
        },
    );
}

#[test]
fn period_with_a_store_that_forgets() {
    holds(
        "period, rollback, close",
        Setup {
            rollback: true,
            strict: false,
            period: Some(8),
            life: 1,
            messages: 2,
            ..window()
        },
    );
}
