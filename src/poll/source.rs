//! Where pages and single records come from.

use std::future::Future;

use secrecy::SecretString;

use crate::api::{Client, Endpoint, Error, Page};

/// The vendor, as the stairs see it: [`Client`] in the program, a list in memory in tests of time.
pub trait Source: Send + Sync + 'static {
    /// One attempt to read up to `limit` rows of the list from `offset` on.
    fn page(&self, offset: u64, limit: u32) -> impl Future<Output = Result<Page, Error>> + Send;

    /// One attempt to retrieve the record of one endpoint.
    fn endpoint(&self, id: &str) -> impl Future<Output = Result<Endpoint, Error>> + Send;

    /// From now on, ask with this token.
    fn set_token(&self, token: SecretString);
}

impl Source for Client {
    async fn page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        self.list_page(offset, limit).await
    }

    async fn endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        Client::endpoint(self, id).await
    }

    fn set_token(&self, token: SecretString) {
        Client::set_token(self, token);
    }
}
