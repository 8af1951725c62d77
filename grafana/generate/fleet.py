"""The whole fleet, in the order of an operator's questions."""

from queries import (
    ACCOUNT,
    ID,
    age,
    application_label,
    endpoints,
    flaps,
    info,
    last_user_agents,
    lost,
    named,
    once,
    read_at,
    registered,
    share_lost,
    share_lost_by_application,
    spoken,
    state,
    total,
)
from frame import account, add, frame, group
from panels import DATA_STATES, ENDPOINT_COLUMNS, Column, Query, bars, lines, number, rows

LOST = named(lost(), "group")
NOBODY = "None lost, or nothing is known: see the state of the data"
WITHOUT_RULES = (
    " With the alerting rules loaded this survives restarts of the exporter; without them it counts from the"
    " exporter's own memory."
)


def _lost_within(seconds: str) -> str:
    """Zero only where something is known."""
    return f"count({LOST} < {seconds}) or sum{endpoints()} * 0"


def _strip(board):
    add(
        board,
        "Is it known?",
        number(
            (
                "State of the data",
                (
                    "Whether each account's data can be believed; the dozen worst. Not scraped: Prometheus"
                    " has no samples of it now but had some within a day. Withdrawn: no good walk within"
                    " max_age, so nothing is shown."
                ),
            ),
            state(),
            size=(6, 5),
            words=DATA_STATES,
            legend="{{account}}",
            none="not scraped",
        ),
        number(
            ("Age of the data", "How long ago the newest good walk of each account ended; the dozen oldest."),
            age(),
            size=(5, 5),
            unit="s",
            legend="{{account}}",
            none="not scraped, or never read",
            decimals=0,
        ),
        number(
            (
                "Registered now",
                (
                    "Endpoints that the vendor's list shows as registered, each counted once however many "
                    "replicas of the exporter run. Accounts whose data is withdrawn or not scraped are not in it."
                ),
            ),
            registered(""),
            size=(3, 5),
            none="unknown",
        ),
        number(
            (
                "Lost in 15 minutes",
                "Endpoints that are not registered now and were within the last quarter of an hour." + WITHOUT_RULES,
            ),
            _lost_within("15 * 60"),
            size=(3, 5),
            warn=1,
            none="unknown",
        ),
        number(
            (
                "Lost in 1 hour",
                "Endpoints that are not registered now and were within the last hour." + WITHOUT_RULES,
            ),
            _lost_within("60 * 60"),
            size=(3, 5),
            warn=1,
            none="unknown",
        ),
        number(
            ("Lost for longest", "For how long the endpoint has been away that is away for longest." + WITHOUT_RULES),
            f"max({LOST})",
            size=(4, 5),
            unit="s",
            none="none lost, or unknown",
            decimals=0,
        ),
    )


def _calls(board):
    week = " offset 1w"
    columns = (
        Column("account", "Account"),
        Column("group", "Group (empty: none)"),
        Column("Value #A", "Registered now"),
        Column("Value #B", "Listed"),
        Column("Value #C", "A week ago"),
        Column("Value #D", "Change since then"),
    )
    listed = f"topk(50, sum by (account, group) {endpoints()})"
    now = f"{registered('account, group')} and on (account, group) {listed}"
    add(
        board,
        "Can people take calls?",
        lines(
            (
                "Registered now and a week ago",
                (
                    "Registered endpoints of the chosen accounts and groups; dashes: at the same "
                    "hour a week earlier, where Prometheus keeps samples for so long."
                ),
            ),
            [Query(registered(""), "now"), Query(registered("", week), "a week earlier")],
            dashed="B",
        ),
        rows(
            (
                "Groups now and a week ago",
                (
                    "Registered endpoints of each group, beside this hour last week; the fifty largest "
                    "groups. An empty group is that of endpoints that no group of the configuration matches."
                ),
            ),
            [
                Query(now),
                Query(listed),
                Query(f"{registered('account, group', week)} and on (account, group) {listed}"),
                Query(f"({now}) - on (account, group) {registered('account, group', week)}"),
            ],
            columns,
            size=(12, 8),
            sort="Change since then",
            descending=False,
        ),
        lines(
            ("Lost and gained", "Registrations that were lost and gained between one walk and the next."),
            [
                Query(total("vobiz_registration_changes_total", "change", ', change="lost"'), "lost"),
                Query(total("vobiz_registration_changes_total", "change", ', change="gained"'), "gained"),
            ],
            size=(24, 6),
            bars=True,
        ),
    )


def _worst(by: str, joined: str) -> str:
    return f"topk(10, {share_lost(by, joined, by.removeprefix('account, '))})"


def _blame(board):
    groups = info("group")
    owners = info("sub_account")
    agents = f"({last_user_agents()}) and on ({ID}) ({groups})"
    about = (
        " Of the endpoints that are or were registered, the share that is lost; the ten worst. One bar alone:"
        " it is theirs. All alike: it is the network or the vendor. With the alerting rules loaded, those are left"
        " out who were away at this hour last week, too."
    )
    add(
        board,
        "Us or them?",
        bars(
            ("Lost by group", "By the groups of your configuration." + about),
            Query(_worst("account, group", groups), "{{account}} {{group}}"),
            none=NOBODY,
        ),
        bars(
            ("Lost by application", "By the application that takes the calls." + about),
            Query(f"topk(10, {share_lost_by_application(groups)})", "{{account}} {{application}}"),
            none=NOBODY,
        ),
        bars(
            ("Lost by sub-account", "By owner; without a name it is the main account." + about),
            Query(_worst("account, sub_account", owners), "{{account}} {{sub_account}}"),
            none=NOBODY,
        ),
        bars(
            (
                "Lost by user agent",
                "By the client's last known name, remembered over the range that is shown, or an hour if that is"
                " shorter, because it vanishes with the registration."
                + about,
            ),
            Query(_worst("user_agent", agents), "{{user_agent}}"),
            none=NOBODY,
        ),
    )


def _which(board):
    newest_lost = f"bottomk(100, {named(lost())})"
    since = f"(time() - ({newest_lost})) * 1000"
    columns = (
        *ENDPOINT_COLUMNS,
        Column("Value #A", "Lost for", "s", width=110),
        Column("Value #B", "Lost since", "dateTimeAsIso", width=170),
        Column("Value #C", "Flaps in 24 h", width=110),
    )
    flapping = f"topk(20, {named(f'{flaps()} > 0')})"
    add(
        board,
        "Which?",
        rows(
            (
                "Lost endpoints",
                "Endpoints that are not registered and once were, the hundred newest first, with the moment"
                " of the loss. Flaps are changes of the registration, the last day sampled every quarter of an hour"
                " and the last hour exactly."
                + WITHOUT_RULES,
            ),
            [Query(newest_lost), Query(since), Query(named(f"{flaps()} and on ({ID}) ({newest_lost})"))],
            columns,
            size=(24, 10),
            none=NOBODY,
            sort="Lost since",
            linked="Id",
        ),
        rows(
            (
                "Flapping endpoints",
                (
                    "The twenty whose registration changed most often within a day, sampled every"
                    " quarter of an hour, the last hour exactly."
                ),
            ),
            [Query(flapping)],
            (*ENDPOINT_COLUMNS, Column("Value #A", "Changes", width=110)),
            size=(12, 8),
            none="None changed, or nothing is known",
            sort="Changes",
            linked="Id",
        ),
        rows(
            ("Alerts", "What is firing for the chosen accounts; at most a hundred. Needs the alerting rules."),
            [
                Query(
                    "topk(100, max by (alertname, severity, account, alias, username, endpoint_id, group, application) "
                    '(ALERTS{alertstate="firing", job=~"$job", account=~"$account|"}))'
                )
            ],
            (
                Column("severity", "Severity", width=90),
                Column("alertname", "Alert"),
                Column("account", "Account"),
                Column("alias", "Alias"),
                Column("username", "Username"),
                Column("group", "Group"),
                Column("application", "Application"),
                Column("endpoint_id", "Id"),
            ),
            size=(12, 8),
            none="Nothing fires, or the alerting rules are not loaded",
            sort="Severity",
            descending=False,
        ),
    )


def _never(board):
    never = f"{once(f'vobiz_endpoint_registered{{{ACCOUNT}}} == 0')} unless on ({ID}) {lost()}"
    unknown = endpoints(', registration="unknown"')
    add(
        board,
        "Never seen registered",
        rows(
            (
                "Never seen registered",
                (
                    "Endpoints that are not registered and are not known to have been: spares, or WebRTC"
                    " clients, whose state the vendor does not tell. Not an outage. At most a hundred."
                ),
            ),
            [Query(f"topk(100, {named(never)})")],
            ENDPOINT_COLUMNS,
            size=(16, 8),
            none="None, or nothing is known",
            sort="Alias",
            descending=False,
            linked="Id",
        ),
        number(
            ("Never, in all", "How many endpoints are not known to have been registered ever."),
            f"count({named(never, 'group')}) or sum{endpoints()} * 0",
            size=(4, 8),
            none="unknown",
        ),
        number(
            ("State unknown", "Endpoints whose state in the vendor's list is neither true nor false."),
            f"sum{unknown}",
            size=(4, 8),
            warn=1,
            none="unknown",
        ),
    )


def _rest(board):
    late = (
        f"{read_at()} - on (job, instance, account, endpoint_id) "
        f"vobiz_endpoint_registration_expiration_timestamp_seconds{{{ACCOUNT}}} > 5 * 60"
    )
    bare = once(f"vobiz_endpoint_application_assigned{{{ACCOUNT}}} == 0")

    def taken(more: str) -> str:
        counts = spoken(f"vobiz_application_endpoints{{{ACCOUNT}{more}}}")
        one = "job, instance, account, application_id"
        names = f"topk by ({one}) (1, vobiz_application_info{{{ACCOUNT}}})"
        join = f"on ({one})"
        either = f"({counts} * {join} group_left (application_name) {names} or {join} {counts})"
        return f"sum by (account, application) ({application_label(either)})"

    top = f"topk(50, {taken('')})"
    online = ', registration="registered"'
    add(
        board,
        "Expiries and applications",
        rows(
            (
                "Overdue expiries",
                (
                    "Endpoints that the vendor shows as registered although their registration had run out"
                    " when it was read; the fifty latest. The device may be dead."
                ),
            ),
            [Query(f"topk(50, {named(once(f'({late})'))})")],
            (*ENDPOINT_COLUMNS, Column("Value #A", "Overdue by", "s", width=110)),
            size=(12, 8),
            none="None is overdue, or nothing is known",
            sort="Overdue by",
            linked="Id",
        ),
        rows(
            ("Endpoints without an application", "Calls from these stay silent; at most fifty."),
            [Query(f"topk(50, {named(bare)})")],
            ENDPOINT_COLUMNS,
            size=(12, 8),
            none="Each has one, or nothing is known",
            sort="Alias",
            descending=False,
            linked="Id",
        ),
        rows(
            (
                "Applications",
                (
                    "Endpoints of each application, by its name or else its id; the fifty largest. Without a"
                    " name: no application. This panel does not separate groups."
                ),
            ),
            [Query(top), Query(f"{taken(online)} and on (account, application) {top}")],
            (
                Column("account", "Account"),
                Column("application", "Application"),
                Column("Value #A", "Listed"),
                Column("Value #B", "Registered"),
            ),
            size=(12, 8),
            sort="Listed",
        ),
        lines(
            ("Changes of the list", "Endpoints that were added, removed, or given another application."),
            [
                Query(total("vobiz_endpoint_changes_total", "change", f', change="{change}"'), change)
                for change in ("added", "removed", "application")
            ],
            size=(12, 8),
            bars=True,
        ),
    )


def build():
    board = frame(
        "vobiz-fleet",
        "Vobiz / Fleet",
        "Which phones, softphones and voice agents are registered, which are lost, and in which group.",
        variables=[account(), group()],
        scope='account=~"$account|", scope!="endpoint"',
    )
    for part in (_strip, _calls, _blame, _which, _never, _rest):
        part(board)
    return board
