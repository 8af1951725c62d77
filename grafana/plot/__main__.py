"""Plots what Prometheus answered to the main panels: `python grafana/plot ANSWERS FOLDER`.

The answers are those of `make dashboard-images`. This is a plot for a document and imitates nothing: how
Grafana draws the panels is for Grafana to show.
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
        ([("State of the data", 3), ("Registered now", 2), ("Lost in 15 minutes", 2), ("Lost in 1 hour", 2)], 0.8),
        ([("Registered now and a week ago", 1)], 2.4),
        ([("Lost and gained", 1), ("Changes of the list", 1)], 2.2),
        ([("Lost by group", 1), ("Lost by user agent", 1)], 2.4),
        ([("Lost endpoints", 1)], 2.6),
        ([("Flapping endpoints", 1), ("Overdue expiries", 1)], 2.6),
    ),
    "endpoint": (
        ([("Registration", 2), ("Lost since", 3), ("Lost for", 2), ("Flaps in 24 h", 2)], 0.8),
        ([("Registration over time", 1)], 1.1),
        ([("The endpoint", 3), ("Its alerts", 2)], 0.45),
        ([("Expiry against now", 1), ("Changes of the registration", 1)], 2.4),
        ([("Applications", 1)], 1.2),
        ([("User agents", 1)], 1.2),
    ),
    "exporter": (
        ([("Did the last walk succeed?", 1)], 2.0),
        ([("Duration", 1), ("Failures by reason", 1)], 2.2),
        ([("Latency", 1), ("Answers by status", 1)], 2.6),
        ([("Throttling by cause", 1), ("Reread, by reason", 1)], 2.2),
        ([("Rejected rows and values", 1), ("Missing and held", 1)], 2.2),
        ([("Details pending", 1), ("Samples per scrape", 1)], 2.2),
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
