//! Fuzz target: The text of a configuration, and environment variables.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vobiz_exporter_fuzz::tests::check_configuration(bytes));
