"""PromQL that several panels share.

Prometheus adds the label `instance`, and often `pod`. Queries aggregate both away, so that a replaced pod neither
ends a line nor doubles a count.
"""

ACCOUNT = 'job=~"$job", account=~"$account"'
GROUP = f'{ACCOUNT}, group=~"$group"'
ENDPOINT = f'{ACCOUNT}, endpoint_id="$endpoint"'
ID = "account, endpoint_id"

MISSED = "vobiz_endpoint_missed_timestamp_seconds"
LOST = f"vobiz_endpoint_registration_lost_timestamp_seconds{{{ACCOUNT}}}"


def no_group(expression: str) -> str:
    """Names the empty group."""
    return f'label_replace({expression}, "group", "(no group)", "group", "")'


def each(labels: str, metric: str, matchers: str = ACCOUNT) -> str:
    """The values of a metric by these labels."""
    return f"max by ({labels}) ({metric}{{{matchers}}})"


def one(metric: str, matchers: str = ACCOUNT) -> str:
    """One series for each endpoint."""
    return f"topk by ({ID}) (1, {metric}{{{matchers}}})"


def named(expression: str) -> str:
    """Adds the alias and the group to a value of endpoints. Selects endpoints of the chosen groups."""
    info = one("vobiz_endpoint_info", GROUP)
    joined = f"{expression} * on ({ID}) group_left (alias, group) {info}"
    return no_group(f"max by ({ID}, username, alias, group) ({joined})")


def lost_by(labels: str, metric: str) -> str:
    """The number of endpoints that were lost in the visible time and are still lost, by labels of this metric."""
    return f"count by ({labels}) ({metric} and on ({ID}) {LOST} > time() - $__range_s)"


def increase(by: str, metric: str, matchers: str = ACCOUNT) -> str:
    grown = f"increase({metric}{{{matchers}}}[$__rate_interval])"
    return f"sum by ({by}) ({grown})" if by else f"sum({grown})"


def firing(matchers: str) -> str:
    return f'ALERTS{{alertstate="firing", job=~"$job", account=~"$account|"{matchers}}}'
