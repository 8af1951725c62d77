//! Tells the program which compiler built it, for `vobiz_exporter_build_info`.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc).arg("--version").output();
    let words = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned());
    // The answer reads `rustc 1.88.0 (commit date)`.
    let version = words
        .as_deref()
        .ok()
        .and_then(|words| words.split(' ').nth(1));
    println!(
        "cargo:rustc-env=VOBIZ_EXPORTER_RUSTVERSION={}",
        version.unwrap_or("unknown").trim()
    );
}
