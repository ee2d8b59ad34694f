#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs rows of the benchmark; started by ./dev bench."""
import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from benchmark import report  # noqa: E402
from benchmark.chain import CHUNK, Chain  # noqa: E402
from benchmark.measure import sync_tree  # noqa: E402
from benchmark import cold_rows, rows, tier_rows  # noqa: E402
from benchmark.servers import ROOT, Postgres  # noqa: E402

ROWS = {row.key: row for row in (*rows.ROWS, *tier_rows.ROWS, *cold_rows.ROWS)}
# Fewer rounds are for trying things out: they are printed, not kept.
KEPT_ROUNDS = 7
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Bench:
    """What the rows share: the file, the programs, PostgreSQL, and who ends them."""

    def __init__(self, options, folder, stack, needs_servers):
        self.folder = folder
        self.seconds = options.seconds
        self.models = options.models
        self.size = options.size if needs_servers else 0
        self.file = folder / "file"
        self.load = ROOT / "build/tests/bench/bench-load"
        self.cli = ROOT / "build/strata"
        self.small = b"weights"
        self.small_sha256 = hashlib.sha256(self.small).hexdigest()
        self.load_average = os.getloadavg()[0]
        self.enter = stack.enter_context
        if needs_servers:
            self.make_file()
            self.postgres = self.enter(Postgres(folder / "postgres"))

    def make_file(self):
        """Random bytes: nothing on the way can shrink them."""
        chain = Chain()
        with open(self.file, "wb") as file, open("/dev/urandom", "rb") as source:
            for start in range(0, self.size, CHUNK):
                piece = source.read(min(CHUNK, self.size - start))
                chain.add(piece)
                file.write(piece)
        self.states = chain.states()
        self.sha256 = self.states[-1]
        sync_tree(self.folder)


def parse_size(text):
    return int(float(text[:-1]) * UNITS[text[-1]]) if text[-1] in UNITS else int(text)


def parse_options():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", default=[],
                        help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--rounds", type=int, default=KEPT_ROUNDS)
    parser.add_argument("--size", type=parse_size, default=parse_size("4G"),
                        help="of the file, as 512M or 4G (default)")
    parser.add_argument("--seconds", type=float, default=3,
                        help="that a turn of download and alias takes (3)")
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--folder", help="where the run's files lie (/var/tmp)",
                        default="/var/tmp")
    parser.add_argument("--keep", metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    for name in options.rows:
        if name not in ROWS:
            parser.error(f"there is no row {name}")
    return options


def run_row(kind, options):
    """The rounds of one row: [{lane: figures}]."""
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="strata-bench-", dir=options.folder))
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        bench = Bench(options, folder, stack, kind.needs_servers)
        row = kind(bench)
        row.begin()
        rounds = []
        for number in range(options.rounds):
            order = list(row.lanes().items())
            figures = {lane: None for lane, _ in order}
            # The one that begins changes from round to round.
            first = number % len(order)
            for lane, run in order[first:] + order[:first]:
                figures[lane] = run()
            rounds.append(figures)
            print(f"{row.key}: round {number + 1} of {options.rounds}", flush=True)
        return report.record(row, rounds, bench)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse_options()
    entries = {}
    for name in options.rows or ROWS:
        entry = run_row(ROWS[name], options)
        entries[name] = entry
        print(report.row_page(entry), flush=True)
        if options.rounds >= KEPT_ROUNDS:
            report.write({name: entry})
    if options.keep:
        pathlib.Path(options.keep).write_text(json.dumps(entries, indent=1) + "\n")
    if options.rounds < KEPT_ROUNDS:
        print(f"fewer than {KEPT_ROUNDS} rounds: docs/PERFORMANCE.md stays as it is")


main()
