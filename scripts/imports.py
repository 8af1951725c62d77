#!/usr/bin/env python3
"""Checks src/ against the import table of docs/architecture.md, and both crates for import cycles.

The rows of the table are `| module | modules that it may import | reserved crates |`. Only the
modules that list a reserved crate may use the crate. A cycle between modules is an error. A cycle
between files other than mod.rs, lib.rs and main.rs is an error, too.

usage: scripts/imports.py [--modules]     (--modules: ignores cycles between files)
"""

import functools
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
SIMULATOR = ROOT / "simulator/src"
FREE = {"clock", "lib", "main"}  # any module may import `clock`; `lib` and `main` may import any module


def table():
    """The modules that each module may import, and the modules that may use each listed crate."""
    may, crates = {}, {}
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:-1]]
        if line.startswith("| `") and len(cells) == 3 and cells[0]:
            module = cells[0][0]
            may[module] = set(cells[1])
            for crate in cells[2]:
                crates.setdefault(crate, set()).add(module)
    return may, crates


def code(path):
    """The source without comments, strings and inline test modules."""
    text = path.read_text()
    text = re.sub(r"#\[cfg\(test\)\]\s*mod \w+ \{.*?\n\}\n", "", text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def uses(text):
    """The paths in `use` declarations and in expressions, each as a list of segments."""
    paths = []

    def expand(start, tree):
        depth, part = 0, ""
        for letter in tree + ",":
            if letter == "," and depth == 0:
                part = part.strip()
                if part:
                    head, brace, rest = part.partition("{")
                    head = [one for one in head.strip().rstrip(":").split("::") if one]
                    if brace:
                        expand(start + head, rest.rstrip().removesuffix("}"))
                    else:
                        paths.append(start + [one.split(" as ")[0].strip() for one in head])
                part = ""
            else:
                depth += (letter == "{") - (letter == "}")
                part += letter

    for tree in re.findall(r"\buse\s+([^;]+);", text):
        expand([], tree)
    rest = re.sub(r"\buse\s+[^;]+;", "", text)
    paths += [path.split("::") for path in re.findall(r"\b(?:crate|super|self|\w+)(?:::\w+)+", rest)]
    return paths


def resolve(path, segments):
    """The file that defines the name `segments`, which the file `path` uses; None for another crate."""
    here = path.parent if path.name in ("mod.rs", "lib.rs", "main.rs") else path.with_suffix("")
    segments = list(segments)
    if segments[0] == "crate":
        here = SIMULATOR if SIMULATOR in path.parents else SRC
        segments.pop(0)
    elif segments[0] in ("super", "self"):
        while segments and segments[0] in ("super", "self"):
            here = here.parent if segments.pop(0) == "super" else here
    else:
        return None
    for name in segments:
        if (here / f"{name}.rs").is_file():
            return here / f"{name}.rs"
        if not (here / name / "mod.rs").is_file():
            # mod.rs or lib.rs re-exports the name, so return the file that defines the name.
            return exported(here).get(name, here / "mod.rs")
        here = here / name
    return here / "mod.rs"


@functools.cache
def exported(folder):
    """The names that mod.rs or lib.rs of the folder re-exports, each with the file that defines it."""
    names = {}
    listings = [folder / name for name in ("mod.rs", "lib.rs") if (folder / name).is_file()]
    for segments in [segments for listing in listings for segments in uses(code(listing))]:
        if (folder / f"{segments[0]}.rs").is_file():
            names[segments[-1]] = folder / f"{segments[0]}.rs"
    return names


def cycles(graph):
    """The cycles of a graph: its strongly connected components of more than one node."""
    order, seen = [], set()

    def walk(node, edges, out):
        stack = [(node, iter(sorted(edges.get(node, ()))))]
        seen.add(node)
        while stack:
            current, rest = stack[-1]
            following = next((one for one in rest if one not in seen), None)
            if following is None:
                out.append(stack.pop()[0])
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges.get(following, ())))))

    for node in sorted(graph):
        if node not in seen:
            walk(node, graph, order)
    back = {}
    for node, targets in graph.items():
        for target in targets:
            back.setdefault(target, set()).add(node)
    seen.clear()
    for node in reversed(order):
        if node not in seen:
            part = []
            walk(node, back, part)
            if len(part) > 1:
                yield sorted(part)


def main():
    may, crates = table()
    errors, modules, files = [], {}, {}
    for path in sorted(SRC.rglob("*.rs")):
        inside = path.relative_to(SRC)
        if "tests" in inside.parts or inside.name == "tests.rs":
            continue
        module = inside.parts[0].removesuffix(".rs")
        if module not in may and module not in FREE:
            errors.append(f"{inside}: docs/architecture.md has no row for the module {module}")
        found = uses(code(path))
        own = {segments[1] for segments in found if segments[0] == "crate" and len(segments) > 1}
        for segments in found:
            if segments[0] in crates.keys() - own and module not in crates[segments[0]] | {"lib", "main"}:
                errors.append(f"{inside}: {module} may not use the crate {segments[0]}")
            target = resolve(path, segments)
            if target is None or target == path:
                continue
            other = target.relative_to(SRC).parts[0].removesuffix(".rs")
            if other != module and module not in FREE:
                modules.setdefault(module, set()).add(other)
                if other not in may.get(module, set()) | FREE and "all" not in may.get(module, ()):
                    errors.append(f"{inside}: {module} may not import {other}")
            if "mod.rs" not in (path.name, target.name) and module not in {"lib", "main"}:
                files.setdefault(str(inside), set()).add(str(target.relative_to(SRC)))
    for path in sorted(SIMULATOR.glob("*.rs")):
        targets = {resolve(path, segments) for segments in uses(code(path))} - {None, path}
        if path.name != "lib.rs":
            files[f"simulator/{path.name}"] = {f"simulator/{target.name}" for target in targets}
    errors += [f"cycle between modules: {', '.join(one)}" for one in cycles(modules)]
    if "--modules" not in sys.argv:
        errors += [f"cycle between files: {', '.join(one)}" for one in cycles(files)]
    print("\n".join(sorted(set(errors))) or "imports: in order")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
