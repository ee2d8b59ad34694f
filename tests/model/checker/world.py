# SPDX-License-Identifier: Apache-2.0
"""One process of clients: its families, told by the run when to go and when to rest.

Families are a process's own, so that processes share nothing but the server. A family
is put aside after some rounds, before its models grow long, and another begins; at the
end all are read back.
"""
import collections
import json
import random
import time
import traceback

from support.contract import contract

from .audit import Audit
from .family import Family

ROUNDS = 5  # of a family
# What a server may answer while faults strike it.
ALWAYS = {(503, "unavailable"), (503, "outcome-unknown")}
DISK = ALWAYS | {(500, "internal"), (507, "insufficient-storage")}


class Headers(dict):
    """By any case of their names, as the contract asks for them."""

    def __contains__(self, name):
        return super().__contains__(name.lower())

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def get(self, name, default=None):
        return super().get(name.lower(), default)


class World:
    def __init__(self, seed, address, tokens, clients, epoch, faults, families):
        self.seed = seed
        self.address = address
        self.tokens = tokens
        self.principals = list(tokens)
        self.clients = clients
        self.shared_epoch = epoch
        self.cuts = faults
        self.faults = faults
        self.counts = collections.Counter()
        self.random = random.Random(f"world {seed}")
        self.made = 0
        self.slots = families
        self.families = []
        self.retired = []
        self.wrong = []
        self.disk = False
        self.asked = 0

    def epoch(self):
        return self.shared_epoch.value

    def count(self, what):
        self.counts[what] += 1

    def refusals(self):
        if not self.faults:
            return ()
        return DISK if self.disk else ALWAYS

    def hold_to_contract(self, request, answer):
        """One answer in fifty, since it takes longer than all the rest."""
        self.asked += 1
        if self.asked % 50 == 0:
            contract().check(request.method, "http://strata" + request.path,
                             answer.status, Headers(answer.headers),
                             lambda: json.loads(answer.content))

    # ---- what the run asks for -------------------------------------------------

    def round(self, until, disk):
        self.disk = disk
        while len(self.families) < self.slots:
            self.made += 1
            family = Family(self, f"{self.seed}-{self.made}", self.clients)
            if self.made <= self.slots:  # not all are put aside at once
                family.rounds = self.random.randrange(ROUNDS)
            self.families.append(family)
        for family in self.families:
            family.run(until)
        for family in self.families:
            family.join()

    def rest(self, restarts):
        """Checks the round; the server is well and idle."""
        self.disk = False
        for family in list(self.families):
            now = time.monotonic_ns()
            Audit(family).round()
            self.check(family, restarts, now)
            family.rounds += 1
            if family.wrong or family.is_over or family.rounds >= ROUNDS:
                self.families.remove(family)
                if not family.wrong and not family.is_over:
                    family.linear.forget_past()
                    self.retired.append(family)
        return self.report()

    def check(self, family, restarts, now):
        before = family.operations
        family.check(restarts, now)
        self.counts["operations"] += family.operations - before
        if family.wrong:
            self.wrong.append(family.wrong)

    def report(self):
        counts, self.counts = self.counts, collections.Counter()
        wrong, self.wrong = self.wrong, []
        linear = [family.linear for family in self.families + self.retired]
        return counts, wrong, (max((one.most for one in linear), default=0),
                               sum(one.again for one in linear))

    def end(self):
        for family in self.retired + self.families:
            now = time.monotonic_ns()
            Audit(family).end()
            self.check(family, (), now)
        self.counts["versions read back"] = sum(
            len([k for k in f.state.entries if k[0] == "v"])
            for f in self.retired + self.families)
        return self.report()


def serve(pipe, *arguments):
    """The main loop of a process: (method, arguments) in, result or traceback out."""
    world = World(*arguments)
    while True:
        try:
            name, *given = pipe.recv()
        except EOFError:
            return
        if name == "stop":
            return
        try:
            pipe.send(("fine", getattr(world, name)(*given)))
        except Exception:
            pipe.send(("failed", traceback.format_exc()))
