"""PromQL that several panels share.

Two replicas tell the same twice, so for each account one instance speaks: the one with the newest good
walk. Joins stay within it, and `instance` is aggregated away before anything is counted. The recorded
series of the rules are preferred where they remember what the exporter cannot; where the rules are not
loaded, the exporter's own series stand in.
"""

ACCOUNT = 'job=~"$job", account=~"$account"'
ENDPOINT = ACCOUNT + ', endpoint_id="$endpoint"'
ID = "job, account, endpoint_id"
READ = "job, instance, account"


def newest(offset: str = "") -> str:
    """Which instance speaks for each account."""
    success = f"vobiz_walk_last_success_timestamp_seconds{{{ACCOUNT}}}{offset}"
    return (
        f"topk by (job, account) (1, {success}"
        f" unless on ({READ}) vobiz_data_withdrawn{{{ACCOUNT}}}{offset} == 1)"
    )


def spoken(expression: str, offset: str = "") -> str:
    """Only what the speaking instances say."""
    return f"({expression} and on ({READ}) {newest(offset)})"


def endpoints(more: str = "", offset: str = "") -> str:
    """Counts of endpoints by account, group and registration."""
    selector = f'vobiz_group_endpoints{{{ACCOUNT}, group=~"$group"{more}}}{offset}'
    return spoken(selector, offset)


def registered(by: str, offset: str = "") -> str:
    more = ', registration="registered"'
    return f"sum by ({by}) {endpoints(more, offset)}" if by else f"sum{endpoints(more, offset)}"


def info(labels: str = "username, alias, group, watch", matchers: str = 'group=~"$group"') -> str:
    """Every endpoint once, with the names that it has now; worth 1."""
    selector = f"vobiz_endpoint_info{{{ACCOUNT}, {matchers}}}"
    return f"topk by ({ID}) (1, max by ({ID}, {labels}) {spoken(selector)})"


def named(expression: str, labels: str = "username, alias, group, watch") -> str:
    """A value per endpoint, with the endpoint's names."""
    return f"({expression}) * on ({ID}) group_left ({labels}) ({info(labels)})"


def once(expression: str) -> str:
    """A value per endpoint as the speaking instance tells it, without the instance."""
    return f"max by ({ID}) {spoken(expression)}"


def lost(matchers: str = ACCOUNT) -> str:
    """For how many seconds each lost endpoint has been unregistered.

    The recorded series survives restarts of the exporter, which forget since when.
    """
    return (
        f"(job_account_endpoint:vobiz_endpoint_lost:age_seconds{{{matchers}}}"
        f" or on ({ID}) "
        f"(time() - min by ({ID}) (vobiz_endpoint_registration_lost_timestamp_seconds{{{matchers}}})"
        f" and on ({ID}) {spoken(f'vobiz_endpoint_registered{{{matchers}}} == 0')}))"
    )


def share_lost(by: str, joined: str, labels: str) -> str:
    """How much of what was registered is lost, by labels that `joined` brings; nothing where nobody is.

    Whose shift has ended is neither, as far as the rules know.
    """
    at_home = f"job_account_endpoint:vobiz_endpoint_lost:as_usual{{{ACCOUNT}}}"
    online = once(f"vobiz_endpoint_registered{{{ACCOUNT}}} == 1")
    # 1 is lost and 0 is registered, so that the mean is the share: everything is looked at once.
    state = f"(({lost()} unless on ({ID}) {at_home}) * 0 + 1 or on ({ID}) {online} * 0)"
    return f"avg by ({by}) ({state} + on ({ID}) group_left ({labels}) 0 * ({joined})) > 0"


def share_lost_by_application(group: str) -> str:
    """The same by application: endpoints are counted by its id, and only what comes of that has names."""
    attached = (
        f"topk by ({ID}) (1, max by ({ID}, application_id)"
        f" {spoken(f'vobiz_endpoint_application_info{{{ACCOUNT}}}')})"
    )
    one = "job, account, application_id"
    share = share_lost(one, f"({attached}) and on ({ID}) ({group})", "application_id")
    names = (
        f"(topk by ({one}) (1, max by ({one}, application_name)"
        f" {spoken(f'vobiz_application_info{{{ACCOUNT}}}')}) or on ({one})"
        f" max by ({one}) (vobiz_application_endpoints{{{ACCOUNT}}}) * 0 + 1)"
    )
    named_share = f"({share}) * on ({one}) group_left (application_name) {names}"
    return f"max by (account, application) ({application_label(named_share)})"


def application_label(expression: str) -> str:
    """Adds `application`: the name, or the id where there is no name."""
    by_id = f'label_replace({expression}, "application", "$1", "application_id", "(.*)")'
    return f'label_replace({by_id}, "application", "$1", "application_name", "(.+)")'


def last_user_agents() -> str:
    """The newest user agent of each endpoint in the range shown: it vanishes with the registration.

    What is newest is found by looking back further and further, which is much cheaper than to ask when each
    of them was there.
    """
    agent = f"vobiz_endpoint_user_agent_info{{{ACCOUNT}}}"
    back = "".join(f" or on ({ID}) last_over_time({agent}[{span}])" for span in ("15m", "1h", "$__range"))
    return f"topk by ({ID}) (1, max by ({ID}, user_agent) ({agent}{back}))"


def read_at(matchers: str = ACCOUNT) -> str:
    """When each endpoint's expiry was read: with its own record, or else as its walk began."""
    walked = (
        f"(vobiz_walk_last_success_timestamp_seconds{{{ACCOUNT}}} - vobiz_walk_last_duration_seconds{{{ACCOUNT}}}"
        f" unless vobiz_walk_retained_endpoints{{{ACCOUNT}}} > 0)"
    )
    return (
        f"(vobiz_endpoint_detail_timestamp_seconds{{{matchers}}} or on (job, instance, account, endpoint_id) "
        f"max by (job, instance, account, endpoint_id) (vobiz_endpoint_info{{{matchers}}})"
        f" * on ({READ}) group_left () {walked})"
    )


def flaps(matchers: str = ACCOUNT, every: str = "15m") -> str:
    """Changes of the registration in a day, sampled; the last hour exactly.

    With ten thousand endpoints a day has too many samples for all of them to be looked at.
    """
    state = f"vobiz_endpoint_registered{{{matchers}}}"
    day = f'label_replace(changes({state}[1d:{every}]), "look", "day", "", "")'
    hour = f'label_replace(changes({state}[1h]), "look", "hour", "", "")'
    return f"max by ({ID}) ({day} or {hour})"


def total(metric: str, by: str, more: str = "", matchers: str = ACCOUNT) -> str:
    """What a counter that replicas share has grown by: each of them sees the same changes."""
    inside = ", ".join(dict.fromkeys(f"job, account, {by}".split(", ")))
    grown = f"increase({metric}{{{matchers}{more}}}[$__rate_interval])"
    return f"sum by ({by}) (max by ({inside}) (sum by ({inside}, instance) ({grown})))"


def state() -> str:
    """The state of each account's data, worst first: see `panels.DATA_STATES`."""
    # Settings in effect are there as soon as the exporter is.
    here = f"vobiz_exporter_poll_interval_seconds{{{ACCOUNT}}}"
    walked = f"max by (job, account) (vobiz_walk_last_success_timestamp_seconds{{{ACCOUNT}}})"
    known = f"max by (job, account) (last_over_time({here}[1d]))"
    present = f"max by (job, account) ({here})"
    on = "on (job, account)"
    return (
        "bottomk(12, min by (account) ("
        f"({known} unless {on} {present}) * 0"
        f" or {on} ({present} unless {on} {walked}) * 0 + 1"
        f" or {on} (min by (job, account) (vobiz_data_withdrawn{{{ACCOUNT}}}) == 1) * 0 + 2"
        f" or {on} (time() - {walked} > {on} 3 * {present}) * 0 + 3"
        f" or {on} {walked} * 0 + 4))"
    )


def age() -> str:
    """Seconds since the newest good walk of each account; none when nothing is scraped."""
    return f"topk(12, time() - max by (account) (vobiz_walk_last_success_timestamp_seconds{{{ACCOUNT}}}))"
