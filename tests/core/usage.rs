//! The usage readers on any bytes: no panic, memory within the bound, the same however it is cut.

use crate::usage_holds::usage_holds;
use proptest::prelude::*;

/// Pieces that streams and bodies are made of, and what they are broken with.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"data: "[..],
        b"data:",
        b"event: x\n",
        b": comment\n",
        b"\n\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"\"usage\"",
        b":",
        b"{\"total_tokens\":9}",
        b"{\"prompt_tokens\":1,\"completion_tokens\":2}",
        b"{\"choices\":[],\"usage\":{\"total_tokens\":5}}",
        b"{\"choices\":[{\"usage\":{\"output_tokens\":5}}]}",
        b"{\"messages\":[],\"stream\":true",
        b",\"stream_options\":{\"include_usage\":false}",
        b"\"stream_options\":",
        b"null",
        b"[DONE]",
        b"\\\"",
        b"\xff\xfe",
        b"-1",
        b"18446744073709551616",
    ]);
    let known = known.prop_map(<[u8]>::to_vec);
    let noise = prop::collection::vec(any::<u8>(), 0..20);
    let long = (any::<u8>(), 4_000..9_000_usize).prop_map(|(byte, n)| vec![byte; n]);
    prop_oneof![20 => known, 4 => noise, 1 => long]
}

#[test]
fn what_fuzzing_found_stays_mended() {
    for input in [
        &b"\x00\x0cdata:\x03\r[\r\x82"[..],
        b"\x00\r\x0cdata:\n\r",
        b"\x00data:  [DONE]\n\xa9",
    ] {
        usage_holds(input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn any_bytes_are_borne_within_the_bound(
        cut in any::<u8>(),
        pieces in prop::collection::vec(pieces(), 0..24),
    ) {
        let mut input = vec![cut];
        input.extend(pieces.concat());
        usage_holds(&input);
    }
}
