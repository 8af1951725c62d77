//! Tests of a poller that gets new settings while it runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::list::{List, START, account, count, fault};
use crate::{
    api::{ErrorKind, RateLimiter},
    clock::Clock,
    config::{self, Account, ApiToken, DetailMode, Optional},
    shutdown::CancellationToken,
    snapshot::{AccountState, Reader},
    telemetry::Instruments,
    walk::{NewSettings, Poller, PollerDeps, SettingsSender},
};

/// A running poller whose account is polled every minute.
struct Running {
    account: Account,
    list: Arc<List>,
    limiter: Arc<RateLimiter>,
    instruments: Instruments,
    reader: Reader,
    sender: SettingsSender<List>,
    started: Instant,
    task: JoinHandle<()>,
}

impl Running {
    fn start(list: &Arc<List>) -> Self {
        Self::polling(account(), list)
    }

    fn polling(account: Account, list: &Arc<List>) -> Self {
        let (instruments, limiter) = (Instruments::new(), Arc::new(RateLimiter::new(None, 32)));
        let deps = PollerDeps {
            clock: Clock::anchored(START),
            instruments: instruments.account("main"),
            limiter: Arc::clone(&limiter),
        };
        let (mut poller, reader) =
            Poller::new(account.clone(), Arc::clone(list), deps, Duration::ZERO);
        let sender = poller.settings_sender();
        Self {
            account,
            list: Arc::clone(list),
            limiter,
            instruments,
            reader,
            sender,
            started: Instant::now(),
            task: tokio::spawn(poller.run(CancellationToken::new())),
        }
    }

    /// Gives the poller changed settings.
    fn change(&mut self, change: impl FnOnce(&mut Account)) {
        change(&mut self.account);
        self.sender.send_replace(Some(Arc::new(NewSettings {
            account: self.account.clone(),
            source: Arc::clone(&self.list),
            limiter: Arc::clone(&self.limiter),
        })));
    }

    /// Waits until this many seconds after the start.
    async fn at(&self, seconds: u64) -> Arc<AccountState> {
        sleep_until(self.started + Duration::from_secs(seconds)).await;
        self.reader.borrow().clone()
    }

    /// The seconds from the start to each request for the list.
    fn requests(&self) -> Vec<u64> {
        let state = self.list.state();
        let requests = state.requests.iter();
        requests
            .map(|(_, at)| (*at - self.started).as_secs())
            .collect()
    }

    /// The number of endpoints by group.
    fn groups(state: &AccountState) -> BTreeMap<String, usize> {
        let mut groups = BTreeMap::new();
        for endpoint in state.snapshot.as_ref().unwrap().endpoints() {
            let group = endpoint
                .group
                .map(|index| &state.shown.groups[usize::from(index)].name);
            *groups
                .entry(group.cloned().unwrap_or_default())
                .or_default() += 1;
        }
        groups
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Groups of endpoints by the first digit of their alias.
fn groups(digits: &str) -> Vec<config::Group> {
    let group = |digit| format!("{{name: g{digit}, match: {{alias: '{digit}.*'}}}}");
    let groups: Vec<_> = digits.chars().map(group).collect();
    let yaml = format!(
        "accounts: [{{name: main, auth_id: a, auth_token: t, groups: [{}]}}]",
        groups.join(", ")
    );
    let mut config = config::load_yaml(&yaml, &[]).unwrap().config;
    config.accounts.remove(0).groups
}

/// A list of 30 endpoints whose alias is their id.
fn list() -> Arc<List> {
    let list = List::of(30);
    for row in &mut list.state().rows {
        row.alias = Some(row.id.clone());
    }
    list
}

#[tokio::test(start_paused = true)]
async fn new_groups_and_shown_values_need_no_walk() {
    let mut running = Running::start(&list());
    let before = running.at(10).await;
    assert_eq!(
        Running::groups(&before),
        BTreeMap::from([(String::new(), 30)])
    );
    running.change(|account| {
        account.groups = groups("12");
        account.metrics.username = false;
        account.metrics.groups.insert(Optional::Timestamps);
        account
            .applications
            .insert("7".to_owned(), "Sales".to_owned());
    });
    let state = running.at(11).await;
    let expected =
        [("", 8), ("g1", 11), ("g2", 11)].map(|(name, number)| (name.to_owned(), number));
    assert_eq!(Running::groups(&state), BTreeMap::from(expected));
    assert!(!state.shown.username && state.shown.timestamps);
    assert_eq!(state.shown.applications["7"], "Sales");
    assert_eq!(state.last_success, before.last_success);
    // The next walk starts as planned, and its endpoints have the new groups.
    let state = running.at(100).await;
    assert_eq!(running.requests().len(), 2);
    assert!(
        (60..=66).contains(&running.requests()[1]),
        "{:?}",
        running.requests()
    );
    assert_eq!(Running::groups(&state)["g1"], 11);
    running.change(|account| account.groups = groups("2"));
    let state = running.at(101).await;
    assert_eq!(Running::groups(&state)["g2"], 11);
    assert_eq!(Running::groups(&state)[""], 19);
}

#[tokio::test(start_paused = true)]
async fn other_settings_cause_a_walk_at_once_and_keep_counters_and_histories() {
    let mut running = Running::start(&list());
    let before = running.at(10).await;
    running.change(|account| account.token = ApiToken::Inline("second".to_owned().into()));
    let state = running.at(11).await;
    assert_eq!(running.requests(), [0, 10]);
    assert_ne!(state.last_success, before.last_success);
    running.change(|account| account.poll.interval = Duration::from_secs(20));
    let state = running.at(12).await;
    assert_eq!(running.requests(), [0, 10, 11]);
    assert_eq!(state.poll_interval, Duration::from_secs(20));
    running.at(120).await;
    let gaps: Vec<_> = running
        .requests()
        .windows(2)
        .skip(2)
        .map(|pair| pair[1] - pair[0])
        .collect();
    assert!(
        gaps.len() >= 4 && gaps.iter().all(|gap| (17..=23).contains(gap)),
        "{gaps:?}"
    );
    let walks = count(&running.instruments, "vobiz_walks_total", "main");
    assert_eq!(walks, running.requests().len() as u64);
    let times = |state: &AccountState| {
        let snapshot = state.snapshot.as_ref().unwrap();
        let history = snapshot.endpoint("1").unwrap().history;
        (history.since, history.first_seen)
    };
    assert_eq!(times(&before), times(&state));
}

#[tokio::test(start_paused = true)]
async fn a_walk_with_earlier_credentials_is_given_up() {
    let list = list();
    list.state().page_latency = Some(Duration::from_secs(40));
    let mut running = Running::start(&list);
    running.at(10).await;
    list.state().page_latency = None;
    running.change(|account| account.auth_id = "MA_OTHER".to_owned());
    let state = running.at(11).await;
    assert_eq!(running.requests(), [0, 10]);
    assert_eq!((state.up, state.failure), (Some(true), None));
    // The first walk would have ended now.
    running.at(50).await;
    assert_eq!(
        count(&running.instruments, "vobiz_walk_failures_total", "main"),
        0
    );
    assert_eq!(running.requests(), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn settings_that_change_back_or_do_not_differ_cause_no_walk() {
    let mut running = Running::start(&list());
    running.at(10).await;
    running.change(|_| ());
    running.change(|account| account.poll.flip_share = 0.9);
    running.change(|account| account.poll.flip_share = 0.5);
    running.at(50).await;
    assert_eq!(running.requests(), [0]);
    running.at(70).await;
    assert_eq!(running.requests().len(), 2, "the schedule goes on");
}

#[tokio::test(start_paused = true)]
async fn groups_that_change_during_a_walk_are_shown_before_its_end() {
    let list = list();
    let mut running = Running::start(&list);
    running.at(10).await;
    list.state().page_latency = Some(Duration::from_secs(30));
    running.at(75).await;
    assert_eq!(running.requests().len(), 2);
    running.change(|account| account.groups = groups("1"));
    let state = running.at(76).await;
    assert_eq!(Running::groups(&state)["g1"], 11);
    let state = running.at(110).await;
    assert_eq!(Running::groups(&state)["g1"], 11);
    assert_eq!(
        running.requests().len(),
        2,
        "the walk was not started again"
    );
    assert_eq!(count(&running.instruments, "vobiz_walks_total", "main"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_vendor_outlasts_new_settings() {
    let list = list();
    let mut limited = fault(ErrorKind::RateLimited);
    limited.retry_after = Some(Duration::from_secs(120));
    list.state().faults = [Some(limited)].into();
    let mut running = Running::start(&list);
    running.at(10).await;
    running.change(|account| account.poll.interval = Duration::from_secs(30));
    running.at(100).await;
    assert_eq!(running.requests(), [0]);
    let state = running.at(130).await;
    assert_eq!(running.requests(), [0, 120]);
    assert_eq!(state.up, Some(true));
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_replaced_without_the_wait_after_refusals() {
    let list = list();
    list.state().wanted_token = Some("second".to_owned());
    let mut running = Running::start(&list);
    running.at(300).await;
    let refused = running.requests().len();
    list.state().wanted_token = None;
    running.change(|account| account.token = ApiToken::Inline("second".to_owned().into()));
    let state = running.at(301).await;
    assert_eq!(running.requests().len(), refused + 1);
    assert_eq!(state.up, Some(true));
}

#[tokio::test(start_paused = true)]
async fn an_account_without_a_first_walk_takes_new_settings() {
    let list = list();
    list.state().faults = vec![Some(fault(ErrorKind::Forbidden))].into();
    let mut running = Running::start(&list);
    running.at(5).await;
    running.change(|account| account.groups = groups("1"));
    sleep(Duration::from_secs(1)).await;
    assert!(running.reader.borrow().snapshot.is_none());
    running
        .change(|account| account.filter = [("alias__contains".to_owned(), "1".to_owned())].into());
    let state = running.at(7).await;
    assert_eq!(Running::groups(&state)["g1"], 11);
}

#[tokio::test(start_paused = true)]
async fn details_that_took_an_hour_outlast_new_settings() {
    let list = List::of(3_000);
    let mut wanting = account();
    wanting.details.mode = DetailMode::Always;
    let mut running = Running::polling(wanting, &list);
    let before = running.at(3_600).await;
    assert!(before.details.len() > 2_500, "{}", before.details.len());
    running.change(|account| account.api.retries = 1);
    let state = running.at(3_630).await;
    assert_ne!(state.last_success, before.last_success);
    assert!(
        state.details.len() >= before.details.len(),
        "{}",
        state.details.len()
    );
}
