"""The types of panels: one function for each, so that all panels of a type have the same options."""

from dataclasses import dataclass

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prom

# Colours of Okabe and Ito, for readers with colour blindness.
BLUE, SKY, ORANGE, VERMILION = "#0072B2", "#56B4E9", "#E69F00", "#D55E00"
TEAL, PINK, YELLOW, GREY = "#009E73", "#CC79A7", "#F0E442", "#8E8E8E"
ORDER = [BLUE, ORANGE, SKY, VERMILION, PINK, TEAL, YELLOW, GREY]

SOURCE = shared.DataSourceRef(type_val="prometheus", uid="${datasource}")

UNKNOWN = "Nothing is known: see the condition of the account"

# The unit of a time in milliseconds.
NOW = "dateTimeAsIso"


@dataclass(frozen=True)
class Words:
    """Texts for values: the value, a text, a colour."""

    entries: tuple[tuple[str, str, str], ...]

    def mappings(self) -> list[model.ValueMapping]:
        options = {
            number: model.ValueMappingResult(text=word, color=colour, index=index)
            for index, (number, word, colour) in enumerate(self.entries)
        }
        return [model.ValueMap(options=options)]


CONDITIONS = Words(
    (
        ("refused", "refused", VERMILION),
        ("never", "never read", VERMILION),
        ("withdrawn", "withdrawn", VERMILION),
        ("stale", "stale", ORANGE),
        ("failing", "failing", ORANGE),
        ("starting", "starting", PINK),
        ("ok", "ok", BLUE),
    )
)
REGISTERED = Words((("0", "not registered", VERMILION), ("1", "registered", BLUE)))
NO_YES = Words((("0", "no", GREY), ("1", "yes", ORANGE)))
ANSWERS = Words((("0", "no answer", VERMILION), ("1", "answers", BLUE)))
FIRING = Words((("1", "firing", ORANGE),))
HOLDS = Words((("1", "yes", ORANGE),))
SEEN = Words((("1", "yes", BLUE),))


@dataclass(frozen=True)
class Query:
    """An expression and the legend of its series."""

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
    """Options of all types. `about` is the title and the description, `size` is width and height."""
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


def number(about, expression, *, size=(4, 4), unit="none", none=UNKNOWN, words=None):
    """One number, or a text for it."""
    panel = _stat(about, Query(expression), size, unit, none)
    return panel.mappings(words.mappings()) if words else panel


def condition(about, expression, *, size=(8, 4)):
    """The name of a condition."""
    panel = _stat(about, Query(expression, "{{condition}}"), size, "none", "not scraped")
    for name, _, colour in CONDITIONS.entries:
        look = model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
        panel.override_by_name(name, [look])
    return panel.text_mode(shared.BigValueTextMode.NAME)


def _stat(about, query, size, unit, none):
    panel = _panel(stat.Panel(), about, [query], size, unit=unit, none=none, instant=True)
    return (
        panel.graph_mode(shared.BigValueGraphMode.NONE)
        .color_mode(shared.BigValueColorMode.VALUE)
        .text_mode(shared.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(_steps((None, BLUE)))
    )


def lines(about, queries, *, size=(12, 8), unit="none", none=UNKNOWN, bars=False, dashed=(), least=0.0):
    """Lines over time. Each query has its own colour, in shades if it has several series. `dashed` has the
    letters of queries with dashed lines."""
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
        # A bar counts the events of one rate interval. If bars were closer, several bars would show one event.
        panel.interval("5m").decimals(0)
    for index, query in enumerate(queries):
        letter = chr(ord("A") + index)
        mode = "shades" if "{{" in query.legend else "fixed"
        look = [model.DynamicConfigValue("color", {"mode": mode, "fixedColor": ORDER[index]})]
        if letter in dashed:
            look.append(model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}))
        panel.override_by_query(letter, look)
    return panel


def bars(about, query, *, size=(6, 8), none=UNKNOWN):
    """A short list with a bar for each value."""
    panel = _panel(bargauge.Panel(), about, [query], size, unit="none", none=none, instant=True)
    return (
        panel.orientation(shared.VizOrientation.HORIZONTAL)
        .display_mode(shared.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .min(0)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(_steps((None, SKY)))
    )


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


@dataclass(frozen=True)
class Column:
    """A column of a table: the label or `Value #A`, its title and its form."""

    field: str
    title: str
    unit: str = ""
    words: Words | None = None

    def look(self) -> list[model.DynamicConfigValue]:
        if self.words:
            colour = model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"})
            return [model.DynamicConfigValue("mappings", self.words.mappings()), colour]
        return [model.DynamicConfigValue("unit", self.unit)] if self.unit else []


ID_COLUMN = Column("endpoint_id", "Id")
ENDPOINT_URL = (
    "/d/vobiz-endpoint?${datasource:queryparam}&${job:queryparam}&var-account=${__data.fields.Account}"
    "&var-endpoint=${__data.fields.Id}&var-search=${__data.fields.Id}&${__url_time_range}"
)


def rows(about, queries, columns, *, size=(12, 8), none=UNKNOWN, sort=(), hide=(), linked=False):
    """A table of instant queries. Rows of several queries with the same labels are merged. `sort` has titles of
    columns, with `-` before the title for descending order. `hide` has further fields without a column. With
    `linked`, the column of ids leads to the endpoint."""
    panel = _panel(
        table.Panel(), about, queries, size, unit="none", none=none, instant=True, kind=prom.PromQueryFormat.TABLE
    )
    titles = {column.field: column.title for column in columns}
    places = {column.field: place for place, column in enumerate(columns)}
    # Grafana calls the value of a single query `Value`.
    if "Value #A" in titles:
        titles["Value"], places["Value"] = titles["Value #A"], places["Value #A"]
    hidden = {name for name in ("Time", "Value", *hide) if name not in titles}
    panel.with_transformation(model.DataTransformerConfig("merge", options={}))
    panel.with_transformation(
        model.DataTransformerConfig(
            "organize",
            options={
                "excludeByName": dict.fromkeys(sorted(hidden), True),
                "indexByName": places,
                "renameByName": titles,
            },
        )
    )
    for column in columns:
        look = column.look()
        if linked and column is ID_COLUMN:
            look.append(model.DynamicConfigValue("links", [{"title": "Show this endpoint", "url": ENDPOINT_URL}]))
        if look:
            panel.override_by_name(column.title, look)
    fields = [common.TableSortByFieldState().display_name(title.lstrip("-")).desc(title[0] == "-") for title in sort]
    return (
        panel.sort_by(fields)
        .show_header(True)
        .filterable(True)
        .cell_options(shared.TableAutoCellOptions())
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(GREY))
        .thresholds(_steps((None, GREY)))
    )
