//! The dashboards in the repository are the output of the generator.

use crate::{
    deploy::program,
    harness::judge,
    rules::{path, read},
};

use super::board::{FILES, FOLDER};

#[tokio::test]
async fn the_generator_writes_the_committed_dashboards() {
    let folder = tempfile::tempdir().unwrap();
    let (generator, into) = (path("grafana/generate"), folder.path().to_str().unwrap());
    // `-B` prevents Python from writing cache files into the repository.
    let arguments = ["-B", generator.to_str().unwrap(), into];
    let made = judge(&program("python"), &arguments, "").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    for file in FILES {
        let now = std::fs::read_to_string(folder.path().join(file)).unwrap();
        let kept = read(&format!("{FOLDER}/{file}"));
        assert!(now == kept, "{file}: run `make dashboards`");
    }
    let made = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(made, FILES.len());
}
