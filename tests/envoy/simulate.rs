//! `tiergate simulate` on the log of a real Envoy: the same decisions, but near a boundary.

use crate::simulate_run::{Load, Near};

/// A short form of `make simulate-proof`, with a window of two seconds.
#[test]
fn the_log_of_a_run_is_decided_as_envoy_decided() {
    let proof = Load {
        requests: 2_000,
        rate: 250,
        window_ms: 2_000,
    }
    .run();
    assert!(proof.requests >= 1_990, "{proof:?}");
    assert!(proof.refused_then > 200, "{proof:?}");
    let far: Vec<_> = proof
        .differences
        .iter()
        .filter(|one| one.near == Near::Nothing)
        .collect();
    assert!(far.is_empty(), "{far:#?}");
    let few = proof.differences.len() as u64 <= proof.requests / 50;
    assert!(few, "{:#?}", proof.differences);
}
