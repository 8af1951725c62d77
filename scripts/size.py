#!/usr/bin/env python3
"""Measures the exporter without its tests: lines, files, the longest file and the longest function.

Counts every line of src/ except test files and modules under #[cfg(test)].
The script expects the format of rustfmt: a block ends at the first closing brace that is indented
like the first line of the block.
Fails if a file or a function is too long. With --total, also fails if src/ has too many lines or
files.
With -v, lists every file.
"""

import pathlib
import re
import sys

# The exporter had 12,500 lines before the state database, 16,000 before the listener was protected against clients and
# had TLS, 20,000 before it could reload its configuration, 21,800 before it had judgements, 25,200 before it had pages,
# and 29,600 before it had the HTTP API and reports. Each larger part raises the first two limits.
LIMITS = {"lines": 34_500, "files": 177, "file": 600, "function": 60}
TEST_MODULE = re.compile(r"^(\s*)(?:pub(?:\([^)]*\))? )?mod \w+( \{|;)$")
FUNCTION = re.compile(r"^(\s*)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe |extern \"C\" )*fn (\w+)")


def block_end(lines, start, indent):
    """The index of the line that ends the block at `start`."""
    for end in range(start, len(lines)):
        if lines[end].startswith(indent + "}") or (end == start and lines[end].endswith("}")):
            return end
    raise ValueError(f"a block without an end: {lines[start]}")


def without_tests(lines):
    """The lines of a file that are not part of a module under #[cfg(test)]."""
    kept, at = [], 0
    while at < len(lines):
        following = at + 1
        while following < len(lines) and lines[following].strip().startswith("#["):
            following += 1
        module = following < len(lines) and TEST_MODULE.match(lines[following])
        if lines[at].strip() == "#[cfg(test)]" and module:
            ends = following if module[2] == ";" else block_end(lines, following, module[1])
            at = ends + 1
        else:
            kept.append(lines[at])
            at += 1
    return kept


def functions(lines):
    """The name and the length of every function."""
    for at, line in enumerate(lines):
        match = FUNCTION.match(line)
        if match:
            body = at
            while not lines[body].rstrip().endswith(("{", "}", ";")):
                body += 1
            if not lines[body].rstrip().endswith(";"):
                yield match[2], block_end(lines, body, match[1]) - at + 1


def main():
    source = pathlib.Path(__file__).resolve().parent.parent / "src"
    files, longest = {}, (0, "", "")
    for path in sorted(source.rglob("*.rs")):
        name = path.relative_to(source.parent)
        if "tests" in name.parts or path.stem == "tests" or path.stem.endswith("_tests"):
            continue
        lines = without_tests(path.read_text().splitlines())
        files[str(name)] = len(lines)
        for function, length in functions(lines):
            longest = max(longest, (length, function, str(name)))
    if "-v" in sys.argv:
        modules = {}
        for name, count in files.items():
            print(f"{count:6} {name}")
            module = modules.setdefault(name.split("/")[1], [0, 0])
            module[0] += count
            module[1] += 1
        for module, (count, number) in sorted(modules.items()):
            print(f"{count:6} in {number:2}: {module}")
    largest = max(files, key=files.get)
    found = {
        "lines": (sum(files.values()), "src"),
        "files": (len(files), "src"),
        "file": (files[largest], largest),
        "function": (longest[0], f"{longest[1]} in {longest[2]}"),
    }
    failed = False
    for what, (count, where) in found.items():
        over = count > LIMITS[what]
        failed |= over and (what in ("file", "function") or "--total" in sys.argv)
        print(f"{what}: {count} of at most {LIMITS[what]} ({where}){' TOO MANY' if over else ''}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
