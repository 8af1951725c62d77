#!/usr/bin/env python3
"""Measures the cost of the state database: the exporter with it, and a base binary without it.

Starts the simulated API and the exporter as processes on loopback addresses, in turn, and prints a
Markdown table. Each process is stopped, also after Ctrl-C.

usage: scripts/state_figures.py BASE [NEW] [--endpoints N] [--rounds N] [--walks N] [--speed FACTOR]
  BASE    a binary to compare with, for example of the commit before a change
  NEW     the binary with the state database (default: target/release/vobiz-exporter)

The two binaries walk the same fleet in turn. With the default speed, about one percent of the
endpoints change their registration between two walks.
"""

import argparse
import contextlib
import gzip
import http.client
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def process(command, log):
    """Runs a command with its log in a file, and stops it at the end of the block."""
    with open(log, "w") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_for(what, condition, limit=120):
    end = time.time() + limit
    while time.time() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise SystemExit(f"timed out: {what}")


def lines(log, words):
    return [line for line in Path(log).read_text().splitlines() if words in line]


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def get(address, path):
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def settle(pid):
    """Waits until the process uses at most one tick in half a second."""
    before = cpu(pid)
    for _ in range(120):
        time.sleep(0.5)
        now = cpu(pid)
        if now - before <= 1 / TICKS:
            return
        before = now


class Exporter:
    """One run of a binary: figures of its walks after the first."""

    def __init__(self, binary, vendor, folder, state, interval):
        self.binary, self.folder, self.log = binary, folder, f"{folder}/exporter.log"
        settings = [
            f"poll: {{interval: {interval}s}}",
            f'api: {{base_url: "{vendor}", requests_per_second: 0}}',
            "metrics: {groups: [user_agent, timestamps]}",
            "details: {mode: never}",
            "accounts: [{name: a, auth_id: MA_SIM00001, auth_token: sim-token-00001-not-a-secret}]",
        ]
        if state:
            settings.append(f"state: {{directory: {state}}}")
        Path(f"{folder}/settings.yaml").write_text("\n".join(settings) + "\n")
        self.command = [binary, f"--config.file={folder}/settings.yaml"]
        self.command += ["--web.listen-address=127.0.0.1:19458", "--log.level=debug"]
        self.address = "127.0.0.1:19458"

    def first_scrape(self):
        """Time from the start of the process to the first scrape with status 200, in seconds."""
        started = time.time()
        with process(self.command, self.log):
            while True:
                try:
                    if get(self.address, "/metrics")[0] == 200:
                        return time.time() - started
                except OSError:
                    pass
                time.sleep(0.002)

    def published(self):
        return len(lines(self.log, "walk published"))

    def lag(self):
        """Time from the end of a walk to a page that shows the walk, in seconds."""
        before = None
        while True:
            page = get(self.address, "/")[1].decode()
            now = time.time()
            age = re.search(r"last good walk (\d+) (s|min) ago", page)
            age = int(age[1]) * (60 if age[2] == "min" else 1) if age else None
            if age == 0 and before not in (0, None):
                break
            before = age
            time.sleep(0.003)
        text = get(self.address, "/metrics")[1]
        ended = re.search(
            rb"vobiz_walk_last_success_timestamp_seconds\{[^}]*\} (\S+)", gzip.decompress(text)
        )
        return now - float(ended[1])

    def walks(self, number):
        """CPU seconds of a walk, the lag in seconds, the peak memory in MiB, and log lines of saves."""
        with process(self.command, self.log) as child:
            wait_for("the first walk", lambda: self.published() >= 1)
            settle(child.pid)
            # The requests of `lag` cost CPU time, so the two figures come from different walks.
            started, walks = cpu(child.pid), self.published() + number
            wait_for("walks", lambda: self.published() >= walks)
            settle(child.pid)
            used = (cpu(child.pid) - started) / number
            lags = [self.lag() for _ in range(number)]
            return used, statistics.median(lags), peak(child.pid), lines(self.log, "state saved")


def changed_rows(state):
    """The mean number of losses and returns that a walk after the first wrote."""
    connection = sqlite3.connect(f"{state}/state.db")
    query = "SELECT count(*), count(DISTINCT at) FROM event WHERE kind IN ('lost', 'back')"
    changes, walks = connection.execute(query).fetchone()
    connection.close()
    return changes / max(walks, 1)


def millis(line):
    return float(re.search(r"took_ms=(\S+)", line)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("new", nargs="?", default=str(ROOT / "target/release/vobiz-exporter"))
    parser.add_argument("--endpoints", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--walks", type=int, default=3)
    parser.add_argument("--speed", default="2")
    args = parser.parse_args()
    interval = 20 if args.endpoints > 10_000 else 5
    results = {"base": [], "new": []}
    with tempfile.TemporaryDirectory() as folder:
        simulate = [args.new, "simulate", "--listen-address=127.0.0.1:0", "--no-gzip", "--seed=1"]
        simulate += [f"--endpoints={args.endpoints}", f"--speed={args.speed}"]
        log = f"{folder}/vendor.log"
        with process(simulate, log):
            line = wait_for("the simulated API", lambda: lines(log, "answers at"))[0]
            vendor = re.search(r"http://\S+", line)[0]
            fills, loads = [], []
            for number in range(args.rounds):
                for name in ("base", "new") if number % 2 else ("new", "base"):
                    state = f"{folder}/state-{number}" if name == "new" else None
                    binary = args.new if state else args.base
                    exporter = Exporter(binary, vendor, folder, state, interval)
                    used, lags, memory, saves = exporter.walks(args.walks)
                    results[name].append((used, lags, memory))
                    print(f"{name}: CPU {used:.3f} s, lag {lags:.3f} s, peak {memory:.1f} MiB", flush=True)
                    if state:
                        changes = changed_rows(state)
                        print(f"  changes of a registration for each walk: {changes:.0f}")
                        fills.append(millis(saves[0]))
                        print(f"  saves: {[millis(save) for save in saves]} ms", flush=True)
                        loads.append(exporter.first_scrape())
                        size = sum(one.stat().st_size for one in Path(state).iterdir())
    base, new = ([statistics.median(column) for column in zip(*results[name])] for name in results)
    print(f"\n{args.endpoints} endpoints, median of {args.rounds} rounds\n")
    print("| figure | without | with | |\n|---|---|---|---|")
    # With few endpoints, a walk can take less time than the kernel counts.
    ratio = f"{new[0] / base[0]:.3f} times" if base[0] else ""
    print(f"| CPU of a walk, s | {base[0]:.3f} | {new[0]:.3f} | {ratio} |")
    print(f"| end of a walk to the page that shows it, ms | {base[1] * 1000:.0f} | {new[1] * 1000:.0f} "
          f"| {(new[1] - base[1]) * 1000:+.0f} ms |")
    print(f"| peak memory, MiB | {base[2]:.1f} | {new[2]:.1f} | |")
    print(f"| first fill, ms | | {statistics.median(fills):.0f} | |")
    print(f"| start to the first scrape, ms | | {statistics.median(loads) * 1000:.0f} | |")
    print(f"| size of the files, MB | | {size / 1e6:.1f} | |")


if __name__ == "__main__":
    main()
