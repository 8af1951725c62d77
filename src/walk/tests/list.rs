//! A source of pages in memory: a list that a test can edit between two requests.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::{
    api::{Endpoint, Error, ErrorKind, Page, RateLimiter, Rejection, Row, RowKey},
    clock::{Clock, UnixMillis},
    config::{Account, Api, ApiToken, DetailMode, Details, Metrics, Poll},
    snapshot::Reader,
    telemetry::Instruments,
    walk::{Poller, PollerDeps, Source},
};

/// The wall time at the start of every test.
pub(super) const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// The value of `total_count`, relative to the number of rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Total {
    Right,
    Off(i64),
    Missing,
}

/// A function that returns the response to a retrieve request. Its argument is the endpoint's row, if present.
pub(super) type Record = Box<dyn FnMut(Option<&Endpoint>) -> Result<Endpoint, Error> + Send>;

/// A function that edits the rows before the list sends a page.
pub(super) type Edit = Box<dyn FnMut(&mut Vec<Endpoint>) + Send>;

pub(super) struct State {
    pub(super) rows: Vec<Endpoint>,
    /// The ids of rows that pages contain as rejected rows, as if their JSON were not an object.
    pub(super) broken: Vec<String>,
    pub(super) total: Total,
    pub(super) clamp: u32,
    pub(super) ignores_offset: bool,
    /// If set, the offset is rounded down to a multiple of this number.
    pub(super) rounds_offset: Option<usize>,
    pub(super) shuffles: bool,
    /// The results of the next list requests: an error, or `None` for a page.
    pub(super) faults: VecDeque<Option<Error>>,
    pub(super) edit: Option<Edit>,
    pub(super) latency: Box<dyn FnMut() -> Duration + Send>,
    /// The latency of list pages, if it differs from the latency of other requests.
    pub(super) page_latency: Option<Duration>,
    /// The offset and the time of every list request.
    pub(super) requests: Vec<(u64, Instant)>,
    /// The readable rows of every response, if a test collects them.
    pub(super) served: Option<Vec<Endpoint>>,
    /// The id and the time of every retrieve request.
    pub(super) retrieved: Vec<(String, Instant)>,
    /// The response to retrieve requests. If it is `None`, the list responds with the row of the endpoint.
    pub(super) record: Option<Record>,
    pub(super) token: String,
    pub(super) wanted_token: Option<String>,
}

pub(super) struct List(Mutex<State>);

pub(super) fn endpoint(id: u64, registered: bool) -> Endpoint {
    Endpoint {
        id: id.to_string(),
        registered: Some(registered),
        ..Endpoint::default()
    }
}

pub(super) fn fault(kind: ErrorKind) -> Error {
    let message = "fault on order".to_owned();
    Error {
        kind,
        status: match kind {
            ErrorKind::RateLimited => Some(429),
            ErrorKind::ServerError => Some(500),
            _ => None,
        },
        message,
        retry_after: None,
    }
}

impl List {
    /// Creates a list of `count` registered endpoints with the ids 0 to `count - 1`.
    pub(super) fn of(count: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            rows: (0..count).map(|id| endpoint(id, true)).collect(),
            broken: Vec::new(),
            total: Total::Right,
            clamp: 100,
            ignores_offset: false,
            rounds_offset: None,
            shuffles: false,
            faults: VecDeque::new(),
            edit: None,
            latency: Box::new(|| Duration::from_millis(20)),
            page_latency: None,
            requests: Vec::new(),
            served: None,
            retrieved: Vec::new(),
            record: None,
            token: String::new(),
            wanted_token: None,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // The functions `edit` and `record` can panic on purpose and poison the mutex. The list stays usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_registered(&self, range: std::ops::Range<usize>, registered: bool) {
        for row in &mut self.state().rows[range] {
            row.registered = Some(registered);
        }
    }

    /// Replaces the row at `to` by a copy of the row at `from`.
    pub(super) fn copy_row(&self, from: usize, to: usize) {
        let mut state = self.state();
        state.rows[to] = state.rows[from].clone();
    }

    /// The offsets of the list requests since the last call.
    pub(super) fn take_offsets(&self) -> Vec<u64> {
        self.state()
            .requests
            .drain(..)
            .map(|(offset, _)| offset)
            .collect()
    }
}

impl Source for List {
    async fn page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        let latency = {
            let mut state = self.state();
            state.requests.push((offset, Instant::now()));
            let latency = (state.latency)();
            state.page_latency.unwrap_or(latency)
        };
        sleep(latency).await;
        let mut state = self.state();
        if state
            .wanted_token
            .as_ref()
            .is_some_and(|wanted| *wanted != state.token)
        {
            return Err(fault(ErrorKind::Auth));
        }
        if let Some(Some(fault)) = state.faults.pop_front() {
            return Err(fault);
        }
        if let Some(mut edit) = state.edit.take() {
            edit(&mut state.rows);
            state.edit = Some(edit);
        }
        if state.shuffles {
            fastrand::shuffle(&mut state.rows);
        }
        let offset = usize::try_from(offset).unwrap();
        let offset = match state.rounds_offset {
            _ if state.ignores_offset => 0,
            Some(whole) => offset / whole * whole,
            None => offset,
        };
        let rows: Vec<Row> = (state.rows.iter().skip(offset))
            .take(limit.min(state.clamp) as usize)
            .map(|endpoint| row(endpoint, &state.broken))
            .collect();
        if let Some(served) = &mut state.served {
            let readable = rows.iter().filter_map(|row| row.content.as_ref().ok());
            served.extend(readable.cloned());
        }
        let count = i64::try_from(state.rows.len()).unwrap();
        let total = match state.total {
            Total::Right => Some(count),
            Total::Off(by) => Some(count + by),
            Total::Missing => None,
        };
        let total = total.map(|total| u64::try_from(total).unwrap());
        Ok(Page {
            rows,
            total,
            clock_offset: None,
        })
    }

    async fn endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        let latency = {
            let mut state = self.state();
            state.retrieved.push((id.to_owned(), Instant::now()));
            (state.latency)()
        };
        sleep(latency).await;
        let mut state = self.state();
        let row = state.rows.iter().find(|row| row.id == id).cloned();
        match state.record.take() {
            Some(mut record) => {
                let answer = record(row.as_ref());
                state.record = Some(record);
                answer
            }
            None => row.ok_or_else(|| fault(ErrorKind::NotFound)),
        }
    }

    fn set_token(&self, token: SecretString) {
        self.state().token = token.expose_secret().to_owned();
    }
}

fn row(endpoint: &Endpoint, broken: &[String]) -> Row {
    let mut hasher = DefaultHasher::new();
    endpoint.id.hash(&mut hasher);
    let content = if broken.contains(&endpoint.id) {
        Err(Rejection::NotAnObject)
    } else {
        Ok(endpoint.clone())
    };
    Row {
        key: RowKey(hasher.finish()),
        content,
    }
}

/// An account without rate limit, details and optional metrics. Other settings except the URL are defaults.
pub(super) fn account() -> Account {
    Account {
        name: "main".to_owned(),
        auth_id: "MA_TEST".to_owned(),
        token: ApiToken::Inline("first".to_owned().into()),
        filter: BTreeMap::new(),
        poll: Poll {
            interval: Duration::from_secs(60),
            max_age: Duration::from_secs(300),
            deadline: Duration::from_secs(50),
            flip_share: 0.5,
        },
        api: Api {
            base_url: Url::parse("http://127.0.0.1/api/v1").unwrap(),
            allow_insecure_http: false,
            page_size: 100,
            concurrency: 2,
            requests_per_second: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            max_page_bytes: 8 << 20,
            retries: 3,
            proxy_url: None,
            ca_file: None,
        },
        details: Details {
            mode: DetailMode::Never,
            requests_per_minute: 60.0,
            max_age: Duration::from_secs(600),
        },
        metrics: Metrics {
            groups: [].into(),
            username: true,
        },
        outage: crate::config::Outage {
            window: None,
            min_endpoints: 5,
            share: 0.25,
        },
        groups: Vec::new(),
        applications: [].into(),
    }
}

/// A poller of a list, its instruments, and a reader of the published states.
pub(super) struct Fixture {
    pub(super) poller: Poller<List>,
    pub(super) reader: Reader,
    pub(super) instruments: Instruments,
}

impl Fixture {
    pub(super) fn new(list: &Arc<List>, account: Account) -> Self {
        let rate = account.api.requests_per_second;
        let limiter = RateLimiter::new(rate, 32);
        Self::sharing(list, account, Arc::new(limiter))
    }

    /// Creates a fixture with a rate limiter that other pollers also use.
    pub(super) fn sharing(list: &Arc<List>, account: Account, limiter: Arc<RateLimiter>) -> Self {
        let instruments = Instruments::new();
        let deps = PollerDeps {
            clock: Clock::anchored(START),
            instruments: instruments.account(&account.name),
            limiter,
        };
        let (poller, reader) = Poller::new(account, Arc::clone(list), deps, Duration::ZERO);
        Self {
            poller,
            reader,
            instruments,
        }
    }

    /// The sum of the counters of `family` that have the label value `label`, rounded to an integer.
    pub(super) fn count(&self, family: &str, label: &str) -> u64 {
        count(&self.instruments, family, label)
    }
}

/// The sum of the counters of `family` that have the label value `label`, rounded to an integer.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small counts"
)]
pub(super) fn count(instruments: &Instruments, family: &str, label: &str) -> u64 {
    let families = instruments.gather();
    let family = families.iter().find(|one| one.name() == family).unwrap();
    (family.get_metric().iter())
        .filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label))
        .map(|metric| metric.get_counter().get_value().round() as u64)
        .sum()
}
