"""One endpoint, and what became of it."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from frame import account, add, frame, group
from panels import DATA_STATES, PRESENT, REGISTERED, SOURCE, YES, Column, Query, lines, number, rows, timeline
from queries import ENDPOINT, age, application_label, flaps, lost, read_at, spoken, state

UNSEEN = "Unknown: the endpoint is not listed now, or nothing is known"


def _search() -> dashboard.TextBoxVariable:
    return (
        dashboard.TextBoxVariable("search")
        .label("Search")
        .description("A part of the alias or username, as a regular expression, or an id: narrows the list of endpoints")
        .default_value("")
    )


def _choice() -> dashboard.QueryVariable:
    """The endpoints, by alias where there is one, else by username; the value is the id."""
    one = 'vobiz_endpoint_info{job=~"$job", account=~"$account", group=~"$group", '
    found = f'{one}alias=~"(?i:.*$search.*)"}} or {one}username=~"(?i:.*$search.*)"}} or {one}endpoint_id="$search"}}'
    named = (
        f"label_replace(label_replace(topk(2000, max by (account, alias, endpoint_id, username) ({found})), "
        '"shown", "$1", "username", "(.+)"), "shown", "$1", "alias", "(.+)")'
    )
    values = f"query_result({named})"
    return (
        dashboard.QueryVariable("endpoint")
        .label("Endpoint")
        .description("By alias, or by username where there is no alias; 2,000 at most, so search in larger fleets")
        .datasource(SOURCE)
        .query({"query": values, "refId": "Values", "qryType": 3})
        .definition(values)
        .regex('/endpoint_id="(?<value>[^"]*)".*shown="(?<text>[^"]*)"/')
        .multi(False)
        .include_all(False)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
    )


def _seen(metric: str, more: str = "") -> str:
    return f"{metric}{{{ENDPOINT}{more}}}"


def _now(board):
    alerts = f'ALERTS{{alertstate="firing", job=~"$job", account=~"$account", endpoint_id="$endpoint"}}'
    add(
        board,
        "Now",
        number(
            ("Registration", "What the vendor's list says of the endpoint now."),
            f"max {spoken(_seen('vobiz_endpoint_registered'))}",
            words=REGISTERED,
            none="unknown",
        ),
        number(
            ("Lost since", "When the loss was first seen; only while the endpoint is not registered and once was."),
            f"(time() - max({lost(ENDPOINT)})) * 1000",
            unit="dateTimeAsIso",
            none="not lost, never registered, or unknown",
        ),
        number(
            ("Lost for", "For how long it has not been registered."),
            f"max({lost(ENDPOINT)})",
            unit="s",
            none="not lost, never registered, or unknown",
            decimals=0,
        ),
        number(
            (
                "Flaps in 24 h",
                "Changes of the registration within a day, sampled every minute, the last hour exactly.",
            ),
            f"max({flaps(ENDPOINT, '1m')})",
            warn=6,
            none="unknown",
        ),
        number(
            ("State of the data", "Whether the data of the chosen accounts can be believed."),
            state(),
            words=DATA_STATES,
            legend="{{account}}",
            none="not scraped",
        ),
        number(
            ("Age of the data", "How long ago the newest good walk of the chosen accounts ended."),
            age(),
            unit="s",
            legend="{{account}}",
            none="not scraped, or never read",
            decimals=0,
        ),
        rows(
            ("The endpoint", "Its names, owner and group, as they are now."),
            [
                Query(
                    "topk(10, max by (account, endpoint_id, username, alias, sub_account, group, watch) "
                    f"{spoken(_seen('vobiz_endpoint_info'))})"
                )
            ],
            (
                Column("alias", "Alias"),
                Column("username", "Username"),
                Column("account", "Account"),
                Column("sub_account", "Sub-account"),
                Column("group", "Group"),
                Column("watch", "Watch"),
                Column("endpoint_id", "Id"),
            ),
            size=(12, 5),
            none=UNSEEN,
        ),
        rows(
            ("Its alerts", "What fires about this endpoint now. Needs the alerting rules."),
            [Query(f"topk(20, max by (alertname, severity, account) ({alerts}))")],
            (Column("severity", "Severity", width=90), Column("alertname", "Alert"), Column("account", "Account")),
            size=(12, 5),
            none="Nothing fires, or the alerting rules are not loaded",
        ),
    )


def _history(board):
    alerts = f'ALERTS{{alertstate="firing", job=~"$job", account=~"$account", endpoint_id="$endpoint"}}'
    expires = _seen("vobiz_endpoint_registration_expiration_timestamp_seconds")
    named = application_label(
        f"({_seen('vobiz_endpoint_application_info')} * on (job, instance, account, application_id) "
        'group_left (application_name) topk by (job, instance, account, application_id) '
        '(1, vobiz_application_info{job=~"$job", account=~"$account"})'
        f" or on (job, instance, account, endpoint_id) {_seen('vobiz_endpoint_application_info')})"
    )
    add(
        board,
        "History",
        timeline(
            ("Registration over time", "Registered or not, as the walks found it. Gaps: nothing was known."),
            [Query(f"max by (account) {spoken(_seen('vobiz_endpoint_registered'))}", "{{account}}")],
            REGISTERED,
        ),
        timeline(
            ("Alerts over time", "When alerts about this endpoint fired; at most ten. Needs the alerting rules."),
            [Query(f"topk(10, max by (alertname) ({alerts}))", "{{alertname}}")],
            PRESENT,
            none="None fired, or the alerting rules are not loaded",
        ),
        lines(
            (
                "Expiry against now",
                (
                    "Time until the registration runs out, as it was last read, and the age of that reading."
                    " Below zero is overdue only if the reading is younger than that. Phones renew long"
                    " before."
                ),
            ),
            [
                Query(f"min(max by (account) {spoken(expires)} - time())", "until it runs out"),
                Query(f"max(time() - max by (account) {spoken(read_at(ENDPOINT))})", "age of the reading"),
            ],
            unit="s",
            none="Not known, or not registered",
            least=None,
        ),
        lines(
            ("Changes of the registration", "How often it came or went within an hour, exactly, on a moving hour."),
            [Query(f"max(changes({_seen('vobiz_endpoint_registered')}[1h]))", "within the hour before")],
            bars=True,
            none=UNSEEN,
        ),
        timeline(
            ("Applications", "Which application took its calls; at most ten."),
            [Query(f"topk(10, max by (application) {spoken(named)})", "{{application}}")],
            PRESENT,
            size=(12, 6),
            none=UNSEEN,
        ),
        timeline(
            ("User agents", "What the device called itself; at most ten. It vanishes with the registration."),
            [
                Query(
                    f"topk(10, max by (user_agent) {spoken(_seen('vobiz_endpoint_user_agent_info'))})",
                    "{{user_agent}}",
                )
            ],
            PRESENT,
            size=(12, 6),
            none="Unknown, or not registered",
        ),
        timeline(
            ("Without an application", "Times at which no application was attached: calls from it stay silent."),
            [Query(f"1 - max by (account) {spoken(_seen('vobiz_endpoint_application_assigned'))}", "{{account}}")],
            YES,
            none=UNSEEN,
        ),
    )


def build():
    board = frame(
        "vobiz-endpoint",
        "Vobiz / Endpoint",
        "One endpoint: whether it is registered, since when it is not, its device, its application, its alerts.",
        variables=[account(), group(), _search(), _choice()],
        scope='account=~"$account|", endpoint_id=~"$endpoint|"',
        since="now-24h",
    )
    for part in (_now, _history):
        part(board)
    return board
