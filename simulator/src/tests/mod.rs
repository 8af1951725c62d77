//! Tests of the simulated vendor with an HTTP client, and tests of `World`.

mod credentials;
mod faults;
mod listing;
mod page_faults;
mod running;
mod world;

use std::sync::Once;

use serde_json::Value;

use super::{Fault, Login, Options, TEST_ACCOUNT, Vendor, World};

/// A running simulated vendor, and an HTTP client for it.
struct Setup {
    vendor: Vendor,
    client: reqwest::Client,
}

#[derive(Debug)]
struct ReceivedResponse {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

/// An HTTP client that follows no redirects and decompresses no responses.
fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .no_gzip()
        .build()
        .unwrap()
}

impl Setup {
    async fn of(world: World) -> Self {
        Self::with(world, Options::default()).await
    }

    async fn with(world: World, options: Options) -> Self {
        let vendor = Vendor::start(world, options).await.unwrap();
        Self {
            vendor,
            client: client(),
        }
    }

    /// Starts a simulated vendor with this many endpoints of [`World::still`], and plans the fault.
    async fn faulty(endpoints: usize, fault: Fault) -> Self {
        let setup = Self::of(World::still(endpoints, 1)).await;
        setup.vendor.plan(fault);
        setup
    }

    fn request(&self, path: &str, login: Login) -> reqwest::RequestBuilder {
        self.client
            .get(format!("{}{path}", self.vendor.base_url()))
            .header("X-Auth-ID", login.auth_id)
            .header("X-Auth-Token", login.token)
    }

    async fn get(&self, path: &str) -> ReceivedResponse {
        self.try_get(path).await.unwrap()
    }

    async fn try_get(&self, path: &str) -> reqwest::Result<ReceivedResponse> {
        receive(self.request(path, TEST_ACCOUNT)).await
    }

    /// Requests the list of the test account with this query.
    async fn list(&self, query: &str) -> ReceivedResponse {
        self.get(&list_path(query)).await
    }

    async fn try_list(&self, query: &str) -> reqwest::Result<ReceivedResponse> {
        self.try_get(&list_path(query)).await
    }
}

fn list_path(query: &str) -> String {
    format!("/Account/{}/Endpoint/?{query}", TEST_ACCOUNT.auth_id)
}

async fn receive(request: reqwest::RequestBuilder) -> reqwest::Result<ReceivedResponse> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = response.bytes().await?.to_vec();
    Ok(ReceivedResponse {
        status,
        headers,
        body,
    })
}

impl ReceivedResponse {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn rows(&self) -> Vec<Value> {
        self.json()["objects"].as_array().unwrap().clone()
    }

    /// The endpoint ids of the rows.
    fn ids(&self) -> Vec<String> {
        self.each("endpoint_id")
    }

    /// The values of one text field in all rows.
    fn each(&self, field: &str) -> Vec<String> {
        self.rows()
            .iter()
            .map(|row| row[field].as_str().unwrap().to_owned())
            .collect()
    }

    fn total(&self) -> u64 {
        self.json()["meta"]["total_count"].as_u64().unwrap()
    }
}

fn ids(world: &World) -> Vec<String> {
    world
        .first()
        .endpoints()
        .map(|endpoint| endpoint.id().to_owned())
        .collect()
}
