"""How panels look: one function per kind, so that all of them have what every panel must have."""

from dataclasses import dataclass

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models import prometheus as prom

# Colours of Okabe and Ito: everybody can distinguish them. Nothing is said by red against green.
BLUE, SKY, ORANGE, VERMILION = "#0072B2", "#56B4E9", "#E69F00", "#D55E00"
TEAL, PINK, YELLOW, GREY = "#009E73", "#CC79A7", "#F0E442", "#8E8E8E"
ORDER = [BLUE, ORANGE, SKY, VERMILION, PINK, TEAL, YELLOW, GREY]

SOURCE = shared.DataSourceRef(type_val="prometheus", uid="${datasource}")

UNKNOWN = "Unknown: no data, see the state of the data"


@dataclass(frozen=True)
class Words:
    """What numbers mean: the number, a word, a colour."""

    entries: tuple[tuple[str, str, str], ...]

    def mappings(self) -> list[model.ValueMapping]:
        options = {
            number: model.ValueMappingResult(text=word, color=colour, index=index)
            for index, (number, word, colour) in enumerate(self.entries)
        }
        return [model.ValueMap(options=options)]


DATA_STATES = Words(
    (
        ("0", "not scraped", VERMILION),
        ("1", "not read yet", PINK),
        ("2", "withdrawn", VERMILION),
        ("3", "old", ORANGE),
        ("4", "fresh", BLUE),
    )
)
REGISTERED = Words((("0", "not registered", VERMILION), ("1", "registered", BLUE)))
YES = Words((("0", "no", GREY), ("1", "yes", ORANGE)))
WELL = Words((("0", "failed", VERMILION), ("1", "good", BLUE)))
ANSWERS = Words((("0", "does not answer", VERMILION), ("1", "answers", BLUE)))
PRESENT = Words((("1", "yes", BLUE),))


@dataclass(frozen=True)
class Query:
    """An expression and how its series are called."""

    expression: str
    legend: str = ""


def _target(query: Query, ref: str, instant: bool, kind: prom.PromQueryFormat) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .datasource(SOURCE)
        .expr(query.expression)
        .ref_id(ref)
        .editor_mode(prom.QueryEditorMode.CODE)
        .format(kind)
        .legend_format(query.legend or "__auto")
    )
    return target.instant() if instant else target.range()


def _panel(panel, about, queries, size, *, unit, none, instant, kind=prom.PromQueryFormat.TIME_SERIES):
    """What all kinds have. `about` is the title and the description, `size` is width and height."""
    title, description = about
    width, height = size
    for index, query in enumerate(queries):
        panel.with_target(_target(query, chr(ord("A") + index), instant, kind))
    return (
        panel.title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .no_value(none)
        .span(width)
        .height(height)
    )


def _steps(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    config = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    return config.steps([model.Threshold(value=value, color=colour) for value, colour in steps])


def number(
    about,
    expression,
    *,
    size=(4, 4),
    unit="none",
    none=UNKNOWN,
    words=None,
    warn=None,
    legend="",
    name=False,
    graph=False,
    decimals=None
):
    """One number, or a word for it; `warn` is where orange begins, `name` shows the series' name."""
    panel = _panel(stat.Panel(), about, [Query(expression, legend)], size, unit=unit, none=none, instant=not graph)
    panel = (
        panel.graph_mode(shared.BigValueGraphMode.AREA if graph else shared.BigValueGraphMode.NONE)
        .color_mode(shared.BigValueColorMode.VALUE)
        .text_mode(shared.BigValueTextMode.NAME if name else shared.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(_steps((None, BLUE), *([(warn, ORANGE)] if warn is not None else [])))
    )
    if decimals is not None:
        panel.decimals(decimals)
    return panel.mappings(words.mappings()) if words else panel


def lines(about, queries, *, size=(12, 8), unit="none", none=UNKNOWN, bars=False, dashed=(), least=0.0):
    """Lines over time. The first query is blue, the next orange and so on, in shades where it has more
    than one series; those named in `dashed`, by their letters, are drawn with dashes."""
    panel = _panel(timeseries.Panel(), about, queries, size, unit=unit, none=none, instant=False)
    panel = (
        panel.draw_style(shared.GraphDrawStyle.BARS if bars else shared.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(60 if bars else 8)
        .show_points(shared.VisibilityMode.NEVER)
        .span_nulls(False)
        .color_scheme(dashboard.FieldColor().mode("shades").fixed_color(BLUE))
        .tooltip(common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI).sort(shared.SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .display_mode(shared.LegendDisplayMode.LIST)
            .placement(shared.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
    )
    if least is not None:
        panel.min(least)
    if bars:
        # A bar counts what happened within the rate's interval: bars closer to each other than that would show
        # everything several times.
        panel.interval("5m").decimals(0)
    for index, query in enumerate(queries):
        letter = chr(ord("A") + index)
        mode = "shades" if "{{" in query.legend else "fixed"
        look = [model.DynamicConfigValue("color", {"mode": mode, "fixedColor": ORDER[index]})]
        if letter in dashed:
            look.append(model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}))
        panel.override_by_query(letter, look)
    return panel


def bars(about, query, *, size=(6, 8), unit="percentunit", none=UNKNOWN, most=1.0):
    """A short list with a bar for each value."""
    panel = _panel(bargauge.Panel(), about, [query], size, unit=unit, none=none, instant=True)
    panel = (
        panel.orientation(shared.VizOrientation.HORIZONTAL)
        .display_mode(shared.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .min(0)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(_steps((None, SKY), (0.25, ORANGE), (0.75, VERMILION)))
    )
    return panel.max(most)


def timeline(about, queries, words, *, size=(24, 5), none=UNKNOWN):
    """States over time."""
    panel = _panel(statetimeline.Panel(), about, queries, size, unit="none", none=none, instant=False)
    return (
        panel.mappings(words.mappings())
        .show_value(shared.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(shared.LegendDisplayMode.LIST)
            .placement(shared.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(GREY))
        .thresholds(_steps((None, GREY)))
    )


def heat_map(about, expression, *, size=(12, 8), unit="s", none=UNKNOWN):
    """How a histogram's observations are spread over time."""
    panel = _panel(
        heatmap.Panel(),
        about,
        [Query(expression, "{{le}}")],
        size,
        unit="short",
        none=none,
        instant=False,
        kind=prom.PromQueryFormat.HEATMAP,
    )
    return (
        panel.calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heat.HeatmapColorMode.SCHEME)
            .scheme("Cividis")
            .fill(GREY)
            .scale(heat.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(32)
            .reverse(False)
        )
        .exemplars_color(PINK)
        .cell_gap(1)
        .show_legend()
    )


@dataclass(frozen=True)
class Column:
    """A column of a table: the label or `Value #A`, its title, and how it is shown."""

    field: str
    title: str
    unit: str = ""
    words: Words | None = None
    width: int = 0


def rows(about, queries, columns, *, size=(24, 9), none=UNKNOWN, sort="", descending=True, linked=None):
    """A table of instant answers, one row for each set of labels. `linked` names the column that leads
    to the endpoint, whose id must be among the columns."""
    panel = _panel(
        table.Panel(), about, queries, size, unit="none", none=none, instant=True, kind=prom.PromQueryFormat.TABLE
    )
    fields = {column.field: column for column in columns}
    # An answer that is the only one calls its values `Value`; only several have names.
    titles = {field: column.title for field, column in fields.items()}
    places = {field: place for place, field in enumerate(fields)}
    if "Value #A" in fields:
        titles["Value"], places["Value"] = titles["Value #A"], places["Value #A"]
    hidden = ["Time", "job", "instance", "__name__"]
    if not any(field.startswith("Value") for field in fields):
        hidden += ["Value"]
    panel.with_transformation(model.DataTransformerConfig("merge", options={}))
    panel.with_transformation(
        model.DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {name: True for name in hidden if name not in fields},
                "indexByName": places,
                "renameByName": titles,
            },
        )
    )
    for column in columns:
        look = []
        if column.unit:
            look.append(model.DynamicConfigValue("unit", column.unit))
        if column.words:
            look.append(model.DynamicConfigValue("mappings", column.words.mappings()))
            look.append(model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
        if column.width:
            look.append(model.DynamicConfigValue("custom.width", column.width))
        if column.title == linked:
            url = (
                "/d/vobiz-endpoint?${datasource:queryparam}&${job:queryparam}"
                "&var-account=${__data.fields.Account}&var-endpoint=${__data.fields.Id}&var-search=${__data.fields.Id}&${__url_time_range}"
            )
            look.append(model.DynamicConfigValue("links", [{"title": "Show this endpoint", "url": url}]))
        if look:
            panel.override_by_name(column.title, look)
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    return (
        panel.show_header(True)
        .filterable(True)
        .cell_options(shared.TableAutoCellOptions())
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(GREY))
        .thresholds(_steps((None, GREY)))
    )


ENDPOINT_COLUMNS = (
    Column("alias", "Alias"),
    Column("username", "Username"),
    Column("account", "Account", width=140),
    Column("group", "Group", width=140),
    Column("watch", "Watch", width=90),
    Column("endpoint_id", "Id", width=190),
)
