//! Where pages come from.

use std::future::Future;

use secrecy::SecretString;

use crate::api::{Client, Error, Page};

/// The vendor, as the stairs see it: [`Client`] in the program, a list in memory in tests of time.
pub trait Source: Send + Sync + 'static {
    /// One attempt to read up to `limit` rows of the list from `offset` on.
    fn page(&self, offset: u64, limit: u32) -> impl Future<Output = Result<Page, Error>> + Send;

    /// From now on, ask with this token.
    fn set_token(&self, token: SecretString);
}

impl Source for Client {
    async fn page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        self.list_page(offset, limit).await
    }

    fn set_token(&self, token: SecretString) {
        Client::set_token(self, token);
    }
}
