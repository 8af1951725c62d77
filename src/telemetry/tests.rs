//! Rules for metric names, and a comparison of the catalogue with the documentation.

use std::{collections::BTreeMap, fs, path::Path};

use super::catalogue::{Kind, Metric, Part, closed_values};

/// The rows of all tables in `docs/metrics.md` that have this header. Each row is a list of trimmed cells.
fn rows(header: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let document = fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        if line == header {
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && !line.starts_with("|---") {
            let cells = line.trim_matches('|').split(" | ");
            rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

/// The words in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_documentation_has_every_metric_once_with_its_type_and_its_labels() {
    let rows = rows("| metric | type | labels | meaning |");
    let mut documented = BTreeMap::new();
    for row in &rows {
        let name = quoted(&row[0])[0];
        let meaning = row[3].as_str();
        assert!(meaning.ends_with('.'), "{name}: {meaning}");
        let twice = documented.insert(name, (row[1].as_str(), quoted(&row[2])));
        assert_eq!(twice, None, "{name} is documented twice");
    }
    let catalogue: BTreeMap<_, _> = Metric::ALL
        .iter()
        .map(|metric| metric.family())
        .map(|family| (family.name, (family.kind.word(), family.labels.to_vec())))
        .collect();
    assert_eq!(documented, catalogue);
}

#[test]
fn the_documentation_has_every_closed_label_with_its_values() {
    let rows = rows("| metric | label | values |");
    let documented: BTreeMap<_, _> = rows
        .iter()
        .map(|row| ((quoted(&row[0])[0], quoted(&row[1])[0]), quoted(&row[2])))
        .collect();
    assert_eq!(documented.len(), rows.len(), "a label is documented twice");
    let mut catalogue = BTreeMap::new();
    for metric in Metric::ALL {
        let family = metric.family();
        for label in family.labels {
            if let Some(values) = closed_values(*metric, label) {
                catalogue.insert((family.name, *label), values.to_vec());
            }
        }
    }
    assert_eq!(documented, catalogue);
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for metric in Metric::ALL {
        let family = metric.family();
        let name = family.name;
        assert_eq!(Metric::named(name), Some(*metric), "{name} is there twice");
        assert_eq!(
            name.ends_with("_total"),
            family.kind == Kind::Counter,
            "{name}"
        );
        let has_prefix = name.starts_with("vobiz_");
        // The names of two probe metrics follow a convention of probe exporters.
        let is_convention = family.part == Part::Probe && name.starts_with("probe_");
        assert_eq!(
            has_prefix || is_convention,
            family.part != Part::Process,
            "{name}"
        );
        assert!(family.help.ends_with('.'), "{name}");
        if family.part == Part::Snapshot {
            assert_eq!(family.labels[0], "account", "{name}");
            assert!(family.help.contains("Cached from"), "{name}");
        }
    }
}

#[test]
fn the_unit_is_the_end_of_the_name() {
    let unit = |metric: Metric| metric.family().unit();
    assert_eq!(unit(Metric::ApiThrottle), Some("seconds"));
    assert_eq!(unit(Metric::ApiRequestDuration), Some("seconds"));
    assert_eq!(unit(Metric::ProcessResidentMemory), Some("bytes"));
    assert_eq!(unit(Metric::WalksSkipped), None);
    assert_eq!(unit(Metric::Up), None);
}
