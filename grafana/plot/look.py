"""Words and colours, as the dashboards have them."""

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
    """The word and the colour of a value."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings") or []:
        found = mapping["options"].get(f"{value:g}")
        if found:
            return found["text"], found["color"]
    steps = (defaults.get("thresholds") or {}).get("steps") or [{"color": BLUE, "value": None}]
    colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    return shown(panel, value), colour


def columns(panel: dict, answers: list) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a table, sorted as it is."""
    organize = next(one["options"] for one in panel["transformations"] if one["id"] == "organize")
    titles, places = organize["renameByName"], organize["indexByName"]
    units = {
        override["matcher"]["options"]: item["value"]
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] == "unit"
    }
    merged: dict[tuple, dict] = {}
    for target, series in zip(panel["targets"], answers):
        field = f"Value #{target['refId']}" if len(answers) > 1 else "Value"
        for labels, samples in series:
            known = {name: value for name, value in labels.items() if name in titles}
            row = merged.setdefault(tuple(sorted(known.items())), dict(known))
            row[field] = float(samples[-1][1])
    fields = [field for field in sorted(places, key=places.get) if any(field in row for row in merged.values())]
    rows = list(merged.values())
    for sort in panel["options"].get("sortBy") or []:
        field = next(name for name in fields if titles[name] == sort["displayName"])
        rows.sort(key=lambda row: (field in row, row.get(field, "")), reverse=sort["desc"])
    # Who reads an image has no use for ids.
    fields = [field for field in fields if field not in ("endpoint_id", "username")]

    def cell(row: dict, field: str) -> str:
        value = row.get(field, "")
        return worded(units.get(titles[field], "none"), value) if isinstance(value, float) else value

    return [titles[field] for field in fields], [[cell(row, field) for field in fields] for row in rows]
