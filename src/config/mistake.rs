//! What is wrong with a configuration: all of it, in words that say what would be right.

use std::{borrow::Cow, collections::BTreeSet, fmt, path::Path};

use config::{Value, ValueKind};

/// Lists and tables inside one another; the deepest setting needs a tenth of it.
pub(super) const DEEPEST: usize = 64;
/// Values in one file. Aliases of YAML may repeat a part of the file, and each counts again.
pub(super) const MOST_VALUES: usize = 200_000;
/// What is said of a file beyond [`MOST_VALUES`].
pub(super) const TOO_MANY: &str = "holds more than 200,000 values";
/// What is said of a number in hexadecimal, octal or binary digits.
pub(super) const NOT_DECIMAL: &str = "must be a number in decimal digits, or a text in quotes";
/// What is said of a file beyond [`DEEPEST`].
pub(super) const TOO_DEEP: &str = "is nested deeper than 64 levels";
/// Characters of a path that are shown from its beginning, and from its end.
const PATH_ENDS: usize = 50;
/// Mistakes that are told; of further ones, the number.
const MOST_TOLD: usize = 100;
/// Characters of a key that are shown.
const KEY_LENGTH: usize = 40;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// `FILE:LINE`, `FILE`, or `environment variable NAME`; empty when there is no such place.
    pub place: String,
    /// The key's path, such as `accounts[1].groups[0].match.alias`; empty for the whole.
    pub path: String,
    /// What is wrong and what would be right; one line, never a secret.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&*self.place, &*cut(&self.path)] {
            if !part.is_empty() {
                write!(f, "{}: ", one_line(part))?;
            }
        }
        f.write_str(&one_line(&self.message))
    }
}

/// Names of files and variables may hold anything; a mistake stays on one line all the same.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.escape_debug().to_string())
    } else {
        Cow::Borrowed(text)
    }
}

/// A path without its middle, if it is longer than anybody reads.
fn cut(path: &str) -> Cow<'_, str> {
    let ends = (
        path.char_indices().nth(PATH_ENDS),
        path.char_indices().nth_back(PATH_ENDS),
    );
    match ends {
        (Some((first, _)), Some((last, _))) if first < last => {
            Cow::Owned(format!("{}…{}", &path[..first], &path[last..]))
        }
        _ => Cow::Borrowed(path),
    }
}

/// The mistakes of a configuration (the first hundred and the number of the rest) and every warning, each
/// on its own line when displayed; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(pub Vec<Mistake>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Collects what the walk over the tree finds.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The operator's file, named where a mistake has no better place.
    pub(super) file: String,
    /// Token files are not read.
    pub(super) without_secrets: bool,
    /// A layer could not be read, so that what is missing says nothing.
    pub(super) incomplete: bool,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<String>,
    /// Places where something is wrong that makes every further mistake there an echo.
    pub(super) unreadable: BTreeSet<String>,
}

impl Report {
    /// A mistake in `value`, which remembers its place.
    pub(super) fn at(&mut self, value: &Value, path: &str, message: impl Into<String>) {
        let place = value.origin().or_else(|| self.first_line(value));
        let place = place.unwrap_or(&self.file).to_owned();
        self.push(place, path, message);
    }

    /// Tables forget their place when layers are merged; the first of the file's lines in one is near.
    fn first_line<'v>(&self, value: &'v Value) -> Option<&'v str> {
        let ValueKind::Table(table) = &value.kind else {
            return None;
        };
        let lines = table.values().filter_map(|child| {
            let place = child.origin()?;
            let line = place.strip_prefix(&*self.file)?.strip_prefix(':')?;
            Some((line.parse::<u32>().ok()?, place))
        });
        lines.min().map(|(_, place)| place)
    }

    /// A mistake of the whole file.
    pub(super) fn whole(&mut self, path: &str, message: impl Into<String>) {
        self.push(self.file.clone(), path, message);
    }

    /// A mistake at `at`, in bytes, of the file's content.
    pub(super) fn within(&mut self, content: &[u8], at: usize, message: impl Into<String>) {
        let line = content[..at].split(|byte| *byte == b'\n').count();
        self.push(format!("{}:{line}", self.file), "", message);
    }

    /// A mistake in an environment variable.
    pub(super) fn variable(&mut self, name: &str, message: impl Into<String>) {
        self.push(variable_place(name), "", message);
    }

    /// A mistake in an environment variable, which hides all others in it.
    pub(super) fn unreadable(&mut self, name: &str, message: impl Into<String>) {
        self.variable(name, message);
        self.unreadable.insert(variable_place(name));
    }

    /// Is the operator's file TOML? Its name says so.
    pub(super) fn is_toml(&self) -> bool {
        Path::new(&self.file)
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
    }

    /// Everything that was found: the file's mistakes by line, then those of the environment, then
    /// the warnings, which may tell why something is missing.
    pub(super) fn into_errors(mut self) -> Errors {
        let order = |mistake: &Mistake| {
            let line = mistake
                .place
                .rsplit_once(':')
                .and_then(|(_, line)| line.parse().ok());
            (mistake.place.starts_with(VARIABLE), line.unwrap_or(0_u32))
        };
        self.mistakes.sort_by_cached_key(order);
        let further = self.mistakes.len().saturating_sub(MOST_TOLD);
        if further > 0 {
            self.mistakes.truncate(MOST_TOLD);
            self.whole("", format!("and {further} more mistakes"));
        }
        let warnings = self.warnings.iter().map(|warning| Mistake {
            place: String::new(),
            path: String::new(),
            message: format!("warning: {warning}"),
        });
        self.mistakes.extend(warnings);
        Errors(self.mistakes)
    }

    fn push(&mut self, place: String, path: &str, message: impl Into<String>) {
        if self.unreadable.contains(&place) {
            return;
        }
        self.mistakes.push(Mistake {
            place,
            path: path.to_owned(),
            message: message.into(),
        });
    }
}

const VARIABLE: &str = "environment variable ";

/// The place of a value that came from the environment.
pub(super) fn variable_place(name: &str) -> String {
    format!("{VARIABLE}{}", shown_variable(name))
}

/// The name of a variable, or a part of one, as a message may quote it: up to the first character that
/// is no letter, digit or `_`. After it, a token may stand (`VOBIZ_AUTH_TOKEN:TOKEN`).
pub(super) fn shown_variable(name: &str) -> Cow<'_, str> {
    match name.find(is_odd) {
        Some(end) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

/// The file at `path` as a message may name it, given the name as it was written: what has no `/` and
/// no `.` may be a token.
pub(super) fn shown_file(written: &str, path: &Path) -> String {
    if written.contains(['/', '.']) {
        path.display().to_string()
    } else {
        UNNAMED_FILE.to_owned()
    }
}

/// How messages call a file whose name they do not show.
pub(super) const UNNAMED_FILE: &str = "the file that is named here";

/// The part of a key that a message may quote: up to the first character that is no letter, digit or
/// `_`, and 40 characters at most.
pub(super) fn plain_part(key: &str) -> &str {
    let mut letters = key.char_indices().enumerate();
    let end = letters.find(|(count, (_, letter))| *count == KEY_LENGTH || is_odd(*letter));
    end.map_or(key, |(_, (at, _))| &key[..at])
}

fn is_odd(letter: char) -> bool {
    !letter.is_alphanumeric() && letter != '_'
}

/// Did this value come from the environment?
pub(super) fn is_from_environment(value: &Value) -> bool {
    value
        .origin()
        .is_some_and(|place| place.starts_with(VARIABLE))
}

/// `text` as it may stand in a message: quoted, on one line, cut to 60 characters.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{}\"", short.escape_debug())
}

/// ` (did you mean ...?)` when one of `known` is near enough to `word`, else nothing.
pub(super) fn suggestion<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map_or_else(String::new, |(_, nearest)| {
            format!("; did you mean `{nearest}`?")
        })
}

/// How many letters must be put in, taken out or exchanged to make `b` of `a`.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested_and_a_far_one_is_not() {
        let known = ["interval", "max_age", "deadline"];
        assert_eq!(suggestion("intervall", known), "; did you mean `interval`?");
        assert_eq!(suggestion("maxage", known), "; did you mean `max_age`?");
        assert_eq!(suggestion("colour", known), "");
    }

    #[test]
    fn a_mistake_stays_on_one_line_whatever_it_names() {
        let mistake = Mistake {
            place: "a\nb.yaml".to_owned(),
            path: "x".to_owned(),
            message: "c\rd".to_owned(),
        };
        assert_eq!(mistake.to_string(), r"a\nb.yaml: x: c\rd");
    }

    #[test]
    fn a_long_path_loses_its_middle() {
        let mistake = |path: String| Mistake {
            place: String::new(),
            path,
            message: "m".to_owned(),
        };
        let long = mistake(format!("accounts[0]{}.é.name", ".a".repeat(200))).to_string();
        assert!(long.starts_with("accounts[0].a.a"), "{long}");
        assert!(long.ends_with(".a.é.name: m"), "{long}");
        assert!(long.chars().count() < 110, "{long}");
        let whole = "x".repeat(100);
        assert_eq!(mistake(whole.clone()).to_string(), format!("{whole}: m"));
    }

    #[test]
    fn a_quoted_value_stays_on_one_line_and_is_cut() {
        assert_eq!(quoted("a\nb\"c"), r#""a\nb\"c""#);
        assert!(quoted(&"x".repeat(100)).chars().count() <= 63);
    }
}
