//! Tests of the log lines about the condition of an account.

use std::time::Duration;

use tokio::time::sleep;

use super::list::{Fixture, List, account, fault};
use crate::{
    api::ErrorKind,
    telemetry::logs::{Captured, Format, Level},
    walk::log_condition_changes,
};

/// The level, the new condition and the former condition of each log line about a changed condition.
fn changes(log: &Captured) -> Vec<[String; 3]> {
    let text = log.text();
    let lines = text
        .lines()
        .filter(|line| line.contains("condition of the account has changed\" account=main "));
    let field = |line: &str, name: &str| {
        let (_, value) = line.split_once(&format!(" {name}=")).unwrap();
        value.split(' ').next().unwrap().to_owned()
    };
    let changes = lines.map(|line| ["level", "condition", "before"].map(|name| field(line, name)));
    changes.collect()
}

/// Lets the task that logs the changes run.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn each_change_of_the_condition_is_logged_also_by_the_clock() {
    let log = Captured::default();
    let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::INFO, Format::Logfmt));
    let list = List::of(45);
    let mut fixture = Fixture::new(&list, account());
    tokio::spawn(log_condition_changes(fixture.reader.clone()));
    for failed in [ErrorKind::Malformed, ErrorKind::Malformed] {
        list.state().faults = [Some(fault(failed))].into();
        fixture.poller.walk().await.unwrap_err();
        settle().await;
    }
    fixture.poller.walk().await.unwrap();
    sleep(Duration::from_secs(299)).await;
    list.state().faults = [Some(fault(ErrorKind::Auth))].into();
    fixture.poller.walk().await.unwrap_err();
    sleep(Duration::from_secs(2)).await;
    list.state().faults = [Some(fault(ErrorKind::Forbidden))].into();
    fixture.poller.walk().await.unwrap_err();
    settle().await;
    fixture.poller.walk().await.unwrap();
    settle().await;
    // The poller has ended, so only the clock changes the condition.
    drop(fixture.poller);
    sleep(Duration::from_secs(301)).await;
    let expected = [
        ["warn", "never", "starting"],
        ["info", "ok", "never"],
        ["warn", "stale", "ok"],
        ["warn", "withdrawn", "stale"],
        ["warn", "refused", "withdrawn"],
        ["info", "ok", "refused"],
        ["warn", "stale", "ok"],
        ["warn", "withdrawn", "stale"],
    ];
    assert_eq!(changes(&log), expected);
}

#[tokio::test(start_paused = true)]
async fn the_condition_of_a_good_start_is_not_logged() {
    let log = Captured::default();
    let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::INFO, Format::Logfmt));
    let list = List::of(45);
    let mut fixture = Fixture::new(&list, account());
    // The function reads the first condition at its call, so that no change before its first poll is missed.
    let logging = log_condition_changes(fixture.reader.clone());
    fixture.poller.walk().await.unwrap();
    tokio::spawn(logging);
    settle().await;
    fixture.poller.walk().await.unwrap();
    settle().await;
    assert_eq!(changes(&log), [[""; 3]; 0]);
}
