//! The renderings of a report.

use super::*;
use crate::{
    report::{AccountReport, GroupReport, Report, UnknownSpan, csv, html, text},
    state::LoggedOutage,
    telemetry::labels::Watch,
};

fn endpoint_report(id: &str, alias: &str, watch: Watch, times: Times) -> EndpointReport {
    EndpointReport {
        account: "main".to_owned(),
        id: id.to_owned(),
        username: format!("user{id}"),
        alias: alias.to_owned(),
        group: "desk".to_owned(),
        watch: Some(watch),
        times,
        changes: 7,
        times_flapping: 1,
    }
}

fn report() -> Report {
    let outage = LoggedOutage {
        account: "main".to_owned(),
        scope: Some("desk".to_owned()),
        started_at: at(5),
        ended_at: None,
        endpoints: 9,
        lost: 8,
        is_usual: false,
        is_major: true,
    };
    Report {
        wanted: period(-1000, 100),
        covered: period(0, 100),
        accounts: vec![AccountReport {
            name: "main".to_owned(),
            known: Duration::from_secs(90),
            unknown: vec![UnknownSpan {
                period: period(10, 20),
                why: Why::Failing,
            }],
        }],
        groups: vec![GroupReport {
            account: "main".to_owned(),
            name: "desk".to_owned(),
            watch: Some(Watch::Page),
            endpoints: 3,
            times: times(200, 70, 30),
        }],
        endpoints: vec![
            endpoint_report("1", "good", Watch::Page, times(90, 0, 10)),
            endpoint_report("2", "a <b>, \"c\"\u{1b}[0m", Watch::Page, times(60, 30, 10)),
            endpoint_report("3", "spare", Watch::Ignore, times(0, 90, 10)),
        ],
        outages: vec![outage],
    }
}

#[test]
fn the_table_has_the_period_what_is_unknown_and_the_worst() {
    let shown = text(&report());
    for line in [
        "Covered: 2026-10-25T00:55:00Z to 2026-10-25T00:56:40Z, because the event log has nothing older.",
        "Available: 74.074 % (registered 3 min 20 s, unregistered 1 min 10 s, unknown 30 s).",
        "  main     10 s  2026-10-25T00:55:10Z  2026-10-25T00:55:20Z  no walk succeeded",
        "  66.666 %   1 min       30 s          10 s     main     desk   2   a <b>, \"c\"\u{fffd}[0m",
        "  2026-10-25T00:55:05Z  open   9          8                major  main     desk",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line}\nin {shown}");
    }
    let worst = shown.split("Worst endpoints").nth(1).unwrap();
    let worst = worst.split("Outages").next().unwrap();
    assert!(
        !worst.contains("good") && !worst.contains("spare"),
        "{worst}"
    );
}

#[test]
fn a_period_before_the_log_is_not_covered() {
    let (covered, mut report) = (period(-900, -900), report());
    (report.wanted, report.covered) = (period(-1000, -900), covered);
    let shown = text(&report);
    assert!(
        shown.contains("\nCovered: nothing, because the event log begins later.\n"),
        "{shown}"
    );
}

#[test]
fn the_rows_have_every_endpoint() {
    let rows = csv(&report());
    let mut lines = rows.split('\n');
    let header = "account,endpoint_id,username,alias,group,watch,availability,registered_seconds,\
        unregistered_seconds,unknown_seconds,changes,times_flapping";
    assert_eq!(lines.next(), Some(header));
    assert_eq!(
        lines.next(),
        Some("main,1,user1,good,desk,page,1.000000,90,0,10,7,1")
    );
    let quoted = "main,2,user2,\"a <b>, \"\"c\"\"\u{1b}[0m\",desk,page,0.666667,60,30,10,7,1";
    assert_eq!(lines.next(), Some(quoted));
}

#[test]
fn the_page_needs_nothing_else_and_escapes_names() {
    let page = html(&report());
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"),
        "{page}"
    );
    assert!(page.contains("a &#60;b&#62;"), "{page}");
    for other in ["<script", "src=", "href=", "url("] {
        assert!(!page.contains(other), "{other}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}
