//! The query of a URL: its parameters, and links with one other parameter.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

/// The longest value of a parameter that is used, in bytes. A longer one is cut.
const LONGEST: usize = 256;

/// The largest value of a parameter that is a number, so that sums cannot overflow.
const LARGEST: usize = 1_000_000_000;

/// The characters of a path segment that are escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The parameters of a request that the page knows, in the order of `names`. Empty values are absent.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    values: Vec<(&'static str, String)>,
}

impl Query {
    /// Reads the parameters with these names. If one is repeated, the last one counts.
    pub(super) fn read(query: &str, names: &[&'static str]) -> Self {
        let mut found = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Some(name) = names.iter().find(|known| **known == name) {
                found.set(name, &value);
            }
        }
        let place = |name: &str| names.iter().position(|one| *one == name);
        found.values.sort_by_key(|(name, _)| place(name));
        found
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.values.retain(|(known, _)| *known != name);
        let mut end = value.len().min(LONGEST);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let value = &value[..end];
        if !value.is_empty() {
            self.values.push((name, value.to_owned()));
        }
    }

    /// The value of a parameter, or "".
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.values.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The value of a parameter that is a number; 0 for any other value.
    pub(super) fn number(&self, name: &str) -> usize {
        self.get(name).parse().unwrap_or(0).min(LARGEST)
    }

    /// The first row of the page that the parameter `from` names, of `number` rows in all, and the links to the pages
    /// before and after it. Each page has `rows` rows. A row behind the end gives the last page.
    pub(super) fn pages(
        &self,
        number: usize,
        rows: usize,
    ) -> (usize, Option<String>, Option<String>) {
        let first = self.number("from").min(number.saturating_sub(1)) / rows * rows;
        let link = |from: usize| match from {
            0 => self.with("from", ""),
            from => self.with("from", &from.to_string()),
        };
        let previous = first.checked_sub(rows).map(link);
        (
            first,
            previous,
            (first + rows < number).then(|| link(first + rows)),
        )
    }

    /// The text of a link with these parameters, of which `name` has another value: `?a=1&b=2`.
    pub(super) fn with(&self, name: &'static str, value: &str) -> String {
        let mut changed = self.clone();
        changed.set(name, value);
        changed.text()
    }

    /// The text of a link with these parameters: `?a=1&b=2`.
    pub(super) fn text(&self) -> String {
        let mut text = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
        for (name, value) in &self.values {
            text.append_pair(name, value);
        }
        text.finish()
    }
}

/// The text as a segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A link with these parameters, of which empty ones are left out.
pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let start = format!("{path}?");
    let length = start.len();
    let mut text = form_urlencoded::Serializer::for_suffix(start, length);
    for (name, value) in given {
        text.append_pair(name, value);
    }
    text.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read_and_linked_in_a_fixed_order() {
        let query = Query::read("b=%26&x=1&a=2&a=3&c=", &["a", "b", "c"]);
        assert_eq!(
            (query.get("a"), query.get("b"), query.get("c")),
            ("3", "&", "")
        );
        assert_eq!(query.text(), "?a=3&b=%26");
        assert_eq!(query.with("a", ""), "?b=%26");
        assert_eq!(query.number("a"), 3);
        assert_eq!(query.number("b"), 0);
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let query = Query::read(&format!("a={}", "é".repeat(150)), &["a"]);
        assert_eq!(query.get("a").len(), 256);
    }

    #[test]
    fn a_segment_has_no_slash() {
        assert_eq!(segment("a/b?c é"), "a%2Fb%3Fc%20%C3%A9");
        assert_eq!(link("x", &[("a", "1 2"), ("b", "")]), "x?a=1+2");
    }
}
