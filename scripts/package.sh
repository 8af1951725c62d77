#!/usr/bin/env bash
# Packs the release binary that lies in the target folder (CARGO_TARGET_DIR, else target/) as a Debian
# package, below debian/ in that folder. Further arguments are cargo-deb's.
#
# usage: scripts/package.sh [ARGUMENT...]
#
# The binary itself writes its manual pages and its completion scripts.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cargo_deb=${CARGO_DEB:-$PWD/target/tools/bin/cargo-deb}
readonly binary=$CARGO_TARGET_DIR/release/vobiz-exporter pages=$CARGO_TARGET_DIR/release/pages

mkdir -p "$pages"
rm -f "$pages"/*.1.gz
"$binary" man | gzip -9n >"$pages/vobiz-exporter.1.gz"
for command in demo simulate completion man; do
    "$binary" man "$command" | gzip -9n >"$pages/vobiz-exporter-$command.1.gz"
done
for shell in bash zsh fish; do
    "$binary" completion "$shell" >"$pages/vobiz-exporter.$shell"
done
"$cargo_deb" --no-build --locked "$@"
