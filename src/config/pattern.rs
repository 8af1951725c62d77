//! Regular expressions that match whole texts, and a bound that those of a configuration share.
//!
//! This uses the engine of the `regex` crate, and not that crate, for two reasons: the engine tells how
//! large an expression is, and it takes a parsed one, which is anchored here. So each is compiled once.

use std::{collections::HashMap, fmt};

use regex_automata::{
    meta::{Config, Regex},
    nfa::thompson::WhichCaptures,
};
use regex_syntax::{
    ast::{self, Span},
    hir::{Hir, Look},
};

/// Memory of all compiled expressions of a configuration together, in bytes.
const MOST_COMPILED: usize = 10_000_000;
/// The longest expression, in bytes. Parsing alone takes up to some thousand times as much memory.
const LONGEST: usize = 16 << 10;

/// A regular expression that matches whole texts.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// Why there is no [`Pattern`]; does not repeat the expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression.
    #[error("the regular expression does not compile at character {character}: {reason}")]
    Syntax {
        /// Where, counted from 1.
        character: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Its text is too long.
    #[error("is longer than {} KiB", LONGEST >> 10)]
    TooLong,
    /// It takes too much memory, alone or together with those before it.
    #[error(
        "takes the expressions of all groups above {} MB of memory; use smaller classes, such as \
         [A-Za-z] instead of \\w, or fewer repetitions",
        MOST_COMPILED / 1_000_000
    )]
    TooLarge,
}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// The text is no regular expression, or too large a one.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Self::within(text, MOST_COMPILED)
    }

    /// Does it match the whole of `text`?
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Compiles `text` to at most `limit` bytes.
    fn within(text: &str, limit: usize) -> Result<Self, PatternError> {
        if text.len() > LONGEST {
            return Err(PatternError::TooLong);
        }
        let parsed = regex_syntax::parse(text).map_err(|error| match error {
            regex_syntax::Error::Parse(error) => syntax(text, error.kind(), error.span()),
            regex_syntax::Error::Translate(error) => syntax(text, error.kind(), error.span()),
            _ => PatternError::TooLarge,
        })?;
        let whole = Hir::concat(vec![Hir::look(Look::Start), parsed, Hir::look(Look::End)]);
        // Complete automata would take most of the memory, and save a twentieth of the time.
        let config = Config::new()
            .nfa_size_limit(Some(limit))
            .which_captures(WhichCaptures::None)
            .onepass(false)
            .dfa(false);
        let regex = Regex::builder().configure(config).build_from_hir(&whole);
        regex
            .ok()
            .filter(|regex| regex.memory_usage() <= limit)
            .map(|regex| Self {
                text: text.to_owned(),
                regex,
            })
            .ok_or(PatternError::TooLarge)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

/// Compiles the expressions of one configuration, one after the other and each text once: hundreds of
/// accounts may have the same groups.
#[derive(Debug)]
pub(super) struct Patterns {
    compiled: HashMap<String, Pattern>,
    /// How many bytes further expressions may take; none after one that was too large, so that a
    /// thousand such expressions do not take a minute.
    left: Option<usize>,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            compiled: HashMap::new(),
            left: Some(MOST_COMPILED),
        }
    }
}

impl Patterns {
    /// Compiles `text`; after an expression that was too large, only checks it.
    pub(super) fn compile(&mut self, text: &str) -> Result<Option<Pattern>, PatternError> {
        if let Some(pattern) = self.compiled.get(text) {
            return Ok(Some(pattern.clone()));
        }
        let Some(left) = self.left else {
            let checked = ast::parse::Parser::new().parse(text);
            return match checked {
                Ok(_) => Ok(None),
                Err(error) => Err(syntax(text, error.kind(), error.span())),
            };
        };
        let pattern = Pattern::within(text, left);
        self.left = match &pattern {
            Ok(pattern) => {
                self.compiled.insert(text.to_owned(), pattern.clone());
                Some(left - pattern.regex.memory_usage())
            }
            Err(PatternError::TooLarge) => None,
            Err(_) => self.left,
        };
        pattern.map(Some)
    }
}

fn syntax(text: &str, kind: &impl ToString, span: &Span) -> PatternError {
    let before = text.get(..span.start.offset).unwrap_or(text);
    PatternError::Syntax {
        character: 1 + before.chars().count(),
        reason: kind.to_string(),
    }
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
