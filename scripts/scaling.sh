#!/usr/bin/env bash
# Measures the figures of docs/scaling.md. The exporter polls a simulated API in a separate process.
# The script prints Markdown tables and saves a copy in target/scaling/report.md.
#
# usage: scripts/scaling.sh [walks] [accounts] [details]     (default: all three)
#   walks     the duration of a walk at the default rate with 1,000, 10,000 and 29,000 endpoints
#   accounts  memory and CPU time with 100, 300 and 1,000 accounts of 45 endpoints, one walk a minute
#   details   memory and CPU time with 10,000 endpoints, without details and with all details.
#             (the simulated list has no expiries, so the exporter reads the detail of every
#             registered endpoint)
# BINARY=path   measure this binary instead of building target/release/vobiz-exporter
#
# The script takes about fourteen minutes after the build. All servers listen on loopback addresses,
# and all files are in target/scaling. The script stops every process that it has started, also
# after Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

readonly NAME=scaling HOME_DIR=$PWD/target/scaling
# shellcheck source=scripts/measure.sh
. scripts/measure.sh

# cpu_for SECONDS: waits this long, and prints the CPU seconds that the exporter used meanwhile.
cpu_for() {
    local started
    started=$(cpu_ticks "$exporter_pid")
    sleep "$1"
    calc "($(cpu_ticks "$exporter_pid") - $started) / $TICKS"
}

# sum_of METRIC: prints the sum of all samples of this metric family in a new scrape.
sum_of() {
    scrape "$HOME_DIR/page.gz"
    gzip -dc "$HOME_DIR/page.gz" | awk -v name="$1{" 'index($0, name) == 1 { sum += $NF } END { print sum + 0 }'
}

# is SUM METRIC: succeeds if the samples of this metric family have this sum in a new scrape.
is() { [ "$(sum_of "$2")" = "$1" ]; }

# value_of METRIC: prints the value of the only sample of this metric family in the output of
# --once.
value_of() { awk -v name="$1{" 'index($0, name) == 1 { print $NF }' "$HOME_DIR/once.prom"; }

measure_walks() {
    local endpoints
    report '' '### Walks at the default pace of five requests a second' '' \
        '| endpoints | pages | walk, s |' '|---|---|---|'
    for endpoints in 1000 10000 29000; do
        log "a walk over $endpoints endpoints"
        start_vendor "$endpoints" 1 --speed=0
        write_settings 1 60s 2 user_agent
        VOBIZ_EXPORTER__API__REQUESTS_PER_SECOND=5 timeout --foreground 300 \
            "$BINARY" --once --config.file="$SETTINGS" >"$HOME_DIR/once.prom" 2>"$exporter_log" ||
            die "a walk failed: $(tail -n 3 "$exporter_log")"
        report "| $endpoints | $(value_of vobiz_walk_pages) | $(calc "$(value_of vobiz_walk_last_duration_seconds)") |"
        stop_all
    done
}

measure_accounts() {
    local accounts cpu
    report '' '### Accounts of 45 endpoints, one walk of each a minute' '' \
        '| accounts | endpoints | peak resident memory, MiB | CPU per minute, s |' '|---|---|---|---|'
    for accounts in 100 300 1000; do
        log "$accounts accounts"
        start_vendor 45 "$accounts" --speed=0
        start_exporter "$accounts" 60s user_agent
        wait_for 120 "the first walks" is_ready
        wait_for 30 "their publication" is "$accounts" vobiz_up
        # Within these 120 s, every account has its second walk. During this walk, the exporter has
        # the old and the new snapshot of the account, so the memory reaches its peak.
        cpu=$(cpu_for 120)
        scrape "$HOME_DIR/page.gz"
        report "| $accounts | $((accounts * 45)) | $(peak) | $(calc "$cpu / 2") |"
        stop_all
    done
}

# measure_details MODE: measures memory and CPU time with this value of details.mode.
measure_details() {
    local started=$SECONDS took cpu shown rest
    log "10,000 endpoints, details: $1"
    start_vendor 10000 1 --speed=0
    start_exporter 1 60s user_agent "details: {mode: $1, requests_per_minute: 6000, max_age: 1h}"
    wait_for 60 "the first walk" is_ready
    [ "$1" = never ] || wait_for 300 "every detail" is 0 vobiz_details_pending
    took=$((SECONDS - started))
    cpu=$(calc "$(cpu_ticks "$exporter_pid") / $TICKS")
    scrape "$HOME_DIR/page.gz"
    shown=$(gzip -dc "$HOME_DIR/page.gz" | grep -c '^vobiz_endpoint_detail_timestamp_seconds{' || true)
    rest=$(cpu_for 120)
    report "| $1 | $shown | $took | $cpu | $(calc "$rest / 2") | $(peak) |"
    stop_all
}

for part in "$@"; do
    case $part in
    walks | accounts | details) ;;
    *) die "usage: scripts/scaling.sh [walks] [accounts] [details]" ;;
    esac
done
parts=$*
wanted() { [ "$parts" = '' ] || [[ " $parts " == *" $1 "* ]]; }

for tool in awk curl gzip; do
    command -v $tool >/dev/null || die "$tool is missing"
done
begin_report ""
if wanted walks; then measure_walks; fi
if wanted accounts; then measure_accounts; fi
if wanted details; then
    shape=captured
    report '' '### 10,000 endpoints whose list is silent, 6,000 details a minute' '' \
        '| details | retrieved | until all are there, s | CPU until then, s | CPU per minute afterwards, s | peak resident memory, MiB |' \
        '|---|---|---|---|---|---|'
    measure_details never
    measure_details auto
fi
log "the tables are in $REPORT"
