//! The configurations in the documents are valid.

use std::path::Path;

use crate::harness::{Program, tool};

/// The YAML blocks in `docs/` that begin with `# {comment}`, each with the name of its document.
fn blocks(comment: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let fence = format!("\n```yaml\n# {comment}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for block in text.split(&fence).skip(1) {
            let end = block.find("\n```\n").expect("a block ends") + 1;
            found.push((name.clone(), format!("# {comment}{}", &block[..end])));
        }
    }
    found
}

#[test]
fn every_configuration_of_prometheus_in_a_document_is_accepted_by_promtool() {
    let promtool = tool("PROMTOOL", "promtool");
    let blocks = blocks("prometheus.yml");
    assert!(blocks.len() >= 3, "{blocks:?}");
    for (document, text) in blocks {
        let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let output = std::process::Command::new(&promtool)
            .args(["check", "config", "--lint=all", "--lint-fatal"])
            .arg(file.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{document}: {output:?}\n{text}");
    }
}

#[tokio::test]
async fn every_configuration_of_the_exporter_in_a_document_is_valid() {
    let blocks = blocks("exporter.yaml");
    assert!(blocks.len() >= 4, "{blocks:?}");
    for (document, text) in blocks {
        let folder = tempfile::tempdir().unwrap();
        for name in ["acme", "globex", "initech", "umbrella"] {
            std::fs::write(folder.path().join(name), "abc\n").unwrap();
        }
        let secrets = format!("{}/", folder.path().display());
        let file = folder.path().join("exporter.yaml");
        std::fs::write(&file, text.replace("/run/secrets/", &secrets)).unwrap();
        let ended = Program::new(&["--config.check", "--config.file", file.to_str().unwrap()])
            .run()
            .await;
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (Some(0), ""),
            "{document}: {text}"
        );
    }
}
