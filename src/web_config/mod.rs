//! The web configuration file (`--web.config.file`): TLS, client certificates, passwords, response headers and
//! a rate limit, in the format of Prometheus' exporter-toolkit.
//!
//! [`WebConfig::load`] reads and validates the file and the files that it names. [`WebConfig::watch`] reads them
//! again when they change. `docs/web-configuration.md` describes every key.

mod client_certificates;
mod document;
mod load;
mod passwords;
mod rate_limit;
mod reload;
mod settings;
mod tls;

pub use document::Error;
pub use passwords::Authentication;
pub use reload::WebConfig;
pub use settings::Settings;

#[cfg(test)]
mod tests;
