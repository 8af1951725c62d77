"""Texts, units and colours of the dashboards."""

import re
import sys
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "generate"))

from panels import BLUE, GREY, ORDER

__all__ = ["GREY", "colour", "columns", "legend", "mapped", "shown", "unit"]

UNITS = {
    "none": "",
    "short": "",
    "s": "seconds",
    "percentunit": "share",
    "reqps": "requests a second",
    "bytes": "bytes",
}


def colour(number: int) -> str:
    return ORDER[number % len(ORDER)]


def legend(target: dict, labels: dict) -> str:
    wanted = target.get("legendFormat", "")
    if wanted == "__auto":
        return ""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), wanted).strip()


def unit(panel: dict) -> str:
    return UNITS[panel["fieldConfig"]["defaults"]["unit"]]


def span(seconds: float) -> str:
    for length, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.1f} {name}"
    return f"{seconds:.0f} s"


def worded(kind: str, value: float) -> str:
    if kind == "s":
        return span(value)
    if kind == "percentunit":
        return f"{value:.0%}"
    if kind == "dateTimeAsIso":
        return datetime.fromtimestamp(value / 1000, timezone.utc).strftime("%d %b %H:%M:%S")
    return f"{value:,.0f}"


def shown(panel: dict, value: float) -> str:
    return worded(panel["fieldConfig"]["defaults"]["unit"], value)


def mapped(panel: dict, value: float) -> tuple[str, str]:
    """The text and the colour of a value."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings") or []:
        found = mapping["options"].get(f"{value:g}")
        if found:
            return found["text"], found["color"]
    steps = (defaults.get("thresholds") or {}).get("steps") or [{"color": BLUE, "value": None}]
    colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    return shown(panel, value), colour


def columns(panel: dict, answers: list) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a table. Rows of several queries are merged by the labels that all queries have."""
    organize = next(one["options"] for one in panel["transformations"] if one["id"] == "organize")
    titles, places = organize["renameByName"], organize["indexByName"]
    looks = {
        (override["matcher"]["options"], item["id"]): item["value"]
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
    }
    names = [set.intersection(*(set(labels) for labels, _ in series)) for series in answers if series]
    common = sorted(set.intersection(*names)) if names else []
    merged: dict[tuple, dict] = {}
    for target, series in zip(panel["targets"], answers):
        field = f"Value #{target['refId']}" if len(answers) > 1 else "Value"
        for labels, samples in series:
            row = merged.setdefault(tuple(labels[name] for name in common), {})
            row.update(labels)
            row[field] = float(samples[-1][1])
    rows = list(merged.values())
    for sort in reversed(panel["options"].get("sortBy") or []):
        shown_as = [name for name, title in titles.items() if title == sort["displayName"]]
        field = next((name for name in shown_as if any(name in row for row in rows)), "")
        rows.sort(key=lambda row: (field in row, row.get(field, "")), reverse=sort["desc"])
    # The ids mean nothing to the reader of an image.
    fields = [field for field in sorted(places, key=places.get) if any(field in row for row in rows)]
    fields = [field for field in fields if field not in ("endpoint_id", "username")]

    def cell(row: dict, field: str) -> str:
        value, title = row.get(field, ""), titles[field]
        for mapping in looks.get((title, "mappings"), []):
            found = mapping["options"].get(f"{value:g}" if isinstance(value, float) else value)
            if found:
                return found["text"]
        return worded(looks.get((title, "unit"), "none"), value) if isinstance(value, float) else value

    return [titles[field] for field in fields], [[cell(row, field) for field in fields] for row in rows]
