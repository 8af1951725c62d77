//! What is read of every shape that rows, envelopes and times have been seen in.

#![expect(
    clippy::unnecessary_wraps,
    reason = "expected values are written as the record has them"
)]

mod documents;
mod pages;
mod rows;

use super::record;
use crate::{
    api::{Application, Endpoint, Field, Fields},
    clock::UnixMillis,
};

/// The record of a row with an id and `rest`, which begins with a comma.
fn with(rest: &str) -> Endpoint {
    record(&format!(r#"{{"endpoint_id":"1"{rest}}}"#)).unwrap()
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
