//! A panic in a worker's VM: what is lost, what is not, and how soon all is well again.

use crate::bootstrap::module;

#[test]
fn no_release_can_be_trapped_by_a_header() {
    let names_the_trap = |file: &str| {
        let bytes = std::fs::read(module(file)).unwrap();
        let name = b"x-tiergate-trap";
        bytes.windows(name.len()).any(|window| window == name)
    };
    assert!(names_the_trap("tiergate_trap.wasm"));
    assert!(!names_the_trap("tiergate.wasm"));
}
