"""Writes the dashboards: `python grafana/generate [FOLDER]`, into grafana/dashboards if none is given."""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

import endpoint
import exporter
import fleet

BOARDS = {"fleet": fleet, "endpoint": endpoint, "exporter": exporter}


def visible(value: object) -> object:
    """Removes the option of the SDK that hides links and annotations in a menu."""
    if isinstance(value, dict):
        return {
            key: visible(inner) for key, inner in value.items() if key != "placement" or inner != "inControlsMenu"
        }
    return [visible(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    own = Path(__file__).resolve().parent.parent / "dashboards"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else own
    folder.mkdir(parents=True, exist_ok=True)
    for name, board in BOARDS.items():
        built = board.build().build()
        for number, panel in enumerate(built.panels, start=1):
            # Links name panels by their numbers.
            panel.id_val = number
            if panel.type_val == "table":
                # Grafana 13 has no such option.
                panel.options.footer = None
        plain = visible(json.loads(json.dumps(built, cls=JSONEncoder)))
        text = json.dumps(plain, indent=2, sort_keys=True)
        (folder / f"vobiz-{name}.json").write_text(text + "\n", encoding="utf-8")


main()
