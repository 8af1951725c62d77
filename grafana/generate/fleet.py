"""All endpoints: open outages and missed endpoints first, then registrations, losses and single endpoints."""

from frame import account, add, frame, group
from panels import CONDITIONS, ID_COLUMN, NO_YES, NOW, Column, Query, bars, lines, rows
from queries import ACCOUNT, GROUP, ID, LOST, MISSED, each, firing, increase, lost_by, named, no_group, one

REGISTERED = ', registration="registered"'
NONE_LOST = "None, or nothing is known: see Accounts"
FLAPPING = "vobiz_endpoint_flapping"
# Labels of judgements about endpoints.
JUDGED = f"{ID}, username, group, watch"


def _outages() -> tuple:
    labels = "account, scope, group, slot, grade, usual"
    # An outage of a whole account has no group. It is shown for each choice of groups.
    matchers = f'{ACCOUNT}, group=~"$group|"'

    def all_groups(expression: str) -> str:
        return f'label_replace({expression}, "group", "(all groups)", "scope", "account")'

    endpoints = "vobiz_outage_endpoints"
    total = f"sum by ({labels}) ({each(f'{labels}, state', endpoints, matchers)})"

    def count(state: str) -> Query:
        return Query(all_groups(each(labels, endpoints, f'{matchers}, state="{state}"')))

    since = all_groups(f"1000 * {each(labels, 'vobiz_outage_start_timestamp_seconds', matchers)}")
    outages = rows(
        (
            "Open outages",
            "An outage: many endpoints of a group, or of a whole account, lost their registrations within a short"
            " time. Its endpoints are not in the list of missed endpoints. Usual: an outage began at the same time"
            " of the day a week before. Major: the group is paged or has duty, or half of an account is lost.",
        ),
        [Query(since), count("lost"), Query(all_groups(total)), count("recovered")],
        (
            Column("account", "Account"),
            Column("group", "Group"),
            Column("Value #A", "Since", NOW),
            Column("Value #B", "Lost"),
            Column("Value #C", "Of total"),
            Column("Value #D", "Recovered"),
            Column("grade", "Grade"),
            Column("usual", "Usual"),
        ),
        size=(16, 6),
        none="No open outage, or the exporter is not scraped",
        sort=("-Since",),
        hide=("scope", "slot"),
    )
    by_group = each("account, slot, group", "vobiz_outage_group_endpoints", f'{ACCOUNT}, state="lost"')
    groups = rows(
        ("Outages of accounts by group", "How many endpoints of each group an outage of a whole account has lost."),
        [Query(no_group(by_group))],
        (Column("account", "Account"), Column("group", "Group"), Column("Value #A", "Lost")),
        size=(8, 6),
        none="No open outage of an account",
        sort=("-Lost",),
        hide=("slot",),
    )
    return outages, groups


def _aliases(metric: str) -> Query:
    """The aliases of the endpoints that have this metric. They are absent while the data is withdrawn."""
    return Query(f"max by ({ID}, alias) (vobiz_endpoint_info{{{ACCOUNT}}} and on ({ID}) {metric}{{{ACCOUNT}}})")


def _now(board):
    missed = no_group(f"1000 * {each(JUDGED, MISSED, GROUP)}")
    listed = f"sum by (account) ({each('account, registration', 'vobiz_endpoints')})"
    ended = each("account", "vobiz_walk_last_success_timestamp_seconds")
    attention = f'{ACCOUNT}, condition!~"ok|starting"'
    below = f"vobiz_group_below_minimum_timestamp_seconds{{{GROUP}}}"
    has = f"and on (account, group) {below}"
    registered = f"max by (account, group) (vobiz_group_endpoints{{{GROUP}{REGISTERED}}} {has})"
    minimum = f"max by (account, group) (vobiz_group_min_registered_endpoints{{{GROUP}}} {has})"
    add(
        board,
        "Now",
        *_outages(),
        rows(
            (
                "Missed now",
                "Endpoints that should be registered and are not: their group is on duty, and they are no part of an"
                " outage. Paged endpoints are first. Group and watch are those at the loss. The list stays"
                " while the data is withdrawn; aliases are then unknown.",
            ),
            [Query(missed), _aliases(MISSED)],
            (
                Column("alias", "Alias"),
                Column("username", "Username"),
                Column("group", "Group"),
                Column("watch", "Watch"),
                Column("Value #A", "Since", NOW),
                Column("account", "Account"),
                ID_COLUMN,
            ),
            size=(24, 9),
            none="No endpoint is missed, or the exporter is not scraped",
            sort=("-Watch", "-Since"),
            hide=("Value #B",),
            linked=True,
        ),
        rows(
            (
                "Accounts",
                "The condition of each account, those that need attention first. Withdrawn: the last good walk is"
                " older than the maximum age, so endpoints and counts are not shown.",
            ),
            [
                Query(f"{each('account, condition', 'vobiz_account_condition')} == 1"),
                Query(each("account", "vobiz_account_condition", attention)),
                Query(f"time() - {ended}"),
                Query(each("account", "vobiz_endpoints", f"{ACCOUNT}{REGISTERED}")),
                Query(listed),
            ],
            (
                Column("account", "Account"),
                Column("condition", "Condition", words=CONDITIONS),
                Column("Value #B", "Needs attention", words=NO_YES),
                Column("Value #C", "Age of the data", "s"),
                Column("Value #D", "Registered"),
                Column("Value #E", "Listed"),
            ),
            size=(12, 8),
            none="The exporter is not scraped",
            sort=("-Needs attention", "-Age of the data"),
            hide=("Value #A",),
        ),
        rows(
            (
                "Groups below their minimum",
                "Groups on duty with fewer registered endpoints than min_registered, and paged groups without any"
                " endpoint. A group in an open outage is not shown.",
            ),
            [Query(f"1000 * max by (account, group, watch) ({below})"), Query(registered), Query(minimum)],
            (
                Column("account", "Account"),
                Column("group", "Group"),
                Column("watch", "Watch"),
                Column("Value #A", "Since", NOW),
                Column("Value #B", "Registered"),
                Column("Value #C", "Minimum"),
            ),
            size=(12, 8),
            none="No group is below its minimum, or the exporter is not scraped",
            sort=("-Watch", "Since"),
        ),
    )


def _registrations(board):
    registered = each("account, group", "vobiz_group_endpoints", f"{GROUP}{REGISTERED}")
    minimum = each("account, group", "vobiz_group_min_registered_endpoints", GROUP)
    groups = each("account, group, registration", "vobiz_group_endpoints", GROUP)
    add(
        board,
        "Registrations",
        lines(
            ("Registered by account", "Registered endpoints of the twelve largest accounts."),
            [Query(f"topk(12, {each('account', 'vobiz_endpoints', f'{ACCOUNT}{REGISTERED}')})", "{{account}}")],
        ),
        lines(
            (
                "Registered by group",
                "Registered endpoints of the twelve largest groups. Dashes: min_registered of groups that have it.",
            ),
            [
                Query(f"topk(12, {no_group(registered)})", "{{account}} {{group}}"),
                Query(f"topk(12, {minimum})", "minimum of {{account}} {{group}}"),
            ],
            dashed="B",
        ),
        lines(
            ("Missed endpoints", "Endpoints that should be registered and are not, by the watch of their group."),
            [Query(f"count by (watch) ({each(f'{ID}, watch', MISSED, GROUP)})", "{{watch}}")],
            none="No endpoint was missed, or the exporter was not scraped",
        ),
        lines(
            ("Registrations lost and gained", "Changes of registrations between walks, for all groups."),
            [Query(increase("change", "vobiz_registration_changes_total"), "{{change}}")],
            bars=True,
        ),
        rows(
            (
                "Groups",
                "All groups with their registered and listed endpoints. Missing members: ids and usernames in"
                " the lists of the configuration that no endpoint has.",
            ),
            [
                Query(no_group(registered)),
                Query(no_group(f"sum by (account, group) ({groups})")),
                Query(minimum),
                Query(no_group(each("account, group", "vobiz_group_on_duty", GROUP))),
                Query(each("account, group", "vobiz_group_missing_members", GROUP)),
            ],
            (
                Column("account", "Account"),
                Column("group", "Group"),
                Column("Value #A", "Registered"),
                Column("Value #B", "Listed"),
                Column("Value #C", "Minimum"),
                Column("Value #D", "On duty", words=NO_YES),
                Column("Value #E", "Missing members"),
            ),
            size=(12, 8),
            sort=("Account", "Group"),
        ),
        lines(
            (
                "Changes of the list",
                "Endpoints that were added, were removed, or changed their application between walks, for all groups."
                " application_removed: those of application that have none any more.",
            ),
            [Query(increase("change", "vobiz_endpoint_changes_total"), "{{change}}")],
            bars=True,
        ),
    )


def _losses(board):
    about = (
        " Counts endpoints that were lost in the visible time and are still lost. If one value has most of them, the"
        " cause is there. If all have some, look at the network and the vendor."
    )
    by_group = no_group(lost_by("account, group", one("vobiz_endpoint_info", GROUP)))
    agent = f"vobiz_endpoint_user_agent_info{{{ACCOUNT}}}[$__range]"
    by_agent = lost_by("user_agent", f"topk by ({ID}) (1, last_over_time({agent}))")
    application = "account, application_id"
    counts = f"max by ({application}, registration) (vobiz_application_endpoints{{{ACCOUNT}}})"
    add(
        board,
        "Where are the losses?",
        bars(
            ("Lost by group", "By the group of the configuration." + about),
            Query(f"topk(10, {by_group})", "{{account}} {{group}}"),
            none=NONE_LOST,
        ),
        bars(
            (
                "Lost by user agent",
                "By the last user agent in the visible time, because an unregistered endpoint has none." + about,
            ),
            Query(f"topk(10, {by_agent})", "{{user_agent}}"),
            none=NONE_LOST,
        ),
        rows(
            (
                "Applications",
                "Endpoints by their application. Lost: in the visible time, and still lost. Without an id: endpoints"
                " without an application.",
            ),
            [
                Query(each(f"{application}, application_name", "vobiz_application_info")),
                Query(each(application, "vobiz_application_endpoints", f"{ACCOUNT}{REGISTERED}")),
                Query(f"sum by ({application}) ({counts})"),
                Query(lost_by(application, one("vobiz_endpoint_application_info"))),
            ],
            (
                Column("account", "Account"),
                Column("application_name", "Application"),
                Column("application_id", "Application id"),
                Column("Value #B", "Registered"),
                Column("Value #C", "Listed"),
                Column("Value #D", "Lost"),
            ),
            size=(12, 8),
            sort=("-Lost", "-Listed"),
            hide=("Value #A",),
        ),
    )


def _endpoints(board):
    bare = f"(1 - vobiz_endpoint_application_assigned{{{ACCOUNT}}} > 0)"
    labels = f"alertname, severity, {ID}, username, group"
    names = (Column("alias", "Alias"), Column("username", "Username"), Column("group", "Group"))
    add(
        board,
        "Endpoints",
        rows(
            (
                "Lost endpoints",
                "The hundred newest endpoints that are not registered and were registered before. The list includes"
                " members of outages, and endpoints of groups that are off duty or ignored.",
            ),
            [Query(f"topk(100, {named(f'1000 * {LOST}')})")],
            (*names, Column("Value #A", "Since", NOW), Column("account", "Account"), ID_COLUMN),
            none=NONE_LOST,
            sort=("-Since",),
            linked=True,
        ),
        rows(
            (
                "Flapping endpoints",
                "Endpoints whose registration changed at least six times within an hour, until fewer than three times.",
            ),
            [Query(no_group(each(JUDGED, FLAPPING, GROUP))), _aliases(FLAPPING)],
            (*names, Column("Value #A", "Changes in 1 h"), Column("account", "Account"), ID_COLUMN),
            none="No endpoint flaps, or the exporter is not scraped",
            sort=("-Changes in 1 h",),
            hide=("watch", "Value #B"),
            linked=True,
        ),
        rows(
            ("Endpoints without an application", "No application takes the calls of these endpoints. At most 100."),
            [Query(f"topk(100, {named(bare)})")],
            (*names, Column("account", "Account"), ID_COLUMN),
            none=NONE_LOST,
            sort=("Alias",),
            linked=True,
        ),
        rows(
            ("Alerts", "Alerts that fire for the chosen accounts. Needs the alert rules."),
            [Query(f"max by ({labels}) ({firing('')})")],
            (
                Column("severity", "Severity"),
                Column("alertname", "Alert"),
                Column("account", "Account"),
                Column("group", "Group"),
                Column("username", "Username"),
                ID_COLUMN,
            ),
            none="No alert fires, or the alert rules are not loaded",
            sort=("Severity",),
            linked=True,
        ),
    )


def build():
    board = frame(
        "vobiz-fleet",
        "Vobiz / Fleet",
        "Open outages, missed endpoints, and registrations by account and group.",
        variables=[account(), group()],
    )
    for part in (_now, _registrations, _losses, _endpoints):
        part(board)
    return board
