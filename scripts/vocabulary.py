#!/usr/bin/env python3
"""Searches the repository for non-standard words that standard terms have replaced.

Reads every tracked text file except the files in EXEMPT. Also finds a word as a part of an identifier or of a
path: `has_told` and `HasTold` contain the word `told`. CHANGELOG.md is exempt, because it lists old names.

usage: scripts/vocabulary.py [FILE OR FOLDER]...
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORDS = set(
    """
    letterbox landlord household doormat gallery galleries garden cellar stairs doorbell picture pictures
    draft drafts sealed paint painted asker heed heeds agenda suspicion suspect surroundings weave woven
    patience impatient patient pulse newcomer newcomers shortage misunderstood
    mistake mistakes masked obey obeys workshop ledger debt debts owes owed whoever whom
    told telling hears heard ear ears clinic ill healed vain deed indiscreet indiscretion
    indiscretions glitch glitches unhurried
    """.split()
)
EXEMPT = ("CHANGELOG.md", "Cargo.lock", "LICENSE", "scripts/vocabulary.py")
PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def main():
    listed = subprocess.run(
        ["git", "ls-files", "--", *sys.argv[1:]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = 0
    for name in listed.stdout.splitlines():
        if name.startswith(EXEMPT):
            continue
        try:
            lines = (ROOT / name).read_text().splitlines()
        except (UnicodeDecodeError, FileNotFoundError):  # an image, or a deleted file
            continue
        for number, line in enumerate([name, *lines]):
            words = {part.lower() for part in PART.findall(line)} & WORDS
            if words:
                found += 1
                print(f"{name}:{number}: {', '.join(sorted(words))}: {line.strip()[:100]}")
    if found:
        sys.exit(f"vocabulary: {found} lines hold words that have a standard term")
    print("vocabulary: in order")


if __name__ == "__main__":
    main()
