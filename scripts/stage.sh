#!/usr/bin/env bash
# The stage on which the exporter is measured: the simulated vendor and the exporter as processes of
# their own, and what /proc tells of them. Read by scripts/perf.sh and scripts/scaling.sh, which set
# NAME (whose words these are) and HOME_DIR (where everything lies). BINARY=path names the binary that
# is measured; without it, target/release/vobiz-exporter is built.
# shellcheck disable=SC2034,SC2317

readonly REPORT=$HOME_DIR/report.md SETTINGS=$HOME_DIR/settings.yaml
# In ticks of /proc.
TICKS=$(getconf CLK_TCK)
readonly TICKS

say() { printf '%s: %s\n' "$NAME" "$*" >&2; }
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
# start_vendor ENDPOINTS ACCOUNTS [FLAG...]: rows in the documented shape, unless shape says otherwise.
shape=documented
start_vendor() {
    local endpoints=$1 accounts=$2 log=$HOME_DIR/vendor.log
    shift 2
    # Emptied before, not by the redirection: what the last one said must not be found in it.
    : >"$log"
    "$BINARY" simulate --listen-address=127.0.0.1:0 --endpoints="$endpoints" \
        --accounts="$accounts" --seed=1 --row-shape="$shape" --no-gzip "$@" >>"$log" 2>&1 &
    vendor_pid=$!
    running+=("$vendor_pid")
    until_true 60 "the simulated vendor" says "$vendor_pid" "$log" 'answers at'
    vendor=$(address_in "$log")
}

# write_settings ACCOUNTS INTERVAL CONCURRENCY GROUPS [LINE...]: no rate limit, and the accounts of
# simulate; further lines stand at the top level.
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
# start_exporter ACCOUNTS INTERVAL GROUPS [LINE...]
start_exporter() {
    write_settings "$1" "$2" 2 "${@:3}"
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

# begin_report WORDS: sees to the binary, and begins the report with the machine.
begin_report() {
    mkdir -p "$HOME_DIR"
    if [ -z "${BINARY:-}" ]; then
        cargo build --release --locked
        BINARY=${CARGO_TARGET_DIR:-target}/release/vobiz-exporter
    fi
    [ -x "$BINARY" ] || die "$BINARY cannot be run"
    : >"$REPORT"
    tell "$("$BINARY" --version | head -n 1), $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r)${1:+, $1}"
}
