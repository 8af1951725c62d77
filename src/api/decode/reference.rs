//! References to another resource: an id, a URI that ends in one, or an object that holds one.

use super::json::{Json, integer};

/// The id that a value names, where it is text, a URI or an integer. `Err` is a value that is
/// there and names none; `collection` is the URI's segment before the id, as in
/// `/v1/Account/MA_1/Application/123/`.
pub(super) fn id(value: &Json<'_>, collection: &str) -> Result<Option<String>, NotAReference> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) if text.is_empty() => Ok(None),
        Json::Number(number) if integer(number) => Ok(Some((*number).to_owned())),
        Json::Text(text) if text.contains('/') => last_segment(text, collection).map(Some),
        Json::Text(text) => Ok(Some(text.clone().into_owned())),
        _ => Err(NotAReference),
    }
}

/// A value that should have named something and does not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAReference;

fn last_segment(uri: &str, collection: &str) -> Result<String, NotAReference> {
    uri.rsplit('/')
        .find(|segment| !segment.is_empty())
        .filter(|segment| !segment.eq_ignore_ascii_case(collection))
        .map(str::to_owned)
        .ok_or(NotAReference)
}
