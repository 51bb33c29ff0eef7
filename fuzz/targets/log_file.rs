#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| source_criteo::outside::log_file(bytes, bytes.len() / 2));
