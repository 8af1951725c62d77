#!/usr/bin/env bash
# Measures what docs/performance.md tells, on this machine, against the simulated vendor in a
# process of its own. Prints Markdown tables; a copy stays in target/perf/report.md.
#
# usage: scripts/perf.sh [scrapes] [fleets] [walks]     (all three unless some are named)
#   scrapes  answers per second, side by side with nginx serving the same bytes from a file
#   fleets   memory and CPU time with 45, 10,000 and 100,000 endpoints
#   walks    the duration of a walk whose every request takes 20 ms
# BINARY=path   measure this one instead of building target/release/vobiz-exporter
# ROUNDS=5      rounds of scrapes
#
# Takes about four minutes once it is built; meant for an idle machine. Everything listens on loopback
# and lies below target/perf; every process that is started here is ended here, also on Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
# Numbers are written with a point, and nginx is not on everybody's path.
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

readonly ROUNDS=${ROUNDS:-5} ROUND=5s
readonly HOME_DIR=$PWD/target/perf
readonly REPORT=$HOME_DIR/report.md SETTINGS=$HOME_DIR/settings.yaml
# In ticks of /proc.
TICKS=$(getconf CLK_TCK)
readonly TICKS

say() { printf 'perf: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
tell() { printf '%s\n' "$@" | tee -a "$REPORT"; }
# calc EXPRESSION: its value with two decimals.
calc() { awk "BEGIN { printf \"%.2f\", $1 }"; }
verdict() { awk "BEGIN { print ($1) ? \"met\" : \"missed\" }"; }
median() { sort -n | awk '{ all[NR] = $1 } END { print (NR % 2) ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'; }

# --- processes -----------------------------------------------------------------------------------

# The ids of the processes that are ours and may still run.
running=()

# finish PID: asks it to end, and makes it end if it does not within five seconds.
finish() {
    local pid=$1 other left=() patience=50
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [ $((patience -= 1)) -gt 0 ]; do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    for other in "${running[@]}"; do
        [ "$other" = "$pid" ] || left+=("$other")
    done
    running=("${left[@]+"${left[@]}"}")
}

finish_all() {
    while [ ${#running[@]} -gt 0 ]; do finish "${running[-1]}"; done
}
trap finish_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# until_true SECONDS WHAT COMMAND...: waits until the command succeeds.
until_true() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || die "gave up waiting for $what"
        sleep 0.1
    done
}

# says PID FILE PATTERN: is the pattern in the file? Fails for good if the process has ended.
says() {
    grep -qE "$3" "$2" && return 0
    kill -0 "$1" 2>/dev/null || die "a process has ended: $(tail -n 3 "$2")"
    return 1
}

# The first address on loopback that a file names.
address_in() { grep -oE -m 1 '127\.0\.0\.1:[1-9][0-9]*' "$1" | head -n 1; }

# A port on loopback that nobody listens on.
free_port() {
    local port
    for port in {19460..19499}; do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s' "$port"
            return 0
        fi
    done
    die "no free port between 19460 and 19499"
}

vendor_pid='' vendor=''
# start_vendor ENDPOINTS ACCOUNTS [FLAG...]
start_vendor() {
    local endpoints=$1 accounts=$2 log=$HOME_DIR/vendor.log
    shift 2
    # Emptied before, not by the redirection: what the last one said must not be found in it.
    : >"$log"
    "$BINARY" simulate --listen-address=127.0.0.1:0 --endpoints="$endpoints" \
        --accounts="$accounts" --seed=1 --row-shape=documented --no-gzip "$@" >>"$log" 2>&1 &
    vendor_pid=$!
    running+=("$vendor_pid")
    until_true 60 "the simulated vendor" says "$vendor_pid" "$log" 'answers at'
    vendor=$(address_in "$log")
}

# write_settings ACCOUNTS INTERVAL CONCURRENCY GROUPS: no rate limit, and the accounts of simulate.
write_settings() {
    local accounts=$1 interval=$2 concurrency=$3 groups=$4 number
    {
        printf 'poll: {interval: %s}\n' "$interval"
        printf 'api: {base_url: "http://%s/api/v1", requests_per_second: 0, concurrency: %s}\n' \
            "$vendor" "$concurrency"
        printf 'metrics: {groups: [%s]}\naccounts:\n' "$groups"
        for number in $(seq -f %05g 1 "$accounts"); do
            printf '  - {name: "account-%s", auth_id: "MA_SIM%s", auth_token: "sim-token-%s-not-a-secret"}\n' \
                "$number" "$number" "$number"
        done
    } >"$SETTINGS"
}

exporter_pid='' exporter='' exporter_log=$HOME_DIR/exporter.log
# start_exporter ACCOUNTS INTERVAL GROUPS
start_exporter() {
    write_settings "$1" "$2" 2 "$3"
    : >"$exporter_log"
    "$BINARY" --config.file="$SETTINGS" --web.listen-address=127.0.0.1:0 \
        >>"$exporter_log" 2>&1 &
    exporter_pid=$!
    running+=("$exporter_pid")
    until_true 30 "the exporter" says "$exporter_pid" "$exporter_log" 'listening.*127\.0\.0\.1:|127\.0\.0\.1:.*listening'
    exporter=$(grep -m 1 listening "$exporter_log" | grep -oE '127\.0\.0\.1:[0-9]+' | head -n 1)
}

is_ready() {
    says "$exporter_pid" "$exporter_log" listening
    curl -sf --max-time 5 -o "$HOME_DIR/ready" "http://$exporter/-/ready"
}

# has_published COUNT: has the log told of so many published walks?
has_published() {
    kill -0 "$exporter_pid" 2>/dev/null || die "the exporter has ended: $(tail -n 3 "$exporter_log")"
    ! grep -m 1 'walk failed' "$exporter_log" >&2 || die "a walk has failed"
    [ "$(grep -c 'walk published' "$exporter_log")" -ge "$1" ]
}

# scrape FILE: as Prometheus does it, compressed.
scrape() {
    curl -sf --max-time 30 -H 'Accept-Encoding: gzip' -o "$1" "http://$exporter/metrics" ||
        die "a scrape failed"
}

# CPU time of a process so far, in ticks. The name before the last ")" may hold anything.
cpu_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# The most resident memory that the exporter has had so far, in MiB.
peak() { awk '/^VmHWM:/ { printf "%.1f", $2 / 1024 }' "/proc/$exporter_pid/status"; }

# Waits until a second passes in which the exporter does next to nothing.
settle() {
    local before now end=$((SECONDS + 60))
    now=$(cpu_ticks "$exporter_pid")
    while :; do
        [ $SECONDS -lt $end ] || die "the exporter does not come to rest"
        before=$now
        sleep 1
        now=$(cpu_ticks "$exporter_pid")
        [ $((now - before)) -gt 1 ] || return 0
    done
}

# Has the exporter begun to work, seen from so many ticks?
works_since() { [ $(($(cpu_ticks "$exporter_pid") - $1)) -gt 2 ] || has_published 3; }

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
    # Root's nginx would give its worker to somebody who may not read this folder.
    [ "$(id -u)" != 0 ] || flags=(-g "user root root;")
    nginx -p "$prefix" -c "$prefix/nginx.conf" -e error.log "${flags[@]}" >"$prefix/out.log" 2>&1 &
    nginx_pid=$!
    running+=("$nginx_pid")
    until_true 10 "nginx" nginx_answers
    curl -sf --max-time 10 -H 'Accept-Encoding: gzip' "http://$nginx/metrics" | cmp - "$1" ||
        die "nginx does not serve the exporter's bytes"
}

nginx_answers() {
    kill -0 "$nginx_pid" 2>/dev/null || die "nginx has ended: $(cat "$HOME_DIR/nginx/out.log")"
    curl -sf --max-time 5 -o "$HOME_DIR/nginx/probe" "http://$nginx/metrics"
}

# answers_per_second ADDRESS DURATION
answers_per_second() {
    local out=$HOME_DIR/wrk.log
    timeout --foreground 60 wrk -t1 -c4 -d"$2" -H 'Accept-Encoding: gzip' "http://$1/metrics" >"$out" ||
        die "wrk failed: $(tail -n 3 "$out")"
    ! grep -E 'Non-2xx|Socket errors' "$out" >&2 || die "not every answer was good"
    awk '/^Requests\/sec:/ { print $2 }' "$out"
}

# measure_scrapes ENDPOINTS ACCOUNTS
measure_scrapes() {
    local page=$HOME_DIR/page.gz round theirs ours ratio ratios='' series
    say "scrapes: $2 x $1 endpoints"
    start_vendor "$1" "$2"
    # One walk is enough here: an hour passes before the next.
    start_exporter "$2" 1h user_agent
    until_true 120 "the first walk" is_ready
    settle
    scrape "$page"
    gzip -t "$page"
    series=$(gzip -dc "$page" | grep -c '^vobiz_endpoint_registered{')
    [ "$series" = $(($1 * $2)) ] || die "$series endpoints are shown, not $(($1 * $2))"
    start_nginx "$page"
    answers_per_second "$nginx" 1s >/dev/null
    answers_per_second "$exporter" 1s >/dev/null
    tell '' "### Scrapes: $2 x $1 endpoints ($(stat -c %s "$page") bytes of gzip, $(gzip -dc "$page" | wc -c) of text)" '' \
        '| round | nginx, answers/s | vobiz-exporter, answers/s | ratio |' '|---|---|---|---|'
    for ((round = 1; round <= ROUNDS; round++)); do
        # Whoever begins has the cooler machine, so they take turns.
        if ((round % 2)); then
            theirs=$(answers_per_second "$nginx" $ROUND)
            ours=$(answers_per_second "$exporter" $ROUND)
        else
            ours=$(answers_per_second "$exporter" $ROUND)
            theirs=$(answers_per_second "$nginx" $ROUND)
        fi
        ratio=$(calc "$ours / $theirs")
        ratios+=$ratio$'\n'
        tell "| $round | $theirs | $ours | $ratio |"
    done
    ratio=$(printf '%s' "$ratios" | median)
    tell "| median | | | **$ratio** (wanted: 1.00, hoped for: 1.20; $(verdict "$ratio >= 1")) |"
    finish_all
}

# --- fleets --------------------------------------------------------------------------------------

fleet_cpu='' fleet_peak=''
# measure_fleet ENDPOINTS INTERVAL WALKS: CPU seconds of one walk with its publication (the mean of
# so many after the first), and the peak of resident memory in MiB after at least three walks and ten
# scrapes, five of which fall into a walk.
measure_fleet() {
    local begun walks=$3 number
    say "fleet: $1 endpoints"
    start_vendor "$1" 1
    start_exporter 1 "$2" "user_agent, timestamps"
    until_true 120 "walk 1" has_published 1
    settle
    begun=$(cpu_ticks "$exporter_pid")
    until_true 180 "walk $((walks + 1))" has_published $((walks + 1))
    settle
    fleet_cpu=$(awk "BEGIN { printf \"%.3f\", ($(cpu_ticks "$exporter_pid") - $begun) / $TICKS / $walks }")
    say "peak memory after $((walks + 1)) walks without a scrape: $(peak) MiB"
    begun=$(cpu_ticks "$exporter_pid")
    until_true 60 "the next walk" works_since "$begun"
    for number in {1..5}; do scrape "$HOME_DIR/scrape-$number.gz"; done
    until_true 120 "the last walk" has_published $((walks + 2))
    settle
    for number in {6..10}; do scrape "$HOME_DIR/scrape-$number.gz"; done
    number=$(gzip -dc "$HOME_DIR/scrape-10.gz" | grep -c '^vobiz_endpoint_info{')
    [ "$number" = "$1" ] || say "note: $number endpoints at the end; some were created or deleted"
    fleet_peak=$(peak)
    say "peak memory at the end: $fleet_peak MiB"
    finish_all
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
    tell '' '### Memory and CPU time' '' \
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
    say "walks: 100,000 endpoints at 20 ms"
    start_vendor 100000 1 --latency=20ms --speed=0
    write_settings 1 60s $concurrency user_agent
    tell '' "### Walks: 100,000 endpoints, 20 ms per request, concurrency $concurrency, limiter off" '' \
        '| walk | pages | duration, s | pages x latency / concurrency, s | ratio (wanted: at most 1.15) |' '|---|---|---|---|---|'
    for round in 1 2 3; do
        timeout --foreground 120 "$BINARY" --once --config.file="$SETTINGS" \
            >"$HOME_DIR/once.prom" 2>"$exporter_log" || die "a walk failed: $(tail -n 3 "$exporter_log")"
        pages=$(value_of vobiz_walk_pages)
        took=$(value_of vobiz_walk_last_duration_seconds)
        least=$(calc "$pages * $latency / $concurrency")
        ratio=$(calc "$took / ($pages * $latency / $concurrency)")
        tell "| $round | $pages | $(calc "$took") | $least | $ratio ($(verdict "$ratio <= 1.15")) |"
    done
    finish_all
}

# value_of METRIC: the value of its only sample.
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
mkdir -p "$HOME_DIR"
if [ -z "${BINARY:-}" ]; then
    cargo build --release --locked
    BINARY=${CARGO_TARGET_DIR:-target}/release/vobiz-exporter
fi
[ -x "$BINARY" ] || die "$BINARY cannot be run"

: >"$REPORT"
tell "$("$BINARY" --version | head -n 1), $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r), $(nginx -v 2>&1 | sed 's/.*: //')"
if wanted scrapes; then
    measure_scrapes 10000 1
    measure_scrapes 45 300
fi
if wanted fleets; then measure_fleets; fi
if wanted walks; then measure_walks; fi
say "the tables are in $REPORT"
