#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| source_criteo::outside::text(text, text.len() / 3));
