//! The description of the interface: an `OpenAPI` 3.1 document, made from the types of the parameters and answers.

use bytes::Bytes;
use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, transform::RecursiveTransform,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    accounts_and_groups::{Accounts, Groups},
    endpoints::{Detail, Endpoints},
    events::Events,
    list::{List, Page},
    outages::Outages,
    parameters::Paging,
    walks::Walks,
};

/// The place of the schemas in the document.
const SCHEMAS: &str = "/components/schemas";
const PROBLEM: &str = "application/problem+json";

/// An error, as in RFC 9457.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong, for people.
    detail: String,
}

impl Problem {
    /// The problem with this status, name of the status, and explanation for people.
    pub fn new(status: u16, title: &str, detail: &str) -> Self {
        Self {
            kind: "about:blank",
            title: title.to_owned(),
            status,
            detail: detail.to_owned(),
        }
    }

    /// The problem as JSON.
    pub fn json(&self) -> Bytes {
        // A struct of texts and numbers is always JSON.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// The document. `base` is the path of the interface.
pub(super) fn document(base: &str) -> Bytes {
    let mut answers = generator(SchemaSettings::for_serialize);
    let mut paths = Map::new();
    add_list::<Accounts>(&mut paths, &mut answers);
    add_list::<Groups>(&mut paths, &mut answers);
    add_list::<Endpoints>(&mut paths, &mut answers);
    add_list::<Outages>(&mut paths, &mut answers);
    add_list::<Events>(&mut paths, &mut answers);
    add_list::<Walks>(&mut paths, &mut answers);
    let detail = answers.subschema_for::<Detail>();
    paths.insert(
        "/endpoints/{account}/{id}".to_owned(),
        one_endpoint(&detail),
    );
    paths.insert("/openapi.json".to_owned(), this_document());
    let _ = answers.subschema_for::<Problem>();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "vobiz-exporter",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The registration of the SIP endpoints of Vobiz accounts, and what follows from it.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {"schemas": answers.take_definitions(true)},
    });
    document.to_string().into()
}

/// A generator of schemas for one direction: of parameters or of answers.
fn generator(direction: impl Fn(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    let mut settings = direction(SchemaSettings::default());
    settings.definitions_path = SCHEMAS.into();
    settings.meta_schema = None;
    let closed = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("properties").is_some() {
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    });
    settings.with_transform(closed).into_generator()
}

fn add_list<L: List>(paths: &mut Map<String, Value>, answers: &mut SchemaGenerator) {
    let mut parameters = parameters::<L::Query>();
    parameters.extend(self::parameters::<Paging>());
    let cursor = parameters.iter_mut().find(|one| one["name"] == "cursor");
    if let Some(cursor) = cursor {
        cursor["schema"]["pattern"] = json!(L::CURSOR);
    }
    let schema = answers.subschema_for::<Page<L::Item>>();
    let mut responses = responses(&schema, &["400", "404", "503"]);
    responses["200"]["content"]["text/csv"] = json!({"schema": {"type": "string"}});
    let operation = json!({
        "operationId": L::PATH.trim_start_matches('/'),
        "summary": L::SUMMARY,
        "parameters": parameters,
        "responses": responses,
    });
    paths.insert(L::PATH.to_owned(), json!({"get": operation}));
}

fn one_endpoint(schema: &Schema) -> Value {
    let parameter = |name: &str, description: &str| {
        json!({
            "name": name, "in": "path", "required": true, "description": description,
            "schema": {"type": "string", "minLength": 1},
        })
    };
    json!({"get": {
        "operationId": "endpoint",
        "summary": "One endpoint, and what decides about it",
        "parameters": [
            parameter("account", "Name of the account."),
            parameter("id", "Id of the endpoint."),
        ],
        "responses": responses(schema, &["400", "404", "503"]),
    }})
}

fn this_document() -> Value {
    json!({"get": {
        "operationId": "openapi",
        "summary": "This document",
        "responses": responses(&Schema::from(Map::from_iter([("type".to_owned(), json!("object"))])), &["400"]),
    }})
}

/// The responses of an operation: JSON with this schema, and problems with these statuses.
fn responses(schema: &Schema, problems: &[&str]) -> Value {
    let etag = json!({"ETag": {
        "description": "Changes with the content. `If-None-Match` with this value gives status 304.",
        "schema": {"type": "string"},
    }});
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The answer",
            "headers": etag,
            "content": {"application/json": {"schema": schema}},
        }),
    );
    responses.insert("304".to_owned(), json!({"description": "Not changed"}));
    let descriptions = [
        ("400", "A parameter is wrong"),
        (
            "404",
            "No such account or endpoint, or `web.pages` hides it",
        ),
        (
            "401",
            "A password is missing or wrong (see the web configuration)",
        ),
        ("405", "Only GET and HEAD"),
        ("429", "Too many requests (see the web configuration)"),
        ("500", "A fault of the exporter"),
        ("503", "Too many requests at the same time, or not ready"),
    ];
    for (status, description) in descriptions {
        let is_of_all = ["401", "405", "429", "500"].contains(&status);
        if is_of_all || problems.contains(&status) {
            let schema = json!({"$ref": format!("#{SCHEMAS}/Problem")});
            let content = json!({PROBLEM: {"schema": schema}});
            let response = json!({"description": description, "content": content});
            responses.insert(status.to_owned(), response);
        }
    }
    Value::Object(responses)
}

/// The parameters of a query, one for each field of `Q`.
fn parameters<Q: JsonSchema>() -> Vec<Value> {
    let mut generator = generator(SchemaSettings::for_deserialize);
    let schema = Q::json_schema(&mut generator);
    let fields = schema.get("properties").and_then(Value::as_object);
    let mut parameters = Vec::new();
    for (name, field) in fields.into_iter().flatten() {
        let mut schema = without_null(field.clone());
        let description = schema.as_object_mut().and_then(|schema| {
            schema.remove("default");
            schema.remove("description")
        });
        parameters.push(json!({
            "name": name, "in": "query", "required": false,
            "description": description, "schema": schema,
        }));
    }
    parameters
}

/// The schema of an optional field without the value `null`, which a query cannot have.
fn without_null(mut schema: Value) -> Value {
    let is_null = |one: &Value| *one == json!("null") || one.get("type") == Some(&json!("null"));
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|one| !is_null(one));
        if let [only] = &types[..] {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|one| !one.is_null());
    }
    let choices = schema.get("anyOf").and_then(Value::as_array).cloned();
    if let Some(choices) = choices {
        let mut choices = choices.into_iter().filter(|one| !is_null(one));
        let description = schema.get("description").cloned();
        if let Some(mut only) = choices.next() {
            if let (Some(only), Some(description)) = (only.as_object_mut(), description) {
                only.insert("description".to_owned(), description);
            }
            return only;
        }
    }
    schema
}
