#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| source_criteo::testing::invariants::headers(text));
