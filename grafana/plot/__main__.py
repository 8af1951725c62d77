"""Plots the responses of Prometheus to the main panels: `python grafana/plot ANSWERS FOLDER`.

`make dashboard-images` writes the responses. The plots are for a document and do not imitate Grafana.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from draw import draw
from look import GREY

# Titles of main panels in rows, each with its share of the row's width; and the heights of the rows.
PAGES = {
    "fleet": (
        ([("Open outages", 1)], 0.6),
        ([("Missed now", 1)], 1.6),
        ([("Accounts", 1), ("Groups below their minimum", 1)], 0.9),
        ([("Registered by account", 1), ("Registered by group", 1)], 2.4),
        ([("Registrations lost and gained", 1), ("Missed endpoints", 1)], 2.2),
        ([("Lost by group", 1), ("Lost by user agent", 1)], 2.0),
        ([("Lost endpoints", 1), ("Flapping endpoints", 1)], 2.6),
    ),
    "endpoint": (
        ([("Registration", 2), ("Missed since", 3), ("Lost since", 3), ("Condition of the account", 2)], 0.8),
        ([("The endpoint", 1)], 0.45),
        ([("Registration over time", 1)], 1.1),
        ([("Time until the registration expires", 1), ("Changes of the registration", 1)], 2.4),
        ([("Applications", 1)], 1.2),
        ([("User agents", 1)], 1.2),
    ),
    "exporter": (
        ([("Accounts", 1)], 0.9),
        ([("Conditions other than ok", 1)], 1.1),
        ([("Duration of walks", 1), ("Failed walks by reason", 1)], 2.2),
        ([("Duration of requests", 1), ("Requests by status", 1)], 2.4),
        ([("Time spent waiting", 1), ("Rare events", 1)], 2.2),
        ([("Rejected and assumed", 1), ("Missing and retained", 1)], 2.2),
    ),
}


def page(name: str, board: dict, answers: dict, file: Path) -> None:
    panels = {panel["title"]: panel for panel in board["panels"] if panel["type"] != "row"}
    rows = PAGES[name]
    heights = [height for _, height in rows]
    figure = pyplot.figure(figsize=(11, sum(heights) + 0.62 * len(rows) + 0.6), layout="constrained")
    parts = figure.subfigures(len(rows), 1, height_ratios=[height + 0.62 for height in heights])
    for part, (titles, _) in zip(parts, rows):
        axes = part.subplots(1, len(titles), width_ratios=[share for _, share in titles], squeeze=False)[0]
        for axis, (title, _) in zip(axes, titles):
            axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
            queries = answers["panels"][title]
            about = {"begin": answers["begin"], "end": answers["end"], "step": queries[0]["step"]}
            draw(axis, panels[title], [query["series"] for query in queries], about)
    title = f"What the main queries of \"{board['title']}\" returned: a plot of the answers, not Grafana's rendering"
    figure.suptitle(title, fontsize=10, color=GREY)
    figure.savefig(file, dpi=90, pil_kwargs={"optimize": True})
    pyplot.close(figure)


def main() -> None:
    answers = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    boards = Path(__file__).resolve().parent.parent / "dashboards"
    for name in PAGES:
        board = json.loads((boards / f"vobiz-{name}.json").read_text(encoding="utf-8"))
        page(name, board, answers[f"vobiz-{name}"], folder / f"{name}.png")


main()
