//! The content of the debug text, and the secrets that it must not show.

use super::{endpoint, fixture};
use crate::probe::report::expiration;

#[tokio::test(start_paused = true)]
async fn the_debug_text_shows_request_times_response_and_samples() {
    let fixture = fixture(
        &["default"],
        None,
        &[("VOBIZ_EXPORTER__METRICS__GROUPS", "user_agent,contact")],
    );
    let text = fixture.debug_text("42").await;
    for line in [
        "  GET https://vendor.test/Account/***/Endpoint/42/",
        "  account default",
        "  waited               0.000 s",
        "  request              0.000 s",
        "  this probe may take  9.500 s",
        "  status 200",
        "  success",
        "  endpoint_id     42",
        "  username        text of 6 bytes",
        "  alias           text of 14 bytes (cut or dropped)",
        "  sip_registered  true",
        "  sip_expires     2026-03-02T05:30:00Z (assumed to be UTC)",
        "  sip_contact     192.0.2.7:5060",
        "  sip_received    198.51.100.9:41230",
        "  created_at      absent",
        "probe_success 1",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} in {text}");
    }
    assert!(!text.contains("SECRET"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_debug_text_hides_what_the_configuration_hides() {
    let username = ("VOBIZ_EXPORTER__METRICS__USERNAME", "false");
    let none = ("VOBIZ_EXPORTER__METRICS__GROUPS", "timestamps");
    let text = fixture(&["default"], None, &[username, none])
        .debug_text("42")
        .await;
    for hidden in [
        "desk01",
        "192.0.2.7",
        "198.51.100.9",
        "Phone/1",
        "user_agent=",
    ] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert!(
        text.contains("  username        text of 6 bytes\n"),
        "{text}"
    );
    assert!(
        text.contains("  sip_contact     text of 25 bytes\n"),
        "{text}"
    );
    let contact = ("VOBIZ_EXPORTER__METRICS__GROUPS", "contact");
    let text = fixture(&["default"], None, &[username, contact])
        .debug_text("42")
        .await;
    assert!(
        text.contains("  sip_contact     192.0.2.7:5060\n"),
        "{text}"
    );
    assert!(!text.contains("desk01"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_expiry_of_an_unregistered_endpoint_is_not_exported() {
    let mut endpoint = endpoint("42");
    endpoint.registered = Some(false);
    assert_eq!(expiration(&endpoint), None);
    endpoint.registered = None;
    assert_eq!(expiration(&endpoint), None);
}
