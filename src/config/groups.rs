//! The groups of endpoints, and the regular expressions that select the endpoints of each group.
//!
//! All expressions together have one memory limit. The `regex` crate does not give the size of a compiled
//! expression, and cannot anchor a parsed expression. Its engine, the crate `regex_automata`, can do both.

use std::{collections::HashMap, fmt};

use config::ValueKind;
use regex_automata::{
    meta::{self, Regex},
    nfa::thompson::WhichCaptures,
};
use regex_syntax::{
    Error,
    hir::{Hir, Look},
};
use serde::Serialize;

use super::{
    known_keys::Node,
    values::{Names, unique_name},
};
pub use crate::telemetry::labels::Watch;

/// The maximum number of groups of an account. A snapshot stores a group as a number of two bytes.
const MAX_GROUPS: usize = 1000;
/// The `watch` value of a group without the key `watch`.
const DEFAULT_WATCH: Watch = Watch::Notice;
/// The memory limit of all compiled expressions of a configuration together, in bytes.
const MAX_COMPILED: usize = 10_000_000;
const TOO_LARGE: &str = "takes the expressions of all groups above 10 MB of memory; use smaller \
    classes, such as [A-Za-z] instead of \\w, or fewer repetitions";
/// The maximum length of an expression, in bytes. Parsing one byte may use a few thousand bytes of memory.
const MAX_LENGTH: usize = 16 << 10;

/// A group of endpoints, defined by the operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The `group` label.
    pub name: String,
    /// Expressions for the fields of an endpoint. Every expression that is given must match.
    #[serde(rename = "match")]
    pub matches: GroupMatch,
    /// The importance of the group for alerts.
    pub watch: Watch,
}

/// Each expression must match the whole field. At least one field has an expression; `None` matches every text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GroupMatch {
    /// The expression for the alias of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<Pattern>,
    /// The expression for the username of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Pattern>,
    /// The expression for the id of the application; the id is "" without an application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_id: Option<Pattern>,
    /// The expression for the sub-account, which is "" for the main account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_account: Option<Pattern>,
}

/// The valid groups of `account`, in the configured order.
pub(super) fn groups<'t>(account: &Node<'t>, patterns: &mut Patterns) -> Vec<Group> {
    let nodes = account.tables("groups");
    if nodes.len() > MAX_GROUPS {
        let list = account.child("groups");
        list.error(format!("more than {MAX_GROUPS} groups"));
    }
    let mut names = Names::new();
    let read = |node: &Node<'t>| {
        let needs = "needs a `name`: it is the value of the `group` label";
        let hint = "one `match` can hold several expressions, and `a|b` matches either";
        let name = unique_name(node, needs, &mut names, hint);
        let matches = matches(&node.child("match"), patterns);
        let watch = node.get("watch").map_or(Some(DEFAULT_WATCH), |value| {
            value.find(value.text()?, Watch::LABELS, &Watch::ALL)
        });
        Some(Group {
            name: name?,
            matches: matches?,
            watch: watch?,
        })
    };
    nodes.iter().filter_map(read).collect()
}

fn matches(node: &Node<'_>, patterns: &mut Patterns) -> Option<GroupMatch> {
    if node.entries().is_empty() {
        return node.reject(
            "must hold at least one of alias, username, application_id, sub_account; \
             `alias: \".*\"` matches every endpoint",
        );
    }
    let errors = node.diagnostics.error_count();
    let mut expression = |key| pattern(&node.get(key)?, patterns);
    let matches = GroupMatch {
        alias: expression("alias"),
        username: expression("username"),
        application_id: expression("application_id"),
        sub_account: expression("sub_account"),
    };
    (node.diagnostics.error_count() == errors).then_some(matches)
}

fn pattern(node: &Node<'_>, patterns: &mut Patterns) -> Option<Pattern> {
    let text = match node.kind() {
        // An expression may be empty. An empty expression matches only empty text, such as an absent id.
        ValueKind::String(text) => text,
        _ => node.text()?,
    };
    let compiled = patterns.compile(text);
    compiled.unwrap_or_else(|error| node.reject(error))
}

/// The index of the first group whose expressions all match the fields of an endpoint.
///
/// `fields` holds the alias, the username, the id of the application and the sub-account.
pub fn first_match(groups: &[Group], fields: [&str; 4]) -> Option<u16> {
    let first = groups.iter().position(|Group { matches, .. }| {
        let GroupMatch {
            alias,
            username,
            application_id,
            sub_account,
        } = matches;
        let patterns = [alias, username, application_id, sub_account];
        let mut pairs = patterns.into_iter().zip(fields);
        pairs.all(|(pattern, field)| pattern.as_ref().is_none_or(|one| one.is_match(field)))
    });
    u16::try_from(first?).ok()
}

/// A regular expression that must match a whole text.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Pattern {
    text: String,
    #[serde(skip)]
    regex: Regex,
}

impl Pattern {
    /// Whether the expression matches the whole of `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

/// Compiles the expressions of one configuration. Equal expressions are compiled once, because hundreds of
/// accounts may have the same groups.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    compiled: HashMap<String, Pattern>,
    /// The memory of the compiled expressions, in bytes.
    used: usize,
    /// True after an expression exceeded the memory limit. Further expressions are only parsed, to save time.
    is_exceeded: bool,
}

impl Patterns {
    /// Compiles `text`. After the limit is exceeded, a new expression is only parsed, and the result is `None`.
    pub(super) fn compile(&mut self, text: &str) -> Result<Option<Pattern>, String> {
        if let Some(pattern) = self.compiled.get(text) {
            return Ok(Some(pattern.clone()));
        }
        let parsed = parse(text)?;
        if self.is_exceeded {
            return Ok(None);
        }
        let Some(regex) = compile(parsed, MAX_COMPILED - self.used) else {
            self.is_exceeded = true;
            return Err(TOO_LARGE.to_owned());
        };
        self.used += regex.memory_usage();
        let text = text.to_owned();
        let pattern = Pattern { text, regex };
        self.compiled.insert(pattern.text.clone(), pattern.clone());
        Ok(Some(pattern))
    }
}

fn parse(text: &str) -> Result<Hir, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("is longer than {} KiB", MAX_LENGTH >> 10));
    }
    regex_syntax::parse(text).map_err(|error| {
        let (reason, span) = match &error {
            Error::Parse(error) => (error.kind().to_string(), error.span()),
            Error::Translate(error) => (error.kind().to_string(), error.span()),
            _ => return "is not a regular expression".to_owned(),
        };
        let character = 1 + text[..span.start.offset].chars().count();
        format!("the regular expression does not compile at character {character}: {reason}")
    })
}

/// Compiles `parsed` to a `Regex` that matches only whole texts; `None` if it takes more than `limit` bytes.
fn compile(parsed: Hir, limit: usize) -> Option<Regex> {
    let whole = Hir::concat(vec![Hir::look(Look::Start), parsed, Hir::look(Look::End)]);
    // One-pass and dense automata would take most of the memory and make matches only 5 % faster.
    let config = meta::Config::new()
        .nfa_size_limit(Some(limit))
        .which_captures(WhichCaptures::None)
        .onepass(false)
        .dfa(false);
    let regex = Regex::builder().configure(config).build_from_hir(&whole);
    regex.ok().filter(|regex| regex.memory_usage() <= limit)
}

#[cfg(test)]
mod tests {
    use super::Patterns;

    #[test]
    fn an_expression_matches_whole_texts_whatever_stands_in_it() {
        for (text, yes, no) in [
            ("a|ab", "ab", "abc"),
            ("", "", "a"),
            ("(?m)a$", "a", "a\nb"),
            ("(?x)a # comment", "a", "ab"),
        ] {
            let pattern = Patterns::default().compile(text).unwrap().unwrap();
            assert!(pattern.is_match(yes) && !pattern.is_match(no), "{text}");
        }
        assert!(Patterns::default().compile("a)(b").is_err());
    }
}
