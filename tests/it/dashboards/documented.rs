//! The document about the dashboards tells of every panel that there is, and of nothing else.

use super::board::{Board, boards, list, text};
use crate::rules::{path, read};

/// Rows with the titles of their panels, as they stand on the page.
type Rows = Vec<(String, Vec<String>)>;

fn drawn(board: &Board) -> Rows {
    let mut rows = Rows::new();
    for panel in list(&board.json["panels"]) {
        let title = text(&panel["title"]).to_owned();
        if panel["type"] == "row" {
            rows.push((title, Vec::new()));
        } else {
            rows.last_mut().unwrap().1.push(title);
        }
    }
    rows
}

/// The same as the section of a document tells it; every panel with a question.
fn told(section: &str) -> Rows {
    let mut rows = Rows::new();
    for line in section.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            rows.push((title.to_owned(), Vec::new()));
        } else if let Some(rest) = line.strip_prefix("- **") {
            let (title, question) = rest.split_once("**: ").unwrap();
            assert!(question.ends_with('?'), "{line}");
            rows.last_mut().unwrap().1.push(title.to_owned());
        }
    }
    rows
}

#[test]
fn every_panel_has_its_question_in_the_document_and_every_dashboard_its_image() {
    let document = read("docs/dashboards.md");
    let sections: Vec<_> = document.split("\n## ").skip(1).collect();
    let boards = boards();
    assert_eq!(sections.len(), boards.len());
    for board in boards {
        let title = text(&board.json["title"]);
        let mut sections = sections.iter();
        let section = sections.find(|section| section.lines().next() == Some(title));
        let section = section.unwrap_or_else(|| panic!("nothing is told of {title}"));
        assert_eq!(told(section), drawn(&board), "{title}");

        let name = board.uid().strip_prefix("vobiz-").unwrap();
        let image = format!("images/{name}.png");
        assert!(
            section.contains(&format!("not Grafana]({image})")),
            "{name}"
        );
        let size = path("docs").join(image).metadata().unwrap().len();
        assert!(size < 200 * 1024, "{name}: {size} bytes");
    }
}
