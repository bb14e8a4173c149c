//! See `fuzzing::declaration` in the crate.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| airlock::fuzzing::declaration(data));
