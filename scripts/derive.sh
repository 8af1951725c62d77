#!/usr/bin/env bash
# Writes the files below deploy/ that follow from others, so that a rule, a job or an interval is
# written down once; a test compares. `make derive` runs it after one of the sources has changed.
#
#   deploy/prometheus/prometheus.yml                  -> compose/prometheus.yml
#   grafana/provisioning/datasources/prometheus.yaml  -> compose/datasource.yaml
#   deploy/prometheus/rules/*.yml                     -> kubernetes/prometheusrule.yaml
#
# usage: scripts/derive.sh [FOLDER]      below which the files are written; deploy if not given
#
# RULES names another folder of rules.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob

readonly into=${1:-deploy} rules=${RULES:-deploy/prometheus/rules}
mkdir -p "$into/compose" "$into/kubernetes"

# derived SOURCE: what a reader of the derived file should know first.
derived() { printf '# Derived from %s: change it there, then run "make derive".\n' "$1"; }

# In Compose every service is a host of its own.
hosts() {
    sed -e 's/localhost:10059/exporter:10059/' -e 's/localhost:9093/alertmanager:9093/' \
        -e 's/localhost:9090/prometheus:9090/' "$1"
}

{
    derived deploy/prometheus/prometheus.yml
    hosts deploy/prometheus/prometheus.yml
} >"$into/compose/prometheus.yml"

{
    derived grafana/provisioning/datasources/prometheus.yaml
    hosts grafana/provisioning/datasources/prometheus.yaml
} >"$into/compose/datasource.yaml"

# The groups of all files, in the order of their names, each moved below `spec.groups`.
groups() {
    awk '
        function put(line) {
            if (line ~ /^ *$/) print ""
            else if (moved >= 0) printf "%*s%s\n", moved, "", line
            else print substr(line, 1 - moved)
        }
        FNR == 1 { inside = known = early = 0 }
        /^groups:[ \t]*$/ { inside = 1; next }
        /^[^ #-]/ { inside = 0 }
        !inside { next }
        !known && !match($0, /^ *- /) { kept[early++] = $0; next }
        !known {
            known = 1
            moved = 4 - (RLENGTH - 2)
            for (line = 0; line < early; line++) put(kept[line])
        }
        { put($0) }
    ' "$@" | cat -s
}

sources=("$rules"/*.yml)
{
    derived 'deploy/prometheus/rules/*.yml'
    cat <<'END'
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: vobiz-exporter
  labels:
    app.kubernetes.io/name: vobiz-exporter
spec:
END
    if [ ${#sources[@]} -gt 0 ]; then
        echo '  groups:'
        groups "${sources[@]}"
    else
        echo '  groups: []'
    fi
} >"$into/kubernetes/prometheusrule.yaml"
