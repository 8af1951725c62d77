//! The parameters of requests. Unknown, repeated, empty and wrong ones are errors that name the parameter.

use std::{borrow::Cow, collections::HashSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, de::DeserializeOwned};
use url::form_urlencoded;

use super::Refusal;
use crate::config::Watch;

/// The number of items of a page without the parameter `limit`.
const DEFAULT_LIMIT: usize = 100;
/// The maximum number of items of a page.
pub(super) const MAX_LIMIT: usize = 1000;
/// The maximum length of a text, in characters.
const LONGEST: usize = 600;

/// The parameters of every list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Paging {
    /// Maximum number of items: 100 by default. With CSV, all items by default.
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<Text>,
    /// Format of the answer: `json` by default.
    format: Option<Format>,
}

impl Paging {
    /// The names of the parameters.
    const NAMES: [&str; 3] = ["limit", "cursor", "format"];

    /// The maximum number of items of a page.
    pub(super) fn limit(&self) -> usize {
        self.given_limit().unwrap_or(DEFAULT_LIMIT)
    }

    /// The limit of the request, if it has one.
    pub(super) fn given_limit(&self) -> Option<usize> {
        self.limit.map(|limit| usize::from(limit.0))
    }

    pub(super) fn is_csv(&self) -> bool {
        self.format == Some(Format::Csv)
    }
}

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Format {
    Json,
    Csv,
}

/// The importance of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum WantedWatch {
    Page,
    Notice,
    Ignore,
}

impl From<WantedWatch> for Watch {
    fn from(watch: WantedWatch) -> Self {
        match watch {
            WantedWatch::Page => Self::Page,
            WantedWatch::Notice => Self::Notice,
            WantedWatch::Ignore => Self::Ignore,
        }
    }
}

/// A number of items from 1 to 1000.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Limit(u16);

impl TryFrom<String> for Limit {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_number);
        let number = number.filter(|number| (1..=MAX_LIMIT).contains(&usize::from(*number)));
        number.map(Self).ok_or("must be from 1 to 1000")
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT})
    }
}

/// True or false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Flag(pub(super) bool);

impl TryFrom<String> for Flag {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|_| "must be true or false")
    }
}

impl JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "boolean"})
    }
}

/// A text of at most 600 characters. An empty parameter is an error before.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text(pub(super) String);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_short = text.chars().count() <= LONGEST;
        is_short
            .then_some(Self(text))
            .ok_or("must have at most 600 characters")
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": LONGEST})
    }
}

/// The text of a parameter, or "".
pub(super) fn text(parameter: Option<&Text>) -> String {
    parameter.map(|text| text.0.clone()).unwrap_or_default()
}

/// Reads the parameters of a list.
pub(super) fn with_paging<Q: DeserializeOwned>(query: &str) -> Result<(Paging, Q), Refusal> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let (paging, own): (Vec<_>, Vec<_>) =
        pairs.partition(|(name, _)| Paging::NAMES.contains(&&**name));
    let joined = |pairs: Vec<(Cow<'_, str>, Cow<'_, str>)>| {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(pairs).finish()
    };
    Ok((read(&joined(paging))?, read(&joined(own))?))
}

/// Reads all parameters of a query.
pub(super) fn read<Q: DeserializeOwned>(query: &str) -> Result<Q, Refusal> {
    let mut names = HashSet::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if value.is_empty() {
            let problem = format!("the parameter {name} is empty; leave it out");
            return Err(Refusal::BadRequest(problem));
        }
        if !names.insert(name.clone()) {
            let problem = format!("the parameter {name} is given twice");
            return Err(Refusal::BadRequest(problem));
        }
    }
    let pairs = form_urlencoded::parse(query.as_bytes());
    let values = serde_html_form::Deserializer::new(pairs);
    serde_path_to_error::deserialize(values).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        Refusal::BadRequest(match &*path {
            "." => format!("a parameter is wrong: {reason}"),
            name => format!("the parameter {name} is wrong: {reason}"),
        })
    })
}

/// Checks the query of a path without parameters.
pub(super) fn none(query: &str) -> Result<(), Refusal> {
    match form_urlencoded::parse(query.as_bytes()).next() {
        Some((name, _)) => Err(Refusal::BadRequest(format!(
            "this path has no parameter {name}"
        ))),
        None => Ok(()),
    }
}
