//! The fuzz target `page`: a body of the API.

use serde_json::value::RawValue;

use crate::api::{Endpoint, ErrorKind, Page, read_endpoint, read_page};

/// A row before and after the row that is checked.
const ROWS: [&str; 2] = [
    r#"{"endpoint_id":"before","alias":"A"}"#,
    r#"{"endpoint_id":"after","sip_registered":true}"#,
];

/// Reads the bytes as a page, as one row of a page, and as the record of one endpoint.
pub fn check_page(bytes: &[u8]) {
    let body = String::from_utf8_lossy(bytes);
    for limit in [1, 100_u32] {
        let page = read_page(&body, limit);
        check_limits(&page, limit as usize);
        assert_eq!(page, read_page(&body, limit), "one body gives one page");
    }
    let record = read_endpoint(&body);
    if let Ok(endpoint) = &record {
        check_endpoint(endpoint);
    }
    // Only a JSON value can be a row.
    if serde_json::from_str::<&RawValue>(&body).is_ok() {
        let [before, after] = ROWS;
        let list = format!(r#"{{"objects":[{before},{body},{after}]}}"#);
        let page = read_page(&list, 3).expect("any JSON value is a row");
        assert_eq!(page.rows.len(), 3, "each row stays");
        assert_eq!(page.rows[1].content, record, "a row reads like a record");
        for (row, expected) in [(0, before), (2, after)] {
            let content = &page.rows[row].content;
            assert!(content.is_ok(), "a bad row affects no other row");
            assert_eq!(*content, read_endpoint(expected), "the row is unchanged");
        }
    }
}

fn check_limits(page: &Result<Page, (ErrorKind, String)>, limit: usize) {
    match page {
        Ok(page) => {
            assert!(page.rows.len() < limit + 10, "too many rows");
            for endpoint in page.rows.iter().filter_map(|row| row.content.as_ref().ok()) {
                check_endpoint(endpoint);
            }
        }
        // The complete list of the messages, so no message can quote the body.
        Err((_, message)) => {
            let place = message.strip_prefix("not JSON at line ");
            let place = place.and_then(|place| place.split_once(", column "));
            let is_number = |text: &str| text.parse::<u32>().is_ok();
            let is_place = place.is_some_and(|(line, column)| is_number(line) && is_number(column));
            let is_known = matches!(
                message.as_str(),
                "the JSON ends too early"
                    | "not an object with a list `objects`"
                    | "an error where a list was expected"
                    | "the page holds far more rows than were asked for"
            );
            assert!(is_place || is_known, "an unknown message: {message}");
        }
    }
}

/// Checks the limits that the documentation of [`Endpoint`] promises.
fn check_endpoint(endpoint: &Endpoint) {
    assert!((1..=128).contains(&endpoint.id.len()), "{endpoint:?}");
    let application = endpoint.application.as_ref();
    let texts = [
        &endpoint.username,
        &endpoint.alias,
        &endpoint.user_agent,
        &endpoint.contact,
        &endpoint.received,
        &endpoint.sub_account,
    ];
    let name = application.and_then(|application| application.name.as_ref());
    for text in texts.into_iter().flatten().chain(name) {
        assert!((1..=256).contains(&text.len()), "{endpoint:?}");
    }
    assert!(
        application.is_none_or(|one| one.id.len() <= 256),
        "{endpoint:?}"
    );
    let times = [
        endpoint.expires_at,
        endpoint.created_at,
        endpoint.updated_at,
    ];
    assert!(
        times.into_iter().flatten().all(|time| time.0 > 0),
        "{endpoint:?}"
    );
}
