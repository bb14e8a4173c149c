//! See `fuzzing::list_query` in the crate.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| airlock::fuzzing::list_query(data));
