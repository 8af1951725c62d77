//! The regular expressions of groups. All expressions together have one memory limit.
//!
//! This module uses the engine of the `regex` crate, but not the crate itself. The API of the crate does not
//! give the size of an expression, and cannot anchor a parsed expression.

use std::{collections::HashMap, fmt};

use regex_automata::{
    meta::{self, Regex},
    nfa::thompson::WhichCaptures,
};
use regex_syntax::{
    Error,
    hir::{Hir, Look},
};
use serde::Serialize;

/// The memory limit of all compiled expressions of a configuration together, in bytes.
const MAX_COMPILED: usize = 10_000_000;
const TOO_LARGE: &str = "takes the expressions of all groups above 10 MB of memory; use smaller \
    classes, such as [A-Za-z] instead of \\w, or fewer repetitions";
/// The maximum length of an expression, in bytes. Parsing uses up to a few thousand times as much memory.
const MAX_LENGTH: usize = 16 << 10;

/// A regular expression that must match a whole text.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Pattern {
    text: String,
    #[serde(skip)]
    regex: Regex,
}

impl Pattern {
    /// Compiles `text`. The error does not quote `text`.
    pub fn new(text: &str) -> Result<Self, String> {
        let pattern = Patterns::default().compile(text)?;
        pattern.ok_or_else(|| TOO_LARGE.to_owned())
    }

    /// Whether the expression matches the whole of `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
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
    /// True after an expression that was too large. No further expression is compiled, to limit the time.
    is_exceeded: bool,
}

impl Patterns {
    /// Compiles `text`. After an expression that was too large, only checks the syntax of `text`.
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

/// Compiles an expression for whole texts; `None` if it takes more than `limit` bytes.
fn compile(parsed: Hir, limit: usize) -> Option<Regex> {
    let whole = Hir::concat(vec![Hir::look(Look::Start), parsed, Hir::look(Look::End)]);
    // One-pass and dense automata would take most of the memory and save only 5 % of the time.
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
    use super::Pattern;

    #[test]
    fn an_expression_matches_whole_texts_whatever_stands_in_it() {
        for (text, yes, no) in [
            ("a|ab", "ab", "abc"),
            ("", "", "a"),
            ("(?m)a$", "a", "a\nb"),
            ("(?x)a # comment", "a", "ab"),
        ] {
            let pattern = Pattern::new(text).unwrap();
            assert!(pattern.is_match(yes) && !pattern.is_match(no), "{text}");
        }
        assert!(Pattern::new("a)(b").is_err());
    }
}
