#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flagstone_libfuzzer::run("version", bytes));
