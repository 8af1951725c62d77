//! A linter checks the `Dockerfile`. The tests in `container.rs` build the image.

use super::{run, shipped, text};

#[tokio::test]
async fn hadolint_accepts_the_dockerfile() {
    let verdict = run(
        "hadolint",
        &[&"--failure-threshold=style", &shipped("Dockerfile")],
    )
    .await;
    let words = format!("{}{}", verdict.out, verdict.err);
    assert_eq!((verdict.code, words.as_str()), (Some(0), ""));
}

#[test]
fn files_copied_into_the_image_build_are_not_ignored() {
    let ignored = text(".dockerignore");
    let kept: Vec<_> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    assert!(ignored.lines().any(|line| line == "*"));
    for line in text("Dockerfile").lines() {
        let Some(copied) = line
            .strip_prefix("COPY ")
            .filter(|copied| !copied.contains('$'))
        else {
            continue;
        };
        let words: Vec<_> = copied
            .split(' ')
            .filter(|word| !word.starts_with("--"))
            .collect();
        let sources = words.split_last().unwrap().1;
        for source in sources.iter().filter(|source| !source.starts_with('/')) {
            let folder = source.split('/').next().unwrap();
            assert!(kept.contains(&folder), "{source} is copied, and ignored");
            assert!(shipped(source).exists(), "{source}");
        }
    }
}
