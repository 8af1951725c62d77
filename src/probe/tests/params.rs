//! The parameters of a probe, and its timeout.

use std::time::Duration;

use crate::probe::params::{ProbeParams, timeout};

fn read(query: &str) -> Result<ProbeParams, &'static str> {
    let names = ["main", "Büro & Söhne", "a b"];
    ProbeParams::read(query, |name| names.iter().position(|known| *known == name))
}

fn params(account: usize, id: &str, debug: bool) -> ProbeParams {
    ProbeParams {
        account,
        id: id.to_owned(),
        debug,
    }
}

#[test]
fn a_probe_has_an_account_an_id_and_perhaps_debug() {
    assert_eq!(
        read("account=main&endpoint_id=42"),
        Ok(params(0, "42", false))
    );
    assert_eq!(
        read("endpoint_id=%34%32&account=B%C3%BCro+%26%20S%C3%B6hne&debug=true"),
        Ok(params(1, "42", true))
    );
    assert_eq!(
        read("account=a+b&endpoint_id=A-z.9_~&debug=false&module=x&module=y&=&&"),
        Ok(params(2, "A-z.9_~", false))
    );
    let longest = "9".repeat(128);
    let query = format!("account=main&endpoint_id={longest}");
    assert_eq!(read(&query), Ok(params(0, &longest, false)));
}

#[test]
fn a_missing_empty_or_repeated_parameter_is_named() {
    for (query, expected) in [
        ("", "account is missing"),
        ("account=main", "endpoint_id is missing"),
        ("endpoint_id=42", "account is missing"),
        ("account=&endpoint_id=42", "account is missing"),
        ("account=main&endpoint_id=", "endpoint_id is missing"),
        ("account=main&endpoint_id", "endpoint_id is missing"),
        ("Account=main&endpoint_id=42", "account is missing"),
        (
            "account=main&account=main&endpoint_id=42",
            "account is given twice",
        ),
        (
            "account=main&endpoint_id=1&endpoint_id=2",
            "endpoint_id is given twice",
        ),
        (
            "account=main&endpoint_id=1&debug=true&debug=true",
            "debug is given twice",
        ),
        ("account=main&endpoint_id=1&debug=", "debug must be"),
        ("account=main&endpoint_id=1&debug=TRUE", "debug must be"),
        ("account=Main&endpoint_id=1", "account must be"),
        ("account=main%00&endpoint_id=1", "account must be"),
    ] {
        let message = read(query).unwrap_err();
        assert!(
            message.contains(expected) && message.ends_with('\n'),
            "{query}: {message}"
        );
    }
}

#[test]
fn an_id_that_needs_encoding_is_refused_and_not_repeated() {
    let long = "9".repeat(129);
    let longer = "9".repeat(10_000);
    for id in [
        "../../Account/MA_OTHER/Endpoint/1",
        "..%2f..%2fx",
        "..%2F",
        "%2e%2e",
        ".",
        "..",
        "...",
        "a/b",
        "a%2fb",
        "a%5cb",
        "%252f",
        "1%0d%0aX-Evil:%201",
        "1%0a",
        "1%00",
        "1%20",
        "1+2",
        "1%3fx",
        "1?x",
        "1%23",
        "1#2",
        "1%26",
        "1;2",
        "1%3d",
        "%C3%A9",
        "%ff",
        "%",
        "%zz",
        "%EF%BC%91",
        "1%E2%80%AE",
        "<script>",
        "1\"",
        "1'",
        "1%25",
        &long,
        &longer,
    ] {
        let message = read(&format!("account=main&endpoint_id={id}")).unwrap_err();
        assert!(
            message.starts_with("the parameter endpoint_id must be"),
            "{id}: {message}"
        );
    }
}

const OFFSET: Duration = Duration::from_millis(500);

fn timeout_ms(header: &str) -> Option<u128> {
    timeout(Some(header), OFFSET)
        .ok()
        .map(|time| time.as_millis())
}

#[test]
fn a_probe_gives_up_before_the_scrape_does() {
    assert_eq!(timeout(None, OFFSET), Ok(Duration::from_millis(9_500)));
    assert_eq!(timeout_ms("5"), Some(4_500));
    assert_eq!(timeout_ms(" 2.5 "), Some(2_000));
    assert_eq!(timeout_ms("1e1"), Some(9_500));
}

#[test]
fn an_offset_leaves_at_least_half_of_the_time() {
    assert_eq!(timeout_ms("0.6"), Some(300));
    assert_eq!(
        timeout(Some("10"), Duration::from_secs(10)),
        Ok(Duration::from_secs(5))
    );
}

#[test]
fn a_timeout_is_at_most_two_minutes() {
    assert_eq!(timeout_ms("121"), Some(119_500));
    assert_eq!(timeout_ms("1e300"), Some(119_500));
}

#[test]
fn a_header_without_a_positive_number_is_refused() {
    for header in [
        "", " ", "0", "-1", "-0", "ten", "10s", "1,2", "nan", "inf", "1e999", "0x10",
    ] {
        assert_eq!(timeout_ms(header), None, "{header}");
    }
}
