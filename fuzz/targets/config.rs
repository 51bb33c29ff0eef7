#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| source_criteo::outside::config(text, "hunter2hunter2"));
