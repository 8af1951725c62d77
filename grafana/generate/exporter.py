"""The exporter: accounts, walks, the API and the process."""

from frame import account, add, frame
from panels import ANSWERS, CONDITIONS, HOLDS, NO_YES, NOW, Column, Query, lines, rows, timeline
from queries import ACCOUNT, each, increase

JOB = 'job=~"$job"'
# Other programs have the metrics `up` and `process_*`, too.
OURS = f"and on (job, instance) vobiz_exporter_build_info{{{JOB}}}"
IDLE = "None, or nothing is known"


def _largest(metric: str, legend: str = "{{account}}") -> Query:
    return Query(f"topk(12, {each('account', metric)})", legend)


def _own(metric: str) -> str:
    return f"max by (instance) ({metric}{{{JOB}}} {OURS})"


def _tables():
    own = (
        ("process_start_time_seconds", "Started", NOW),
        ("vobiz_exporter_config_last_reload_success_timestamp_seconds", "Configuration loaded", NOW),
        ("vobiz_exporter_config_last_reload_successful", "Last load succeeded", NO_YES),
        ("vobiz_exporter_state_last_write_timestamp_seconds", "State saved", NOW),
        ("vobiz_exporter_state_bytes", "Size of the state", "bytes"),
        ("scrape_samples_scraped", "Samples", ""),
        ("scrape_duration_seconds", "Scrape", "s"),
        ("process_open_fds", "Open files", ""),
        ("process_max_fds", "Limit of files", ""),
    )
    by_account = (
        ("vobiz_exporter_poll_interval_seconds", "Interval", "s"),
        ("vobiz_exporter_max_age_seconds", "Maximum age", "s"),
        ("vobiz_walk_last_duration_seconds", "Walk", "s"),
        ("vobiz_walk_pages", "Pages", ""),
        ("vobiz_walk_reported_endpoints", "Counted by the API", ""),
        ("vobiz_walk_confirming", "Confirming", NO_YES),
        ("vobiz_details_pending", "Details pending", ""),
        ("vobiz_api_clock_offset_seconds", "Clock offset", "s"),
        ("vobiz_exporter_series", "Series", ""),
    )

    def column(number: int, title: str, look) -> Column:
        field = f"Value #{chr(ord('A') + number)}"
        return Column(field, title, words=look) if look is NO_YES else Column(field, title, look)

    def scaled(query: str, look) -> Query:
        return Query(f"1000 * {query}" if look is NOW else query)

    instances = rows(
        (
            "Exporters",
            "Version and state of each running exporter. One exporter for each account is supported, so two"
            " rows are normal only while a pod is replaced.",
        ),
        [
            Query("max by (instance, version, revision) (vobiz_exporter_build_info{job=~\"$job\"})"),
            *(scaled(_own(metric), look) for metric, _, look in own),
        ],
        (
            Column("instance", "Instance"),
            Column("version", "Version"),
            Column("revision", "Revision"),
            *(column(number, title, look) for number, (_, title, look) in enumerate(own, start=1)),
        ),
        size=(24, 5),
        none="The exporter is not scraped",
        hide=("Value #A",),
    )
    accounts = rows(
        (
            "Accounts",
            "Settings in effect and the last published walk of each account. The interval is longer than configured"
            " if walks take longer. Confirming: a large change waits for a second walk.",
        ),
        [
            Query(f"{each('account, condition', 'vobiz_account_condition')} == 1"),
            *(scaled(each("account", metric), look) for metric, _, look in by_account),
        ],
        (
            Column("account", "Account"),
            Column("condition", "Condition", words=CONDITIONS),
            *(column(number, title, look) for number, (_, title, look) in enumerate(by_account, start=1)),
        ),
        size=(24, 8),
        none="The exporter is not scraped",
        sort=("Account",),
        hide=("Value #A",),
    )
    return instances, accounts


def _state(board):
    not_ok = each("account, condition", "vobiz_account_condition", f'{ACCOUNT}, condition!="ok"')
    known = f"last_over_time(vobiz_exporter_build_info{{{JOB}}}[1d])"
    add(
        board,
        "State",
        *_tables(),
        timeline(
            ("Conditions other than ok", "When an account was not ok, and why. At most twelve at a time."),
            [Query(f"topk(12, {not_ok} == 1)", "{{account}} {{condition}}")],
            HOLDS,
            size=(12, 6),
            none="All accounts were ok, or the exporter was not scraped",
        ),
        timeline(
            ("Scrapes", "Whether each exporter answered Prometheus."),
            [Query(f"min by (instance) (up{{{JOB}}} and on (job, instance) {known})", "{{instance}}")],
            ANSWERS,
            size=(12, 6),
            none="The exporter was not scraped",
        ),
    )


def _walks(board):
    interval = f"min(vobiz_exporter_poll_interval_seconds{{{ACCOUNT}}})"
    add(
        board,
        "Walks",
        lines(
            (
                "Duration of walks",
                "The twelve longest of the last published walks. Dashes: the shortest interval between walks.",
            ),
            [_largest("vobiz_walk_last_duration_seconds"), Query(interval, "shortest interval")],
            unit="s",
            dashed="B",
        ),
        lines(
            ("Failed walks by reason", "The runbooks of the alerts explain the reasons."),
            [Query(f"{increase('reason', 'vobiz_walk_failures_total')} > 0", "{{reason}}")],
            bars=True,
            none=IDLE,
        ),
        lines(
            (
                "Missing and retained",
                "Missing: endpoints that the API counts and the walk did not find. Retained: endpoints that keep"
                " their last values because of that.",
            ),
            [
                _largest("vobiz_walk_missing_endpoints", "missing {{account}}"),
                _largest("vobiz_walk_retained_endpoints", "retained {{account}}"),
            ],
        ),
        lines(
            (
                "Rejected and assumed",
                "Rows that walks dropped, by reason; values that they dropped, by field; and times without a zone,"
                " which the exporter reads as UTC.",
            ),
            [
                Query(f"{each('reason', 'vobiz_walk_rejected_rows')} > 0", "row: {{reason}}"),
                Query(f"{each('field', 'vobiz_walk_rejected_values')} > 0", "value: {{field}}"),
                Query(f"{each('field', 'vobiz_walk_assumed_values')} > 0", "assumed: {{field}}"),
            ],
            none=IDLE,
        ),
    )


def _quantile(share: float) -> str:
    """From a classic histogram, or from the native one into which Prometheus can convert it."""
    name = "vobiz_api_request_duration_seconds"
    classic = f"sum by (operation, le) (rate({name}_bucket{{{ACCOUNT}}}[$__rate_interval]))"
    native = f"sum by (operation) (rate({name}{{{ACCOUNT}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {classic}) or histogram_quantile({share}, {native})"


def _api(board):
    requests = f"rate(vobiz_api_requests_total{{{ACCOUNT}}}[$__rate_interval])"
    waited = f"rate(vobiz_api_throttle_seconds_total{{{ACCOUNT}}}[$__rate_interval])"
    events = (
        ("vobiz_walks_skipped_total", ACCOUNT, "walks skipped"),
        ("vobiz_walk_rereads_total", ACCOUNT, "pages read again"),
        ("vobiz_api_retries_total", ACCOUNT, "requests repeated"),
        ("vobiz_detail_disagreements_total", ACCOUNT, "details dropped"),
        ("vobiz_token_read_failures_total", ACCOUNT, "token file not read"),
        ("vobiz_exporter_state_write_failures_total", JOB, "state not saved"),
    )
    add(
        board,
        "API",
        lines(
            ("Duration of requests", "95th and 50th percentile of the duration, by operation."),
            [Query(_quantile(0.95), "95 % {{operation}}"), Query(_quantile(0.5), "50 % {{operation}}")],
            unit="s",
        ),
        lines(
            ("Requests by status", "Requests per second. error: no response, or a truncated one."),
            [Query(f"sum by (operation, code) ({requests})", "{{operation}} {{code}}")],
            unit="reqps",
        ),
        lines(
            (
                "Time spent waiting",
                "Share of the time that walks waited, for the twelve longest: for the limits of the exporter"
                " (limiter), or because the API asked for a pause (vendor).",
            ),
            [Query(f"topk(12, sum by (account, cause) ({waited}))", "{{account}} {{cause}}")],
            unit="percentunit",
        ),
        lines(
            (
                "Rare events",
                "Skipped walks, pages read again, repeated requests, details that contradict the list, and failures"
                " to read the token file or to save the state.",
            ),
            [Query(increase("", metric, matchers), title) for metric, matchers, title in events],
            bars=True,
        ),
    )


def _process(board):
    answers = f"sum by (handler, code) (rate(vobiz_exporter_http_requests_total{{{JOB}}}[$__rate_interval]))"
    cpu = f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])"
    none = "Not available on this system, or not scraped"
    add(
        board,
        "Process",
        lines(
            ("HTTP responses", "Responses of the exporter per second, by path and status."),
            [Query(f"{answers} > 0", "{{handler}} {{code}}")],
            size=(8, 7),
            unit="reqps",
        ),
        lines(
            ("CPU", "Used CPU cores."),
            [Query(f"max by (instance) ({cpu} {OURS})", "{{instance}}")],
            size=(8, 7),
            none=none,
        ),
        lines(
            ("Memory", "Resident memory."),
            [Query(_own("process_resident_memory_bytes"), "{{instance}}")],
            size=(8, 7),
            unit="bytes",
            none=none,
        ),
    )


def build():
    board = frame(
        "vobiz-exporter",
        "Vobiz / Exporter",
        "Whether the exporter reads the accounts well: walks, API, settings and process.",
        variables=[account()],
    )
    for part in (_state, _walks, _api, _process):
        part(board)
    return board
