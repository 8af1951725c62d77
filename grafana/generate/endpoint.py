"""One endpoint: its registration, its device, its application and its alerts."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from frame import account, add, frame, group
from panels import FIRING, NOW, REGISTERED, SEEN, SOURCE, Column, Query, condition, lines, number, rows, timeline
from queries import ACCOUNT, ENDPOINT, MISSED, each, firing

UNKNOWN = "The endpoint is not listed, or nothing is known"
ITS_ALERTS = firing(', endpoint_id="$endpoint"')


def _search() -> dashboard.TextBoxVariable:
    return (
        dashboard.TextBoxVariable("search")
        .label("Search")
        .description("Part of the alias or username (a regular expression), or an id. Shortens the list of endpoints")
        .default_value("")
    )


def _choice() -> dashboard.QueryVariable:
    """The endpoints by alias, or by username if the alias is empty. The value is the id."""
    info = 'vobiz_endpoint_info{job=~"$job", account=~"$account", group=~"$group", '
    found = f'{info}alias=~"(?i:.*$search.*)"}} or {info}username=~"(?i:.*$search.*)"}} or {info}endpoint_id="$search"}}'
    named = (
        f"label_replace(label_replace(topk(2000, max by (account, alias, endpoint_id, username) ({found})), "
        '"shown", "$1", "username", "(.+)"), "shown", "$1", "alias", "(.+)")'
    )
    values = f"query_result({named})"
    return (
        dashboard.QueryVariable("endpoint")
        .label("Endpoint")
        .description("By alias, or by username without an alias. At most 2,000: search in larger fleets")
        .datasource(SOURCE)
        .query({"query": values, "refId": "Values", "qryType": 3})
        .definition(values)
        .regex('/endpoint_id="(?<value>[^"]*)".*shown="(?<text>[^"]*)"/')
        .multi(False)
        .include_all(False)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
    )


def _now(board):
    lost = "vobiz_endpoint_registration_lost_timestamp_seconds"
    labels = "account, endpoint_id, username, alias, sub_account, group, watch"
    # The range covers times at which the data is withdrawn.
    known = f"last_over_time(vobiz_endpoint_info{{{ENDPOINT}}}[1d])"
    present = f"max by (condition) (vobiz_account_condition{{{ACCOUNT}}} == 1 and on (account) {known})"
    add(
        board,
        "Now",
        number(
            ("Registration", "What the list of the API says about the endpoint now."),
            f"max(vobiz_endpoint_registered{{{ENDPOINT}}})",
            words=REGISTERED,
            none="unknown",
        ),
        number(
            (
                "Missed since",
                "Since when the endpoint should be registered and is not. Empty while its group is off duty or"
                " ignored, and while it is a member of an open outage.",
            ),
            f"1000 * max({MISSED}{{{ENDPOINT}}})",
            size=(6, 4),
            unit=NOW,
            none="not missed",
        ),
        number(
            ("Lost since", "Since when the endpoint is not registered. Empty if it was never seen registered."),
            f"1000 * max({lost}{{{ENDPOINT}}})",
            size=(6, 4),
            unit=NOW,
            none="not lost, or never registered",
        ),
        condition(("Condition of the account", "The condition of the account of the endpoint."), present),
        rows(
            ("The endpoint", "Names, sub-account and group of the endpoint now."),
            [Query(f"max by ({labels}) (vobiz_endpoint_info{{{ENDPOINT}}})")],
            (
                Column("alias", "Alias"),
                Column("username", "Username"),
                Column("account", "Account"),
                Column("sub_account", "Sub-account"),
                Column("group", "Group"),
                Column("watch", "Watch"),
                Column("endpoint_id", "Id"),
            ),
            size=(14, 5),
            none=UNKNOWN,
        ),
        rows(
            ("Its alerts", "Alerts that fire for this endpoint now. Needs the alert rules."),
            [Query(f"max by (alertname, severity, account) ({ITS_ALERTS})")],
            (Column("severity", "Severity"), Column("alertname", "Alert"), Column("account", "Account")),
            size=(10, 5),
            none="No alert fires, or the alert rules are not loaded",
        ),
    )


def _history(board):
    read = each("account", "vobiz_endpoint_registration_expiration_timestamp_seconds", ENDPOINT)
    application = f"vobiz_endpoint_application_info{{{ENDPOINT}}}"
    names = f"topk by (account, application_id) (1, vobiz_application_info{{{ACCOUNT}}})"
    named = f"{application} * on (account, application_id) group_left (application_name) {names}"
    add(
        board,
        "History",
        timeline(
            ("Registration over time", "What walks found. A gap: nothing was known."),
            [Query(f"max by (account) (vobiz_endpoint_registered{{{ENDPOINT}}})", "{{account}}")],
            REGISTERED,
        ),
        timeline(
            ("Alerts over time", "When alerts for this endpoint fired. Needs the alert rules."),
            [Query(f"max by (alertname) ({ITS_ALERTS})", "{{alertname}}")],
            FIRING,
            none="No alert fired, or the alert rules are not loaded",
        ),
        lines(
            (
                "Time until the registration expires",
                "By the last reading of the expiry. A device renews its registration before, so a value that falls"
                " below zero can be an old reading.",
            ),
            [Query(f"min({read}) - time()", "until the expiry")],
            unit="s",
            none="Not registered, or the API shows no expiry",
            least=None,
        ),
        lines(
            ("Changes of the registration", "How often the registration changed within the hour before each point."),
            [Query(f"max(changes(vobiz_endpoint_registered{{{ENDPOINT}}}[1h]))", "within an hour")],
            none=UNKNOWN,
        ),
        timeline(
            ("Applications", "The application of the endpoint. Only an id: the API gave no name."),
            [
                Query(
                    "max by (application_id, application_name)"
                    f" ({named} or on (account) {application})",
                    "{{application_name}} {{application_id}}",
                )
            ],
            SEEN,
            size=(12, 6),
            none=UNKNOWN,
        ),
        timeline(
            ("User agents", "The SIP user agent of the device. The API shows none for an unregistered endpoint."),
            [Query(f"max by (user_agent) (vobiz_endpoint_user_agent_info{{{ENDPOINT}}})", "{{user_agent}}")],
            SEEN,
            size=(12, 6),
            none="Not registered, or nothing is known",
        ),
    )


def build():
    board = frame(
        "vobiz-endpoint",
        "Vobiz / Endpoint",
        "One endpoint: its registration, its device, its application and its alerts.",
        variables=[account(), group(), _search(), _choice()],
        alerts=', endpoint_id=~"$endpoint|"',
        since="now-24h",
    )
    for part in (_now, _history):
        part(board)
    return board
