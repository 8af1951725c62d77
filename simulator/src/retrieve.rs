//! The response to a retrieve request.

use serde_json::json;

use super::account::Account;
use super::answer::Answer;
use super::shape;
use super::world::api_id;

/// Responds with one endpoint, or with the documented 404. A sub-account (`owner`) can only
/// retrieve its own endpoints.
pub(super) fn retrieve(account: &Account, owner: Option<&str>, id: &str, answer: u64) -> Answer {
    let endpoint = account
        .endpoint(id)
        .filter(|endpoint| owner.is_none() || endpoint.sub_account.as_deref() == owner);
    let Some(endpoint) = endpoint else {
        let body = json!({"error": "Endpoint not found", "endpoint_id": id});
        return Answer::json(404, body.to_string().into_bytes());
    };
    let mut body = Vec::with_capacity(1024);
    shape::detail(&mut body, account, endpoint, &api_id(answer));
    Answer::json(200, body)
}
