#!/bin/sh
# Runs the exporter with the default settings against 100,000 endpoints. At five pages per second, a
# walk takes longer than poll.interval. So the exporter must increase its effective interval and
# max_age, and log one warning. The script prints the measured values. It exits with 0 if every
# value is the expected value. The script takes about eight minutes for two walks. The second walk
# shows that the exporter does not repeat the warning.
#
# usage: scripts/fleet.sh [BINARY]     (default: builds target/release/vobiz-exporter)
#
# ShellCheck does not see that traps and within() call the functions below.
# shellcheck disable=SC2317
set -eu

cd "$(dirname "$0")/.."
binary=${1:-target/release/vobiz-exporter}
[ -n "${1:-}" ] || cargo build --release --quiet

folder=$(mktemp -d)
vendor='' exporter=''
end() {
    for process in $exporter $vendor; do
        kill "$process" 2>/dev/null || true
        wait "$process" || true
    done
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 1' HUP INT TERM

# within SECONDS COMMAND...: waits until the command succeeds. Exits with an error after this many
# seconds.
within() {
    left=$1
    shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "timed out: $*" >&2; exit 1; }
        sleep 1
    done
}

"$binary" simulate --listen-address=127.0.0.1:0 --endpoints=100000 --no-gzip --speed=0 --seed=7 \
    >"$folder/exporter.yaml" 2>"$folder/vendor.log" &
vendor=$!
# The simulated vendor prints a configuration with its address and accounts. The exporter
# reads this configuration.
within 60 grep -q 'auth_token' "$folder/exporter.yaml"
"$binary" --config.file="$folder/exporter.yaml" --web.listen-address=127.0.0.1:0 \
    2>"$folder/exporter.log" &
exporter=$!
within 60 grep -q 'listening' "$folder/exporter.log"
address=$(sed -n '/listening/s/.* address=\([^ ]*\).*/\1/p' "$folder/exporter.log")

walks() { [ "$(grep -c 'walk published' "$folder/exporter.log")" -ge "$1" ]; }
scraped() {
    curl --silent --fail --compressed "http://$address/metrics" >"$folder/scrape" &&
        grep -q '^vobiz_up{' "$folder/scrape"
}
echo "first walk under way, at $address"
within 400 walks 1
# The log line appears when the walk ends, shortly before the metrics are ready.
within 30 scraped
echo "second walk under way"
within 500 walks 2

# sample METRIC: prints the value of the only sample of this metric family.
sample() { awk -v name="$1{" 'index($0, name) == 1 { print $NF }' "$folder/scrape"; }
wrong=0
# check NAME PATTERN VALUE: prints the value, and reports an error if the value does not match.
check() {
    printf '%-38s %s\n' "$1" "$3"
    printf '%s\n' "$3" | grep -Eqx "$2" || { echo "  should be: $2" >&2; wrong=1; }
}
check 'up' 1 "$(sample vobiz_up)"
check 'endpoints shown' 100000 "$(grep -c '^vobiz_endpoint_info{' "$folder/scrape")"
check 'endpoints reported by the vendor' 100000 "$(sample vobiz_walk_reported_endpoints)"
check 'endpoints missing' 0 "$(sample vobiz_walk_missing_endpoints)"
check 'pages' 1011 "$(sample vobiz_walk_pages)"
check 'duration of the walk, seconds' '20[0-9](\.[0-9]+)?' "$(sample vobiz_walk_last_duration_seconds)"
check 'effective interval, seconds' 240 "$(sample vobiz_exporter_poll_interval_seconds)"
check 'effective max_age, seconds' 720 "$(sample vobiz_exporter_max_age_seconds)"
check 'warnings about it in two walks' 1 "$(grep -c 'longer than poll.interval' "$folder/exporter.log")"
grep 'longer than poll.interval' "$folder/exporter.log"
exit "$wrong"
