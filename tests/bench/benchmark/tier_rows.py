# SPDX-License-Identifier: Apache-2.0
"""Rows of the tiers."""
import hashlib
import os
import threading
import time

from .measure import Meter, warm
from .rows import Bar, Row
from .servers import Stratad

MIB = 1 << 20
MOVED = 512 * MIB
READ = "strata_moves_read_bytes_total"
ENDED = ("done", "failed", "cancelled")


class Moves(Row):
    key = "moves"
    title = "Reads of hot data beside moves"
    method = (
        "Keep-alive GETs of 8 MiB ranges of a file on the hot tier, as in the download "
        "row, alone and while another blob of 512 MiB is moved between hot, warm and cold "
        "without a pause. A move copies, syncs, reads back past the page cache and "
        "verifies. The rate of moves is half of what strata_moves_read_bytes_total grew by, "
        "since a move reads everything twice, over the time of the reads.")
    columns = ("rate", "server_cpu_gb", "moved_rate")
    streams = (1, 8)

    def __init__(self, bench):
        super().__init__(bench)
        self.bars = [bar for n in self.streams for bar in (
            Bar(f"reads beside moves against alone, streams: {n}", "rate",
                f"beside moves, streams: {n}", (f"alone, streams: {n}",), 0.9),
            Bar(f"moves beside reads, MB/s, streams: {n}", "moved_rate",
                f"beside moves, streams: {n}", (), 20))]

    def begin(self):
        bench = self.bench
        self.stratad = bench.enter(Stratad(bench.folder / "stratad", bench.postgres))
        self.stratad.upload(bench, Meter())
        noise = os.urandom(MOVED)
        self.moved = hashlib.sha256(noise).hexdigest()
        self.stratad.call("PUT", f"/api/v1/blobs/{self.moved}", noise)
        self.get(8, 0.5)

    def get(self, streams, seconds, begin=lambda: None):
        bench = self.bench
        warm(self.stratad.blob_file(bench.sha256))
        begin()
        with Meter(self.stratad) as meter:
            loaded = meter.load(
                bench.load, "get", self.stratad.address, f"/api/v1/blobs/{bench.sha256}",
                "--streams", streams, "--seconds", seconds,
                "--file-size", bench.size // (8 * MIB) * (8 * MIB),
                "--range-size", 8 * MIB, "--header", self.stratad.header_lines()[0])
        result = self.rate(meter, loaded["bytes"])
        result["rate"] = loaded["bytes_in_time"] / loaded["seconds"] / 1e9
        return result

    def beside(self, streams):
        """Reads as long as a round of moves takes."""
        mover = Mover(self.stratad, self.moved)
        mover.start()
        try:
            time.sleep(0.5)
            result = self.get(streams, max(self.bench.seconds, 12), mover.mark)
            result["moved_rate"] = mover.rate()
        finally:
            mover.end()
        return result

    def lanes(self):
        return {
            f"{name}, streams: {n}": lambda run=run, n=n: run(n)
            for n in self.streams
            for name, run in (("alone", lambda n: self.get(n, self.bench.seconds)),
                              ("beside moves", self.beside))}


class Mover(threading.Thread):
    """Moves a blob around until it is told to end."""

    def __init__(self, server, digest):
        super().__init__(daemon=True)
        self.server = server
        self.digest = digest
        self.ending = threading.Event()
        self.marked = (0, 0)
        self.failure = None

    def run(self):
        try:
            while not self.ending.is_set():
                for tier in ("warm", "cold", "hot"):
                    if not self.ending.is_set():
                        self.move(tier)
        except Exception as error:
            self.failure = error

    def call(self, method, path, *body):
        return self.server.call(method, f"/api/v1{path}", *body)

    def move(self, tier):
        move = self.begin(tier)
        while move["state"] not in ENDED and not self.ending.is_set():
            self.ending.wait(0.25)  # asking costs processors too
            move = self.call("GET", f"/moves/{move['id']}")
        if move["state"] in ("failed", "cancelled"):
            raise RuntimeError(f"a move has ended: {move}")
        if move["state"] != "done":
            self.call("DELETE", f"/moves/{move['id']}")
            self.wait(move)

    def begin(self, tier):
        return self.call("POST", f"/blobs/{self.digest}/move", {"tier": tier})

    def wait(self, move):
        while move["state"] not in ENDED:
            time.sleep(0.05)
            move = self.call("GET", f"/moves/{move['id']}")

    def mark(self):
        self.marked = (time.monotonic(), self.server.metric(READ))

    def rate(self):
        """MB/s since the mark."""
        began, before = self.marked
        return (self.server.metric(READ) - before) / 2 / (time.monotonic() - began) / 1e6

    def end(self):
        """Takes the blob back to where it came from."""
        self.ending.set()
        self.join()
        if self.failure:
            raise self.failure
        self.wait(self.begin("hot"))


ROWS = (Moves,)
