//! Fuzz target: the usage readers on any bytes.
#![no_main]

mod usage_holds;

libfuzzer_sys::fuzz_target!(|input: &[u8]| usage_holds::usage_holds(input));
