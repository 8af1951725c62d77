//! Tests of the client over real sockets, of every known form of the API's JSON, and of the rate limiter.

#![expect(
    clippy::unnecessary_wraps,
    reason = "expected values are written as the record has them"
)]

mod connections;
mod documents;
mod error_responses;
mod network_errors;
mod pages;
mod rate_limit;
mod requests;
mod rows;
mod server;

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use self::server::{Reply, TestServer, page};
use super::{
    row::{read_endpoint, read_page},
    *,
};
use crate::{
    clock::{Clock, UnixMillis},
    config::{Account, Api, ApiToken, DetailMode, Details, Metrics, Poll},
    telemetry::Instruments,
};

const AUTH_ID: &str = "MA_AUTHID01";
const TOKEN: &str = "t0ken-of-the-account";

/// A client and the instruments that count its requests.
struct Subject {
    client: Client,
    instruments: Instruments,
}

fn account(base_url: &str) -> Account {
    Account {
        name: "main".to_owned(),
        auth_id: AUTH_ID.to_owned(),
        token: ApiToken::Inline(SecretString::from(TOKEN)),
        filter: std::collections::BTreeMap::new(),
        poll: Poll {
            interval: Duration::from_secs(60),
            max_age: Duration::from_secs(300),
            deadline: Duration::from_secs(50),
            flip_share: 0.5,
        },
        api: Api {
            base_url: Url::parse(base_url).unwrap(),
            allow_insecure_http: false,
            page_size: 100,
            concurrency: 2,
            requests_per_second: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            max_page_bytes: 64 * 1024,
            retries: 3,
            proxy_url: None,
            ca_file: None,
        },
        details: Details {
            mode: DetailMode::Auto,
            requests_per_minute: 60.0,
            max_age: Duration::from_secs(600),
        },
        metrics: Metrics {
            groups: std::collections::BTreeSet::new(),
            username: true,
        },
        outage: crate::config::Outage {
            window: None,
            min_endpoints: 5,
            share: 0.25,
        },
        groups: Vec::new(),
        applications: std::collections::BTreeMap::new(),
    }
}

fn subject(account: &Account) -> Subject {
    let instruments = Instruments::new();
    let counted = instruments.account(&account.name);
    Subject {
        client: Transports::default()
            .client(account, counted, Clock::system())
            .unwrap(),
        instruments,
    }
}

/// Sends one list request to a server that always sends `reply`.
async fn ask(reply: Reply) -> (Result<Page, Error>, Subject) {
    let server = TestServer::start(move |_| reply.clone()).await;
    let subject = subject(&account(&server.base_url()));
    let page = subject.client.list_page(0, 100).await;
    if let Err(error) = &page {
        assert_no_credentials(&subject.client, error);
    }
    (page, subject)
}

async fn error_of(reply: Reply) -> Error {
    ask(reply).await.0.unwrap_err()
}

/// Fails if the client or the error shows the token or the auth id, or if the message exceeds 200 characters.
fn assert_no_credentials(client: &Client, error: &Error) {
    for shown in [
        format!("{client:?}"),
        format!("{error:?}"),
        error.to_string(),
    ] {
        assert!(!shown.contains(TOKEN), "{shown}");
        assert!(!shown.contains(AUTH_ID), "{shown}");
    }
    assert!(error.message.chars().count() <= 200, "{}", error.message);
}

impl Subject {
    /// The counted requests, each as `operation code`.
    fn counted(&self) -> Vec<String> {
        let mut counted = Vec::new();
        for family in self.instruments.gather() {
            if family.name() != "vobiz_api_requests_total" {
                continue;
            }
            for metric in family.get_metric() {
                let label = |name: &str| {
                    let mut labels = metric.get_label().iter();
                    labels.find(|pair| pair.name() == name).unwrap().value()
                };
                let mut times = metric.get_counter().get_value();
                let attempt = format!("{} {}", label("operation"), label("code"));
                while times > 0.5 {
                    counted.push(attempt.clone());
                    times -= 1.0;
                }
            }
        }
        counted
    }
}

fn read_record(raw: &str) -> Result<Endpoint, Rejection> {
    read_endpoint(raw)
}

/// Decodes a JSON row that has an id and the members in `rest`. `rest` is empty or begins with a comma.
fn with(rest: &str) -> Endpoint {
    read_record(&format!(r#"{{"endpoint_id":"1"{rest}}}"#)).unwrap()
}

fn at(time: &str) -> Option<UnixMillis> {
    let time: jiff::Timestamp = time.parse().unwrap();
    Some(UnixMillis(time.as_millisecond()))
}

fn application(id: &str, name: Option<&str>) -> Option<Application> {
    Some(Application {
        id: id.to_owned(),
        name: name.map(str::to_owned),
    })
}

fn fields(given: &[Field]) -> Fields {
    let mut fields = Fields::default();
    for field in given {
        fields.insert(*field);
    }
    fields
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}
