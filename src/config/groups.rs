//! `accounts[].groups`: the operator's own view of the endpoints.

use std::collections::BTreeMap;

use super::{
    entry::{Entry, Section},
    mistake::Report,
    model::{Group, GroupMatch, Watch},
    pattern::{Pattern, Patterns},
};

/// More groups than anybody names by hand; a snapshot stores a group in two bytes.
const MOST_GROUPS: usize = 1000;

/// The groups of `account` in order. Faulty ones are reported and left out.
pub(super) fn read(
    account: &Section<'_>,
    patterns: &mut Patterns,
    report: &mut Report,
) -> Vec<Group> {
    let items = account.items("groups");
    if items.len() > MOST_GROUPS {
        account
            .section("groups")
            .wrong(report, format!("more than {MOST_GROUPS} groups"));
    }
    let mut names = BTreeMap::new();
    let mut groups = Vec::new();
    for item in &items {
        let name = name(item, &mut names, report);
        let matches = matches(&item.section("match"), patterns, report);
        let watch = match item.entry("watch") {
            None => Some(Watch::default()),
            Some(entry) => watch(&entry, report),
        };
        if let (Some(name), Some(matches), Some(watch)) = (name, matches, watch) {
            groups.push(Group {
                name,
                matches,
                watch,
            });
        }
    }
    groups
}

fn name<'t>(
    item: &Section<'t>,
    names: &mut BTreeMap<&'t str, String>,
    report: &mut Report,
) -> Option<String> {
    if !item.has("name") {
        item.wrong(
            report,
            "needs a `name`: it is the value of the `group` label",
        );
    }
    let entry = item.entry("name")?;
    let name = entry.name(report)?;
    if let Some(first) = names.get(name) {
        let message = format!(
            "is the name of {first}, too; one `match` can hold several expressions, and `a|b` matches either"
        );
        entry.wrong(report, message);
    } else {
        names.insert(name, item.path.clone());
    }
    Some(name.to_owned())
}

fn matches(
    section: &Section<'_>,
    patterns: &mut Patterns,
    report: &mut Report,
) -> Option<GroupMatch> {
    if section.is_empty() {
        let message = "must hold at least one of alias, username, application_id, sub_account; \
                       `alias: \".*\"` matches every endpoint";
        section.wrong(report, message);
        return None;
    }
    let before = report.mistakes.len();
    let mut expression = |key| {
        section
            .entry(key)
            .and_then(|entry| pattern(&entry, patterns, report))
    };
    let matches = GroupMatch {
        alias: expression("alias"),
        username: expression("username"),
        application_id: expression("application_id"),
        sub_account: expression("sub_account"),
    };
    (report.mistakes.len() == before).then_some(matches)
}

fn pattern(entry: &Entry<'_>, patterns: &mut Patterns, report: &mut Report) -> Option<Pattern> {
    let text = match &entry.value.kind {
        // An empty expression is a real one: it matches endpoints without application, for example.
        config::ValueKind::String(text) if text.is_empty() => "",
        _ => entry.text(report)?,
    };
    match patterns.compile(text) {
        Ok(pattern) => pattern,
        Err(error) => {
            entry.wrong(report, error.to_string());
            None
        }
    }
}

fn watch(entry: &Entry<'_>, report: &mut Report) -> Option<Watch> {
    let word = entry.text(report)?;
    let found = Watch::ALL.into_iter().find(|watch| watch.label() == word);
    if found.is_none() {
        entry.wrong_word(word, &Watch::ALL.map(Watch::label), report);
    }
    found
}
