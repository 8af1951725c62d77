#!/usr/bin/env bash
# Functions for scripts/perf.sh and scripts/scaling.sh. The functions start the simulated API and
# the exporter as processes, and read the memory and CPU time of the exporter from /proc. The
# calling script sets two variables: NAME is the prefix of log lines, and HOME_DIR is the folder for
# all files. The variable BINARY is the path of the binary to measure. If BINARY is not set,
# begin_report builds target/release/vobiz-exporter.
# shellcheck disable=SC2034,SC2317

readonly REPORT=$HOME_DIR/report.md SETTINGS=$HOME_DIR/settings.yaml
# The number of clock ticks per second. /proc gives CPU time in clock ticks.
TICKS=$(getconf CLK_TCK)
readonly TICKS

log() { printf '%s: %s\n' "$NAME" "$*" >&2; }
die() {
    log "$*"
    exit 1
}
report() { printf '%s\n' "$@" | tee -a "$REPORT"; }
# calc EXPRESSION: prints the value with two decimals.
calc() { awk "BEGIN { printf \"%.2f\", $1 }"; }
verdict() { awk "BEGIN { print ($1) ? \"met\" : \"missed\" }"; }
median() { sort -n | awk '{ all[NR] = $1 } END { print (NR % 2) ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'; }

# --- processes -----------------------------------------------------------------------------------

# The ids of the processes that this script has started and not yet stopped.
running=()

# stop PID: sends SIGTERM. Sends SIGKILL if the process still runs after five seconds.
stop() {
    local pid=$1 other left=() tries=50
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    for other in "${running[@]}"; do
        [ "$other" = "$pid" ] || left+=("$other")
    done
    running=("${left[@]+"${left[@]}"}")
}

stop_all() {
    while [ ${#running[@]} -gt 0 ]; do stop "${running[-1]}"; done
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_for SECONDS WHAT COMMAND...: waits until the command succeeds. After SECONDS seconds, exits
# with an error that names WHAT.
wait_for() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || die "timed out: $what"
        sleep 0.1
    done
}

# log_has PID FILE PATTERN: succeeds if the file contains the pattern. Exits with an error if the
# file does not contain the pattern and the process has ended.
log_has() {
    grep -qE "$3" "$2" && return 0
    kill -0 "$1" 2>/dev/null || die "a process has ended: $(tail -n 3 "$2")"
    return 1
}

# address_in FILE: prints the first loopback address and port in the file.
address_in() { grep -oE -m 1 '127\.0\.0\.1:[1-9][0-9]*' "$1" | head -n 1; }

# free_port: prints a free port on the loopback address.
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
# start_vendor ENDPOINTS ACCOUNTS [FLAG...]: starts the simulated API. $shape is the JSON form of
# the list rows.
shape=documented
start_vendor() {
    local endpoints=$1 accounts=$2 log=$HOME_DIR/vendor.log
    shift 2
    # The log starts empty, so that log_has finds no lines of an earlier process.
    : >"$log"
    "$BINARY" simulate --listen-address=127.0.0.1:0 --endpoints="$endpoints" \
        --accounts="$accounts" --seed=1 --row-shape="$shape" --no-gzip "$@" >>"$log" 2>&1 &
    vendor_pid=$!
    running+=("$vendor_pid")
    wait_for 60 "the simulated vendor" log_has "$vendor_pid" "$log" 'answers at'
    vendor=$(address_in "$log")
}

# write_settings ACCOUNTS INTERVAL CONCURRENCY GROUPS [LINE...]: writes a configuration without a
# rate limit, for the accounts of `simulate`. It adds each LINE at the top level of the YAML.
write_settings() {
    local accounts=$1 interval=$2 concurrency=$3 groups=$4 number
    shift 4
    {
        [ $# = 0 ] || printf '%s\n' "$@"
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
# start_exporter ACCOUNTS INTERVAL GROUPS [LINE...]: writes a configuration and starts the exporter.
start_exporter() {
    write_settings "$1" "$2" 2 "${@:3}"
    : >"$exporter_log"
    "$BINARY" --config.file="$SETTINGS" --web.listen-address=127.0.0.1:0 \
        >>"$exporter_log" 2>&1 &
    exporter_pid=$!
    running+=("$exporter_pid")
    wait_for 30 "the exporter" log_has "$exporter_pid" "$exporter_log" 'listening.*127\.0\.0\.1:|127\.0\.0\.1:.*listening'
    exporter=$(grep -m 1 listening "$exporter_log" | grep -oE '127\.0\.0\.1:[0-9]+' | head -n 1)
}

is_ready() {
    log_has "$exporter_pid" "$exporter_log" listening
    curl -sf --max-time 5 -o "$HOME_DIR/ready" "http://$exporter/-/ready"
}

# has_published COUNT: succeeds if the log has at least this many published walks.
has_published() {
    kill -0 "$exporter_pid" 2>/dev/null || die "the exporter has ended: $(tail -n 3 "$exporter_log")"
    ! grep -m 1 'walk failed' "$exporter_log" >&2 || die "a walk has failed"
    [ "$(grep -c 'walk published' "$exporter_log")" -ge "$1" ]
}

# scrape FILE: scrapes the exporter and saves the response, compressed with gzip as for Prometheus.
scrape() {
    curl -sf --max-time 30 -H 'Accept-Encoding: gzip' -o "$1" "http://$exporter/metrics" ||
        die "a scrape failed"
}

# cpu_ticks PID: prints the CPU time of a process in ticks. sed removes the program name, which can
# contain spaces and ends at the last ")".
cpu_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# peak: prints the maximum resident memory of the exporter in MiB.
peak() { awk '/^VmHWM:/ { printf "%.1f", $2 / 1024 }' "/proc/$exporter_pid/status"; }

# settle: waits until the exporter uses at most one tick of CPU time in a second.
settle() {
    local before now end=$((SECONDS + 60))
    now=$(cpu_ticks "$exporter_pid")
    while :; do
        [ $SECONDS -lt $end ] || die "the exporter stays busy"
        before=$now
        sleep 1
        now=$(cpu_ticks "$exporter_pid")
        [ $((now - before)) -gt 1 ] || return 0
    done
}

# works_since TICKS: succeeds if the CPU time of the exporter is more than two ticks above TICKS.
# Such an increase shows that a walk has started. Also succeeds if the exporter has published three
# walks.
works_since() { [ $(($(cpu_ticks "$exporter_pid") - $1)) -gt 2 ] || has_published 3; }

# begin_report TEXT: builds the binary if BINARY is empty. Starts the report with a line that
# has the version of the exporter, the machine, and TEXT.
begin_report() {
    mkdir -p "$HOME_DIR"
    if [ -z "${BINARY:-}" ]; then
        cargo build --release --locked
        BINARY=${CARGO_TARGET_DIR:-target}/release/vobiz-exporter
    fi
    [ -x "$BINARY" ] || die "$BINARY cannot be run"
    : >"$REPORT"
    report "$("$BINARY" --version | head -n 1), $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r)${1:+, $1}"
}
