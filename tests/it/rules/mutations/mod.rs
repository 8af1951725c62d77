//! The promtool cases detect wrong rules. Each mutation in the lists makes a rule wrong, and the case that
//! the mutation names must fail.

mod endpoints;
mod fleet;
mod walks;

use std::fs;

use super::shipped::{CASES, RULES, read};
use crate::harness::{judge, tool};

/// A change that makes the rules wrong, and the case that must fail.
struct Mutation {
    what: &'static str,
    /// The text to replace. It occurs in the rules at least once.
    from: &'static str,
    to: &'static str,
    file: &'static str,
    case: &'static str,
}

const fn mutation(
    what: &'static str,
    [from, to]: [&'static str; 2],
    [file, case]: [&'static str; 2],
) -> Mutation {
    Mutation {
        what,
        from,
        to,
        file,
        case,
    }
}

#[tokio::test]
#[ignore = "it takes minutes: make test-slow"]
async fn a_rule_that_violates_a_principle_fails_a_case() {
    let promtool = tool("PROMTOOL", "promtool");
    let rules = read(RULES);
    let mut unnoticed = Vec::new();
    let mutations = [endpoints::MUTATIONS, fleet::MUTATIONS, walks::MUTATIONS];
    for mutation in mutations.into_iter().flatten() {
        let Mutation { what, from, to, .. } = mutation;
        assert!(rules.contains(from), "{what}: nothing to change: {from}");
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("rules/vobiz-exporter.yml", rules.replace(from, to)),
            ("tests/case.yml", case(mutation.file, mutation.case)),
        ] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let file = folder.path().join("tests/case.yml").display().to_string();
        let ended = judge(&promtool, &["test", "rules", &file], "").await;
        let words = format!("{}{}", ended.out, ended.err);
        // For a failed case, promtool prints the expected values or a many-to-many error. The test
        // does not count a syntax error in the rules as a failed case.
        let noticed = words.contains("exp:") || words.contains("many-to-many");
        if ended.code != Some(1) || !noticed {
            unnoticed.push(format!("{what}: {words}"));
        }
    }
    assert_eq!(unnoticed, Vec::<String>::new());
}

/// The text of a file of promtool cases with only the case `name`.
fn case(file: &str, name: &str) -> String {
    let text = read(&format!("{CASES}/{file}.yml"));
    let (head, cases) = text.split_once("tests:\n").unwrap();
    let mut cases = cases.split("  - name: ").skip(1);
    let case = cases.find(|case| case.starts_with(&format!("{name}\n")));
    let case = case.unwrap_or_else(|| panic!("{file} has no case: {name}"));
    format!("{head}tests:\n  - name: {case}")
}
