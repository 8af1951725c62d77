//! Tells the program which compiler built it, and from what, for `vobiz_exporter_build_info`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// May be given by the environment, for a build without the repository.
const REVISION: &str = "VOBIZ_EXPORTER_REVISION";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={REVISION}");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let words = said(Command::new(rustc).arg("--version"));
    // The answer reads `rustc 1.88.0 (commit date)`.
    let version = words.as_deref().and_then(|words| words.split(' ').nth(1));
    println!(
        "cargo:rustc-env=VOBIZ_EXPORTER_RUSTVERSION={}",
        version.unwrap_or("unknown").trim()
    );
    let given = env::var_os(REVISION).and_then(|given| given.into_string().ok());
    let given = given.filter(|given| !given.is_empty());
    let revision = given.or_else(committed);
    println!(
        "cargo:rustc-env={REVISION}={}",
        revision.as_deref().unwrap_or("unknown")
    );
}

/// The commit that is checked out here; `None` without git, and in a source archive.
fn committed() -> Option<String> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let top = git(&here, &["rev-parse", "--show-toplevel"])?;
    // An archive that was unpacked inside of another repository is no part of that one.
    if Path::new(&top).canonicalize().ok()? != here.canonicalize().ok()? {
        return None;
    }
    let branch = git(&here, &["symbolic-ref", "--quiet", "HEAD"]);
    // A branch may stand in a file of its own or among the packed ones; the log of HEAD tells of
    // a commit in both cases.
    let moving = ["HEAD", "logs/HEAD", "packed-refs"].map(str::to_owned);
    for name in moving.into_iter().chain(branch) {
        let file = git(&here, &["rev-parse", "--git-path", &name]).map(|file| here.join(file));
        if let Some(file) = file.filter(|file| file.is_file()) {
            println!("cargo:rerun-if-changed={}", file.display());
        }
    }
    git(&here, &["rev-parse", "--short=12", "HEAD"])
}

fn git(here: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    // A hook of another repository that builds this one has set them for itself.
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    said(git.current_dir(here).args(arguments))
}

/// What a program prints if it can be run and does well.
fn said(command: &mut Command) -> Option<String> {
    let answer = command.output().ok().filter(|it| it.status.success())?;
    let words = String::from_utf8(answer.stdout).ok()?;
    let words = words.trim();
    (!words.is_empty() && !words.contains('\n')).then(|| words.to_owned())
}
