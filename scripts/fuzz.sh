#!/usr/bin/env bash
# Runs the fuzz targets of fuzz/ with libFuzzer and AddressSanitizer. A stable compiler is enough: RUSTC_BOOTSTRAP=1
# permits the flag of the sanitizer.
#
# usage: scripts/fuzz.sh run [TARGET]...       (FUZZ_SECONDS: the time for each target, 600 by default)
#        scripts/fuzz.sh planted [TARGET]...   (plants a bug for each target, which the target must find in time)
#
# New inputs stay in target/fuzz/corpus/TARGET, and an input that fails in target/fuzz/found/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly ROOT=$PWD OUTPUT=$PWD/target/fuzz
HOST=$(rustc --print host-tuple)
readonly HOST
# The longest time for a planted bug, in seconds.
readonly PLANTED_SECONDS=300
readonly TARGETS="request web_config config page"

die() {
    printf 'fuzz: %s\n' "$*" >&2
    exit 1
}

# build FOLDER: builds the targets from the sources in the folder. The flags instrument the exporter and its
# dependencies: counters of covered code, comparisons for libFuzzer, and AddressSanitizer.
build() {
    local flags="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Ccodegen-units=1"
    local option
    for option in level=4 inline-8bit-counters pc-table trace-compares; do
        flags="$flags -Cllvm-args=-sanitizer-coverage-$option"
    done
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags CARGO_TARGET_DIR=$OUTPUT/build \
        cargo build --release --locked --manifest-path "$1/fuzz/Cargo.toml" --target "$HOST"
}

# fuzz TARGET SECONDS CORPUS FOUND [OPTION]: runs the target. Seeds are the files of fuzz/seeds/ and fixtures of other tests.
fuzz() {
    local seeds=("fuzz/seeds/$1") length=4096
    case $1 in
    web_config) seeds+=(tests/it/web_config/files) ;;
    config) seeds+=(src/config/testdata) ;;
    page) seeds+=(src/api/testdata) ;;
    request) length=2048 ;;
    *) die "unknown target $1; known are $TARGETS" ;;
    esac
    mkdir -p "$3" "$4"
    # SQLite has two static tables of one name, which the sanitizer takes for one table with two definitions.
    # An input that takes ten seconds, or a gigabyte of memory, is a bug.
    ASAN_OPTIONS=detect_odr_violation=0 RUST_BACKTRACE=1 \
        "$OUTPUT/build/$HOST/release/$1" -max_total_time="$2" -max_len=$length -dict="fuzz/dictionaries/$1" \
        -timeout=10 -rss_limit_mb=1024 -artifact_prefix="$4/" -print_final_stats=1 "${@:5}" "$3" "${seeds[@]}"
}

run() {
    local target
    build "$ROOT"
    for target in "$@"; do
        printf 'fuzz: %s\n' "$target" >&2
        fuzz "$target" "${FUZZ_SECONDS:-600}" "$OUTPUT/corpus/$target" "$OUTPUT/found/$target" ||
            die "$target failed; the input is in target/fuzz/found/$target"
    done
}

# The patches change one copy of the sources. A target starts without the corpus of earlier runs, so it finds its bug
# from the seeds. The line `finds:` of a patch is a part of the message of its bug.
planted() {
    local target copy=$OUTPUT/planted/source work begun expected missed=
    rm -rf "$copy"
    mkdir -p "$copy"
    git ls-files -z | xargs -0 cp --parents -t "$copy"
    for target in "$@"; do
        patch --quiet --strip=1 --directory="$copy" <"fuzz/planted/$target.patch" >&2 ||
            die "fuzz/planted/$target.patch no longer applies; adapt it to the sources"
    done
    build "$copy"
    for target in "$@"; do
        work=$OUTPUT/planted/$target
        rm -rf "$work"
        mkdir -p "$work"
        begun=$SECONDS
        expected=$(sed -n 's/^finds: //p' "fuzz/planted/$target.patch")
        # Without counters, an input counts as new only if it reaches new code. Otherwise, the corpus grows so fast that
        # most inputs are hardly changed.
        if fuzz "$target" "$PLANTED_SECONDS" "$work/corpus" "$work/found" -use_counters=0 >"$work/log" 2>&1; then
            missed="$missed $target"
        elif grep --quiet --fixed-strings "$expected" "$work/log"; then
            printf 'fuzz: %s found its planted bug in %s s\n' "$target" "$((SECONDS - begun))"
        else
            die "$target failed, but not with its planted bug; see target/fuzz/planted/$target/log"
        fi
    done
    [ -z "$missed" ] || die "in $PLANTED_SECONDS s, these targets did not find their planted bugs:$missed"
}

command=${1:-}
shift || true
# shellcheck disable=SC2086 # the shell must split the list into names
[ $# -gt 0 ] || set -- $TARGETS
case $command in
run | planted) "$command" "$@" ;;
*) die "usage: scripts/fuzz.sh run|planted [TARGET]..." ;;
esac
