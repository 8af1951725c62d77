//! Runs the checks with the seeds, which include the inputs of fixed faults, and with fixtures of other tests.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
};

use super::{check_configuration, check_connection, check_page, check_web_config};

/// Runs the check with each file of the folder.
fn run(folder: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(&folder).expect("the repository has the folder");
    let mut number = 0;
    for path in files.map(|file| file.unwrap().path()) {
        let bytes = fs::read(&path).unwrap();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&bytes))) {
            println!("the check failed with {}", path.display());
            resume_unwind(panic);
        }
        number += 1;
    }
    assert!(number > 1, "{} has seeds", folder.display());
}

#[test]
fn every_seed_of_a_connection_passes() {
    run("fuzz/seeds/request", check_connection);
}

#[test]
fn every_seed_of_a_web_configuration_passes() {
    run("fuzz/seeds/web_config", check_web_config);
    run("tests/it/web_config/files", check_web_config);
}

#[test]
fn every_seed_of_a_configuration_passes() {
    run("fuzz/seeds/config", check_configuration);
    run("src/config/testdata", check_configuration);
}

#[test]
fn every_seed_of_a_page_passes() {
    run("fuzz/seeds/page", check_page);
    run("src/api/testdata", check_page);
}
