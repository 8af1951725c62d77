//! The start page, for a browser, and the text about readiness.

use std::{fmt::Write as _, time::Duration};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::paths::Paths;
use crate::exposition::AccountSummary;

/// The content security policy of the page. It allows only the style of the page.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'sha256-H6ycZa1Q5yEIu9c0l+nZhw8ZNNXzKQEBsgipo0GSIJs='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The text before the stored state is loaded.
pub(super) const STARTING: &str = "not ready: the stored state is not loaded yet\n";

/// The style of the page. A test compares the style with its hash in [`POLICY`].
const STYLE: &str = "body{font-family:system-ui,sans-serif;line-height:1.5;max-width:50rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse}th,td{text-align:left;padding:.25rem 1rem .25rem 0;vertical-align:top}";

/// The text of `/-/ready`. An error means that at least one account has not finished its first walk.
pub(super) fn readiness(accounts: Option<&[AccountSummary]>) -> Result<&'static str, &'static str> {
    let accounts = accounts.ok_or(STARTING)?;
    let is_waiting = accounts.iter().any(|one| one.is_awaited);
    let ready = (!is_waiting).then_some("ready\n");
    ready.ok_or("not ready: the first walk of some account has not finished\n")
}

/// The start page: name, version, state of every account, links. If `probes` is true, it explains `/probe`.
pub(super) fn start_page(paths: &Paths, probes: bool, accounts: &[AccountSummary]) -> String {
    let mut rows = String::new();
    for account in accounts {
        let (name, state) = (escape(&account.name), state(account));
        let _ = writeln!(rows, "<tr><td>{name}</td><td>{state}</td></tr>");
    }
    let version = env!("CARGO_PKG_VERSION");
    let [metrics, health, readiness] = [
        paths.metrics_link(),
        paths.link("/-/healthy"),
        paths.link("/-/ready"),
    ]
    .map(|link| escape(&link));
    let probe = if probes {
        probe_item(paths, accounts)
    } else {
        String::new()
    };
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Vobiz exporter</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Vobiz exporter</h1>
<p>Version {version}. Registration state of Vobiz SIP endpoints, for Prometheus.</p>
<table>
<thead><tr><th>Account</th><th>State</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
<ul>
<li><a href="{metrics}">Metrics</a></li>
{probe}<li><a href="{health}">Health</a>: the process runs</li>
<li><a href="{readiness}">Readiness</a>: the first walk of every account has finished</li>
</ul>
</body>
</html>
"#
    )
}

/// The condition of an account, and a short text about its last walk and the endpoints that `/metrics` shows.
fn state(account: &AccountSummary) -> String {
    let failure = account.failure;
    let walk = if account.has_walked {
        failure.map(|reason| format!("last walk failed ({reason})"))
    } else {
        Some("first walk under way".to_owned())
    };
    let shown = account.counts.filter(|_| !account.is_withdrawn);
    let endpoints = shown.map(|counts| {
        let (all, registered) = (counts.total(), counts.registered);
        let noun = if all == 1 { "endpoint" } else { "endpoints" };
        format!("{all} {noun}, {registered} registered")
    });
    let age = account.age.map_or("no good walk yet".to_owned(), |age| {
        format!("last good walk {} ago", rounded(age))
    });
    let texts: Vec<_> = [walk, endpoints, Some(age)].into_iter().flatten().collect();
    format!("{}: {}", account.condition.label(), texts.join(", "))
}

fn rounded(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The `<li>` about `/probe`. If a summary has an `endpoint_id`, the `<li>` links to a probe of this endpoint.
fn probe_item(paths: &Paths, accounts: &[AccountSummary]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut link = "Probe".to_owned();
    let known = |one: &AccountSummary| Some((one.name.clone(), one.endpoint_id.clone()?));
    if let Some((account, id)) = accounts.iter().find_map(known) {
        let (account, id) = (encode(&account), encode(&id));
        let path = escape(&paths.link("/probe"));
        let target = format!("{path}?account={account}&amp;endpoint_id={id}&amp;debug=true");
        link = format!(r#"<a href="{target}" rel="nofollow">Probe</a>"#);
    }
    let path = escape(&paths.probe());
    format!(
        "<li>{link}: one request to the API for one endpoint, for example \
        <code>{path}?account=NAME&amp;endpoint_id=ID&amp;debug=true</code></li>\n"
    )
}

/// Escapes text for the content and the attributes of HTML elements.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let text = text.replace('>', "&gt;").replace('"', "&quot;");
    text.replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use tokio_rustls::rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;

    use super::*;
    use crate::{snapshot::Counts, telemetry::Condition};

    #[test]
    fn the_state_of_an_account_agrees_with_what_is_exported() {
        let counts = Counts {
            registered: 30,
            unregistered: 15,
            unknown: 0,
        };
        let walked = AccountSummary {
            condition: Condition::Ok,
            has_walked: true,
            counts: Some(counts),
            age: Some(Duration::from_secs(12)),
            ..AccountSummary::default()
        };
        let failed = |condition, before: &AccountSummary| AccountSummary {
            condition,
            has_walked: true,
            failure: Some("auth"),
            ..before.clone()
        };
        let old = AccountSummary {
            condition: Condition::Withdrawn,
            is_withdrawn: true,
            age: Some(Duration::from_secs(7_512)),
            ..walked.clone()
        };
        let starting = AccountSummary::default();
        let restored = AccountSummary {
            condition: Condition::Stale,
            age: Some(Duration::from_secs(240)),
            ..starting.clone()
        };
        for (account, expected) in [
            (
                starting.clone(),
                "starting: first walk under way, no good walk yet",
            ),
            (
                restored,
                "stale: first walk under way, last good walk 4 min ago",
            ),
            (
                walked.clone(),
                "ok: 45 endpoints, 30 registered, last good walk 12 s ago",
            ),
            (
                failed(Condition::Failing, &walked),
                "failing: last walk failed (auth), 45 endpoints, 30 registered, last good walk 12 s ago",
            ),
            (
                failed(Condition::Never, &starting),
                "never: last walk failed (auth), no good walk yet",
            ),
            (
                failed(Condition::Refused, &old),
                "refused: last walk failed (auth), last good walk 2 h 5 min ago",
            ),
            (old, "withdrawn: last good walk 2 h 5 min ago"),
        ] {
            assert_eq!(state(&account), expected);
        }
    }

    #[test]
    fn the_policy_allows_the_style_of_the_page() {
        let sha256 = TLS13_AES_128_GCM_SHA256
            .tls13()
            .expect("the suite is one of TLS 1.3")
            .common
            .hash_provider;
        let hash = STANDARD.encode(sha256.hash(STYLE.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }
}
