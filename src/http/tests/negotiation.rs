use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderValue},
};

use crate::{
    exposition::{Encoding, Format},
    http::negotiation::{encoding, format},
};

type FormatAndType = (Format, &'static str);
const TEXT: FormatAndType = (Format::Text, "text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: FormatAndType = (
    Format::OpenMetrics,
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
);
const OPEN_METRICS_UTF8: FormatAndType = (
    Format::OpenMetrics,
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
);

fn accepting(lines: &[&str]) -> FormatAndType {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(ACCEPT, HeaderValue::from_str(line).unwrap());
    }
    format(&headers)
}

fn accepting_encoding(lines: &[&str]) -> Encoding {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
    }
    encoding(&headers)
}

#[test]
fn every_prometheus_version_gets_its_preferred_format() {
    let cases = [
        (
            "2.42 by default",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPEN_METRICS,
        ),
        (
            "2.30 and older",
            "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            TEXT,
        ),
        (
            "3 by default",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPEN_METRICS_UTF8,
        ),
        (
            "3 with native histograms",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;\
             escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPEN_METRICS_UTF8,
        ),
        (
            "3 with escaped names",
            "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPEN_METRICS,
        ),
        (
            "3 configured for text only",
            "text/plain;version=0.0.4;q=0.3,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.2,*/*;q=0.1",
            TEXT,
        ),
    ];
    for (version, accept, expected) in cases {
        assert_eq!(accepting(&[accept]), expected, "{version}");
    }
}

#[test]
fn an_unsupported_format_is_answered_with_text() {
    for accept in [
        "",
        "*/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
        "application/json",
        "application/openmetrics-text",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;version=1.0.0;q=0",
        "text/plain;version=1.0.0",
        "text/plain;q=0",
    ] {
        assert_eq!(accepting(&[accept]), TEXT, "{accept}");
    }
    assert_eq!(accepting(&[]), TEXT);
}

#[test]
fn the_larger_weight_or_the_first_of_equal_ones_wins() {
    let open = "application/openmetrics-text;version=1.0.0";
    let cases = [
        (format!("{open};q=0.4, text/plain;q=0.5"), TEXT),
        (format!("{open};q=0.5, text/plain;q=0.4"), OPEN_METRICS),
        (format!("{open}, text/plain"), OPEN_METRICS),
        (format!("text/plain, {open}"), TEXT),
        (format!("*/*, {open}"), OPEN_METRICS),
        (format!("{open};q=0.2, */*;q=0.9"), TEXT),
        // The most specific media range decides the weight of the text format.
        (
            format!("{open};q=0.2, text/plain;version=0.0.4;q=0.1, */*;q=0.9"),
            OPEN_METRICS,
        ),
        (format!("{open};q=0.001, text/plain;q=0"), OPEN_METRICS),
    ];
    for (accept, expected) in cases {
        assert_eq!(accepting(&[&accept]), expected, "{accept}");
    }
}

#[test]
fn several_headers_count_as_one_list() {
    assert_eq!(
        accepting(&[
            "text/plain;q=0.1",
            "application/openmetrics-text;version=1.0.0;q=0.2"
        ]),
        OPEN_METRICS
    );
    assert_eq!(accepting_encoding(&["br", "gzip"]), Encoding::Gzip);
}

#[test]
fn names_quotes_and_spaces_follow_the_standard() {
    for accept in [
        "Application/OpenMetrics-Text;Version=1.0.0",
        "application/openmetrics-text ; version=\"1.0.0\" ; q=1.000",
        "text/plain;note=\"a,b;version=9\\\",\";q=0.1,application/openmetrics-text;version=1.0.0",
    ] {
        assert_eq!(accepting(&[accept]), OPEN_METRICS, "{accept}");
    }
}

#[test]
fn a_known_escaping_is_echoed_and_an_unknown_one_is_underscores() {
    for (value, expected) in [
        ("allow-utf-8", "allow-utf-8"),
        ("underscores", "underscores"),
        ("dots", "dots"),
        ("values", "values"),
        ("\"dots\"", "dots"),
        ("<script>", "underscores"),
        ("", "underscores"),
    ] {
        let accept = format!("application/openmetrics-text;version=1.0.0;escaping={value}");
        assert_eq!(
            accepting(&[&accept]).1,
            format!(
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping={expected}"
            )
        );
    }
    assert_eq!(
        accepting(&["text/plain;escaping=dots"]).1,
        "text/plain; version=0.0.4; charset=utf-8"
    );
}

#[test]
fn gzip_needs_an_acceptable_weight() {
    for (accept, expected) in [
        ("gzip", Encoding::Gzip),
        ("GZIP", Encoding::Gzip),
        ("x-gzip", Encoding::Gzip),
        ("gzip, deflate, br, zstd", Encoding::Gzip),
        ("zstd;q=1.0, gzip;q=0.8", Encoding::Gzip),
        ("*", Encoding::Gzip),
        ("identity;q=0", Encoding::Gzip),
        ("identity;q=0, *;q=0.5", Encoding::Gzip),
        ("gzip;q=0.5, identity;q=0.5", Encoding::Gzip),
        ("gzip, *;q=0", Encoding::Gzip),
        ("", Encoding::Identity),
        ("identity", Encoding::Identity),
        ("gzip;q=0", Encoding::Identity),
        ("gzip;q=0.000, *", Encoding::Identity),
        ("*;q=0", Encoding::Identity),
        ("gzip;q=0.5, identity", Encoding::Identity),
        ("br, zstd", Encoding::Identity),
        ("gzip;q=0, identity;q=0", Encoding::Identity),
        ("gzipped", Encoding::Identity),
    ] {
        assert_eq!(accepting_encoding(&[accept]), expected, "{accept:?}");
    }
    assert_eq!(accepting_encoding(&[]), Encoding::Identity);
}

#[test]
fn an_invalid_weight_removes_its_element() {
    for weight in [
        "2", "1.5", "-1", "nan", "inf", "1e0", "0,5", "", ".5", "0.x",
    ] {
        assert_eq!(
            accepting_encoding(&[&format!("gzip;q={weight}")]),
            Encoding::Identity,
            "{weight:?}"
        );
    }
    assert_eq!(
        accepting_encoding(&["gzip;q=0.12345678901234567890"]),
        Encoding::Gzip
    );
}

#[test]
fn invalid_headers_count_as_absent() {
    let long = ",;=\"".repeat(4000);
    let quotes = "\"".repeat(9999);
    for value in [
        &long[..],
        &quotes[..],
        "\"\\",
        ";;;;",
        ",,,,",
        "=;q=;q",
        ";q=1",
        "text/plain;\"",
        "*/",
    ] {
        assert_eq!(accepting(&[value]), TEXT);
        assert_eq!(accepting_encoding(&[value]), Encoding::Identity);
    }

    let mut headers = HeaderMap::new();
    headers.append(ACCEPT, HeaderValue::from_bytes(b"text/\xff\xfe").unwrap());
    headers.append(
        ACCEPT,
        HeaderValue::from_static("application/openmetrics-text;version=1.0.0"),
    );
    assert_eq!(
        format(&headers),
        OPEN_METRICS,
        "a header with invalid bytes hides no other header"
    );
}
