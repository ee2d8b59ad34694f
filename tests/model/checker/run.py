# SPDX-License-Identifier: Apache-2.0
"""A run: processes of clients, the faults that strike meanwhile, and rests between
rounds in which every answer is checked and rows and files are compared."""
import collections
import multiprocessing
import random
import time

from support.consistency import problems

from .strikes import Strikes
from .world import serve

LEASES = """
    SELECT count(*) FROM blobs b WHERE NOT EXISTS (
        SELECT FROM leases l WHERE l.sha256 = b.sha256 AND l.until > now())"""


WRONG_MOST = 5  # families are checked alone: one that is wrong does not end the run


class Failed(Exception):
    """A process of clients has ended with an error that is no answer's."""


class Run:
    """`operations`: how many answers, at least; `clients`: in all, shared out to
    processes and families."""

    def __init__(self, server, seed, *, operations, clients=16, faults=True, seconds=3,
                 say=print):
        self.server = server
        self.seed = seed
        self.operations = operations
        self.faults = faults
        self.seconds = seconds
        self.say = say
        self.random = random.Random(f"run {seed}")
        self.counts = collections.Counter()
        self.struck = collections.Counter()
        self.wrong = []
        self.rounds = 0
        self.most = self.again = 0
        self.processes = 2
        self.families = max(1, clients // (4 * self.processes))
        self.per_family = max(2, clients // (self.processes * self.families))
        # Without threads or locks of this process in the children.
        self.context = multiprocessing.get_context("spawn")

    def strike(self, name, count=1):
        if count:
            self.struck[name] += count

    def go(self):
        """True when every answer was right."""
        epoch = self.context.Value("l", 0)
        strikes = Strikes(self.server, self.random, epoch, self.strike)
        began = time.monotonic()
        self.workers = []
        try:
            strikes.start()
            self.server.keep_port()
            self.begin(epoch)
            while (self.counts["operations"] < self.operations
                   and len(self.wrong) < WRONG_MOST):
                self.round(strikes)
                if self.rounds % 6 == 0:
                    self.compare()
                    self.tell(began)
            self.took = time.monotonic() - began
            self.take(self.all("end"))
            self.compare()
        finally:
            self.took = time.monotonic() - began
            self.stop()
            strikes.close()
        return not self.wrong

    def begin(self, epoch):
        api = self.server.api()
        tokens = {name: api.create_token(name, "maintainer")["token"]
                  for name in ("alice", "bob")}
        for number in range(self.processes):
            ours, theirs = self.context.Pipe()
            process = self.context.Process(
                target=serve, daemon=True,
                args=(theirs, f"{self.seed}-{number}", self.server.address, tokens,
                      self.per_family, epoch, self.faults, self.families))
            process.start()
            theirs.close()
            self.workers.append((process, ours))

    def stop(self):
        for process, pipe in self.workers:
            try:
                pipe.send(("stop",))
            except OSError:
                pass
            process.join(20)
            if process.is_alive():
                process.kill()

    def all(self, name, *given, meanwhile=None):
        """Calls a method of every process's World, at the same time; their results."""
        for _, pipe in self.workers:
            pipe.send((name, *given))
        if meanwhile is not None:
            meanwhile()
        results = [pipe.recv() for _, pipe in self.workers]
        for how, result in results:
            if how == "failed":
                raise Failed(f"seed {self.seed}: {result}\n{self.server.log()[-3000:]}")
        return [result for _, result in results]

    def round(self, strikes):
        self.rounds += 1
        now = time.monotonic()
        kinds = strikes.choose() if self.faults else []
        disk = any(kind == strikes.fail_calls for kind in kinds)

        def meanwhile():
            for kind in kinds:
                time.sleep(self.random.uniform(0.1, 0.9 * self.seconds / len(kinds)))
                kind()

        self.all("round", now + self.seconds, disk, meanwhile=meanwhile)
        restarts = strikes.heal()
        self.take(self.all("rest", restarts))

    def take(self, reports):
        searches = []
        for counts, wrong, search in reports:
            self.counts += counts
            self.wrong += wrong
            searches.append(search)
        self.most = max(self.most, *(most for most, _ in searches))
        self.again = sum(again for _, again in searches)
        for _, wrong, _ in reports:
            for text in wrong:
                self.say(f"WRONG (seed {self.seed}): {text}")

    def compare(self):
        """Rows and files, with nothing going on."""
        found = problems(self.server)
        unleased = self.server.database.value(LEASES)
        if unleased:
            found.append(f"{unleased} blobs were acknowledged and have no lease")
        self.counts["comparisons of rows and files"] += 1
        for text in found:
            self.wrong.append(text)
            self.say(f"WRONG (seed {self.seed}): {text}")

    def tell(self, began):
        took = time.monotonic() - began
        done = self.counts["operations"]
        self.say(f"{done} operations after {took:.0f} s ({done / took:.0f}/s), "
                 f"{self.struck.total()} faults, {len(self.wrong)} wrong")

    def summary(self):
        done = self.counts["operations"]
        lines = [f"{self.rounds} rounds; {done} operations in {self.took:.0f} s "
                 f"({done / self.took:.0f}/s)",
                 f"  searches: at most {self.most} configurations at once, "
                 f"{self.again} second ones"]
        lines += [f"  {name}: {count}" for name, count in sorted(self.counts.items())
                  if name != "operations"]
        lines += [f"  fault: {name}: {count}" for name, count in sorted(
            self.struck.items())]
        lines.append(f"model: {done} operations, {self.struck.total()} faults, "
                     f"{len(self.wrong)} mismatches (seed {self.seed})")
        return "\n".join(lines)
