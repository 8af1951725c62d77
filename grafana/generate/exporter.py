"""The exporter itself: its walks, the vendor's API, its process."""

from frame import account, add, choice, frame
from panels import ANSWERS, DATA_STATES, WELL, YES, Column, Query, heat_map, lines, number, rows, timeline
from queries import ACCOUNT, age, state

# This board tells replicas apart: that is what it is for.
READ = ACCOUNT + ', instance=~"$instance"'
OWN = 'job=~"$job", instance=~"$instance"'
OURS = f"and on (job, instance) vobiz_exporter_build_info{{{OWN}}}"
IDLE = "None, or nothing is known: see the state of the data"


def _instance():
    return choice(
        "instance",
        "Instance",
        "Replicas of the exporter, as Prometheus names them",
        'label_values(vobiz_exporter_build_info{job=~"$job"}, instance)',
        everything=".+",
    )


def _seen(metric: str, more: str = "") -> str:
    return f"{metric}{{{READ}{more}}}"


def _worst(metric: str, how: str = "max") -> Query:
    """A value of each account, of the dozen highest."""
    return Query(f"topk(12, {how} by (account, instance) ({_seen(metric)}))", "{{account}} {{instance}}")


def _grown(metric: str, by: str, more: str = "", limit: int = 15) -> Query:
    grown = f"sum by ({by}) (increase({_seen(metric, more)}[$__rate_interval]))"
    return Query(f"topk({limit}, {grown} > 0)", " ".join(f"{{{{{label}}}}}" for label in by.split(", ")))


def _process(metric: str) -> Query:
    return Query(f"topk(12, max by (instance) ({metric}{{{OWN}}} {OURS}))", "{{instance}}")


def _strip(board):
    remembered = f"last_over_time(vobiz_exporter_build_info{{{OWN}}}[1d])"
    up = f"bottomk(12, min by (instance) (up{{{OWN}}} and on (job, instance) {remembered}))"
    loaded = f"max by (instance) (vobiz_exporter_config_last_reload_success_timestamp_seconds{{{OWN}}}) * 1000"
    add(
        board,
        "Is it well?",
        number(
            ("State of the data", "Whether each account's data can be believed; the dozen worst."),
            state(),
            size=(6, 5),
            words=DATA_STATES,
            legend="{{account}}",
            none="not scraped",
        ),
        number(
            ("Age of the data", "How long ago the newest good walk of each account ended; the dozen oldest."),
            age(),
            size=(6, 5),
            unit="s",
            legend="{{account}}",
            none="not scraped, or never read",
            decimals=0,
        ),
        number(
            ("Instances", "Whether each instance that was there within a day answers Prometheus."),
            up,
            size=(6, 5),
            words=ANSWERS,
            legend="{{instance}}",
            none="not scraped",
        ),
        number(
            ("Loaded", "When the configuration was last loaded well, by the instance that did so first."),
            f"min({loaded})",
            size=(6, 5),
            unit="dateTimeFromNow",
            none="unknown",
        ),
        rows(
            ("Builds", "What each instance was built from; at most twenty."),
            [
                Query(
                    "topk(20, max by (instance, version, revision, rustversion)"
                    f" (vobiz_exporter_build_info{{{OWN}}}))"
                )
            ],
            (
                Column("instance", "Instance"),
                Column("version", "Version"),
                Column("revision", "Revision"),
                Column("rustversion", "Rust"),
            ),
            size=(12, 5),
            none="not scraped",
        ),
        rows(
            (
                "Settings in effect",
                (
                    "Interval between walks and age at which data is withdrawn, as they are: longer than"
                    " configured where walks take longer. The fifty accounts with the longest interval."
                ),
            ),
            [
                Query(f"topk(50, max by (account) ({_seen('vobiz_exporter_poll_interval_seconds')}))"),
                Query(f"topk(50, max by (account) ({_seen('vobiz_exporter_max_age_seconds')}))"),
            ],
            (
                Column("account", "Account"),
                Column("Value #A", "Interval", "s"),
                Column("Value #B", "Withdrawn at", "s"),
            ),
            size=(12, 5),
            sort="Interval",
        ),
    )


def _walks(board):
    short = ("missing", "retained")
    add(
        board,
        "Walks",
        timeline(
            ("Did the last walk succeed?", "By account and instance, the dozen worst."),
            [Query(f"bottomk(12, min by (account, instance) ({_seen('vobiz_up')}))", "{{account}} {{instance}}")],
            WELL,
        ),
        lines(
            (
                "Duration",
                (
                    "How long the last good walk took, of the dozen slowest, and the shortest interval"
                    " between walks that is in effect."
                ),
            ),
            [
                _worst("vobiz_walk_last_duration_seconds"),
                Query(f"min({_seen('vobiz_exporter_poll_interval_seconds')})", "shortest interval"),
            ],
            unit="s",
            dashed="B",
        ),
        lines(
            (
                "Pages",
                "Pages that the last good walk received, those that were read again included; the dozen highest.",
            ),
            [_worst("vobiz_walk_pages")],
        ),
        lines(
            ("Walks and failures", "Walks that were started, failed, or left out because one was still running."),
            [
                Query(f"sum(increase({_seen('vobiz_walks_total')}[$__rate_interval]))", "started"),
                Query(f"sum(increase({_seen('vobiz_walk_failures_total')}[$__rate_interval]))", "failed"),
                Query(f"sum(increase({_seen('vobiz_walks_skipped_total')}[$__rate_interval]))", "skipped"),
            ],
        ),
        lines(
            ("Failures by reason", "Why walks failed: see the runbook of the alert about it."),
            [_grown("vobiz_walk_failures_total", "reason")],
            bars=True,
            none=IDLE,
        ),
        lines(
            ("Reread, by reason", "Parts of the list that were read again because the list changed meanwhile."),
            [_grown("vobiz_walk_rereads_total", "reason")],
            bars=True,
            none=IDLE,
        ),
        lines(
            (
                "Missing and retained",
                (
                    "Endpoints that the vendor's count promises and the walk did not find, and those shown"
                    " with their last values because of it; the dozen highest."
                ),
            ),
            [
                Query(
                    f"topk(12, max by (account) ({_seen(f'vobiz_walk_{what}_endpoints')}))", f"{what} {{{{account}}}}"
                )
                for what in short
            ],
        ),
        timeline(
            (
                "Awaiting confirmation",
                "Whether a walk that changed very much waits for a later walk that agrees; the dozen likeliest.",
            ),
            [Query(f"topk(12, max by (account) ({_seen('vobiz_walk_confirming')}))", "{{account}}")],
            YES,
            size=(12, 6),
        ),
        lines(
            ("Listed by the vendor", "What the vendor's count says; the dozen largest accounts."),
            [Query(f"topk(12, max by (account) ({_seen('vobiz_walk_reported_endpoints')}))", "{{account}}")],
            size=(12, 6),
            none="The vendor does not tell, or nothing is known",
        ),
        lines(
            (
                "Rejected rows and values",
                (
                    "Rows that gave no endpoint, by reason, and values that were dropped, by field, in the"
                    " last good walks."
                ),
            ),
            [
                Query(f"topk(10, max by (reason) ({_seen('vobiz_walk_rejected_rows')}) > 0)", "row: {{reason}}"),
                Query(f"topk(10, max by (field) ({_seen('vobiz_walk_rejected_values')}) > 0)", "value: {{field}}"),
            ],
            none="None rejected, or nothing is known",
        ),
        lines(
            (
                "Assumed values",
                "Values that were read under an assumption, by field: a time without a zone is taken as UTC.",
            ),
            [Query(f"topk(10, max by (field) ({_seen('vobiz_walk_assumed_values')}) > 0)", "{{field}}")],
            none="Nothing assumed, or nothing is known",
        ),
    )


def _api(board):
    buckets = f"sum by (le) (increase({_seen('vobiz_api_request_duration_seconds_bucket')}[$__rate_interval]))"
    rate = f"rate({_seen('vobiz_api_request_duration_seconds_bucket')}[$__rate_interval])"
    offset = f"max by (account, instance) ({_seen('vobiz_api_clock_offset_seconds')})"
    waited = f"rate({_seen('vobiz_api_throttle_seconds_total')}[$__rate_interval])"
    waits = f"topk(12, sum by (account, instance, cause) ({waited}))"
    codes = f"sum by (operation, code) (rate({_seen('vobiz_api_requests_total')}[$__rate_interval]))"
    again = f"sum by (operation) (rate({_seen('vobiz_api_retries_total')}[$__rate_interval]))"
    oldest = f"time() - min by (account) ({_seen('vobiz_endpoint_detail_timestamp_seconds')})"
    add(
        board,
        "The vendor's API",
        heat_map(("Latency", "How long requests took: brighter is more of them."), buckets),
        lines(
            ("Latency, 95 in 100", "Ninety-five of a hundred requests were no slower than this, by operation."),
            [Query(f"histogram_quantile(0.95, sum by (operation, le) ({rate}))", "{{operation}}")],
            unit="s",
        ),
        lines(
            ("Answers by status", "Attempts a second by operation and status; error is where no answer came."),
            [Query(f"topk(15, {codes})", "{{operation}} {{code}}")],
            unit="reqps",
        ),
        lines(
            (
                "Throttling by cause",
                (
                    "Share of the time that each account's walks spent waiting: for the exporter's own limit, or because"
                    " the vendor asked for it; the dozen longest."
                ),
            ),
            [Query(waits, "{{account}} {{instance}} {{cause}}")],
            unit="percentunit",
        ),
        lines(
            ("Retries", "Attempts a second that repeated a failed one."),
            [Query(again, "{{operation}}")],
            unit="reqps",
        ),
        lines(
            ("Clock offset", "The vendor's clock minus the exporter's; the dozen furthest from zero."),
            [Query(f"{offset} and on (account, instance) topk(12, abs({offset}))", "{{account}} {{instance}}")],
            unit="s",
            least=None,
            none="The vendor tells no time, or nothing is known",
        ),
        lines(
            ("Details pending", "Endpoints whose own record is wanted and not fresh; the dozen highest. Rests at 0."),
            [_worst("vobiz_details_pending")],
        ),
        lines(
            ("Age of the oldest detail", "Of the records that are in use; the dozen oldest accounts."),
            [Query(f"topk(12, {oldest})", "{{account}}")],
            unit="s",
            none="No details retrieved, or nothing is known",
        ),
        lines(
            ("Details that contradict", "Retrieved records that were dropped because they contradict the list."),
            [_grown("vobiz_detail_disagreements_total", "account", limit=12)],
            bars=True,
            none=IDLE,
        ),
        lines(
            ("Token unreadable", "Times at which the token's file could not be read."),
            [_grown("vobiz_token_read_failures_total", "account", limit=12)],
            bars=True,
            none=IDLE,
        ),
    )


def _process_row(board):
    handlers = f"sum by (handler, code) (rate(vobiz_exporter_http_requests_total{{{OWN}}}[$__rate_interval]))"
    cpu = f"rate(process_cpu_seconds_total{{{OWN}}}[$__rate_interval])"
    none = "Not available on this system, or not scraped"
    add(
        board,
        "Process and scrapes",
        lines(
            ("Series", "Series about endpoints and walks that are shown; the dozen largest accounts."),
            [_worst("vobiz_exporter_series")],
        ),
        lines(
            ("Samples per scrape", "What Prometheus took at each scrape, all accounts together."),
            [_process("scrape_samples_scraped")],
        ),
        lines(
            ("Duration of scrapes", "How long Prometheus took for it."),
            [_process("scrape_duration_seconds")],
            unit="s",
        ),
        lines(
            ("Answered requests", "By page and status."),
            [Query(f"topk(15, {handlers})", "{{handler}} {{code}}")],
            unit="reqps",
        ),
        lines(
            ("CPU", "Cores in use."),
            [Query(f"topk(12, max by (instance) ({cpu} {OURS}))", "{{instance}}")],
            none=none,
        ),
        lines(("Memory", "Resident memory."), [_process("process_resident_memory_bytes")], unit="bytes", none=none),
        lines(
            ("Open files", "Open descriptors; dashes: the lowest limit."),
            [_process("process_open_fds"), Query(f"min(process_max_fds{{{OWN}}} {OURS})", "limit")],
            dashed="B",
            none=none,
        ),
        lines(("Threads", "Threads of the process."), [_process("process_threads")], none=none),
    )


def build():
    board = frame(
        "vobiz-exporter",
        "Vobiz / Exporter",
        "Whether the exporter reads the accounts well: walks, the vendor's API, details, configuration, process.",
        variables=[_instance(), account()],
        scope='account=~"$account|", scope=~"target|account"',
    )
    for part in (_strip, _walks, _api, _process_row):
        part(board)
    return board
