//! Gives the program the compiler version and the Git revision for `vobiz_exporter_build_info` and `--version`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// If this environment variable is not empty, its value is the revision, for builds outside the Git repository.
const REVISION: &str = "VOBIZ_EXPORTER_REVISION";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={REVISION}");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = output_line(Command::new(rustc).arg("--version"));
    // The output has the form `rustc 1.89.0 (commit date)`.
    let version = output.as_deref().and_then(|line| line.split(' ').nth(1));
    println!(
        "cargo:rustc-env=VOBIZ_EXPORTER_RUSTVERSION={}",
        version.unwrap_or("unknown").trim()
    );
    let given = env::var_os(REVISION).and_then(|given| given.into_string().ok());
    let given = given.filter(|given| !given.is_empty());
    let revision = given.or_else(head_commit);
    println!(
        "cargo:rustc-env={REVISION}={}",
        revision.as_deref().unwrap_or("unknown")
    );
}

/// The checked-out commit; `None` if the source is not the top folder of a repository or Git finds no commit.
fn head_commit() -> Option<String> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let top = git(&here, &["rev-parse", "--show-toplevel"])?;
    // The source may be unpacked inside another repository. The commit of that repository would be wrong.
    if Path::new(&top).canonicalize().ok()? != here.canonicalize().ok()? {
        return None;
    }
    let branch = git(&here, &["symbolic-ref", "--quiet", "HEAD"]);
    // Cargo must run this script again after each commit. Git's file of the branch may not exist yet. But the
    // log of HEAD exists, and every commit changes this log.
    let changing = ["HEAD", "logs/HEAD", "packed-refs"].map(str::to_owned);
    for name in changing.into_iter().chain(branch) {
        let file = git(&here, &["rev-parse", "--git-path", &name]).map(|file| here.join(file));
        if let Some(file) = file.filter(|file| file.is_file()) {
            println!("cargo:rerun-if-changed={}", file.display());
        }
    }
    git(&here, &["rev-parse", "--short=12", "HEAD"])
}

fn git(here: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    // If a git hook of another repository starts this build, these variables name that repository.
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    output_line(git.current_dir(here).args(arguments))
}

/// The output of `command`; `None` if the command fails or does not print exactly one line.
fn output_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|it| it.status.success())?;
    let line = String::from_utf8(output.stdout).ok()?;
    let line = line.trim();
    (!line.is_empty() && !line.contains('\n')).then(|| line.to_owned())
}
