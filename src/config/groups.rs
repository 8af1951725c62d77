//! The groups of endpoints, and the regular expressions that select the endpoints of each group.
//!
//! All expressions together have one memory limit. The `regex` crate does not give the size of a compiled
//! expression, and cannot anchor a parsed expression. Its engine, the crate `regex_automata`, can do both.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use config::ValueKind;
use regex_automata::{
    meta::{self, Regex},
    nfa::thompson::WhichCaptures,
};
use regex_syntax::{
    Error,
    hir::{Hir, Look},
};
use serde::{Serialize, Serializer};

use super::{
    duty::duty,
    known_keys::Node,
    values::{Names, unique_name},
};
use crate::duty::Duty;
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
/// The maximum number of words in `endpoint_ids` and in `usernames`.
const MAX_WORDS: usize = 100_000;

/// A group of endpoints, defined by the operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The `group` label.
    pub name: String,
    /// The endpoints of the group.
    #[serde(rename = "match")]
    pub matches: GroupMatch,
    /// Endpoints that are not in the group, although `matches` matches them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<GroupMatch>,
    /// The importance of the group for alerts.
    pub watch: Watch,
    /// The number of endpoints that must be registered while the group is on duty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_registered: Option<Minimum>,
    /// When the endpoints of the group are expected to be registered.
    #[serde(flatten)]
    pub duty: Duty,
}

impl Group {
    /// The least number of registered endpoints of the group with this number of `endpoints`, of whose listed members
    /// `missing` do not exist. A percentage is of all of them, so it does not fall when a member is deleted.
    pub fn least_registered(&self, endpoints: u64, missing: Option<u64>) -> Option<u64> {
        let expected = endpoints + missing.unwrap_or(0);
        self.min_registered.map(|minimum| minimum.of(expected))
    }
}

/// Conditions on the fields of an endpoint. At least one field has a condition, and all conditions must hold. An
/// expression must match the whole field. `None` matches every text. Both lists are one condition: the endpoint must be in
/// one of them.
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
    /// The ids of the endpoints. Each of them is expected to exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_ids: Option<BTreeSet<String>>,
    /// The usernames of the endpoints. Each of them is expected to exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usernames: Option<BTreeSet<String>>,
}

/// The fields of an endpoint that decide about its group.
#[derive(Debug, Clone, Copy)]
pub struct GroupFields<'a> {
    /// The endpoint id.
    pub id: &'a str,
    /// The alias.
    pub alias: &'a str,
    /// The username.
    pub username: &'a str,
    /// The id of the application, or "".
    pub application_id: &'a str,
    /// The sub-account, or "" for the main account.
    pub sub_account: &'a str,
}

/// `min_registered`: the least number of registered endpoints of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Minimum {
    /// A number of endpoints.
    Endpoints(u64),
    /// A percentage of the expected endpoints, from 1 to 100.
    Percent(u8),
}

impl Minimum {
    /// The least number of registered endpoints of a group with `expected` endpoints, rounded up.
    pub fn of(self, expected: u64) -> u64 {
        match self {
            Self::Endpoints(number) => number,
            Self::Percent(percent) => (expected * u64::from(percent)).div_ceil(100),
        }
    }
}

impl Serialize for Minimum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Endpoints(number) => serializer.serialize_u64(*number),
            Self::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
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
        let hint = "`alias: \".*\"` matches every endpoint";
        let matches = conditions(&node.child("match"), hint, patterns);
        let hint = "without the key, no endpoint is excluded";
        let exclude = node.has("exclude").then(|| node.child("exclude"));
        let exclude = exclude.map(|node| conditions(&node, hint, patterns));
        let watch = node.get("watch").map_or(Some(DEFAULT_WATCH), |value| {
            value.find(value.text()?, Watch::LABELS, &Watch::ALL)
        });
        let min_registered = node.get("min_registered");
        let min_registered = min_registered.map(|node| minimum(&node));
        let duty = duty(node);
        Some(Group {
            name: name?,
            matches: matches?,
            exclude: valid(exclude)?,
            watch: watch?,
            min_registered: valid(min_registered)?,
            duty: duty?,
        })
    };
    nodes.iter().filter_map(read).collect()
}

/// The value of an optional key, of which `Some(None)` is invalid.
#[expect(
    clippy::option_option,
    reason = "an absent key is valid, an invalid value is not"
)]
fn valid<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| value.map(Some))
}

fn conditions(node: &Node<'_>, hint: &str, patterns: &mut Patterns) -> Option<GroupMatch> {
    if node.entries().is_empty() {
        return node.reject(format!(
            "must hold at least one of alias, username, application_id, sub_account, endpoint_ids, \
             usernames; {hint}"
        ));
    }
    let errors = node.diagnostics.error_count();
    let mut expression = |key| pattern(&node.get(key)?, patterns);
    let matches = GroupMatch {
        alias: expression("alias"),
        username: expression("username"),
        application_id: expression("application_id"),
        sub_account: expression("sub_account"),
        endpoint_ids: words(node, "endpoint_ids"),
        usernames: words(node, "usernames"),
    };
    (node.diagnostics.error_count() == errors).then_some(matches)
}

fn words(node: &Node<'_>, key: &str) -> Option<BTreeSet<String>> {
    let node = node.get(key)?;
    let words = node.words();
    if words.len() > MAX_WORDS {
        return node.reject(format!("has more than {MAX_WORDS} items"));
    }
    let words: BTreeSet<_> = words.into_iter().map(|(_, word)| word.to_owned()).collect();
    if words.is_empty() {
        return node.reject("has no items; add one, or remove the key");
    }
    Some(words)
}

fn minimum(node: &Node<'_>) -> Option<Minimum> {
    let must_be = "a whole number from 1, or a percentage from 1% to 100%";
    node.convert(must_be, |text| {
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().ok()?;
            return (1..=100)
                .contains(&percent)
                .then_some(Minimum::Percent(percent));
        }
        let number = text.parse().ok()?;
        (number > 0).then_some(Minimum::Endpoints(number))
    })
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

/// The index of the first group to which an endpoint with these `fields` belongs.
pub fn first_match(groups: &[Group], fields: &GroupFields<'_>) -> Option<u16> {
    let is_member = |group: &Group| {
        let exclude = group.exclude.as_ref();
        group.matches.holds(fields) && !exclude.is_some_and(|exclude| exclude.holds(fields))
    };
    u16::try_from(groups.iter().position(is_member)?).ok()
}

impl GroupMatch {
    /// Whether every condition holds for an endpoint with these `fields`.
    fn holds(&self, fields: &GroupFields<'_>) -> bool {
        let matches = |pattern: &Option<Pattern>, field| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(field))
        };
        let lists = |words: &Option<BTreeSet<String>>, field: &str| {
            words.as_ref().is_some_and(|words| words.contains(field))
        };
        let has_lists = self.endpoint_ids.is_some() || self.usernames.is_some();
        let is_listed =
            lists(&self.endpoint_ids, fields.id) || lists(&self.usernames, fields.username);
        (is_listed || !has_lists)
            && matches(&self.alias, fields.alias)
            && matches(&self.username, fields.username)
            && matches(&self.application_id, fields.application_id)
            && matches(&self.sub_account, fields.sub_account)
    }
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
    /// The expression as it is written in the configuration.
    pub fn text(&self) -> &str {
        &self.text
    }

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
