//! The status that a plain request must receive, by rules that share no code with the server.

use super::request::Mode;

/// The status of the first response; `None` if the first request is unusual, or incomplete.
pub fn expected_status(sent: &[u8], mode: Mode) -> Option<u16> {
    let end = sent.windows(4).position(|four| four == b"\r\n\r\n")?;
    // Longer heads meet a limit of the server.
    let head = str::from_utf8(&sent[..end])
        .ok()
        .filter(|head| head.len() < 400)?;
    let (request_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let [method, target, "HTTP/1.1"] = request_line.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut hosts = Vec::new();
    for line in headers.split("\r\n").filter(|_| !headers.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let name = name.to_ascii_lowercase();
        // A body, or the time of a probe, has rules of its own.
        let is_other = matches!(
            name.as_str(),
            "content-length" | "transfer-encoding" | "x-prometheus-scrape-timeout-seconds"
        );
        if !is_word(&name.replace('-', ""))
            || is_other
            || value.contains(|c: char| !matches!(c, ' '..='~'))
        {
            return None;
        }
        if name == "host" {
            hosts.push(value.trim());
        }
    }
    let [host] = hosts[..] else {
        // A malformed target or method has the same status.
        return Some(400);
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.?=&~".contains(&byte);
    let is_target = target.starts_with('/') && target.bytes().all(is_plain);
    if !is_word(method) || method == "CONNECT" || !is_target {
        return None;
    }
    let (host, port) = host.split_once(':').unwrap_or((host, "80"));
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let is_port = (1..=4).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_name || !is_port {
        return None;
    }
    status(method, target, host, mode)
}

/// The paths with pages and with answers for programs. Their status depends on the data.
const MADE: [&str; 8] = [
    "/endpoints",
    "/groups",
    "/outages",
    "/reports",
    "/walks",
    "/static",
    "/api",
    "/sd",
];

/// The status of a request with one valid host; `None` for a page, and for a probe with an unusual query.
fn status(method: &str, target: &str, host: &str, mode: Mode) -> Option<u16> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let prefix = if mode.is_restricted { "/vobiz" } else { "" };
    let below = path.strip_prefix(prefix);
    let is_health = matches!(
        below,
        Some("/-/healthy" | "/healthz" | "/-/ready" | "/readyz")
    );
    if mode.is_restricted && !is_health && !host.eq_ignore_ascii_case("exporter.example") {
        return Some(421);
    }
    if mode.has_password {
        return Some(401);
    }
    let is_index = matches!(below, Some("/" | "")) || path == "/";
    Some(match below {
        Some(below) if MADE.iter().any(|path| below.starts_with(path)) => return None,
        _ if !is_health && !is_index && !matches!(below, Some("/metrics" | "/probe")) => 404,
        _ if !matches!(method, "GET" | "HEAD") => 405,
        Some("/probe") if query.is_empty() => 400,
        Some("/probe") if query == "account=main&endpoint_id=1" => 200,
        Some("/probe") => return None,
        _ if is_index && path != format!("{prefix}/") => 302,
        _ => 200,
    })
}
