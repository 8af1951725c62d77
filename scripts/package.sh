#!/usr/bin/env bash
# Builds a Debian package from the release binary in the target folder (CARGO_TARGET_DIR, default
# target/). Writes the package to debian/ in the target folder. Passes its arguments to cargo-deb.
#
# usage: scripts/package.sh [ARGUMENT...]
#
# The subcommands of the binary print its manual pages and completion scripts.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cargo_deb=${CARGO_DEB:-$PWD/target/tools/bin/cargo-deb}
readonly binary=$CARGO_TARGET_DIR/release/vobiz-exporter pages=$CARGO_TARGET_DIR/release/pages

mkdir -p "$pages"
rm -f "$pages"/*.1.gz
"$binary" man | gzip -9n >"$pages/vobiz-exporter.1.gz"
for command in demo simulate state report completion man; do
    "$binary" man "$command" | gzip -9n >"$pages/vobiz-exporter-$command.1.gz"
done
for shell in bash zsh fish; do
    "$binary" completion "$shell" >"$pages/vobiz-exporter.$shell"
done
"$cargo_deb" --no-build --locked "$@"
