//! What the command line can print about itself: version, completion scripts, manual page.

use std::sync::LazyLock;

use clap::CommandFactory;
use clap_complete::Shell;

use super::line::Line;

/// Below the flags in `--help` and in the manual page.
pub(super) const AFTER_HELP: &str = "\
Environment:
  VOBIZ_AUTH_ID           with VOBIZ_AUTH_TOKEN_FILE or VOBIZ_AUTH_TOKEN: the account `default`,
                          when the configuration lists none
  VOBIZ_EXPORTER__KEY     sets KEY of the configuration, such as VOBIZ_EXPORTER__POLL__INTERVAL=30s

The commands have flags of their own: `vobiz-exporter demo --help` tells them.

Exit codes: 0 fine, 1 failed at run time, 2 wrong usage or configuration.";

/// Version, revision and compiler, as `--version` shows them after the name.
pub(super) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{} (revision {}, rustc {})",
            env!("CARGO_PKG_VERSION"),
            env!("VOBIZ_EXPORTER_REVISION"),
            env!("VOBIZ_EXPORTER_RUSTVERSION"),
        )
    });
    &VERSION
}

/// The completion script for `shell`.
pub fn completion(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = Line::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// The manual page in roff, for man(1): the program's, which names those of its commands, or that of
/// one command.
pub fn manual(command: Option<&str>) -> Vec<u8> {
    // What `vobiz-exporter help` tells, `--help` tells as well; it has no page.
    let mut whole = Line::command().disable_help_subcommand(true);
    whole.build();
    let about = match command {
        None => whole,
        Some(name) => {
            let found = whole.find_subcommand(name);
            found.expect("the line names every command").clone()
        }
    };
    let man = clap_mangen::Man::new(about)
        .manual("Prometheus exporters")
        // Only name and number: the footer has little room.
        .source(concat!("vobiz-exporter ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)
        .expect("writing to memory cannot fail");
    page
}
