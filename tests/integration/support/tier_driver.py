# SPDX-License-Identifier: Apache-2.0
"""Drives support/tier_driver.c: the tier store of a bucket at the end of a pipe."""
import subprocess
import threading
import time

from .stratad import BUILD

PROGRAM = BUILD / "tests/integration/support/tier_driver"


class Failed(Exception):
    """What the driver answered instead of "ok"; `slug` is the error's."""

    def __init__(self, text):
        super().__init__(text)
        self.slug = text.partition(" ")[0]


class TierDriver:
    """`with TierDriver(bucket, proxy.endpoint, timeout_ms=3000) as tier: tier.write(1, 10)`;
    further settings are those of tests/unit/tier_subject.c."""

    def __init__(self, bucket, endpoint=None, **settings):
        assert PROGRAM.exists(), f"{PROGRAM} is not built: run make check TESTS="
        self.process = subprocess.Popen(
            [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=bucket.environment(endpoint, **settings))
        self.lock = threading.Lock()
        self.seconds = 0.0  # that the last command took

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        status = self.process.wait(120)
        self.process.stdout.close()
        assert status == 0, status

    def run(self, *words):
        """The words after "ok", or Failed."""
        with self.lock:
            began = time.monotonic()
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            self.seconds = time.monotonic() - began
        assert line, "the driver died"
        first, *rest = line.split()
        if first != "ok":
            raise Failed(line.strip())
        return rest

    def write(self, number, size, bound=0):
        """(key, SHA-256) of what was written."""
        return tuple(self.run("write", number, size, bound))

    def read(self, number, offset, size):
        """The SHA-256 of what was read."""
        return self.run("read", number, offset, size)[0]

    def stat(self, number):
        """The size, or None."""
        word, = self.run("stat", number)
        return None if word == "missing" else int(word)

    def counters(self):
        return {name: int(value) for name, _, value in
                (word.partition("=") for word in self.run("counters"))}
