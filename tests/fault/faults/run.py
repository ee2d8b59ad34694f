# SPDX-License-Identifier: Apache-2.0
"""What the kinds of faults share: counts, a seed, a time limit, and servers."""
import contextlib
import pathlib
import random
import time
import traceback
from collections import Counter


class Run:
    """One kind's run. `servers()` gives a `support.servers.Servers`, `s3()` the S3 server
    (support/s3.py), started when it is first asked for; `counts` holds how
    often each named point was hit, `found` what was wrong."""

    def __init__(self, kind, seed, folder, servers, *, s3=None, tiny=False,
                 minutes=None, only=None, say=print):
        self.kind = kind
        self.seed = seed
        self.random = random.Random(f"{kind} {seed}")
        self.folder = pathlib.Path(folder)
        self.servers = servers
        self.s3 = s3
        self.tiny = tiny
        self.only = only
        self.say = say
        self.deadline = None if minutes is None else time.monotonic() + 60 * minutes
        self.counts = Counter()
        self.skipped = Counter()
        self.found = []
        self.began = time.monotonic()
        self.seconds = None

    def pick(self, full, tiny):
        """A count: the large one, or the one of ./dev test."""
        return tiny if self.tiny else full

    def is_over(self):
        return self.deadline is not None and time.monotonic() > self.deadline

    def hit(self, point, count=1):
        self.counts[point] += count
        total = self.counts.total()
        if total % 100 == 0 and not self.tiny:
            self.say(f"{self.kind}: {total} after {time.monotonic() - self.began:.0f} s,"
                     f" {len(self.found)} wrong")

    def skip(self, point, why):
        self.skipped[point] += 1
        self.say(f"{self.kind}: skipped {point}: {why}")

    @contextlib.contextmanager
    def trial(self, name, server=None):
        """A fault that is not survived is noted with the server's log; True in `fine`
        when all was well."""
        outcome = Outcome()
        try:
            yield outcome
            outcome.fine = True
        except Exception:
            if self.tiny:
                raise
            text = traceback.format_exc()
            log = server.log()[-6000:] if server is not None else ""
            self.found.append(f"{self.kind}: {name}\n{text}\n{log}")
            self.say(f"{self.kind}: WRONG: {name} (seed {self.seed})\n{text}\n{log}")

    def summary(self):
        """The line of this kind; the time is the one of the first call."""
        if self.seconds is None:
            self.seconds = time.monotonic() - self.began
        skipped = f", {self.skipped.total()} skipped" if self.skipped else ""
        return (f"{self.kind}: {self.counts.total()} hits of {len(self.counts)} points, "
                f"the rarest {min(self.counts.values(), default=0)} times{skipped}, "
                f"{len(self.found)} wrong, {self.seconds:.0f} s")


class Outcome:
    fine = False
