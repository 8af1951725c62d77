//! The checks of the fuzz targets. `fuzz/` includes this module. The tests run each check with the seeds of its target.

mod config;
mod page;
mod request;
mod response;
mod route;
mod secrets;
mod web_config;

pub use config::check_configuration;
pub use page::check_page;
pub use request::check_connection;
pub use web_config::check_web_config;

#[cfg(test)]
mod seeds;
