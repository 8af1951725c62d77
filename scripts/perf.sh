#!/usr/bin/env bash
# Measures the figures of docs/performance.md. The exporter polls a simulated API in a separate
# process. The script prints Markdown tables and saves a copy in target/perf/report.md.
#
# usage: scripts/perf.sh [scrapes] [fleets] [walks]     (default: all three)
#   scrapes  responses per second of the exporter, and of nginx with the same bytes in a file
#   fleets   memory and CPU time with 45, 10,000 and 100,000 endpoints
#   walks    the duration of a walk if the API takes 20 ms for each request
# BINARY=path   measure this binary instead of building target/release/vobiz-exporter
# ROUNDS=5      the number of rounds of `scrapes`
#
# The script takes about four minutes after the build and needs an idle machine. All servers listen
# on loopback addresses, and all files are in target/perf. The script stops every process that it
# has started, also after Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
# In some locales, programs print a decimal comma. The locale C has a decimal point. Debian installs
# nginx in /usr/sbin, which is not always part of PATH.
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

readonly ROUNDS=${ROUNDS:-5} ROUND=5s
readonly NAME=perf HOME_DIR=$PWD/target/perf
# shellcheck source=scripts/measure.sh
. scripts/measure.sh

# --- scrapes -------------------------------------------------------------------------------------

nginx_pid='' nginx=''
# start_nginx FILE: serves the bytes of a gzip file as /metrics.
start_nginx() {
    local prefix=$HOME_DIR/nginx flags=()
    rm -rf "$prefix"
    mkdir -p "$prefix/files" "$prefix/tmp"
    cp benches/nginx.conf "$prefix/nginx.conf"
    nginx=127.0.0.1:$(free_port)
    printf 'listen %s;\n' "$nginx" >"$prefix/listen.conf"
    cp "$1" "$prefix/files/metrics.gz"
    gzip -dc "$1" >"$prefix/files/metrics"
    # If root starts nginx, its worker runs by default as a user without access to this folder. With
    # this flag, the worker runs as root.
    [ "$(id -u)" != 0 ] || flags=(-g "user root root;")
    nginx -p "$prefix" -c "$prefix/nginx.conf" -e error.log "${flags[@]}" >"$prefix/out.log" 2>&1 &
    nginx_pid=$!
    running+=("$nginx_pid")
    wait_for 10 "nginx" nginx_answers
    curl -sf --max-time 10 -H 'Accept-Encoding: gzip' "http://$nginx/metrics" | cmp - "$1" ||
        die "nginx does not serve the exporter's bytes"
}

nginx_answers() {
    kill -0 "$nginx_pid" 2>/dev/null || die "nginx has ended: $(cat "$HOME_DIR/nginx/out.log")"
    curl -sf --max-time 5 -o "$HOME_DIR/nginx/probe" "http://$nginx/metrics"
}

# responses_per_second ADDRESS DURATION: prints the rate of responses.
responses_per_second() {
    local out=$HOME_DIR/wrk.log
    timeout --foreground 60 wrk -t1 -c4 -d"$2" -H 'Accept-Encoding: gzip' "http://$1/metrics" >"$out" ||
        die "wrk failed: $(tail -n 3 "$out")"
    ! grep -E 'Non-2xx|Socket errors' "$out" >&2 || die "not every answer was good"
    awk '/^Requests\/sec:/ { print $2 }' "$out"
}

# measure_scrapes ENDPOINTS ACCOUNTS: measures the responses per second of the exporter and of
# nginx.
measure_scrapes() {
    local page=$HOME_DIR/page.gz round nginx_rate exporter_rate ratio ratios='' series
    log "scrapes: $2 x $1 endpoints"
    start_vendor "$1" "$2"
    # With an interval of one hour, no second walk disturbs the measurement.
    start_exporter "$2" 1h user_agent
    wait_for 120 "the first walk" is_ready
    settle
    scrape "$page"
    gzip -t "$page"
    series=$(gzip -dc "$page" | grep -c '^vobiz_endpoint_registered{')
    [ "$series" = $(($1 * $2)) ] || die "$series endpoints are shown, not $(($1 * $2))"
    start_nginx "$page"
    responses_per_second "$nginx" 1s >/dev/null
    responses_per_second "$exporter" 1s >/dev/null
    report '' "### Scrapes: $2 x $1 endpoints ($(stat -c %s "$page") bytes of gzip, $(gzip -dc "$page" | wc -c) of text)" '' \
        '| round | nginx, responses/s | vobiz-exporter, responses/s | ratio |' '|---|---|---|---|'
    for ((round = 1; round <= ROUNDS; round++)); do
        # The order alternates, because a cooler processor can make the first measurement faster.
        if ((round % 2)); then
            nginx_rate=$(responses_per_second "$nginx" $ROUND)
            exporter_rate=$(responses_per_second "$exporter" $ROUND)
        else
            exporter_rate=$(responses_per_second "$exporter" $ROUND)
            nginx_rate=$(responses_per_second "$nginx" $ROUND)
        fi
        ratio=$(calc "$exporter_rate / $nginx_rate")
        ratios+=$ratio$'\n'
        report "| $round | $nginx_rate | $exporter_rate | $ratio |"
    done
    ratio=$(printf '%s' "$ratios" | median)
    report "| median | | | **$ratio** (wanted: 1.00, hoped for: 1.20; $(verdict "$ratio >= 1")) |"
    stop_all
}

# --- fleets --------------------------------------------------------------------------------------

fleet_cpu='' fleet_peak=''
# measure_fleet ENDPOINTS INTERVAL WALKS: sets two variables. $fleet_cpu is the CPU time of a walk
# and its publication, in seconds. It is the mean of WALKS walks after the first walk. $fleet_peak
# is the peak of resident memory in MiB after at least three walks and ten scrapes.
measure_fleet() {
    local started walks=$3 number
    log "fleet: $1 endpoints"
    start_vendor "$1" 1
    start_exporter 1 "$2" "user_agent, timestamps"
    wait_for 120 "walk 1" has_published 1
    settle
    started=$(cpu_ticks "$exporter_pid")
    wait_for 180 "walk $((walks + 1))" has_published $((walks + 1))
    settle
    fleet_cpu=$(awk "BEGIN { printf \"%.3f\", ($(cpu_ticks "$exporter_pid") - $started) / $TICKS / $walks }")
    log "peak memory after $((walks + 1)) walks without a scrape: $(peak) MiB"
    started=$(cpu_ticks "$exporter_pid")
    wait_for 60 "the next walk" works_since "$started"
    for number in {1..5}; do scrape "$HOME_DIR/scrape-$number.gz"; done
    wait_for 120 "the last walk" has_published $((walks + 2))
    settle
    for number in {6..10}; do scrape "$HOME_DIR/scrape-$number.gz"; done
    number=$(gzip -dc "$HOME_DIR/scrape-10.gz" | grep -c '^vobiz_endpoint_info{')
    [ "$number" = "$1" ] || log "note: $number endpoints at the end; some were created or deleted"
    fleet_peak=$(peak)
    log "peak memory at the end: $fleet_peak MiB"
    stop_all
    rm -f "$HOME_DIR"/scrape-*.gz
}

measure_fleets() {
    local small_peak medium_cpu medium_peak growth_cpu growth_peak
    measure_fleet 45 5s 1
    small_peak=$fleet_peak
    local small_cpu=$fleet_cpu
    measure_fleet 10000 7s 5
    medium_cpu=$fleet_cpu medium_peak=$fleet_peak
    measure_fleet 100000 25s 1
    growth_cpu=$(calc "$fleet_cpu / $medium_cpu")
    growth_peak=$(calc "$fleet_peak / $medium_peak")
    report '' '### Memory and CPU time' '' \
        'From the start through the third walk (at least) and ten gzip scrapes; documented row shape, pages' \
        'uncompressed, groups user_agent and timestamps, limiter off. CPU: one walk and its publication.' '' \
        '| endpoints | peak resident memory, MiB | wanted | CPU per walk, s | wanted |' '|---|---|---|---|---|' \
        "| 45 | $small_peak | under 15 ($(verdict "$small_peak < 15")) | $small_cpu | |" \
        "| 10,000 | $medium_peak | | $medium_cpu | |" \
        "| 100,000 | $fleet_peak | under 80 ($(verdict "$fleet_peak < 80")) | $fleet_cpu | under 1.5 ($(verdict "$fleet_cpu < 1.5")) |" \
        "| growth, 10,000 to 100,000 | $growth_peak | at most 11 ($(verdict "$growth_peak <= 11")) | $growth_cpu | at most 11 ($(verdict "$growth_cpu <= 11")) |"
}

# --- walks ---------------------------------------------------------------------------------------

measure_walks() {
    local latency=0.020 concurrency=8 round pages took least ratio
    log "walks: 100,000 endpoints at 20 ms"
    start_vendor 100000 1 --latency=20ms --speed=0
    write_settings 1 60s $concurrency user_agent
    report '' "### Walks: 100,000 endpoints, 20 ms per request, concurrency $concurrency, limiter off" '' \
        '| walk | pages | duration, s | pages x latency / concurrency, s | ratio (wanted: at most 1.15) |' '|---|---|---|---|---|'
    for round in 1 2 3; do
        timeout --foreground 120 "$BINARY" --once --config.file="$SETTINGS" \
            >"$HOME_DIR/once.prom" 2>"$exporter_log" || die "a walk failed: $(tail -n 3 "$exporter_log")"
        pages=$(value_of vobiz_walk_pages)
        took=$(value_of vobiz_walk_last_duration_seconds)
        least=$(calc "$pages * $latency / $concurrency")
        ratio=$(calc "$took / ($pages * $latency / $concurrency)")
        report "| $round | $pages | $(calc "$took") | $least | $ratio ($(verdict "$ratio <= 1.15")) |"
    done
    stop_all
}

# value_of METRIC: prints the value of the only sample of this metric family in the output of
# --once.
value_of() { awk -v name="$1{" 'index($0, name) == 1 { print $NF }' "$HOME_DIR/once.prom"; }

# -------------------------------------------------------------------------------------------------

for part in "$@"; do
    case $part in
    scrapes | fleets | walks) ;;
    *) die "usage: scripts/perf.sh [scrapes] [fleets] [walks]" ;;
    esac
done
wanted() { [ "$parts" = '' ] || [[ " $parts " == *" $1 "* ]]; }
parts=$*

for tool in awk cmp curl gzip nginx wrk; do
    command -v $tool >/dev/null || die "$tool is missing: run scripts/setup.sh perf"
done
begin_report "$(nginx -v 2>&1 | sed 's/.*: //')"
if wanted scrapes; then
    measure_scrapes 10000 1
    measure_scrapes 45 300
fi
if wanted fleets; then measure_fleets; fi
if wanted walks; then measure_walks; fi
log "the tables are in $REPORT"
