//! The rules of the house: those of Grafana's linter for dashboards, re-stated, and our own.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::board::{Panel, boards, list, text};
use crate::rules::groups;

/// The colours of Okabe and Ito, and a grey.
const COLOURS: [&str; 8] = [
    "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#F0E442", "#8E8E8E",
];

/// Units that Grafana knows.
const UNITS: [&str; 8] = [
    "none",
    "short",
    "s",
    "percentunit",
    "reqps",
    "bytes",
    "dateTimeAsIso",
    "dateTimeFromNow",
];

/// The values below a key, however deep.
fn below<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(entries) => {
            for (name, inner) in entries {
                if name == key {
                    found.push(inner);
                }
                below(inner, key, found);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|inner| below(inner, key, found)),
        _ => {}
    }
}

fn all<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    below(value, key, &mut found);
    found
}

fn panels() -> Vec<Panel> {
    boards()
        .iter()
        .flat_map(super::board::Board::panels)
        .collect()
}

#[test]
fn dashboards_have_their_fixed_names_and_cannot_be_edited_in_place() {
    let mut names = BTreeSet::new();
    for board in boards() {
        assert_eq!(board.json["schemaVersion"], 42);
        assert_eq!(board.json["editable"], false);
        assert!(board.json.get("__inputs").is_none() && board.json.get("id").is_none());
        assert!(!text(&board.json["description"]).is_empty());
        assert!(names.insert(board.uid().to_owned()));
        let mut seen = BTreeSet::new();
        for panel in list(&board.json["panels"]) {
            assert!(seen.insert(panel["id"].as_u64().unwrap()));
        }
    }
    let expected = ["vobiz-endpoint", "vobiz-exporter", "vobiz-fleet"];
    assert!(names.iter().eq(expected), "{names:?}");
}

#[test]
fn every_panel_says_what_it_shows_and_what_it_means_when_there_is_nothing() {
    let panels = panels();
    assert!(panels.len() > 60, "{}", panels.len());
    for panel in panels {
        let defaults = &panel.json["fieldConfig"]["defaults"];
        assert!(!panel.title.is_empty());
        assert!(panel.description().ends_with('.'), "{}", panel.place);
        assert!(UNITS.contains(&text(&defaults["unit"])), "{}", panel.place);
        assert!(!text(&defaults["noValue"]).is_empty(), "{}", panel.place);
        assert!(!panel.queries().is_empty(), "{}", panel.place);
        let letters: BTreeSet<_> = panel.queries().into_iter().map(|one| one.letter).collect();
        assert_eq!(letters.len(), panel.queries().len(), "{}", panel.place);
    }
}

#[test]
fn there_is_one_data_source_and_it_is_a_variable() {
    for board in boards() {
        let kinds = board
            .variables()
            .iter()
            .filter(|one| one["type"] == "datasource");
        assert_eq!(
            kinds.map(|one| text(&one["name"])).collect::<Vec<_>>(),
            ["datasource"]
        );
        let sources = all(&board.json, "datasource");
        assert!(sources.len() > 20);
        for source in sources {
            assert_eq!(source["uid"], "${datasource}", "{}", board.uid());
        }
    }
}

#[test]
fn variables_can_be_several_or_all_and_follow_the_time_shown() {
    for board in boards() {
        let names: Vec<_> = board
            .variables()
            .iter()
            .map(|one| text(&one["name"]))
            .collect();
        assert_eq!(&names[..2], ["datasource", "job"], "{}", board.uid());
        for variable in board.variables() {
            let name = text(&variable["name"]);
            assert!(!text(&variable["label"]).is_empty(), "{name}");
            if variable["type"] != "query" {
                continue;
            }
            assert_eq!(variable["refresh"], 2, "{name} does not follow the time");
            let several = name != "endpoint";
            assert_eq!(variable["multi"], several, "{name}");
            assert_eq!(variable["includeAll"], several, "{name}");
            if ["job", "instance"].contains(&name) {
                assert_eq!(variable["allValue"], ".+");
            } else if several {
                // Endpoints without a group have an empty one.
                assert_eq!(variable["allValue"], ".*");
            }
        }
    }
}

#[test]
fn every_selector_asks_for_the_job_and_for_the_variables_that_narrow_it() {
    let selector =
        Regex::new(r"\b((?:vobiz|process|scrape|job)_[a-z0-9_:]+|up|ALERTS)\{([^}]*)\}").unwrap();
    let bare = Regex::new(r"(?:^|[^a-z_:])(?:vobiz|process|scrape)_[a-z_]+($|[^{a-z_:])").unwrap();
    for panel in panels() {
        for query in panel.queries() {
            let place = format!("{} {}", panel.place, query.letter);
            assert!(
                !bare.is_match(&query.expression),
                "{place}: {}",
                query.expression
            );
            for found in selector.captures_iter(&query.expression) {
                let (name, matchers) = (&found[1], &found[2]);
                assert!(matchers.contains("job=~\"$job\""), "{place}: {name}");
                let of_process = [
                    "vobiz_exporter_build",
                    "vobiz_exporter_http",
                    "vobiz_exporter_config",
                    "process_",
                    "scrape_",
                    "up",
                ];
                if of_process.iter().any(|one| name.starts_with(one)) {
                    assert!(
                        matchers.contains("instance=~\"$instance\""),
                        "{place}: {name}"
                    );
                } else {
                    assert!(matchers.contains("account=~\"$account"), "{place}: {name}");
                }
            }
        }
    }
}

#[test]
fn counters_are_read_as_rates_over_what_grafana_thinks_right() {
    let counter =
        Regex::new(r"[a-z_]+\((vobiz|process)_[a-z_]+_(total|bucket)\{[^}]*\}(\[[^\]]*\])?")
            .unwrap();
    let name = Regex::new(r"\b(vobiz|process)_[a-z_]+_(total|bucket)\b").unwrap();
    let mut seen = 0;
    for panel in panels() {
        for query in panel.queries() {
            let rated: Vec<_> = counter.captures_iter(&query.expression).collect();
            assert_eq!(
                rated.len(),
                name.find_iter(&query.expression).count(),
                "{}",
                panel.place
            );
            for found in rated {
                let function = found[0].split('(').next().unwrap();
                assert!(["rate", "increase"].contains(&function), "{}", panel.place);
                assert_eq!(&found[3], "[$__rate_interval]", "{}", panel.place);
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "{seen}");
}

/// Labels of which a fleet has few values, so that a line for each is a limit in itself.
const FEW: [&str; 9] = [
    "operation",
    "cause",
    "change",
    "le",
    "look",
    "registration",
    "reason",
    "field",
    "handler",
];

#[test]
fn lists_and_lines_are_limited_however_large_the_fleet_is() {
    let by = Regex::new(r"^(?:max|min|sum|count) by \(([^)]*)\)").unwrap();
    for panel in panels() {
        let queries = panel.queries();
        for query in &queries {
            let text = query
                .expression
                .trim_start_matches("1 - ")
                .trim_start_matches("histogram_quantile(0.95, ");
            let of_one = text.contains("endpoint_id=\"$endpoint\"") && panel.kind() != "table";
            let limited = text.contains("topk(") || text.contains("bottomk(");
            let one = [
                "max(",
                "min(",
                "sum(",
                "count(",
                "(time() - max(",
                "(time() - min(",
            ];
            let single = one.iter().any(|begin| text.starts_with(begin));
            let few = by.captures(text).is_some_and(|found| {
                found[1]
                    .split(", ")
                    .all(|label| FEW.contains(&label) || label == "code")
            });
            let few = few || text.starts_with("sum by (operation, le)");
            assert!(
                of_one || limited || single || few,
                "{} {}: {text}",
                panel.place,
                query.letter
            );
        }
    }
}

#[test]
fn colours_are_told_apart_by_everybody_and_none_is_chosen_by_grafana() {
    for board in boards() {
        for key in ["color", "fixedColor", "iconColor"] {
            for colour in all(&board.json, key).into_iter().filter_map(Value::as_str) {
                assert!(COLOURS.contains(&colour), "{}: {colour}", board.uid());
            }
        }
        for mode in all(&board.json, "color")
            .into_iter()
            .filter(|one| one.is_object())
        {
            if let Some(mode) = mode["mode"].as_str() {
                let known = ["shades", "fixed", "thresholds", "scheme"];
                assert!(known.contains(&mode), "{}: {mode}", board.uid());
            }
        }
        assert!(!board.json.to_string().contains("palette-classic"));
    }
}

#[test]
fn what_is_zero_or_one_is_shown_as_a_word() {
    let switches = [
        "vobiz_endpoint_registered{",
        "vobiz_up{",
        "vobiz_walk_confirming{",
        "up{",
        "vobiz_endpoint_application_assigned{",
    ];
    let mut seen = 0;
    for panel in panels() {
        if !["stat", "state-timeline"].contains(&panel.kind()) {
            continue;
        }
        let shown = panel.queries().into_iter().any(|query| {
            let counted = ["count(", "max(", "(time()"]
                .iter()
                .any(|one| query.expression.starts_with(one));
            let counted = counted && !query.expression.starts_with("max (");
            switches.iter().any(|one| query.expression.contains(one)) && !counted
        });
        if shown || panel.kind() == "state-timeline" {
            let mappings = &panel.json["fieldConfig"]["defaults"]["mappings"];
            assert!(!list(mappings).is_empty(), "{} shows a number", panel.place);
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen}");
}

#[test]
fn links_lead_to_dashboards_and_variables_that_exist() {
    let boards = boards();
    let addresses = Regex::new(r"^/d/([a-z-]+)").unwrap();
    let passed = Regex::new(r"var-([a-z]+)=|\$\{([a-z]+):queryparam\}").unwrap();
    let mut seen = 0;
    for board in &boards {
        let [others] = list(&board.json["links"]) else {
            panic!("{} has one link to the others", board.uid())
        };
        assert_eq!(
            (&others["includeVars"], &others["keepTime"]),
            (&true.into(), &true.into())
        );
        for other in &boards {
            assert_eq!(others["tags"], other.json["tags"]);
        }
        for url in all(&board.json["panels"], "url").into_iter().map(text) {
            let uid = &addresses.captures(url).unwrap()[1];
            let target = boards.iter().find(|one| one.uid() == uid);
            let target = target.unwrap_or_else(|| panic!("{url} leads nowhere"));
            for found in passed.captures_iter(url) {
                let name = found.get(1).or(found.get(2)).unwrap().as_str();
                let known = target.variables().iter().any(|one| one["name"] == name);
                assert!(known, "{url}: {uid} has no variable {name}");
            }
            // An endpoint beyond those that are listed is found by its id.
            assert_eq!(url.contains("var-endpoint="), url.contains("var-search="));
            // A link is made of columns that the table has.
            for column in ["Account", "Id"] {
                let field = format!("${{__data.fields.{column}}}");
                assert!(url.contains(&field), "{url}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
    for group in groups() {
        for alert in group.alerts {
            let url = alert.tells("dashboard_url");
            let uid = &addresses.captures(url).unwrap()[1];
            let target = boards.iter().find(|one| one.uid() == uid);
            let target = target.unwrap_or_else(|| panic!("{}: {url}", alert.name));
            for found in passed.captures_iter(url) {
                let known = target.variables().iter().any(|one| one["name"] == found[1]);
                assert!(known, "{}: {url}", alert.name);
            }
        }
    }
}

#[test]
fn panels_do_not_overlap_and_none_leaves_the_page() {
    for board in boards() {
        let mut taken = BTreeSet::new();
        for panel in list(&board.json["panels"]) {
            let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(of("x") + of("w") <= 24, "{}", panel["title"]);
            for x in of("x")..of("x") + of("w") {
                for y in of("y")..of("y") + of("h") {
                    assert!(taken.insert((x, y)), "{}, {}", board.uid(), panel["title"]);
                }
            }
        }
    }
}
