//! Extracts the commands from the runbooks.

use crate::rules::{files, read};

const FOLDER: &str = "docs/runbooks";
/// A command in a sentence begins with one of these programs, or with an environment variable.
const PROGRAMS: [&str; 9] = [
    "amtool ",
    "curl ",
    "docker ",
    "journalctl ",
    "kubectl ",
    "promtool ",
    "systemctl ",
    "vobiz-exporter ",
    "VOBIZ_EXPORTER__",
];

/// A command and the file that contains it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command {
    pub page: String,
    pub text: String,
}

/// All commands of all files: every line of a shell block, and commands in sentences.
pub fn commands() -> Vec<Command> {
    let pages = files(FOLDER, ".md").into_iter();
    pages.flat_map(|page| commands_of(&page)).collect()
}

/// The commands of one file, in the order of the file.
pub fn commands_of(page: &str) -> Vec<Command> {
    let mut found = Vec::new();
    let text = read(&format!("{FOLDER}/{page}"));
    let mut parts = text.split("```");
    while let (Some(prose), block) = (parts.next(), parts.next()) {
        let spans = prose.split('`').skip(1).step_by(2);
        let spans = spans.filter(|span| PROGRAMS.iter().any(|one| span.starts_with(one)));
        found.extend(spans.map(str::to_owned));
        let Some(block) = block else { break };
        let (language, lines) = block.split_once('\n').expect("a block has lines");
        match language {
            "sh" => {
                let lines = lines.replace("\\\n", "");
                let lines = lines.lines().map(without_remark);
                found.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
            }
            "promql" => {}
            other => panic!("{page}: who looks at blocks of {other}?"),
        }
    }
    let page = page.to_owned();
    let command = |text| Command {
        page: page.clone(),
        text,
    };
    found.into_iter().map(command).collect()
}

/// Removes the comment of a line. At least two spaces separate a comment from its command.
fn without_remark(line: &str) -> &str {
    let end = line.find("  #").unwrap_or(line.len());
    line[..end].trim()
}
