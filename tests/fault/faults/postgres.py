# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL killed, restarted and hung under load: reads whose token, version and
placement are cached go on meanwhile, the rest waits, and nothing acknowledged is lost."""
import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time

import pathlib
import requests
from support.chain import make_bytes
from support.consistency import problems
from support.stratad import wait_until

from .load import Load
from .private import Server

BATCH = 20
VERSION = "/models/cached/net/versions/1"


def run(run):
    left = run.only or run.pick(60, 2)
    batch = 0
    while left > 0 and not run.is_over():
        batch += 1
        count = min(left, BATCH)
        left -= count
        # Its user may pass through here, as not through every temporary folder.
        folder = pathlib.Path(tempfile.mkdtemp(prefix="strata-fault-pg-"))
        folder.chmod(0o755)
        server = Server(folder, database_timeout="1s", acquire_timeout="1s")
        try:
            with run.trial(f"batch {batch}", server):
                try:
                    one_batch(run, server.start(), f"d{run.seed}-{batch}", count)
                finally:
                    if server.process is not None:
                        server.kill_all()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Reader(threading.Thread):
    """Reads what is cached, all the time; anything but 200 is a fault."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.done = threading.Event()
        self.wrong = []
        self.reads = 0
        self.slowest = 0
        self.data = make_bytes(300_000, "cached")
        server.api().publish("cached/net", {"w.bin": self.data})
        self.reader = server.api("reader")
        self.once()

    def once(self):
        began = time.monotonic()
        shown = self.reader.get(f"{VERSION}/files/w.bin", expect=200)
        assert shown.content == self.data
        self.reader.get(f"{VERSION}/manifest", expect=200)
        self.reads += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    def run(self):
        while not self.done.wait(0.005):
            try:
                self.once()
            except Exception as error:
                self.wrong.append(repr(error))
                return

    def count_during(self, seconds):
        """How often it has read in this time."""
        before = self.reads
        self.done.wait(seconds)
        return self.reads - before


def is_ready(server):
    assert server.process.poll() is None, "stratad has ended"
    try:
        return requests.get(server.base + "/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def kill(server, reader, seconds):
    server.kill_postmaster()
    return reader.count_during(seconds)


def restart(server, reader, seconds):
    """As an operator does: at once, sessions are cut."""
    os.kill(server.postmaster(), signal.SIGINT)
    return reader.count_during(seconds)


def kill_session(server, reader, seconds):
    """One session dies: PostgreSQL cuts all and recovers."""
    pids = [pid for pid in server.session_pids() if pid != server.postmaster()]
    for pid in pids[-2:]:
        # PostgreSQL ends the others as soon as it hears of the first.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return reader.count_during(seconds)


def hang(server, reader, seconds):
    with server.frozen():
        return reader.count_during(seconds)


def one_batch(run, server, tag, count):
    reader = Reader(server)
    load = Load(server, tag, large=False, moves=True)
    reader.start()
    faults = (kill, restart, kill_session, hang)
    try:
        for number in range(count):
            load.go()
            threading.Event().wait(run.random.uniform(0.05, 0.7))
            fault = faults[number % len(faults)]
            reads = fault(server, reader, run.random.uniform(0.3, 2.5))
            assert not reader.wrong, f"{fault.__name__}: {reader.wrong}"
            assert reads > 0, f"{fault.__name__}: no cached read while it was away"
            wait_until(lambda: is_ready(server), 60, "service is back")
            server.session = server.postmaster()
            threading.Event().wait(0.1)
            load.hold()
            server.look.disconnect()
            load.check(rest=False)
            run.hit(f"PostgreSQL {fault.__name__}")
            if run.is_over():
                break
        load.finish()
        reader.done.set()
        reader.join()
        assert not reader.wrong, reader.wrong
        run.say(f"postgres: {tag}: {load.answers} answers, {load.waits} repeats, "
                f"{reader.reads} cached reads, the slowest {reader.slowest:.2f} s")
        server.look.disconnect()
        server.restart()
        assert problems(server) == []
    finally:
        reader.done.set()
        load.abandon()
