"""One function for each kind of panel."""

from datetime import datetime, timedelta, timezone

from matplotlib.dates import DateFormatter

from look import GREY, colour, columns, legend, mapped, shown, unit

# A table shows so many of its rows, and a cell so many letters.
ROWS, LETTERS = 8, 26
# The latest samples lie close together; a line is broken where so many steps have none.
GAP = 1.5


def when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def over_time(axis, about) -> None:
    axis.set_xlim(when(about["begin"]), when(about["end"]))
    axis.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    axis.set_xlabel("UTC", fontsize=7, loc="right", labelpad=1)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def without_axes(axis) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def each(panel, answers):
    """Every series: its target, its number, its name and its samples."""
    number = 0
    for target, series in zip(panel["targets"], answers):
        for labels, samples in series:
            yield target, number, legend(target, labels), [(time, float(value)) for time, value in samples]
            number += 1


def lines(axis, panel, answers, about) -> None:
    dashed = [
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if any(item["id"] == "custom.lineStyle" for item in override["properties"])
    ]
    as_bars = panel["fieldConfig"]["defaults"]["custom"].get("drawStyle") == "bars"
    count = sum(len(series) for series in answers)
    for target, number, name, samples in each(panel, answers):
        if as_bars:
            width = timedelta(seconds=about["step"] / count)
            times = [when(time + number * about["step"] / count) for time, _ in samples]
            axis.bar(times, [value for _, value in samples], width=width, color=colour(number), label=name, align="edge")
        else:
            times, values = broken(samples, about["step"])
            style = "--" if target["refId"] in dashed else "-"
            axis.plot(times, values, style, color=colour(number), label=name, linewidth=1.2)
    over_time(axis, about)
    if panel["fieldConfig"]["defaults"].get("min") is not None:
        axis.set_ylim(bottom=panel["fieldConfig"]["defaults"]["min"])
    axis.set_ylabel(unit(panel), fontsize=8)
    axis.margins(y=0.12)
    axis.legend(fontsize=6.5, ncols=2, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.16), borderaxespad=0)


def broken(samples, step):
    """Times and values, with nothing where nothing was known."""
    times, values = [], []
    last = None
    for time, value in samples:
        if last is not None and time - last > GAP * step:
            times.append(when(last + step))
            values.append(float("nan"))
        times.append(when(time))
        values.append(value)
        last = time
    return times, values


def number(axis, panel, answers, about) -> None:
    without_axes(axis)
    series = answers[0]
    none = panel["fieldConfig"]["defaults"]["noValue"]
    words = [(legend(panel["targets"][0], labels), float(samples[-1][1])) for labels, samples in series]
    as_name = panel["options"]["textMode"] == "name"
    for place, (name, value) in enumerate(words or [("", None)]):
        text, shade = (none, GREY) if value is None else mapped(panel, value)
        if as_name:
            text, name = name, ""
        x = (place + 0.5) / max(1, len(words))
        axis.text(x, 0.6, text, ha="center", va="center", fontsize=15, color=shade, transform=axis.transAxes)
        axis.text(x, 0.2, name, ha="center", va="center", fontsize=8, color=GREY, transform=axis.transAxes)


def bars(axis, panel, answers, about) -> None:
    found = [(legend(panel["targets"][0], labels), float(samples[-1][1])) for labels, samples in answers[0]]
    found.sort(key=lambda one: one[1])
    thresholds = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    most = max(value for _, value in found)
    for name, value in found:
        axis.barh(name, value, color=thresholds[0]["color"], height=0.65)
        axis.text(value + most / 100, name, shown(panel, value), va="center", fontsize=7)
    axis.set_xlim(0, 1.12 * most)
    axis.set_xticks([])
    axis.tick_params(labelsize=7.5, length=0)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def timeline(axis, panel, answers, about) -> None:
    names = []
    for _, _, name, samples in each(panel, answers):
        names.append(name)
        for (time, value), (after, _) in zip(samples, samples[1:] + [(about["end"], None)]):
            _, shade = mapped(panel, value)
            width = timedelta(seconds=min(after - time, GAP * about["step"]))
            axis.broken_barh([(when(time), width)], (len(names) - 1.4, 0.8), color=shade, linewidth=0)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    over_time(axis, about)
    for option in panel["fieldConfig"]["defaults"]["mappings"][0]["options"].values():
        axis.broken_barh([], (0, 0), color=option["color"], label=option["text"])
    axis.legend(fontsize=7, ncols=4, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)


def table(axis, panel, answers, about) -> None:
    without_axes(axis)
    heads, rows = columns(panel, answers)
    cells = [[cell if len(cell) <= LETTERS else cell[: LETTERS - 1] + "…" for cell in row] for row in rows[:ROWS]]
    widths = [max(len(text) for text in column) for column in zip(heads, *cells)]
    drawn = axis.table(
        cells,
        colLabels=heads,
        colWidths=[width / sum(widths) for width in widths],
        cellLoc="left",
        colLoc="left",
        loc="upper left",
        edges="horizontal",
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7.5)
    drawn.scale(1, 1.5)
    for (row, _), cell in drawn.get_celld().items():
        cell.set_edgecolor("#dddddd")
        cell.PAD = 0.02
        if row == 0:
            cell.set_text_props(color=GREY)
    left = len(rows) - len(cells)
    if left > 0:
        axis.text(1, 1.04, f"{left} more rows", ha="right", fontsize=7, color=GREY, transform=axis.transAxes)


KINDS = {
    "timeseries": lines,
    "stat": number,
    "bargauge": bars,
    "state-timeline": timeline,
    "table": table,
}


def draw(axis, panel, answers, about) -> None:
    if panel["type"] != "stat" and not any(answers):
        without_axes(axis)
        none = panel["fieldConfig"]["defaults"]["noValue"]
        axis.text(0, 0.6, none, fontsize=9, color=GREY, transform=axis.transAxes)
        return
    KINDS[panel["type"]](axis, panel, answers, about)
