"""What stands around the panels of every dashboard: variables, links, annotations, times."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from panels import ORANGE, PINK, SOURCE, VERMILION

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
        "Accounts as the exporter's configuration names them",
        'label_values(vobiz_exporter_poll_interval_seconds{job=~"$job"}, account)',
    )


def group() -> dashboard.QueryVariable:
    return choice(
        "group",
        "Group",
        "Groups of the exporter's configuration; all includes endpoints without one",
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


def annotations(scope: str):
    """Alerts of this scope, the more serious ones by themselves, and starts of the exporter."""
    firing = f'ALERTS{{alertstate="firing", job=~"$job", {scope}, severity='
    named = "max by (alertname, account, group)"
    started = (
        'max by (job, instance) (process_start_time_seconds{job=~"$job"}'
        " and on (job, instance) vobiz_exporter_build_info) * 1000"
    )
    return [
        _annotation(
            "Critical alerts",
            f'{named} ({firing}"critical"}})',
            VERMILION,
            "{{alertname}}",
            "{{account}} {{group}}",
            timed=False,
        ),
        _annotation(
            "Warnings",
            f'{named} ({firing}"warning"}})',
            ORANGE,
            "{{alertname}}",
            "{{account}} {{group}}",
            timed=False,
        ),
        _annotation("Starts of the exporter", started, PINK, "exporter started", "{{instance}}", timed=True),
    ]


def frame(uid: str, title: str, description: str, *, variables, scope: str, since: str = "now-6h"):
    """A dashboard without panels."""
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
        .link(others.tooltip("The other dashboards about Vobiz, for the same accounts"))
    )
    for variable in [data_source(), job(), *variables]:
        board.with_variable(variable)
    for annotation in annotations(scope):
        board.annotation(annotation)
    return board


def add(board, title: str, *panels):
    """A row and its panels."""
    board.with_row(dashboard.Row(title))
    for panel in panels:
        board.with_panel(panel)
