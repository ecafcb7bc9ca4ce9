//! Each rule of the protocol is needed: without it, the checker finds a counterexample.

use tiergate_fleet_model::{Rule, Setup, check};

const NEVER_OVER: &str = "never over";
const NOTHING_LOST: &str = "nothing is lost for ever";

fn is_needed(rule: Rule, property: &str, setup: Setup) {
    let found = check(&format!("without {rule:?}"), &setup.without(rule));
    let (violated, actions) = found.violated.expect("a counterexample");
    assert_eq!(violated, property, "{}", actions.join("\n"));
    println!("  {violated} is violated:\n    {}", actions.join("\n    "));
}

/// Requests for the whole limit.
fn small() -> Setup {
    Setup {
        requests: vec![([2, 0], [2, 0])],
        ..Setup::window_of_two()
    }
}

fn refunds() -> Setup {
    Setup {
        requests: vec![([1, 0], [1, 0]), ([1, 0], [0, 0])],
        ..small()
    }
}

fn rollback() -> Setup {
    Setup {
        rollback: true,
        ..small()
    }
}

#[test]
fn c1_extra_use_never_lowers_what_is_outstanding() {
    let requests = vec![([1, 0], [1, 0]), ([1, 0], [2, 0])];
    is_needed(
        Rule::ExtraApart,
        NEVER_OVER,
        Setup {
            requests,
            horizon: 2,
            ..small()
        },
    );
}

#[test]
fn c2_refunds_go_through_the_store() {
    is_needed(
        Rule::RefundByStore,
        NEVER_OVER,
        Setup {
            messages: 2,
            ..refunds()
        },
    );
}

#[test]
fn c3_all_or_nothing() {
    let requests = vec![([1, 2], [1, 2])];
    is_needed(
        Rule::AllOrNothing,
        "all or nothing",
        Setup {
            limits: [2, 2],
            requests,
            ..small()
        },
    );
}

#[test]
fn c4_the_store_is_told_again_what_it_forgot() {
    is_needed(
        Rule::Restatement,
        NEVER_OVER,
        Setup {
            period: Some(8),
            strict: false,
            ..rollback()
        },
    );
}

#[test]
fn c6_leases_of_dead_edges_are_freed() {
    let setup = Setup {
        limits: [0, 0],
        leases: 2,
        requests: vec![([0, 0], [0, 0])],
        restarts: 1,
        ..small()
    };
    is_needed(Rule::DeadEpochs, NOTHING_LOST, setup);
}

#[test]
fn h1_allowances_are_good_from_the_sending() {
    is_needed(
        Rule::GoodFromSending,
        NEVER_OVER,
        Setup {
            life: 1,
            timeout: 2,
            ..small()
        },
    );
}

#[test]
fn h2_a_process_has_an_identity_of_its_own() {
    is_needed(
        Rule::OwnIdentity,
        NEVER_OVER,
        Setup {
            restarts: 1,
            ..small()
        },
    );
}

#[test]
fn h3_only_pending_answers_count() {
    is_needed(
        Rule::PendingAnswers,
        NEVER_OVER,
        Setup {
            timeout: 0,
            messages: 2,
            horizon: 1,
            ..small()
        },
    );
}

#[test]
fn h3_what_an_edge_holds_is_absolute() {
    is_needed(Rule::AbsoluteHeld, NOTHING_LOST, small());
}

#[test]
fn h4_older_messages_are_without_effect() {
    is_needed(
        Rule::OlderIsStale,
        NEVER_OVER,
        Setup {
            in_network: 2,
            ..small()
        },
    );
}

#[test]
fn h5_a_write_off_is_netted_once() {
    is_needed(Rule::NetOnce, NEVER_OVER, Setup { life: 1, ..small() });
}

#[test]
fn h6_a_period_ends_from_the_sending() {
    is_needed(
        Rule::EndFromSending,
        NEVER_OVER,
        Setup {
            period: Some(2),
            ..small()
        },
    );
}

#[test]
fn i4_ages_are_never_more_than_true() {
    is_needed(Rule::TrueAges, NEVER_OVER, small());
}

#[test]
fn mended_refunds_name_the_store_s_time() {
    let requests = vec![([1, 0], [0, 0]), ([1, 0], [1, 0]), ([2, 0], [2, 0])];
    is_needed(
        Rule::EarlyRefunds,
        NEVER_OVER,
        Setup {
            requests,
            horizon: 2,
            admissions: 3,
            ..small()
        },
    );
}

#[test]
fn mended_new_keys_of_a_young_store_are_suspect() {
    is_needed(Rule::NewKeysSuspect, NEVER_OVER, rollback());
}

#[test]
fn mended_edges_restate_at_once() {
    is_needed(
        Rule::RestateAtOnce,
        NEVER_OVER,
        Setup {
            period: Some(8),
            strict: false,
            ..rollback()
        },
    );
}
