//! The checks of the fuzz targets, which are part of the exporter's tests.

// The checks find these modules below `crate`, as in the exporter.
pub use vobiz_exporter::{api, config, exposition, http, probe, telemetry, web_config};

#[path = "../../src/tests/mod.rs"]
pub mod tests;
