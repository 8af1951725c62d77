//! The law of the house: imports run against the data, and each large dependency has its rooms.
//!
//! The law stands in the table of `docs/architecture.md`, for people and for this test alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const LAW: &str = include_str!("../../docs/architecture.md");
/// Every room may tell the time.
const FREE: &str = "clock";
/// These see the rooms from outside: the floor plan and the doormat.
const OUTSIDE: [&str; 2] = ["lib", "main"];

type Names = BTreeSet<String>;

/// What each room may name, and which rooms a foreign crate may live in.
struct Law {
    rooms: BTreeMap<String, Names>,
    crates: BTreeMap<String, Names>,
}

impl Law {
    /// Reads the rows ``| `room` | `may`, `name` | `foreign`, `crates` |``.
    fn read(document: &str) -> Self {
        let ticked = |cell: &str| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(String::from)
                .collect()
        };
        let mut law = Self {
            rooms: BTreeMap::new(),
            crates: BTreeMap::new(),
        };
        for row in document.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<Names> = row.split('|').skip(1).map(ticked).collect();
            let [room, may, foreign, _] = &cells[..] else {
                continue;
            };
            let room = room.first().expect("the row begins with a name");
            law.rooms.insert(room.clone(), may.clone());
            for name in foreign {
                let rooms = law.crates.entry(name.clone()).or_default();
                rooms.insert(room.clone());
            }
        }
        law
    }

    /// What `source`, which stands in `room`, may not say. Foreign crates are free in tests.
    fn breaches(&self, room: &str, source: &str, is_test: bool) -> Vec<String> {
        if room == FREE || OUTSIDE.contains(&room) {
            return self.strangers(room, source);
        }
        let Some(may) = self.rooms.get(room) else {
            return vec![format!(
                "the room {room} has no row in docs/architecture.md"
            )];
        };
        let whole = code(source);
        let everything = may.contains("all");
        let named = named_rooms(&whole).into_iter();
        let mut breaches: Vec<_> = named
            .filter(|name| name != room && name != FREE && !everything && !may.contains(name))
            .map(|name| format!("{room} names crate::{name}"))
            .collect();
        if !is_test {
            breaches.extend(self.strangers(room, source));
        }
        breaches
    }

    /// Foreign crates that live elsewhere.
    fn strangers(&self, room: &str, source: &str) -> Vec<String> {
        let code = code(source.split("#[cfg(test)]\nmod ").next().unwrap_or(source));
        let ours = named_rooms(&code);
        let elsewhere = self
            .crates
            .iter()
            .filter(|(_, rooms)| !rooms.contains(room));
        let used = elsewhere.filter(|(name, _)| is_used(&code, name, ours.contains(*name)));
        used.map(|(name, _)| format!("{room} uses the crate {name}"))
            .collect()
    }
}

/// The source without comments, so that documents may speak of any room.
fn code(source: &str) -> String {
    let lines = source.lines().map(|line| {
        let end = line.match_indices("//").map(|(at, _)| at);
        let end = end.filter(|at| !line[..*at].ends_with(':')).min();
        &line[..end.unwrap_or(line.len())]
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms in `crate::room` and in `crate::{room, room::thing, ...}`.
fn named_rooms(code: &str) -> Names {
    let mut rooms = Names::new();
    for (at, path) in code.match_indices("crate::") {
        let after = &code[at + path.len()..];
        let Some(list) = after.strip_prefix('{') else {
            rooms.insert(word(after));
            continue;
        };
        let (mut depth, mut begins) = (1, true);
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => begins = true,
                _ if begins && !letter.is_whitespace() => {
                    rooms.insert(word(&list[at..]));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    rooms
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|letter| is_of_a_word(*letter))
        .collect()
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Is the foreign crate named? A room of ours may have the same name and be meant instead.
fn is_used(code: &str, name: &str, is_ours_too: bool) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = &code[..at];
        match before.strip_suffix("::") {
            // `::name::` is the crate; `path::name::` and `<Type>::name::` are not.
            Some(before) => !before.ends_with(|last| is_of_a_word(last) || last == '>'),
            None if before.ends_with(is_of_a_word) => false,
            None => !is_ours_too || before.ends_with("use "),
        }
    })
}

/// Every source file with its room.
fn sources(folder: &Path, found: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let inside = path.strip_prefix("src").unwrap();
            let room = inside.iter().next().unwrap().to_str().unwrap();
            found.push((room.trim_end_matches(".rs").to_owned(), path));
        }
    }
}

#[test]
fn no_room_looks_forward_along_the_data_or_borrows_another_rooms_crate() {
    let law = Law::read(LAW);
    let mut found = Vec::new();
    sources(Path::new("src"), &mut found);
    assert!(found.len() > 50, "only {} files were found", found.len());
    let mut breaches = Vec::new();
    for (room, path) in &found {
        let is_test = path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs");
        let source = fs::read_to_string(path).unwrap();
        for breach in law.breaches(room, &source, is_test) {
            breaches.push(format!("{}: {breach}", path.display()));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    for room in law.rooms.keys() {
        assert!(
            found.iter().any(|(name, _)| name == room),
            "there is no room {room}"
        );
    }
}

#[test]
fn the_law_catches_every_way_of_naming_what_is_forbidden() {
    let law = Law::read(LAW);
    let breaches = |room, source| law.breaches(room, source, false);
    let forward = ["snapshot names crate::walk"];
    assert_eq!(breaches("snapshot", "use crate::walk::Poller;"), forward);
    assert_eq!(
        breaches(
            "snapshot",
            "use crate::{\n    api::{Row, walk},\n    walk,\n};"
        ),
        forward
    );
    assert_eq!(
        breaches("snapshot", "fn now() { crate::walk::now() }"),
        forward
    );
    assert_eq!(
        law.breaches("snapshot", "use crate::walk;", true),
        forward,
        "in tests, too"
    );
    assert_eq!(
        breaches("attic", ""),
        ["the room attic has no row in docs/architecture.md"]
    );

    let borrowed = ["walk uses the crate reqwest"];
    assert_eq!(breaches("walk", "use reqwest::Client;"), borrowed);
    assert_eq!(
        breaches(
            "walk",
            "let url = \"http://x\"; let c = ::reqwest::get(url);"
        ),
        borrowed
    );
    assert_eq!(
        breaches("main", "fn main() { clap::Command::new(\"x\"); }").len(),
        1
    );
    assert_eq!(
        breaches("walk", "use config::Config;"),
        ["walk uses the crate config"]
    );
    let both = "use crate::config;\nfn of(token: ::config::Value) {}";
    assert_eq!(breaches("walk", both), ["walk uses the crate config"]);
}

#[test]
fn the_law_lets_pass_what_is_allowed() {
    let law = Law::read(LAW);
    let breaches = |room, source| law.breaches(room, source, false);
    let none: [&str; 0] = [];
    assert_eq!(
        breaches("walk", "use crate::{api::Page, clock::Clock, config};"),
        none
    );
    assert_eq!(
        breaches(
            "walk",
            "use crate::config;\nfn of(token: &config::ApiToken) {}"
        ),
        none
    );
    assert_eq!(
        breaches(
            "walk",
            "/// See [`crate::http`] and reqwest::Client.\nfn of() {}"
        ),
        none
    );
    assert_eq!(
        breaches("api", "use reqwest::Client;\nuse super::client;"),
        none
    );
    assert_eq!(breaches("app", "use crate::{http, walk::Poller};"), none);
    let tests = "fn of() {}\n#[cfg(test)]\nmod tests {\n    use hyper::Request;\n}";
    assert_eq!(breaches("api", tests), none);
}
