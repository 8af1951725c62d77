//! Fuzz target: A body of the API.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vobiz_exporter_fuzz::tests::check_page(bytes));
