//! See `fuzzing::draft` in the crate.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| airlock::fuzzing::draft(data));
