#!/usr/bin/env bash
# Searches the tree for words of a private vocabulary that standard terms have replaced, and fails where it
# finds one. CHANGELOG.md is exempt, because it lists old names.
#
# usage: scripts/vocabulary.sh [FOLDER OR FILE]...
set -euo pipefail
cd "$(dirname "$0")/.."

readonly WORDS="letterbox|landlord|household|doormat|gallery|galleries|garden|cellar|stairs|doorbell|\
pictures?|drafts?|sealed|paint|painted|asker|heed|heeds|agenda|suspicion|suspicious|suspect|\
surroundings|weave|woven|patience|impatient|pulse|newcomers?|shortage|\
misunderstood|mistakes?|masked|obey|obeys|workshop|ledger|debts?|owes|owed|whoever|whom"

paths=("$@")
[ ${#paths[@]} -gt 0 ] ||
    paths=(src simulator tests benches docs scripts deploy grafana README.md CONTRIBUTING.md Makefile)
# Rules, runbooks and dashboards have texts of their own.
found=$(git grep -nIiwE "$WORDS" -- "${paths[@]}" ':!scripts/vocabulary.sh' ':!docs/images' \
    ':!deploy/prometheus' ':!tests/it/rules' ':!deploy/kubernetes/prometheusrule.yaml' ':!docs/runbooks' ':!grafana/dashboards' || true)
if [ -n "$found" ]; then
    printf '%s\n' "$found" | cut -c1-160
    printf 'vocabulary: %s lines hold words that have a standard term\n' "$(printf '%s\n' "$found" | wc -l)" >&2
    exit 1
fi
echo "vocabulary: in order"
