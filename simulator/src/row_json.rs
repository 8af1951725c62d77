//! The JSON of an endpoint: the row of a list, and the body of a retrieve response.

use std::io::Write as _;

use jiff::Timestamp;

use super::account::{Account, Shape};
use super::endpoint::Endpoint;

const CAPABILITIES: [&str; 7] = [
    "allow_voice",
    "allow_message",
    "allow_video",
    "allow_same_domain",
    "allow_other_domains",
    "allow_phones",
    "allow_apps",
];

/// Appends one row of a list. `unregistered` hides a registration, unless `endpoint.raw` is set.
pub(super) fn row(out: &mut Vec<u8>, account: &Account, endpoint: &Endpoint, unregistered: bool) {
    if let Some(raw) = &endpoint.raw {
        out.extend_from_slice(raw.as_bytes());
        return;
    }
    let registration = endpoint.registration.as_ref().filter(|_| !unregistered);
    out.push(b'{');
    match account.shape {
        Shape::Documented => {
            name_fields(out, endpoint);
            registered_field(out, registration.is_some());
            out.extend_from_slice(b",\"sip_contact\":");
            text_or_null(out, registration.map(|known| known.contact.as_str()));
            out.extend_from_slice(b",\"sip_expires\":");
            time_or_null(out, registration.and_then(|known| known.expires));
            out.extend_from_slice(b",\"sip_user_agent\":");
            text_or_null(out, registration.map(|known| known.user_agent.as_str()));
            out.extend_from_slice(b",\"application\":");
            application_object(out, account, endpoint, false);
            out.push(b',');
            last_fields(out, account, endpoint);
        }
        Shape::Captured => captured_fields(out, account, endpoint, registration.is_some()),
        Shape::Plivo => {
            captured_fields(out, account, endpoint, registration.is_some());
            if let Some(known) = registration {
                out.extend_from_slice(b",\"sip_contact\":\"sip:");
                escaped(out, &endpoint.username);
                out.push(b'@');
                escaped(out, &known.contact);
                out.extend_from_slice(b";ob\",\"sip_expires\":");
                spaced_time(out, known.expires);
                out.extend_from_slice(b",\"sip_user_agent\":");
                text(out, &known.user_agent);
            }
        }
    }
    out.push(b'}');
}

/// Appends a retrieve response's body. If `endpoint.raw` is set, or in Plivo's form, it is the row.
pub(super) fn detail(out: &mut Vec<u8>, account: &Account, endpoint: &Endpoint, api_id: &str) {
    if endpoint.raw.is_some() || account.shape == Shape::Plivo {
        return row(out, account, endpoint, false);
    }
    out.push(b'{');
    if account.shape == Shape::Documented {
        out.extend_from_slice(b"\"api_id\":");
        text(out, api_id);
        out.push(b',');
        name_fields(out, endpoint);
        registered_field(out, endpoint.registered());
        registration_object(out, endpoint);
        out.extend_from_slice(b",\"application\":");
        application_object(out, account, endpoint, true);
        out.push(b',');
        last_fields(out, account, endpoint);
    } else {
        captured_fields(out, account, endpoint, endpoint.registered());
        registration_object(out, endpoint);
    }
    out.push(b'}');
}

fn name_fields(out: &mut Vec<u8>, endpoint: &Endpoint) {
    out.extend_from_slice(b"\"endpoint_id\":");
    text(out, &endpoint.id);
    out.extend_from_slice(b",\"username\":");
    text(out, &endpoint.username);
    out.extend_from_slice(b",\"alias\":");
    text(out, &endpoint.alias);
    out.push(b',');
    sip_uri(out, endpoint);
    out.push(b',');
}

fn captured_fields(out: &mut Vec<u8>, account: &Account, endpoint: &Endpoint, registered: bool) {
    out.extend_from_slice(b"\"alias\":");
    text(out, &endpoint.alias);
    out.extend_from_slice(b",\"application\":");
    match &endpoint.application {
        None => out.extend_from_slice(b"null"),
        Some(id) => {
            out.extend_from_slice(b"\"/v1/Account/");
            escaped(out, &account.auth_id);
            out.extend_from_slice(b"/Application/");
            escaped(out, id);
            out.extend_from_slice(b"/\"");
        }
    }
    out.extend_from_slice(b",\"endpoint_id\":");
    text(out, &endpoint.id);
    out.push(b',');
    resource_uri(out, account, endpoint);
    out.push(b',');
    registered_field(out, registered);
    out.push(b',');
    sip_uri(out, endpoint);
    out.extend_from_slice(b",\"sub_account\":");
    text_or_null(out, endpoint.sub_account.as_deref());
    out.extend_from_slice(b",\"username\":");
    text(out, &endpoint.username);
}

fn registered_field(out: &mut Vec<u8>, registered: bool) {
    let word: &[u8] = if registered { b"true" } else { b"false" };
    out.extend_from_slice(b"\"sip_registered\":\"");
    out.extend_from_slice(word);
    out.push(b'"');
}

fn sip_uri(out: &mut Vec<u8>, endpoint: &Endpoint) {
    out.extend_from_slice(b"\"sip_uri\":\"sip:");
    escaped(out, &endpoint.username);
    out.extend_from_slice(b"@registrar.vobiz.ai\"");
}

fn resource_uri(out: &mut Vec<u8>, account: &Account, endpoint: &Endpoint) {
    out.extend_from_slice(b"\"resource_uri\":\"/v1/Account/");
    escaped(out, &account.auth_id);
    out.extend_from_slice(b"/Endpoint/");
    escaped(out, &endpoint.id);
    out.extend_from_slice(b"/\"");
}

fn application_object(out: &mut Vec<u8>, account: &Account, endpoint: &Endpoint, urls: bool) {
    let Some(id) = &endpoint.application else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(b"{\"app_id\":");
    text(out, id);
    out.extend_from_slice(b",\"app_name\":");
    text_or_null(out, account.application_name(id));
    if urls {
        out.extend_from_slice(
            b",\"answer_url\":\"https://example.com/answer\",\"answer_method\":\"POST\"",
        );
    }
    out.push(b'}');
}

fn registration_object(out: &mut Vec<u8>, endpoint: &Endpoint) {
    let Some(known) = &endpoint.registration else {
        return;
    };
    out.extend_from_slice(b",\"sip_registration\":{\"contact\":");
    text(out, &known.contact);
    out.extend_from_slice(b",\"expires\":");
    time_or_null(out, known.expires);
    out.extend_from_slice(b",\"user_agent\":");
    text(out, &known.user_agent);
    out.extend_from_slice(b",\"received\":");
    text(out, &known.received);
    out.extend_from_slice(b",\"path\":null}");
}

fn last_fields(out: &mut Vec<u8>, account: &Account, endpoint: &Endpoint) {
    for (key, allowed) in CAPABILITIES.iter().zip(endpoint.allowed) {
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(if allowed { b"\":true," } else { b"\":false," });
    }
    out.extend_from_slice(b"\"sub_account\":");
    text_or_null(out, endpoint.sub_account.as_deref());
    out.push(b',');
    resource_uri(out, account, endpoint);
    out.extend_from_slice(b",\"created_at\":");
    time_or_null(out, Some(endpoint.created));
    out.extend_from_slice(b",\"updated_at\":");
    time_or_null(out, Some(endpoint.updated));
}

/// Appends a JSON string.
fn text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    escaped(out, value);
    out.push(b'"');
}

fn text_or_null(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends the content of a JSON string, without quotes.
fn escaped(out: &mut Vec<u8>, value: &str) {
    let plain = value
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        out.extend_from_slice(value.as_bytes());
    } else {
        let quoted = serde_json::to_string(value).expect("text is always JSON");
        out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
    }
}

fn time_or_null(out: &mut Vec<u8>, time: Option<Timestamp>) {
    match time {
        None => out.extend_from_slice(b"null"),
        Some(time) => write!(out, "\"{time}\"").expect("memory takes all that is written"),
    }
}

fn spaced_time(out: &mut Vec<u8>, time: Option<Timestamp>) {
    let start = out.len();
    time_or_null(out, time);
    // Plivo's form of "2026-03-02T04:30:00Z" is "2026-03-02 04:30:00".
    if time.is_some() {
        out.truncate(start + 20);
        out[start + 11] = b' ';
        out.push(b'"');
    }
}
