//! See `fuzzing::key_set` in the crate.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| airlock::fuzzing::key_set(data));
