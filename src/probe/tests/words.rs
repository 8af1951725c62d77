//! What a person is told, and what is kept back.

use super::{endpoint, house};
use crate::probe::samples::expiration;

#[tokio::test(start_paused = true)]
async fn a_person_is_told_how_the_answer_came_about() {
    let house = house(
        &["default"],
        None,
        &[("VOBIZ_EXPORTER__METRICS__GROUPS", "user_agent,contact")],
    );
    let words = house.words("42").await;
    for line in [
        "  GET https://vendor.test/Account/***/Endpoint/42/",
        "  account default",
        "  sent, and ended as told below",
        "  begun by this probe",
        "  waited for probe.requests_per_second   0.000 s",
        "  this probe may take                    9.500 s",
        "  status 200",
        "  success",
        "  endpoint_id     42 -> vobiz_probe_endpoint_info{endpoint_id}",
        "  username        text of 6 bytes -> vobiz_probe_endpoint_info{username}",
        "  alias           text of 14 bytes (what came was cut or dropped) -> \
         vobiz_probe_endpoint_info{alias}",
        "  sip_registered  true -> vobiz_probe_endpoint_registered",
        "  sip_expires     2026-03-02T05:30:00Z (assumed to be UTC) -> \
         vobiz_probe_registration_expiration_timestamp_seconds",
        "  sip_contact     192.0.2.7:5060",
        "  sip_received    198.51.100.9:41230",
        "  created_at      absent",
        "probe_success 1",
    ] {
        assert!(words.lines().any(|said| said == line), "{line} in {words}");
    }
    assert!(!words.contains("SECRET"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn what_the_configuration_hides_is_hidden_from_people_too() {
    let username = ("VOBIZ_EXPORTER__METRICS__USERNAME", "false");
    let none = ("VOBIZ_EXPORTER__METRICS__GROUPS", "timestamps");
    let words = house(&["default"], None, &[username, none])
        .words("42")
        .await;
    for hidden in [
        "desk01",
        "192.0.2.7",
        "198.51.100.9",
        "Phone/1",
        "user_agent=",
    ] {
        assert!(!words.contains(hidden), "{hidden} in {words}");
    }
    assert!(
        words.contains("  username        text of 6 bytes\n"),
        "{words}"
    );
    assert!(
        words.contains("  sip_contact     text of 25 bytes\n"),
        "{words}"
    );
    let contact = ("VOBIZ_EXPORTER__METRICS__GROUPS", "contact");
    let words = house(&["default"], None, &[username, contact])
        .words("42")
        .await;
    assert!(
        words.contains("  sip_contact     192.0.2.7:5060\n"),
        "{words}"
    );
    assert!(!words.contains("desk01"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn a_left_over_expiry_of_a_phone_that_is_gone_is_not_shown() {
    let mut endpoint = endpoint("42");
    endpoint.registered = Some(false);
    assert_eq!(expiration(&endpoint), None);
    endpoint.registered = None;
    assert_eq!(expiration(&endpoint), None);
}
