# SPDX-License-Identifier: Apache-2.0
"""Figures to tables: on the terminal, in results.json, in docs/PERFORMANCE.md."""
import datetime
import json
import os
import pathlib
import re
import subprocess

from .measure import spread
from .servers import CACHE, CONGESTION, ROOT

RESULTS = ROOT / "tests/bench/results.json"
PAGE = ROOT / "docs/PERFORMANCE.md"

# metric: heading, factor, digits
COLUMNS = {
    "rate": ("GB/s", 1, 2),
    "seconds": ("seconds", 1, 2),
    "server_cpu_gb": ("server CPU s/GB", 1, 3),
    "client_cpu_gb": ("client CPU s/GB", 1, 3),
    "both_cpu_gb": ("CPU of both s/GB", 1, 3),
    "moved_rate": ("moved MB/s", 1, 0),
    "rss_anon": ("server memory MiB", 1 / (1 << 20), 1),
    "per_second": ("requests/s", 1, 0),
    "p50_ms": ("p50 ms", 1, 2),
    "p99_ms": ("p99 ms", 1, 2),
    "direct_ms": ("direct, ms", 1, 1),
    "first_ms": ("first byte, ms", 1, 1),
    "beyond_ms": ("later, ms", 1, 1),
    "fetched_ratio": ("fetched by stored", 1, 2),
    "saved": ("saved %", 100, 1),
    "encode_rate": ("encode GB/s", 1, 2),
    "decode_rate": ("decode GB/s", 1, 2),
    "server_cpu_request_us": ("server and database CPU µs/request", 1, 0),
}


def output_of(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return done.stdout + done.stderr


def versions():
    """What ran, by the programs' own words."""
    words = {
        "Strata": (ROOT / "build/stratad", "--version"),
        "PostgreSQL": ("pg_config", "--version"),
        "nginx": ("nginx", "-v"),
        "docker-registry": ("docker-registry", "--version"),
        "SeaweedFS": (CACHE / "bench-weed/bin/weed", "version"),
        "aria2": ("aria2c", "--version"),
        "curl": ("curl", "--version"),
        "OpenSSL": ("openssl", "version"),
        "zstd": ("zstd", "--version"),
        "MLflow": (CACHE / "bench-mlflow/bin/mlflow", "--version"),
    }
    found = {}
    for name, command in words.items():
        try:
            text = output_of(*command)
        except FileNotFoundError:
            continue
        match = re.search(r"\d+\.\d+(\.\d+)*", text.replace("8000GB", ""))
        found[name] = match[0] if match else "?"
    packaged = output_of("dpkg-query", "-W", "-f=${Version}", "docker-registry")
    found["docker-registry"] = re.match(r"[\d.]*", packaged)[0] or "?"
    commit = output_of("git", "-C", ROOT, "rev-parse", "--short", "HEAD").strip()
    found["Strata"] += f" (commit {commit})"
    return found


def machine(folder):
    """The machine's class, in words."""
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    virtual = "a virtual machine" if "hypervisor" in flags else "a machine"
    sha = "with" if "sha_ni" in flags else "without"
    disk = output_of("findmnt", "-n", "-o", "FSTYPE", "-T", folder).strip()
    return (f"{virtual} of {os.cpu_count()} cores ({os.uname().machine}, {sha} SHA "
            f"instructions), {memory:.0f} GiB of memory, {disk} on its disk, Linux "
            f"{'.'.join(os.uname().release.split('.')[:2])}")


def record(row, rounds, bench):
    """The row as it is kept."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": machine(bench.folder),
        "congestion": CONGESTION.read_text().strip(),
        "load_average": round(bench.load_average, 2),
        "size": bench.size,
        "seconds": bench.seconds,
        "models": bench.models,
        "versions": versions(),
        "rounds": rounds,
        "bars": [vars(bar) for bar in row.bars],
        "title": row.title, "method": row.method, "bounds": row.bounds,
        "columns": list(row.columns),
    }


def table(headings, lines):
    head = "| " + " | ".join(headings) + " |"
    rule = "| " + " | ".join("---" for _ in headings) + " |"
    return "\n".join([head, rule, *("| " + " | ".join(line) + " |" for line in lines)])


def figure(values, factor=1, digits=2):
    middle, low, high = (f"{value * factor:,.{digits}f}" for value in spread(values))
    return f"{middle} ({low}–{high})"


def lanes_table(entry):
    columns = [COLUMNS[name] for name in entry["columns"]]
    lines = []
    for lane in sorted_lanes(entry):
        line = [lane]
        for name, (_, factor, digits) in zip(entry["columns"], columns):
            values = [r[lane][name] for r in entry["rounds"] if name in r[lane]]
            line.append(figure(values, factor, digits) if values else "")
        lines.append(line)
    return table(["", *(heading for heading, _, _ in columns)], lines)


def sorted_lanes(entry):
    """In the order of the first round."""
    return list(entry["rounds"][0])


def bar_values(bar, rounds):
    """Of each round: the ratio, or the metric itself."""
    values = []
    for lanes in rounds:
        ours = lanes[bar["ours"]][bar["metric"]]
        peers = [lanes[peer][bar["metric"]] for peer in bar["theirs"]]
        values.append(ours / min(peers) if peers else ours)
    return values


def bars_table(entry):
    lines = []
    for bar in entry["bars"]:
        values = bar_values(bar, entry["rounds"])
        factor = 1 if bar["theirs"] else COLUMNS[bar["metric"]][1]
        middle = spread(values)[0]
        holds = middle >= bar["value"] if bar["at_least"] else middle <= bar["value"]
        sign = "≥" if bar["at_least"] else "≤"
        lines.append([bar["text"], figure(values, factor),
                      f"{sign} {bar['value'] * factor:,g}",
                      "pass" if holds else "falls short"])
    return table(["", "median (min–max)", "bar", ""], lines)


def row_page(entry):
    size = f"file of {entry['size'] / (1 << 30):g} GiB, " if entry["size"] else ""
    ran = ", ".join(f"{name} {text}" for name, text in entry["versions"].items())
    return "\n\n".join([
        f"## {entry['title']}", entry["method"],
        f"{entry['date']}, {entry['machine']}; {len(entry['rounds'])} rounds, "
        f"{size}TCP congestion control {entry['congestion']}, load average before: "
        f"{entry['load_average']}. {ran}.",
        lanes_table(entry), bars_table(entry),
        *([entry["bounds"]] if entry.get("bounds") else [])])


INTRODUCTION = """# Performance

Written by `./dev bench`: it installs the peers, runs Strata and them on this machine by
turns, on the same file, with the same load client, and keeps the figures in
`tests/bench/results.json`.

Every figure is the median of the rounds, with the smallest and the largest behind it.
Ratios are taken round by round, between turns that ran next to each other, so that a
machine whose speed drifts moves both sides. All sides run in one network namespace with
one TCP congestion control. Server CPU is user and system time of the server's processes,
client CPU that of the clients; memory is anonymous memory (RssAnon) at its highest.
Nothing here is part of the tests: a bar that is missed does not fail a build."""


def write(entries):
    """Merges what was measured into the kept results, and writes the page."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept.update(entries)
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    order = [key for key in ("download", "upload", "pull", "alias", "cold-format")
             if key in kept]
    PAGE.write_text("\n\n".join([INTRODUCTION, *(row_page(kept[k]) for k in order)])
                    + "\n")
