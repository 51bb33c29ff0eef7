#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| source_criteo::testing::invariants::log_file(bytes, bytes.len() / 2));
