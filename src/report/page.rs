//! A report as one HTML file that needs no other file and no script.

use askama::Template;

use super::{
    availability::Report,
    table::{Table, summary, tables},
};

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    summary: Vec<String>,
    tables: [Table; 6],
}

/// The report as an HTML document. All texts are escaped.
pub fn html(report: &Report) -> String {
    let page = Page {
        summary: summary(report),
        tables: tables(report),
    };
    // A template writes to memory, which cannot fail.
    page.render().unwrap_or_default() + "\n"
}
