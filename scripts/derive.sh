#!/usr/bin/env bash
# Writes the files in deploy/ that are derived from other files. So each rule, job and interval is
# maintained in only one file. A test fails if a derived file is out of date. Run `make derive`
# after a change of a source file.
#
#   deploy/prometheus/prometheus.yml                  -> compose/prometheus.yml
#   grafana/provisioning/datasources/prometheus.yaml  -> compose/datasource.yaml
#   deploy/prometheus/rules/*.yml                     -> kubernetes/prometheusrule.yaml
#
# usage: scripts/derive.sh [FOLDER]      the folder for the derived files, default deploy
#
# RULES=folder  the folder of the rules, default deploy/prometheus/rules
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob

readonly into=${1:-deploy} rules=${RULES:-deploy/prometheus/rules}
mkdir -p "$into/compose" "$into/kubernetes"

# derived SOURCE: prints the first line of a derived file, which names its source.
derived() { printf '# Derived from %s. Change that file, then run "make derive".\n' "$1"; }

# hosts FILE: prints the file with the host names of the Compose services instead of localhost.
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

# groups FILE...: prints the rule groups of the files with the indentation of `spec.groups`.
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
