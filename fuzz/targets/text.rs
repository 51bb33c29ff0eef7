#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| source_criteo::testing::invariants::text(text, text.len() / 3));
