"""The parts that all dashboards share: variables, links, annotations and time ranges."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from panels import PINK, SOURCE, VERMILION
from queries import firing

TAG = "vobiz"


def _everything() -> model.VariableOption:
    return model.VariableOption(selected=True, text=["All"], value=["$__all"])


def data_source() -> dashboard.DatasourceVariable:
    return (
        dashboard.DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes the exporter")
        .type("prometheus")
    )


def choice(
    name: str, label: str, description: str, values: str, *, everything: str = ".*"
) -> dashboard.QueryVariable:
    """Several values of a label, or all."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(SOURCE)
        .query({"query": values, "refId": "Values", "qryType": 1})
        .definition(values)
        .multi(True)
        .include_all(True)
        .all_value(everything)
        .current(_everything())
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
    )


def job() -> dashboard.QueryVariable:
    return choice(
        "job",
        "Job",
        "The job under which Prometheus scrapes the exporter",
        "label_values(vobiz_exporter_build_info, job)",
        everything=".+",
    )


def account() -> dashboard.QueryVariable:
    return choice(
        "account",
        "Account",
        "Accounts in the configuration of the exporter",
        'label_values(vobiz_exporter_poll_interval_seconds{job=~"$job"}, account)',
    )


def group() -> dashboard.QueryVariable:
    return choice(
        "group",
        "Group",
        "Groups in the configuration of the exporter. All includes endpoints without a group",
        'label_values(vobiz_group_endpoints{job=~"$job", account=~"$account"}, group)',
    )


def _annotation(name: str, expression: str, colour: str, title: str, text: str, *, timed: bool):
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expression)
        .title_format(title)
        .text_format(text)
        .use_value_for_time(timed)
    )


def annotations(alerts: str):
    """Critical alerts and starts of the exporter."""
    critical = firing(f', severity="critical"{alerts}')
    started = (
        'max by (job, instance) (process_start_time_seconds{job=~"$job"}'
        " and on (job, instance) vobiz_exporter_build_info) * 1000"
    )
    return [
        _annotation(
            "Critical alerts",
            f"max by (alertname, account, group) ({critical})",
            VERMILION,
            "{{alertname}}",
            "{{account}} {{group}}",
            timed=False,
        ),
        _annotation("Starts of the exporter", started, PINK, "exporter started", "{{instance}}", timed=True),
    ]


def frame(uid: str, title: str, description: str, *, variables, alerts: str = "", since: str = "now-6h"):
    """A dashboard without panels. `alerts` has further matchers of the annotated alerts."""
    others = dashboard.DashboardLink("Vobiz").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    others = others.as_dropdown(False).include_vars(True).keep_time(True).icon("external link")
    board = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh("1m")
        .time(since, "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(others.tooltip("The other dashboards for Vobiz, with the same accounts"))
    )
    for variable in [data_source(), job(), *variables]:
        board.with_variable(variable)
    for annotation in annotations(alerts):
        board.annotation(annotation)
    return board


def add(board, title: str, *panels):
    """A row and its panels."""
    board.with_row(dashboard.Row(title))
    for panel in panels:
        board.with_panel(panel)
