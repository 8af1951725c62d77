//! Reads the responses of a server, and checks their form.

use super::request::Mode;

/// The head of a response.
pub struct Response {
    pub status: u16,
}

/// Reads the responses of a connection with HTTP/1. Panics if one of them is malformed or incomplete.
pub fn read_responses(mut rest: &[u8], mode: Mode) -> Vec<Response> {
    let mut responses = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, after) = rest.split_at(end.expect("a complete head") + 4);
        let head = str::from_utf8(head).expect("a head is ASCII text");
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| first.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|status| status.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {first}"));
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").expect("a header"))
            .collect();
        let get = |name: &str| {
            let mut found = headers
                .iter()
                .filter(|header| header.0.eq_ignore_ascii_case(name));
            let value = found.next().map(|header| header.1);
            assert!(found.next().is_none(), "one header {name}");
            value
        };
        let length = get("content-length").map(|length| length.parse::<usize>().expect("a number"));
        let is_list = get("content-type").is_some_and(|text| text.starts_with("text/csv"));
        assert!(
            length.is_some() != (is_list || status == 304),
            "a response has a length, except a list and an unchanged one: {head}"
        );
        check_status(status, mode);
        // hyper itself responds to malformed requests, and closes the connection then.
        let is_of_library = get("x-content-type-options").is_none();
        // The response to HEAD has no body. No body begins like a response.
        let is_head = after.is_empty() || after.starts_with(b"HTTP/1.");
        rest = match length {
            _ if is_head => after,
            Some(length) => after.get(length..).expect("a complete body"),
            None if get("transfer-encoding") == Some("chunked") => after_chunks(after),
            // The connection ends after a list of HTTP/1.0.
            None => b"",
        };
        if is_of_library {
            assert!(
                matches!(status, 400 | 414 | 431) && rest.is_empty(),
                "{head}"
            );
        } else {
            assert!(
                get("content-type").is_some() && (is_list || get("transfer-encoding").is_none()),
                "{head}"
            );
        }
        responses.push(Response { status });
    }
    responses
}

/// The bytes after the last chunk of a list.
fn after_chunks(mut rest: &[u8]) -> &[u8] {
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n");
        let (size, after) = rest.split_at(end.expect("a complete size of a chunk"));
        let size = str::from_utf8(size).ok();
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("the size of a chunk");
        rest = after.get(2 + size + 2..).expect("a complete chunk");
        if size == 0 {
            return rest;
        }
    }
}

fn check_status(status: u16, mode: Mode) {
    let is_expected = match status {
        400 | 414 | 431 => true,
        401 => mode.has_password,
        421 => mode.is_restricted,
        _ if mode.has_password => false,
        200 | 302 | 304 | 404 | 405 => true,
        _ => false,
    };
    assert!(is_expected, "the status {status} with {mode:?}");
}

/// Checks the frames of a connection with HTTP/2: their lengths, types and streams, and the status of each response.
pub fn check_frames(mut rest: &[u8], mode: Mode) {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    while let Some((head, after)) = rest.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, stream) = (
            head[3],
            u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        );
        assert!(
            length <= 1 << 14 && kind <= 9,
            "a frame that no client accepts"
        );
        assert!(
            kind > HEADERS || stream % 2 == 1,
            "a response belongs to a request"
        );
        let (payload, after) = after.split_at_checked(length).expect("a complete frame");
        if kind == HEADERS {
            // The first field is the status. HPACK has one byte for some of them.
            let status = match payload.first() {
                Some(0x88) => Some(200),
                Some(0x8d) => Some(404),
                Some(0x8e) => Some(500),
                _ => None,
            };
            if let Some(status) = status {
                check_status(status, mode);
            }
        }
        assert!(
            kind != DATA || !mode.has_password || length < 100,
            "a body without password"
        );
        rest = after;
    }
    assert!(rest.is_empty(), "an incomplete frame");
}
