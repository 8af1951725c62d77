//! Fuzz target: The text of a web configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vobiz_exporter_fuzz::tests::check_web_config(bytes));
