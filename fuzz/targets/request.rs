//! Fuzz target: The bytes of a connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vobiz_exporter_fuzz::tests::check_connection(bytes));
