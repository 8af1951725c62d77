//! schemathesis compares the answers with the description of the interface.

use std::path::Path;

use tokio::process::Command;

use crate::{harness::RecordingProxy, pages::place::Place};

/// Requests for each operation in each phase.
const EXAMPLES: &str = "40";

/// Runs all checks of schemathesis with further arguments. Returns its exit code and its output.
async fn schemathesis(address: &str, more: &[&str]) -> (Option<i32>, String) {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/st");
    let program = std::env::var_os("SCHEMATHESIS").map_or(default, Into::into);
    assert!(
        program.is_file(),
        "{} is missing: run `make setup`, or name schemathesis by SCHEMATHESIS",
        program.display()
    );
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{address}/api/v1/openapi.json");
    let arguments = ["run", &url, "--checks", "all", "--no-color", "-n", EXAMPLES];
    let output = Command::new(program)
        .args(arguments)
        .args(["--seed", "1", "--workers", "2"])
        .args(more)
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_are_as_described_and_a_changed_answer_is_found() {
    let place = Place::start(300).await;
    let (code, text) = schemathesis(place.exporter.address(), &[]).await;
    assert_eq!(code, Some(0), "{text}");
    for phase in ["Coverage", "Fuzzing", "Stateful"] {
        assert!(text.contains(&format!("✅ {phase}")), "{text}");
    }
    // Without this argument, schemathesis leaves out the path of the description itself.
    let itself = ["--include-path", "/openapi.json"];
    let (code, text) = schemathesis(place.exporter.address(), &itself).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 selected / 8 total"), "{text}");
    let wrong = [("\"missed\":false", "\"missed\":\"no!\"")];
    for (good, bad) in wrong {
        let proxy = RecordingProxy::replacing(place.exporter.address(), good, bad).await;
        let (code, text) = schemathesis(proxy.address(), &[]).await;
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("violates schema"), "{text}");
    }
}
